"""A complete Debian, installed with grub-pc on a PV disk: it boots to a login, again and again, from
the entries that grub-reboot and GRUB's own save_env choose, and keeps all that it has written."""

import re
import shutil

import pytest

import installed
from debian import LabError, command
from images import FIRST, SECTOR
from lab import xl_disk
from releases import RELEASES
from trial import create, start

pytestmark = pytest.mark.slow

LIMIT = 900             # seconds for a boot, and for the way down


def run(lab, firmware, release, vdev, boots, tmp_path):
    """Boot an installed disk so often, and look at what is left on it."""
    image = shutil.copy(installed.disk(RELEASES[release]), tmp_path / "disk.raw")
    device = lab.attach(image)
    console = ""
    for _ in range(boots):
        # `xl create` anew each time: it is what a reboot does
        guest = create(lab, [xl_disk(device, vdev)], firmware, memory=384)
        start(guest)
        try:
            guest.wait_end(LIMIT)
        except LabError as error:
            raise LabError(f"{error}\n{guest.console()[-3000:]}\n{lab.what_stopped()}") from None
        console += guest.console()
    assert re.findall(r"LAB: boot (.*)", console.replace("\r", "")) == [
        f'{number}, entry {("custom", "default")[number % 2]}, next_entry "", data good'
        for number in range(1, boots + 1)]
    assert console.count("lab login:") >= boots
    lab.run(f"blockdev --flushbufs {device}")
    partition = tmp_path / "partition"
    command(["dd", f"if={image}", f"of={partition}", "bs=1M", f"skip={FIRST * SECTOR >> 20}",
             "conv=sparse"])
    command(["e2fsck", "-f", "-n", partition])


@pytest.mark.parametrize("release, vdev, boots", [
    ("bookworm", "xvde", 10), ("bookworm", "xvda", 2), ("trixie", "xvde", 2)])
def test_debian_in_a_hvm_guest(lab, blob, tmp_path, release, vdev, boots):
    run(lab, blob, release, vdev, boots, tmp_path)


@pytest.mark.parametrize("release", RELEASES)
def test_debian_in_a_pvh_guest(lab, pvh, tmp_path, release):
    run(lab, pvh, release, "xvda", 2, tmp_path)
