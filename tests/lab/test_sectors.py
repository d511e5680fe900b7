"""Sectors: such that cannot be read cost only themselves; larger ones; many of them."""

import pytest

import pattern
from lab import xl_disk
from script import Log, Model, Script, press, problems
from trial import create, ending, layer_lines, sectors_read, start

pytestmark = pytest.mark.pvh

BAD = 200
NEAR = 300


def test_a_bad_sector_near_the_start_of_the_disk(lab, blob, programs, tmp_path):
    """The disk stays the first, and all other sectors can be read."""
    script = Script()
    script.read(0x80, 64, BAD - 64 - 8)
    failed = [script.read(0x80, BAD), script.read(0x80, BAD - 8, 16)]
    keys = [script.key()]
    script.read(0x80, NEAR, repeat=400)
    keys.append(script.key())
    script.read(0x81, NEAR, repeat=400)
    keys.append(script.key())
    failed.append(script.read(0x80, BAD, repeat=5))
    names = ["xvde", "xvdf"]
    images = [script.image(tmp_path / f"{name}.raw", programs, label=name) for name in names]
    devices = [lab.attach(images[0], bad=range(BAD, BAD + 8)), lab.attach(images[1])]
    guest = create(lab, [xl_disk(device, name) for device, name in zip(devices, names)], blob)
    start(guest)
    counts = []
    for begin, end, device in (*keys[:2], devices[0]), (*keys[1:], devices[1]):
        guest.wait_line(f"^KEY {begin:04x}$", 300)
        before = sectors_read(lab, device)
        guest.press("ret")
        position = guest.position
        guest.wait_line(f"^KEY {end:04x}$", 300)
        guest.position = position
        counts.append(sectors_read(lab, device) - before)
    press(guest, keys[2])
    log = Log(ending(guest))
    assert "SCRIPT dl=80 label=xvde" in log.lines
    models = {0x80 + number: Model(image) for number, image in enumerate(images)}
    assert problems(script, log, models, failed=failed) == []
    bad, good = counts
    assert bad <= 2 * good + 2048, f"{bad} sectors read near bad ones, {good} without"


def passes_int13(lab, blob, image, device, backend="phy"):
    """A guest does all that int13 can with a disk of dom0; what it wrote is in the image."""
    guest = create(lab, [xl_disk(device, "xvde", backend=backend)], blob)
    start(guest)
    lines = ending(guest, 400)
    assert lines[-1] == "TEST PASS int13", [line for line in lines if line.startswith("FAIL")]
    writes = pattern.writes(lines)
    assert writes
    lab.run("sync")
    assert pattern.verify(image, writes) == []
    return guest


@pytest.mark.parametrize("backend", ["phy", pytest.param("qdisk", marks=pytest.mark.slow)])
def test_a_disk_with_sectors_of_4096_bytes(lab, blob, guest_disk, backend):
    """The BIOS drive has sectors of 512 bytes: what surrounds a write in the disk's sector stays."""
    image = guest_disk("int13", mib=5)
    passes_int13(lab, blob, image, lab.attach(image, sector_size=4096), backend)


@pytest.mark.slow
def test_a_loop_device_with_sectors_of_4096_bytes(lab, blob, guest_disk):
    image = guest_disk("int13", mib=5)
    loop = lab.run(f"losetup --find --show --sector-size 4096 {lab.attach(image)}").strip()
    try:
        passes_int13(lab, blob, image, loop)
    finally:
        lab.run(f"losetup --detach {loop}")


@pytest.mark.slow
@pytest.mark.parametrize("tib", [3, 16])
def test_a_disk_of_many_tib(lab, blob, guest_disk, tib):
    """Nearly all of it is a hole; both ends are read and written."""
    # a file of the host may not have 16 TiB, but a page less
    mib = (tib << 20) - 1
    image = guest_disk("int13", mib=mib, patterned=12 << 11)
    guest = passes_int13(lab, blob, image, lab.attach(image))
    assert any(f", {mib} MiB, blkback" in line for line in layer_lines(guest))
