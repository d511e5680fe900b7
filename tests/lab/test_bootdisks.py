"""Disks and CDs as Debian's own tools make them boot, in HVM and in PVH guests."""

import re
import time

import pytest

import bootdisks
from debian import LabError
from lab import xl_disk
from test_monitor import KEYS
from trial import create, start

pytestmark = pytest.mark.slow

CD = {"access": "ro", "backend": "qdisk", "devtype": "cdrom"}


@pytest.fixture(name="firmware", params=["HVM", "PVH"])
def each_firmware(request, blob, pvh):
    """The blob, and the firmware of a PVH guest."""
    return {"HVM": blob, "PVH": pvh}[request.param]


def linux_runs(guest, data=False):
    """Linux finds the right data, on a disk that it can mount, and ends by its initramfs's last line."""
    if data:
        guest.wait_line(r"\] LAB: booted from /dev/xvde\d .* test data right$", 180)
    guest.wait_end(180)


@pytest.mark.parametrize("kind", bootdisks.KINDS, ids="-".join)
def test_a_disk_boots(lab, firmware, kind):
    """From its MBR, through the loader's own drivers, which check all data, to Linux."""
    disks = [xl_disk(lab.attach(path, snapshot=True), vdev)
             for path, vdev in zip(bootdisks.paths(bootdisks.files(), kind), ("xvde", "xvdf", "xvdg"))]
    guest = create(lab, disks, firmware)
    start(guest)
    if kind[0] == "grub":
        guest.wait_line(f"^{bootdisks.DATA_RIGHT}$", 120)
        guest.wait_line(f"^{bootdisks.STARTS}$")
    linux_runs(guest, data=bootdisks.uuid(kind) is not None)


@pytest.mark.parametrize("vdev, options", [("hdc", CD), ("xvdf", CD), ("xvde", {})],
                         ids=["CD with a twin", "CD", "disk"])
def test_an_installer_s_cd_boots(lab, firmware, vdev, options):
    """Debian's are isohybrid: they boot as CDs and as disks."""
    device = lab.attach(bootdisks.files() / "debian.iso", readonly=True)
    guest = create(lab, [xl_disk(device, vdev, **{"access": "ro", **options})], firmware)
    start(guest)
    linux_runs(guest)


def test_a_rescue_cd_of_grub_boots(lab, firmware):
    """To a menu and a prompt, whose commands are on the CD."""
    guest = create(lab, [xl_disk(lab.attach(bootdisks.files() / "grub-rescue.iso", readonly=True),
                                 "hdc", **CD)], firmware)
    start(guest)
    guest.wait_line("^Booting from 0000:7c00")      # before it the keys are the BIOS's
    command = "c" + "".join(f"outb 0xe9 {byte:#x}\n" for byte in b"ok\n")
    deadline = time.monotonic() + 120
    while True:                 # what is typed before the menu is there is lost
        if guest.pvh:
            guest.type("\x1b")
            time.sleep(0.5)     # else what follows belongs to it
            guest.type(command)
        else:
            guest.press_all(["esc", *(KEYS.get(letter, letter) for letter in command)])
        try:
            guest.wait_line("^ok$", 10)
            break
        except LabError:
            assert time.monotonic() < deadline


def test_memtest86_s_cd_boots(lab, blob):
    """Not in PVH: it needs a VGA card or a serial port."""
    guest = create(lab, [xl_disk(lab.attach(bootdisks.files() / "memtest86+.iso", readonly=True),
                                 "hdc", **CD)], blob, vga="stdvga")
    start(guest)
    deadline = time.monotonic() + 120
    while True:
        text = lab.run(f"xl qemu-monitor-command {guest.name} 'xp /80hx 0xb8000'")
        line = bytes(int(word, 16) & 0xff for word in re.findall("0x([0-9a-f]{4})", text))
        if b"Memtest86+" in line:
            break
        assert time.monotonic() < deadline, line
        time.sleep(1)
