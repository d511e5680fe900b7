"""Backends with other manners than Linux's and QEMU's are served, or left as they were."""

import pytest

from lab import vbd_number, xl_disk
from pristine import View
from script import Log, Model, Script, problems
from test_failures import add
from trial import create, ending, layer_lines, start

# NetBSD's backend is connected before anybody is there, and once closed stays so.
NETBSD = {"backend": {"state": "4"}, "states": {"4": ["4"], "6": ["6"]}}
# FreeBSD's of before 2018 is ready again after a close, and never connects again.
OLD_FREEBSD = {"states": {"1": ["2"], "4": ["4", "-"], "6": ["6"]}}
# tapback, and QEMU, answer state 5 as well.
TAPBACK = {"states": {"1": ["2"], "4": ["4"], "5": ["5"], "6": ["6"]}}
# Linux's gives up at once, and writes why (to where the guest may not read).
REFUSING = {"states": {"1": ["2"], "4": ["5 22 mapping ring-ref"], "6": ["6"]}}
VANISHING = {"states": {"1": ["2"], "4": ["gone"]}}
VANISHING_LATER = {"states": {"1": ["2"], "4": ["4"], "6": ["gone"]}}


def ours(view, vdev):
    """The nodes of ours in a VBD's directory."""
    return [path for path in view.store
            if f"/device/vbd/{vbd_number(vdev)}/" in path
            and path.endswith(("/ring-ref", "/event-channel", "/protocol"))]


@pytest.mark.slow
def test_manners_of_backends(lab, blob, programs, tmp_path):
    """A disk of Linux's backend among them works as ever."""
    script = Script()
    script.read(0x80, 4000, 8)
    failed = [script.read(0x81, 4000, 8)]       # xvdg; xvdf is not one
    script.read(0x82, 4000, 8)
    image = script.image(tmp_path / "script.raw", programs, mib=5)
    device = lab.attach(image)
    guest = create(lab, [xl_disk(device, "xvde")], blob)
    manners = {"xvdf": NETBSD, "xvdg": OLD_FREEBSD, "xvdh": TAPBACK, "xvdi": REFUSING,
               "xvdj": VANISHING, "xvdk": VANISHING_LATER}
    add(guest, {str(vbd_number(vdev)): {"image": device, **manner}
                for vdev, manner in manners.items()})
    before = View(guest)
    start(guest)
    log = Log(ending(guest, 240))
    after, said = View(guest), layer_lines(guest)
    model = Model(image)
    assert problems(script, log, dict.fromkeys(range(0x80, 0x83), model), failed=failed) == []
    for vdev in manners:
        assert [line for line in said if line.startswith(f"{vdev}: ")], (vdev, said)
    states = {vdev: after.states()[vbd_number(vdev)] for vdev in manners}
    frontends = {vdev: frontend for vdev, (frontend, *_) in states.items()}
    assert states["xvdf"] == ("1", "4")
    assert [trace for trace in after.traces(before) if f"/{vbd_number('xvdf')}/" in trace] == []
    assert states["xvdh"] == states["xvdi"] == ("1", "2")
    assert frontends == dict.fromkeys(manners, "1")
    for vdev in manners:
        assert ours(after, vdev) == []
    assert [trace for trace in after.traces(before)
            if trace.startswith(("grant", "mapped grant", "event channel"))] == []


def test_a_netbsd_disk_with_a_twin_boots_from_the_twin(lab, blob, guest_disk):
    """And the guest's OS finds its PV disk as it was."""
    device = lab.attach(guest_disk("hello", mib=5))
    guest = create(lab, [], blob, device_model_args_hvm=[
        "-drive", f"file={device},if=ide,index=0,format=raw"])
    add(guest, {str(vbd_number("xvda")): {"image": device, **NETBSD}})
    before = View(guest)
    start(guest)
    lines = ending(guest, 120)
    assert lines[-1] == "TEST PASS hello"
    assert [line for line in lines if line.startswith("HELLO dl=80 drives=01 ")], lines
    assert [line for line in layer_lines(guest) if line.startswith("xvda: ")]
    after = View(guest)
    assert after.states() == {vbd_number("xvda"): ("1", "4")}
    assert after.traces(before) == []
