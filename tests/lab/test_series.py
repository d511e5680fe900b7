"""The first patches of the series alone make a layer that works."""

import re
import sys

import pytest

from lab import HERE, xl_disk
from trial import create, start, twin_reads

sys.path.append(str(HERE.parent / "build"))
from project import PATCHES, build_series       # noqa: E402

pytestmark = pytest.mark.slow
TWINS = next(number for number, patch in enumerate(PATCHES, 1) if "twins" in patch.name)


@pytest.mark.parametrize("count", range(1, len(PATCHES) + 1))
def test_linux_boots_with_the_first_patches(lab, grub_linux, tmp_path, count):
    """From a disk that has an emulated twin: with the patch for that they are one drive."""
    build_series(count, tmp_path)
    disk = xl_disk(lab.attach(grub_linux(options="lab.end=shell"), snapshot=True), "xvda")
    guest = create(lab, [disk], tmp_path / "bios-xenpv.bin")
    start(guest)
    guest.wait_line("^LAB: GRUB starts Linux$", 120)
    assert set(twin_reads(guest).values()) == {0}
    guest.wait_line(r"LAB: booted from /dev/xvda1 \(vbd-51712\), ext4, \d+ files, test data right",
                    180)
    drives = re.findall("^drive 0x", "\n".join(guest.lines()), re.M)
    assert len(drives) == (1 if count >= TWINS else 2)
