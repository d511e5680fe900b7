"""Sectors that cannot be read cost only themselves."""

import pytest

from lab import xl_disk
from script import Log, Model, Script, press, problems
from trial import create, ending, sectors_read, start

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
