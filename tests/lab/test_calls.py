"""Calls of int13 in every form do on PV disks what they do on an IDE disk of a plain QEMU with the
stock BIOS: registers, flags, memory, and in the end the disk.

The table of calls is that of tests/guests/calls.py, where the three things are said that may differ.
"""

import pytest

import calls
from lab import xl_disk
from test_guests import all_calls
from trial import create, ending, start

LIMIT = 1500                    # seconds
WAYS = {                        # vdev, backend, settings
    "PV only": ("xvde", "phy", {}),
    "PV only, qdisk": ("xvde", "qdisk", {}),
    "twin on IDE": ("xvda", "phy", {}),
    "twin on AHCI": ("xvda", "phy", {"hdtype": "ahci"}),
    "twin on LSI": ("sda", "phy", {}),
}


def run(lab, programs, tmp_path, bios, vdev, backend="phy", **settings):
    """A guest makes all calls: its differences to the plain QEMU."""
    image = calls.image(tmp_path / "disk.raw", programs)
    device = lab.attach(image)
    guest = create(lab, [xl_disk(device, vdev, backend=backend)], bios, **settings)
    start(guest)
    lines = ending(guest, LIMIT)
    assert lines[-1] == "TEST PASS calls", [line for line in lines if line.startswith("FAIL")]
    guest.destroy()             # what an emulated disk still keeps is written then
    guest.wait_end()
    others, content = all_calls("stock", "ide")
    found = calls.differences(lines, others, physical=not vdev.startswith("sd"))
    if lab.read_back(device) != content:
        found.append("the disk's content")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_calls_do_on_a_pv_disk_what_they_do_on_an_ide_disk(lab, blob, programs, tmp_path, way):
    vdev, backend, settings = WAYS[way]
    assert run(lab, programs, tmp_path, blob, vdev, backend, **settings) == []


@pytest.mark.slow
def test_calls_do_in_a_pvh_guest_what_they_do_on_an_ide_disk(lab, pvh, programs, tmp_path):
    assert run(lab, programs, tmp_path, pvh, "xvda") == []


@pytest.mark.slow
@pytest.mark.parametrize("way", ["twin on IDE", "twin on AHCI"])
def test_emulated_disks_on_xen_do_the_same(lab, programs, tmp_path, way):
    """Which is what makes the IDE disk of a plain QEMU the measure for all.

    The stock BIOS does not survive a call that fails on LSI: tests/guests says more.
    """
    vdev, _, settings = WAYS[way]
    assert run(lab, programs, tmp_path, None, vdev, "qdisk", **settings) == []
