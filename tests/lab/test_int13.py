"""int13 from the caller's side, on PV disks of both backends."""

import re

import pytest

import pattern
from lab import Lab, xl_disk
from trial import create, ending, start

pytestmark = pytest.mark.pvh

# blkback's is also in test_pvh.py
BACKENDS = [pytest.param("phy", marks=pytest.mark.slow),
            pytest.param("qdisk", marks=pytest.mark.release)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_int13_does_what_a_caller_may_expect(lab, blob, guest_disk, backend):
    image = guest_disk("int13", mib=5)
    guest = create(lab, [xl_disk(lab.attach(image), "xvde", backend=backend)], blob)
    start(guest)
    lines = ending(guest, 300)
    assert lines[-1] == "TEST PASS int13", [line for line in lines if line.startswith("FAIL")]
    # The guest runs on, and nobody in dom0 has closed the disk: what is in the image now was
    # on the disk when int13 returned.
    writes = pattern.writes(lines)
    assert writes
    assert pattern.verify(image, writes) == []


@pytest.mark.slow
@pytest.mark.parametrize("caller", ["int1c", "stack", "nested", "int08"])
def test_int13_does_so_for_callers_that_are_no_plain_programs(lab, blob, guest_disk, caller):
    """tests/guests/callers.inc says which."""
    image = guest_disk("int13", mib=5, label=caller)
    guest = create(lab, [xl_disk(lab.attach(image), "xvde")], blob)
    start(guest)
    lines = ending(guest, 600)
    assert lines[-1] == "TEST PASS int13", [line for line in lines if line.startswith("FAIL")]
    number, = re.findall(rf"^INFO caller {caller}: (\d+) calls", "\n".join(lines), re.M)
    assert int(number) > 500
    assert pattern.verify(image, pattern.writes(lines)) == []


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_int13_is_the_same_with_c_xenstored(blob, guest_disk, backend):
    with Lab.start("int13-xenstored", store="xenstored") as lab:
        test_int13_does_what_a_caller_may_expect(lab, blob, guest_disk, backend)


def test_write_to_a_read_only_disk_is_refused_as_write_protected(lab, blob, guest_disk):
    """On blkback only: QEMU 7.2 has no read-only disks."""
    image = guest_disk("readonly", mib=5)
    guest = create(lab, [xl_disk(lab.attach(image), "xvde", access="ro")], blob)
    start(guest)
    lines = ending(guest)
    assert lines[-1] == "TEST PASS readonly", [line for line in lines if line.startswith("FAIL")]
    assert "xen: xvde: 51776, 5 MiB, blkback in domain 0, read-only" in lines
    assert pattern.verify(image) == []
