"""The first patches of the series alone make a layer that works."""

import sys

import pytest

from lab import HERE, xl_disk
from trial import create, start

sys.path.append(str(HERE.parent / "build"))
from project import PATCHES, build_series       # noqa: E402

pytestmark = pytest.mark.slow
TWINS = next(number for number, patch in enumerate(PATCHES, 1)
             if "xen_drive_added" in patch.read_text())


@pytest.mark.parametrize("count", range(1, len(PATCHES) + 1))
def test_linux_boots_with_the_first_patches(lab, grub_linux, guest_disk, tmp_path, count):
    """And a disk that has an emulated twin is one drive, with the patch for that."""
    build_series(count, tmp_path)
    blob = tmp_path / "bios-xenpv.bin"
    disk = xl_disk(lab.attach(grub_linux(options="lab.end=shell"), snapshot=True), "xvde")
    guest = create(lab, [disk], blob)
    start(guest)
    guest.wait_line(r"LAB: booted from /dev/xvde1 \(vbd-51776\), ext4, \d+ files, test data right",
                    180)
    guest.destroy()
    guest = create(lab, [xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvda")], blob)
    start(guest)
    guest.wait_line(f"^HELLO dl=80 drives={1 if count >= TWINS else 2:02} ")
    guest.wait_line("^TEST PASS hello$")
