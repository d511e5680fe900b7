"""int13 from the caller's side, on PV disks of both backends."""

import re

import pytest

import pattern
from lab import xl_disk
from trial import create, ending


def flushes(guest, backend):
    """How many flushes the backend of the guest's disk xvde was asked for."""
    if backend == "qdisk":
        text = guest.lab.run(f"xl qemu-monitor-command {guest.domid} 'info blockstats'")
        return sum(map(int, re.findall(r" flush_operations=(\d+)", text)))
    return int(guest.lab.run(
        f"cat /sys/bus/xen-backend/devices/vbd-{guest.domid}-51776/statistics/f_req"))


@pytest.mark.parametrize("backend", ["phy", "qdisk"])
def test_int13_does_what_a_caller_may_expect(lab, blob, guest_disk, backend):
    image = guest_disk("int13", mib=5)
    guest = create(lab, [xl_disk(lab.attach(image), "xvde", backend=backend)], blob)
    guest.unpause()
    guest.skip_menu()
    lines = ending(guest, 300)
    print(*lines, flushes(guest, backend), sep="\n")
    assert lines[-1] == "TEST PASS int13"
    writes = pattern.writes(lines)
    assert writes
    # nothing in dom0 has written back or closed the disk yet
    assert pattern.verify(image, writes) == []


@pytest.mark.parametrize("backend", ["phy", "qdisk"])
def test_write_to_a_read_only_disk_is_refused_as_write_protected(lab, blob, guest_disk, backend):
    image = guest_disk("readonly", mib=5)
    disk = xl_disk(lab.attach(image), "xvde", access="ro", backend=backend)
    guest = create(lab, [disk], blob)
    guest.unpause()
    guest.skip_menu()
    lines = ending(guest)
    assert lines[-1] == "TEST PASS readonly", lines
    assert "xen: xvde: 51776, 5120 KiB, ... in domain 0, read-only" in lines
    assert pattern.verify(image) == []
