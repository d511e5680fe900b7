"""A guest with a PV disk only boots: POST, GRUB through int13, Linux through its own blkfront."""

import re

import pytest

from lab import xl_disk
from pristine import View
from trial import create


@pytest.mark.parametrize("backend, filesystem", [
    pytest.param("phy", "ext4", marks=pytest.mark.release),
    pytest.param("qdisk", "vfat", marks=pytest.mark.slow)])
def test_grub_loads_linux_which_mounts_the_same_disk(lab, blob, grub_linux, backend, filesystem):
    device = lab.attach(grub_linux(filesystem=filesystem, options="lab.end=shell"), snapshot=True)
    guest = create(lab, [xl_disk(device, "xvde", backend=backend)], blob)
    before = View(guest)
    guest.unpause()
    guest.skip_menu()
    guest.wait_line("^LAB: GRUB starts Linux$", 120)
    guest.wait_line(rf"LAB: booted from /dev/xvde1 \(vbd-51776\), {filesystem}, "
                    r"\d+ files, test data right", 120)
    # a driver that has a disk is what the traces would look like
    found = View(guest).traces(before)
    assert any(re.search('/device/vbd/51776/state: "4" .* was "1"', line) for line in found), found


@pytest.mark.parametrize("backend", ["phy", pytest.param("qdisk", marks=pytest.mark.slow)])
def test_boot_sector_runs_from_the_only_disk(lab, blob, guest_disk, backend):
    guest = create(lab, [xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde", backend=backend)],
                   blob)
    guest.unpause()
    guest.skip_menu()
    guest.wait_line("^HELLO dl=80 drives=01 .* sectors=0000000000002800 bytes=0200$")
    guest.wait_line("^TEST PASS hello")
