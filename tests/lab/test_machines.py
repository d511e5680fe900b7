"""Guests and dom0s of other kinds than those of the other tests: CPUs, memory, device models."""

import re

import pytest

from lab import Lab, xl_disk
from pristine import View
from trial import create, ending, layer_lines, start

# Settings of read_all(); `make matrix` has a row for each.
KINDS = {
    "4 vCPUs": {"vcpus": 4},
    "memory below maxmem": {"memory": 200, "maxmem": 700},
    "viridian": {"viridian": 1},
    "no platform device": {"xen_platform_pci": 0},
}
AHCI = {"vdev": "xvda", "hdtype": "ahci"}
# In a lab of the size "large", whose dom0 has two CPUs.
LARGE = {"memory": 5120, "vcpus": 2}


def read_all(lab, blob, image, vdev="xvde", backend="phy", **settings):
    """A guest reads its whole disk rightly and leaves no trace; returns it."""
    guest = create(lab, [xl_disk(lab.attach(image), vdev, backend=backend)], blob, **settings)
    before = View(guest)
    start(guest)
    lines = ending(guest, 240)
    assert lines[-1] == "TEST PASS stream", lines
    assert View(guest).traces(before) == []
    served = "blkback" if backend == "phy" else backend
    assert any(f", 5 MiB, {served} in domain 0, read-write" in line for line in layer_lines(guest))
    return guest


@pytest.mark.parametrize("kind", [pytest.param("4 vCPUs", marks=pytest.mark.release),
                                  *(
    pytest.param(kind, marks=pytest.mark.slow) for kind in list(KINDS)[1:])])
def test_guest_reads_its_disk_and_leaves_no_trace(lab, blob, guest_disk, kind):
    read_all(lab, blob, guest_disk("stream", mib=5), **KINDS[kind])


def test_disk_with_a_twin_on_ahci_is_read_through_the_pv_backend(lab, blob, guest_disk):
    guest = read_all(lab, blob, guest_disk("stream", mib=5), **AHCI)
    assert any(line.startswith("AHCI controller at ") for line in guest.lines())
    # the device model was not asked for a sector
    assert not any(re.findall(r"rd_operations=([1-9]\d*)", lab.run(
        f"xl qemu-monitor-command {guest.domid} 'info blockstats'")))


@pytest.mark.slow
def test_dom0_of_two_cpus_and_a_guest_with_more_than_4_gib(blob, guest_disk, tmp_path):
    with Lab.start("machines-large", size="large") as lab:
        assert lab.run("nproc").split() == ["2"]
        guest = read_all(lab, blob, guest_disk("stream", mib=5), **LARGE)
        assert any(re.match(r" *\d+: 0000000100000000 - \w+ = 1 RAM", line)
                   for line in guest.lines())
        guest.destroy()
        read_all(lab, blob, guest_disk("stream", mib=5, name="second"), backend="qdisk", vcpus=2)
