"""Between two int13 calls, a PV device is as if the firmware had never run."""

import re

import pytest

from lab import xl_disk
from pristine import View
from trial import create, held, start, throttle

pytestmark = pytest.mark.pvh

STEPS = ["0 booted", "1 small read", "2 far read", "3 write", "4 geometry", "5 reset",
         "6 same read", "7 new read"]


@pytest.mark.parametrize("backend", [
    pytest.param("phy", marks=pytest.mark.slow), pytest.param("qdisk", marks=pytest.mark.release)])
def test_no_trace_after_any_int13(lab, blob, guest_disk, backend):
    names = ["xvde", "xvdf"]
    images = [guest_disk("steps", mib=5, name=name, label="keys") for name in names]
    guest = create(lab, [xl_disk(lab.attach(image), name, backend=backend)
                         for image, name in zip(images, names)], blob)
    before = View(guest)
    assert before.states() == {51776: ("1", "2"), 51792: ("1", "2")}
    start(guest)
    for step in STEPS:
        guest.wait_line(f"^STEP {step}$")
        assert View(guest).traces(before) == [], step
        guest.press("ret")
    guest.wait_line("^TEST PASS")


def test_traces_are_found_in_the_middle_of_a_read_and_are_gone_after_it(lab, blob, guest_disk):
    device = lab.attach(guest_disk("steps", mib=5, label="keys"))
    guest = create(lab, [xl_disk(device, "xvde")], blob)
    before = View(guest)
    start(guest)
    guest.wait_line("^STEP 0 ")
    guest.press("ret")
    guest.wait_line("^STEP 1 ")
    throttle(lab, device, 1)
    guest.press("ret")
    with held(lab, device):
        found = View(guest).traces(before)
    place = "node .*/device/vbd/51776/"
    for what in (place + "state: ", place + "ring-ref: ", place + "event-channel: ",
                 place + "protocol: ", "node .*/backend/vbd/.*/state: ",
                 r"^grant \d+: ", r"^mapped grant \d+: ",
                 r"event channel \d+ of domain \d+: .* was not there"):
        assert any(re.search(what, line) for line in found), (what, found)
    guest.wait_line("^STEP 2 ")
    assert View(guest).traces(before) == []
