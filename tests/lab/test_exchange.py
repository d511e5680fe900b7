"""A disk that is taken away, or replaced, while the BIOS runs."""

import re

import pytest

from lab import Lab, xl_disk
from pristine import View
from script import Log, Model, Script, problems
from trial import create, ending, held, start, throttle

pytestmark = pytest.mark.pvh


@pytest.fixture(scope="module", name="module_lab")
def c_xenstored():
    """A lab with the C xenstored, which says EACCES of a backend that is gone."""
    with Lab.start("test_exchange", store="xenstored") as running:
        yield running


def test_another_disk_in_the_place_of_one(lab, blob, programs, tmp_path):
    """Its sectors and its size, or errors; never what the first one had. Nothing is written."""
    script = Script()
    script.read(0x81, 0)
    key = script.key()
    script.wait(3)                              # the cache may be used for 2 s
    script.reset(0x81)
    reads = [script.read(0x81, 0), script.read(0x81, 4000, 4), script.read(0x81, 1)]
    beyond = script.read(0x81, 9 << 11, 2)
    write = script.write(0x81, 5000)
    images = [script.image(tmp_path / f"{name}.raw", programs, mib=mib, label=name)
              for name, mib in (("program", 8), ("first", 32), ("second", 8))]
    with open(images[2], "r+b") as file:        # tells its sectors from those of the first
        file.seek(440)
        file.write(b"2nd!")
        file.seek(4000 * 512)
        file.write(b"second".ljust(512) * 4)
    program, first, second = map(lab.attach, images)
    guest = create(lab, [xl_disk(program, "xvde"), xl_disk(first, "xvdf")], blob)
    start(guest)
    guest.wait_line(f"^KEY {key:04x}$", 120)
    lab.run(f"xl block-detach --force {guest.domid} xvdf; "
            f"xl block-attach {guest.domid} '{xl_disk(second, 'xvdf', access='r')}'", 120)
    guest.press("ret")
    log = Log(ending(guest, 240))
    assert not log.failures()
    models = [Model(image) for image in images]
    for number in reads:
        operation = script.operations[number]
        lbas = range(operation.lba, operation.lba + operation.count)
        seen = [what for _, count, what in log[number].saw for _ in range(count)]
        assert log[number].bad or seen == [models[2][lba] for lba in lbas], operation
    assert log[beyond].bad and log[write].bad
    for image, model, device in zip(images, models, (program, first, second)):
        lab.read_back(device)
        assert model.differences(image) == []


@pytest.mark.parametrize("held_meanwhile", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", [
    "xenstore-rm /local/domain/0/backend/vbd/{}/51792",
    pytest.param("xl block-detach --force {} xvdf", marks=pytest.mark.slow)])
def test_a_disk_that_goes_away_leaves_nothing_and_harms_no_other(
        lab, blob, programs, tmp_path, how, held_meanwhile):
    """In the middle of a read, or between two."""
    script = Script()
    script.read(0x81, 4000, 8)
    key = script.key()
    # what is wanted may have come when what is read ahead is held
    first = script.read(0x81, 8000, 8)
    failed = [script.read(0x81, 9000, 8)]
    script.read(0x80, 8000, 8)
    script.read(0x80, 4000, 8)
    names = ["xvde", "xvdf"]
    images = [script.image(tmp_path / f"{name}.raw", programs, label=name) for name in names]
    devices = [lab.attach(image) for image in images]
    guest = create(lab, map(xl_disk, devices, names), blob)
    before = View(guest)
    start(guest)
    guest.wait_line(f"^KEY {key:04x}$", 120)
    if held_meanwhile:
        throttle(lab, devices[1], 1)
        guest.press("ret")
        with held(lab, devices[1]):
            lab.run(how.format(guest.domid), 120)
    else:
        lab.run(how.format(guest.domid), 120)
        guest.press("ret")
    log = Log(ending(guest, 240))
    models = {0x80 + number: Model(image) for number, image in enumerate(images)}
    if log[first].bad:
        failed.append(first)
    assert problems(script, log, models, failed=failed) == []
    left = [trace for trace in View(guest).traces(before) if "grant" in trace]
    assert left == []


@pytest.mark.slow
def test_a_stop_of_xenstored_leaves_no_transaction(lab, blob, programs, tmp_path):
    """Nor anything else that would keep a new xenstored from taking its place."""
    script = Script()
    key = script.key()
    script.wait(4)                              # until xenstored is stopped
    for number in range(1, 4):
        script.read(0x80, 4000 * number, 8)
    last = script.key()
    script.wait(3)
    script.read(0x80, 20000, 8)
    image = script.image(tmp_path / "disk.raw", programs)
    guest = create(lab, [xl_disk(lab.attach(image), "xvde")], blob)
    start(guest)
    guest.wait_line(f"^KEY {key:04x}$", 120)
    lab.spawn("sleep 2; kill -STOP $(cat /run/xen/xenstored.pid); sleep 60; "
              "kill -CONT $(cat /run/xen/xenstored.pid)")
    guest.press("ret")
    guest.wait_line(f"^KEY {last:04x}$", 240)
    guest.press("ret")                          # xl has to wait for xenstored, too
    log = Log(ending(guest, 240))
    assert not log.failures()
    assert log[last - 1].bad, "xenstored was not stopped in time"
    assert log[last + 2].bad == 0
    quota = lab.run(f"xenstore-control quota {guest.domid}")
    assert re.search(r"^transactions\s*:\s*0$", quota, re.M), quota
    lab.run("xenstore-control live-update -t 5 $(readlink -f /proc/$(pidof xenstored)/exe)", 60)
