"""Int13 from virtual-8086 mode, as DOS calls it under EMM386."""

from lab import xl_disk
from trial import create, ending, start


def calls(lab, guest_disk, bios, vdevs):
    """What `vm86` prints of a guest's disks: {vdev: line without the number}."""
    disks = [xl_disk(lab.attach(guest_disk("vm86", mib=5, name=vdev)), vdev) for vdev in vdevs]
    guest = create(lab, disks, bios)
    start(guest)
    lines = ending(guest)
    lab.clean()
    assert lines[-1] == "TEST PASS vm86", lines
    return [line for line in lines if line.startswith("VM86 ")]


def test_a_disk_with_a_twin_works_in_vm86_as_with_the_stock_bios(lab, blob, guest_disk):
    stock = calls(lab, guest_disk, None, ["xvda", "hdb"])
    good = "read ah=00 data=01 write ah=00 data=01"
    assert stock == [f"VM86 80 {good}", f"VM86 81 {good}"]
    ours = calls(lab, guest_disk, blob, ["xvda", "hdb", "xvde"])
    assert ours[:2] == stock
    # without a twin: an error, and nothing written
    assert ours[2:] == ["VM86 82 read ah=01 data=00 write ah=01 data=00"]
