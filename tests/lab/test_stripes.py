"""A file in stripes over several disks costs hardly more than one on a single disk."""

import pytest

from lab import Attaches, xl_disk
from script import Log, Model, Script, press, problems
from trial import create, ending, sectors_read, start

pytestmark = pytest.mark.pvh

MIB = 2048                      # sectors
START = 4 * MIB + 64           # behind what the boot has left in the cache


def measure(lab, blob, programs, tmp_path, disks, stripe, mib):
    """Read `mib` MiB in calls of `stripe` sectors: from disk 80, then from the others in turn.

    Returns (attaches, sectors) of both.
    """
    each = mib * MIB // disks // stripe
    script = Script()
    keys = [script.key()]
    script.read(0x80, START, stripe, repeat=mib * MIB // stripe, quiet=True)
    keys.append(script.key())
    script.read(0x81, START, stripe, repeat=each, drives=disks, quiet=True)
    keys.append(script.key())
    names = [f"xvd{letter}" for letter in "efghijklm"[:disks + 1]]
    models, devices = {}, {}
    for number, name in enumerate(names):
        size = START + (mib * MIB if name == "xvde" else each * stripe) + 4 * MIB
        image = script.image(tmp_path / f"{name}.raw", programs, sectors=max(size, 6 * MIB),
                             label=name)
        models[0x80 + number] = Model(image)
        devices[name] = lab.attach(image)
    guest = create(lab, [xl_disk(device, name) for name, device in devices.items()], blob)
    start(guest)
    found = []
    for begin, end, used in (keys[0], keys[1], names[:1]), (keys[1], keys[2], names[1:]):
        guest.wait_line(f"^KEY {begin:04x}$", 300)
        count = Attaches(guest, used)
        before = sum(sectors_read(lab, disk) for disk in devices.values())
        guest.press("ret")
        position = guest.position
        guest.wait_line(f"^KEY {end:04x}$", 600)
        guest.position = position
        after = sum(sectors_read(lab, disk) for disk in devices.values())
        found.append((count.end(), after - before))
    press(guest, keys[2])
    assert problems(script, Log(ending(guest)), models) == []
    return found


@pytest.mark.slow
@pytest.mark.parametrize("disks, stripe, mib", [
    (3, 128, 24), (2, 128, 48), (4, 64, 48), (8, 128, 64), (3, 8, 12)])
def test_disks_that_are_read_in_turn(lab, blob, programs, tmp_path, disks, stripe, mib):
    """At most as many times the attaches of one as there are disks, and twice its bytes."""
    (attaches, sectors), (striped, striped_sectors) = measure(
        lab, blob, programs, tmp_path, disks, stripe, mib)
    assert attaches and sectors >= mib * MIB
    assert striped <= disks * attaches, f"{striped} attaches, {attaches} for one disk"
    assert striped_sectors <= 2 * sectors, f"{striped_sectors} sectors, {sectors} for one disk"
