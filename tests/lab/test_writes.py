"""All that int13 has reported as written is in the image: whenever the guest is destroyed, and
whatever the storage does. More of it, at random moments: writes.py."""

import contextlib

import pytest

import pattern
from lab import xl_disk
from test_twins import is_known
from trial import create, start
from writes import KINDS, MIB, Writes, destroyed

pytestmark = pytest.mark.pvh

# Names of device mapper devices; without udev, dmsetup makes the nodes.
DMSETUP = "DM_DISABLE_UDEV=1 dmsetup"
SECTORS = MIB << 11
CHUNK = 128                     # of the thin pool, in sectors
POOL = 2 << 11                  # its size


@pytest.mark.parametrize("kind", [
    kind if kind == "raw phy" else pytest.param(kind, marks=pytest.mark.slow)
    for kind in KINDS])
def test_a_guest_that_is_destroyed_while_it_writes(lab, blob, guest_disk, kind):
    if not is_known(lab, kind):
        pytest.skip("this device model has no vhd")
    image = guest_disk("writes", mib=MIB)
    writes, found = destroyed(lab, blob, kind, image.rename(image.with_suffix(".base")), 3.0)
    assert found == []
    assert writes.reported > 1 and not writes.lost and not writes.unread


@contextlib.contextmanager
def mapped(lab, **tables):
    """Devices of the device mapper in dom0, by name, in the order that they need each other."""
    made = []
    try:
        for name, table in tables.items():
            lab.run(f"{DMSETUP} create {name}", stdin=f"{table}\n".encode())
            made.append(name)
        yield
    finally:
        for name in reversed(made):
            lab.run(f"{DMSETUP} remove --retry {name}")


def change(lab, name, table):
    """Give a device of the device mapper another table."""
    lab.run(f"{DMSETUP} suspend {name}")
    lab.run(f"{DMSETUP} load {name}", stdin=f"{table}\n".encode())
    lab.run(f"{DMSETUP} resume {name}")


def written(lab, blob, device, count, then=lambda: None):
    """Let a guest write, do something then, and end it when so many writes have ended since: its
    Writes."""
    guest = create(lab, [xl_disk(device, "xvde")], blob)
    start(guest)
    guest.wait_line("^WRITE ", 120)
    then()
    for _ in range(count):
        guest.wait_line("^(WRITE|LOST) ", 120)
    guest.destroy()
    guest.wait_end()
    return Writes(guest.lines())


def copied(lab, device, image):
    """The content of a device of dom0, as a file of the host."""
    image.write_bytes(bytes(SECTORS * pattern.SECTOR))
    copy = lab.attach(image)
    lab.run(f"dd if={device} of={copy} bs=1M iflag=direct oflag=direct 2>&1", 120)
    lab.detach(copy)
    return image


@pytest.mark.slow
@pytest.mark.parametrize("what", ["away every other second", "slow to answer"])
def test_storage_that_is(lab, blob, guest_disk, what):
    image = guest_disk("writes", mib=MIB)
    device = lab.attach(image)
    good = f"0 {SECTORS} linear {device} 0"
    bad, count = {"away every other second": (f"0 {SECTORS} flakey {device} 0 1 1", 30),
                  "slow to answer": (f"0 {SECTORS} delay {device} 0 700 {device} 0 1500", 20)}[what]
    with mapped(lab, odd=good):
        writes = written(lab, blob, "/dev/mapper/odd", count, lambda: change(lab, "odd", bad))
    assert writes.reported > 1
    assert bool(writes.lost) == what.startswith("away")
    assert writes.problems(image) == []


def test_ranges_and_single_sectors_that_fail(lab, blob, guest_disk):
    """Each costs the calls that touch it, in POST and later, and no other."""
    image = guest_disk("writes", mib=MIB)
    device = lab.attach(image)
    table, at = [], 0
    # the course is another one each time: these cost a third of its calls
    for bad, count in *((bad, 1) for bad in range(255, 20000, 256)), (20000, 8192), (30001, 7):
        table += [f"{at} {bad - at} linear {device} {at}", f"{bad} {count} error"]
        at = bad + count
    table.append(f"{at} {SECTORS - at} linear {device} {at}")
    with mapped(lab, holes="\n".join(table)):
        writes = written(lab, blob, "/dev/mapper/holes", 30)
    assert writes.reported > 8 and writes.lost and writes.unread
    assert writes.problems(image) == []


@pytest.mark.slow
def test_a_thin_pool_that_is_full(lab, blob, guest_disk, tmp_path):
    """Writes to what has no place any more fail; what was reported before stays."""
    device = lab.attach(guest_disk("writes", mib=MIB), readonly=True)
    pool = tmp_path / "pool.raw"
    pool.write_bytes(bytes(8 << 20))
    place = lab.attach(pool)
    tables = {"meta": f"0 {4 << 11} linear {place} 0",
              "data": f"0 {POOL} linear {place} {4 << 11}",
              "pool": f"0 {POOL} thin-pool /dev/mapper/meta /dev/mapper/data {CHUNK} 0 1 "
                      "error_if_no_space"}
    with mapped(lab, **tables):
        lab.run(f"{DMSETUP} message pool 0 'create_thin 0'")
        with mapped(lab, thin=f"0 {SECTORS} thin /dev/mapper/pool 0 {device}"):
            writes = written(lab, blob, "/dev/mapper/thin", 60)
            copy = copied(lab, "/dev/mapper/thin", tmp_path / "copy.raw")
    assert writes.reported and writes.lost
    assert writes.problems(copy) == []
