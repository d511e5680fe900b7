"""PV disks become BIOS drives: which ones, in which order, and in the place of which others."""

import re

import pytest

from lab import xl_disk
from pristine import View
from trial import create, ending, layer_lines, sectors_read, twin_reads

BACKENDS = ["phy", "qdisk"]


def boot(guest, timeout=90):
    """Let a guest run to the end of its program; returns what it printed."""
    guest.unpause()
    guest.skip_menu(timeout)
    return ending(guest, timeout)


def drives(printed):
    """The BIOS drives that the program `disks` has listed: [(number, label)]."""
    assert printed[-1] == "TEST PASS disks", printed
    return [re.fullmatch(r"DISK (\w\w) .* label=(.*)", line).groups()
            for line in printed if line.startswith("DISK ")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_second_disk_is_booted_when_the_first_is_not_bootable(lab, blob, guest_disk, backend):
    disks = [xl_disk(lab.attach(guest_disk(program, mib=5, label=name)), name, backend=backend)
             for name, program in [("xvde", "not-bootable"), ("xvdf", "disks")]]
    guest = create(lab, disks, blob)
    assert drives(boot(guest)) == [("80", "xvdf"), ("81", "xvde")]


def test_disks_have_bios_numbers_in_the_order_of_their_names(lab, blob, guest_disk):
    """Whatever order the toolstack names them in, and whatever backend they have."""
    names = ["xvdz", "xvdf", "xvdaa", "xvde"]
    disks = [xl_disk(lab.attach(guest_disk("disks", mib=5 + number, name=name, label=name)),
                     name, backend=BACKENDS[number % 2]) for number, name in enumerate(names)]
    guest = create(lab, disks, blob)
    assert drives(boot(guest)) == [("80", "xvde"), ("81", "xvdf"), ("82", "xvdz"), ("83", "xvdaa")]
    assert {line for line in layer_lines(guest) if line.startswith("xvd")} == {
        "xvde: 51776, 8 MiB, qdisk in domain 0, read-write",
        "xvdf: 51792, 6 MiB, qdisk in domain 0, read-write",
        "xvdz: 268441856, 5 MiB, blkback in domain 0, read-write",
        "xvdaa: 268442112, 7 MiB, blkback in domain 0, read-write",
    }


@pytest.mark.release
def test_disk_with_an_emulated_twin_is_one_drive_and_read_through_the_pv_backend(
        lab, blob, guest_disk):
    kinds = {"xvda": "phy", "hdb": "phy", "xvdc": "qdisk", "sdd": "phy"}
    devices = {name: lab.attach(guest_disk("disks", mib=5, name=name, label=name))
               for name in kinds}
    guest = create(lab, [xl_disk(devices[name], name, backend=backend)
                         for name, backend in kinds.items()], blob)
    before = {name: sectors_read(lab, device) for name, device in devices.items()}
    printed = boot(guest)
    assert drives(printed) == [("80", "xvda"), ("81", "hdb"), ("82", "xvdc"), ("83", "sdd")]
    # the device model was not asked for a sector, the disks behind the backends were
    assert twin_reads(guest) == {"ide0-hd0": 0, "ide0-hd1": 0, "ide1-hd0": 0, "scsi0-hd3": 0}
    for name, device in devices.items():
        assert sectors_read(lab, device) - before[name] >= 64, name


def test_emulated_twin_is_booted_when_the_pv_disk_cannot_be_attached(lab, blob, guest_disk):
    names = ["xvda", "sdb"]
    devices = [lab.attach(guest_disk("disks", mib=5, name=name, label=name)) for name in names]
    guest = create(lab, map(xl_disk, devices, names), blob)
    lab.run(f"for number in $(xenstore-list /local/domain/{guest.domid}/device/vbd); do "
            f"xenstore-rm /local/domain/{guest.domid}/device/vbd/$number/backend; done")
    assert drives(boot(guest)) == [("80", "xvda"), ("81", "sdb")]
    for name in names:
        assert f"{name}: no usable backend path" in layer_lines(guest)
    reads = twin_reads(guest)
    assert len(reads) == 2 and all(reads.values()), reads


def sixteen_drives(lab, blob, disks):
    """A guest finds drives 80 to 8F; returns what the layer says of each VBD: [(name, text)]."""
    guest = lab.create(disks, blob, timeout=300, paused=True)
    before = View(guest)
    assert drives(boot(guest, 300)) == [(f"{0x80 + number:02x}", "all") for number in range(16)]
    assert View(guest).traces(before) == []
    return [line.split(": ", 1) for line in layer_lines(guest) if re.match("(xv|h)d[a-z]+: ", line)]


@pytest.mark.slow
def test_the_first_16_of_40_disks_are_drives(lab, blob, guest_disk):
    """By their numbers, in whatever order the toolstack has them; each of the others has a line."""
    names = [f"xvd{letter}" for letter in "efghijklmnopqrstuvwxyz"]
    names += [f"xvda{letter}" for letter in "abcdefghijklmnopqr"]
    device = lab.attach(guest_disk("disks", mib=5, label="all"), readonly=True)
    said = sixteen_drives(lab, blob, [
        xl_disk(device, name, access="ro") for name in reversed(names)])
    assert sorted(name for name, text in said if text.endswith(", read-only")) == sorted(names[:16])
    assert sorted(name for name, text in said if text.endswith("one disk too many")) == sorted(
        names[16:])


@pytest.mark.slow
@pytest.mark.parametrize("cds", ["hda hdb hdc hdd", "xvda hdc xvdm xvdz"])
def test_16_disks_and_4_cds_are_drives(lab, blob, guest_disk, cds):
    """No CD takes a disk's place, whatever its name; twenty VBDs have a drive each."""
    names = [f"xvd{letter}" for letter in "efghijklnopqrstu"]
    device = lab.attach(guest_disk("disks", mib=5, label="all"), readonly=True)
    said = sixteen_drives(lab, blob, [
        *(xl_disk(device, name, access="ro") for name in names),
        *(xl_disk(device, name, access="ro", backend="qdisk", devtype="cdrom")
          for name in cds.split())])
    assert sorted(name for name, text in said if ", CD" in text) == sorted(cds.split())
    assert sorted(name for name, text in said if text.endswith(", read-only")) == sorted(names)
    assert not any("too many" in text for _, text in said)
