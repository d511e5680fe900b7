"""Between two int13 calls, a PV device is as if the firmware had never run."""

import re

import pytest

from lab import xl_disk
from pristine import View
from trial import create

STEPS = ["0 booted", "1 small read", "2 far read", "3 write", "4 geometry", "5 reset",
         "6 same read", "7 new read"]


def stop_after(guest, step):
    """Pause a guest as soon as it tells that a step of the program `steps` has ended."""
    guest.wait_line(f"^STEP {step}$")
    guest.pause()


@pytest.mark.parametrize("backend", ["phy", "qdisk"])
def test_no_trace_after_any_int13(lab, blob, guest_disk, backend):
    names = ["xvde", "xvdf"]
    images = [guest_disk("steps", mib=5, name=name, delay_ms=1500) for name in names]
    guest = create(lab, [xl_disk(lab.attach(image), name, backend=backend)
                         for image, name in zip(images, names)], blob)
    before = View(guest)
    assert before.states() == {51776: ("1", "2"), 51792: ("1", "2")}
    guest.unpause()
    guest.skip_menu()
    for step in STEPS:
        stop_after(guest, step)
        assert View(guest).traces(before) == [], step
        guest.unpause()
    guest.wait_line("^TEST PASS")


def throttle(lab, device, requests):
    """Let a disk of dom0 carry out so many requests in a second; 0: no limit."""
    name, _ = lab.images[device]
    lab.machine.qmp.call("block_set_io_throttle", {
        "device": name, "iops": requests, "iops_rd": 0, "iops_wr": 0,
        "bps": 0, "bps_rd": 0, "bps_wr": 0})


def test_traces_are_found_in_the_middle_of_a_read_and_are_gone_after_it(lab, blob, guest_disk):
    device = lab.attach(guest_disk("steps", mib=5))
    guest = create(lab, [xl_disk(device, "xvde")], blob)
    before = View(guest)
    guest.unpause()
    guest.skip_menu()
    guest.wait_line("^STEP 1 small read$")
    throttle(lab, device, 1)
    lab.run(f"until [ $(xenstore-read /local/domain/{guest.domid}/device/vbd/51776/state) = 4 ]; "
            "do sleep 0.1; done; sleep 1")
    guest.pause()
    found = View(guest).traces(before)
    place = "node .*/device/vbd/51776/"
    for what in (place + "state: ", place + "ring-ref: ", place + "event-channel: ",
                 place + "protocol: ", "node .*/backend/vbd/.*/state: ",
                 r"^grant \d+: ", r"^mapped grant \d+: ",
                 r"event channel \d+ of domain \d+: .* was not there"):
        assert any(re.search(what, line) for line in found), (what, found)
    throttle(lab, device, 0)
    guest.unpause()
    stop_after(guest, "2 far read")
    assert View(guest).traces(before) == []
