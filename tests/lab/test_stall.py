"""Storage that answers nothing for a while costs one int13, and no disk."""

import time

import pytest

from lab import xl_disk
from pristine import View
from script import Log, Model, Script, press, problems
from trial import create, ending, sectors_read, stall, start, throttle

pytestmark = pytest.mark.pvh


def traces(guest, before):
    """What is left in the guest besides what a backend publishes."""
    return View(guest).traces(before)


def waiting_guest(lab, blob, image, backend, key):
    """A guest whose script waits for a key; returns (its disk, guest, view before its start)."""
    device = lab.attach(image)
    guest = create(lab, [xl_disk(device, "xvde", backend=backend)], blob)
    before = View(guest)
    start(guest)
    guest.wait_line(f"^KEY {key:04x}$", 120)
    return device, guest, before


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["phy", "qdisk"])
def test_storage_that_stalls_for_45_s_and_comes_back(lab, blob, programs, tmp_path, backend):
    """Reads work again after it, and the device is as if the firmware had never run."""
    script = Script()
    script.read(0x80, 8192, 8)
    stalled = script.key()
    failed = script.read(0x80, 2 * 8192, 8)
    back = script.key()
    for _ in range(2):
        first = script.read(0x80, 3 * 8192, 8)          # the close may need one int13 to go on
        script.wait(3)
    good = [script.read(0x80, number * 8192, 8) for number in range(4, 7)]
    good.append(script.write(0x80, 9000, 2))
    good.append(script.read(0x80, 8999, 4))
    image = script.image(tmp_path / "disk.raw", programs, mib=32)
    device, guest, before = waiting_guest(lab, blob, image, backend, stalled)
    stall(lab, [device])
    stop = time.monotonic()
    guest.press("ret")
    guest.wait_line(f"^OP {failed:04x} ", 120)
    time.sleep(max(0, stop + 45 - time.monotonic()))
    throttle(lab, device, 0)
    time.sleep(5)
    press(guest, back)
    log = Log(ending(guest))
    left = traces(guest, before)
    assert log[failed].bad == 1
    # what was tried while the close was under way may fail once
    allowed = [number for number in range(back + 1, first + 1) if log[number].bad]
    assert len(allowed) <= 1
    assert problems(script, log, {0x80: Model(image)}, failed=[failed, *allowed]) == []
    assert not any(log[number].bad for number in good)
    assert left == []


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["phy", "qdisk"])
def test_storage_of_20_kb_per_second(lab, blob, programs, tmp_path, backend):
    """A read of a few sectors here and there waits for a chunk of the cache or two, not 2 MiB."""
    script = Script()
    begin = script.key()
    reads = [script.read(0x80, number * 8192, 8) for number in range(1, 5)]
    image = script.image(tmp_path / "disk.raw", programs, mib=32)
    device, guest, before = waiting_guest(lab, blob, image, backend, begin)
    throttle(lab, device, 20 * 1024)
    count = sectors_read(lab, device)
    guest.press("ret")
    log = Log(ending(guest, 600))
    assert problems(script, log, {0x80: Model(image)}) == []
    # 128 KiB each, as much again where the limit has let the first through, and what dom0 reads
    # ahead for qdisk
    assert sectors_read(lab, device) - count <= 4 * len(reads) * 256
    assert traces(guest, before) == []


def boot_while_stalled(lab, blob, programs, tmp_path, count, seconds):
    """Boot a guest from disks that stall for so long from its start on; returns its log."""
    script = Script()
    for drive in range(0x80, 0x80 + count):
        script.read(drive, 4000, 8)
    image = script.image(tmp_path / "disk.raw", programs, mib=5)
    names = [f"xvd{letter}" for letter in "efghijklmnopqrst"[:count]]
    devices = [lab.attach(image, snapshot=True) for _ in names]
    guest = create(lab, [xl_disk(device, name) for name, device in zip(names, devices)], blob)
    before = View(guest)
    stall(lab, devices)
    guest.unpause()
    for device in devices:              # the first reads of POST
        lab.run(f"until awk '{{ exit !$1 }}' /sys/block/{device.removeprefix('/dev/')}/inflight; "
                "do sleep 0.1; done")
    time.sleep(seconds)
    for device in devices:
        throttle(lab, device, 0)
    guest.skip_menu(180)
    assert guest.wait_line("^SCRIPT |^No bootable device").group() == "SCRIPT "
    log = Log(ending(guest))
    models = dict.fromkeys(range(0x80, 0x80 + count), Model(image))
    assert problems(script, log, models) == []
    assert traces(guest, before) == []


@pytest.mark.slow
def test_disks_that_stall_for_15_s_in_post_boot(lab, blob, programs, tmp_path):
    boot_while_stalled(lab, blob, programs, tmp_path, 2, 15)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4, 16])
def test_disks_that_answer_nothing_in_post_are_left_out(lab, blob, programs, tmp_path, count):
    """The good one among them boots; when storage is back, nothing is left of any of them."""
    script = Script()
    script.read(0x80, 4000, 8)
    back = script.key()
    script.read(0x80, 5000, 8)
    script.wait(3)
    script.read(0x80, 6000, 8)
    image = script.image(tmp_path / "disk.raw", programs, mib=5)
    names = [f"xvd{letter}" for letter in "fghijklmnopqrstu"[:min(count, 15)]]
    good = lab.attach(image, snapshot=True)
    devices = [lab.attach(image, snapshot=True) for _ in names]
    guest = create(lab, [xl_disk(device, name) for name, device in
                         zip(["xvde", *names], [good, *devices])], blob)
    before = View(guest)
    stall(lab, devices)
    start(guest)
    guest.wait_line(f"^KEY {back:04x}$", 180)
    for device in devices:
        throttle(lab, device, 0)
    time.sleep(5)
    guest.press("ret")
    log = Log(ending(guest))
    assert problems(script, log, {0x80: Model(image)}) == []
    assert traces(guest, before) == []
