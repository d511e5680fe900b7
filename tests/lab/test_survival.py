"""int13 goes on when the guest is saved, moved or paused, and ends when its other side is gone."""

import contextlib
import re
import time

import pytest

from lab import Attaches, Lab, xl_disk
from pristine import View
from trial import create, ending, held, layer_lines, start, throttle, wait_shutdown

BACKENDS = ["phy", "qdisk"]
STOP, CONTINUE = (f"kill -{signal} $(cat /run/xen/xenstored.pid)" for signal in ("STOP", "CONT"))
ONLY = ["phy", pytest.param("qdisk", marks=pytest.mark.slow)]


def steps(lab, blob, guest_disk):
    """A guest with the program `steps`, not started yet."""
    disk = lab.attach(guest_disk("steps", mib=5, label="keys"))
    return create(lab, [xl_disk(disk, "xvde")], blob, memory=64)


class Trial:
    """A guest with the program `stream` or `takeover` on its first disk, not started yet."""

    def __init__(self, lab, blob, guest_disk, backend="phy", program="stream", disks=1, mib=5):
        self.lab = lab
        names = ["xvde", "xvdf"][:disks]
        self.devices = [lab.attach(guest_disk(program, name=name, mib=mib, bench_sectors=127,
                                              label="menu")) for name in names]
        self.disk = self.devices[0]
        self.guest = create(lab, [xl_disk(device, name, backend=backend)
                                  for device, name in zip(self.devices, names)],
                            blob, memory=64, name="trial")
        self.before = View(self.guest)

    def domain(self):
        """The guest, in the domain that it lives in now."""
        return self.guest.now()

    @contextlib.contextmanager
    def in_post(self):
        """POST's first read is under way, until the end.

        A throttled disk lets one request pass: it is dom0's, so that the next one is held.
        """
        inflight = f"/sys/block/{self.disk.removeprefix('/dev/')}/inflight"
        throttle(self.lab, self.disk, 16)
        self.lab.run(f"dd if={self.disk} of=/dev/null bs=512 count=1 iflag=direct 2>/dev/null")
        self.guest.unpause()
        backend = self.guest.frontend("xvde")["backend"]
        self.lab.run(f"until [ $(xenstore-read {backend}/state) = 4 ]; do sleep 0.05; done; "
                     f"until awk '{{ exit !$1 }}' {inflight}; do sleep 0.05; done")
        yield
        throttle(self.lab, self.disk, 0)

    @contextlib.contextmanager
    def in_a_read(self):
        """A read of int13 is under way, until the end."""
        start(self.guest)
        self.guest.wait_line("^STREAM 80 ")
        with held(self.lab, self.disk):
            yield

    @contextlib.contextmanager
    def at_a_menu(self):
        """No int13 is running: the program, as a loader's menu, waits for a key,
        until the end."""
        start(self.guest)
        self.guest.wait_line("^takeover: wait for Enter")
        yield
        self.domain().press("ret")


MOMENTS = {"POST": ("stream", Trial.in_post), "read": ("stream", Trial.in_a_read),
           "menu": ("takeover", Trial.at_a_menu)}


def take_away(trial, script):
    """Run a script in dom0 that suspends the domain; then the disk answers again.

    The guest is paused meanwhile: while dom0 gets ready, which takes long on a busy machine, the
    layer would give the read up. A qdisk's device model has to have its answers before the script
    goes on.
    """
    trial.guest.pause()
    pid = trial.lab.spawn(f"{{ {script}; }} >/tmp/out 2>&1")
    wait_shutdown(trial.guest)
    throttle(trial.lab, trial.disk, 0)
    deadline = time.monotonic() + 120
    while not (status := trial.lab.status(pid))["exited"]:
        assert time.monotonic() < deadline, trial.lab.run("cat /tmp/out")
        time.sleep(0.1)
    assert status["exitcode"] == 0, trial.lab.run("cat /tmp/out")


def check_end(trial, moment):
    """The program has found all data right, and nothing is left; returns the guest."""
    guest = trial.domain()
    text = ending(guest)
    assert not [line for line in text if line.startswith("FAIL ")]
    assert re.match("TEST PASS", text[-1])
    if moment != "menu":        # there the program has taken the disk, and keeps it
        assert View(guest).states() == {51776: ("1", "2")}
    return guest


# The domain goes away and comes back

def moved(guest):
    """Whether the layer has said that the domain moved in the middle of its work."""
    return any("the domain has moved, once more" in line for line in layer_lines(guest))


@pytest.mark.parametrize("backend", ONLY)
@pytest.mark.parametrize("moment", [
    pytest.param("read", marks=pytest.mark.release),
    *(pytest.param(moment, marks=pytest.mark.slow) for moment in ("POST", "menu"))])
def test_save_and_restore(lab, blob, guest_disk, backend, moment):
    program, when = MOMENTS[moment]
    trial = Trial(lab, blob, guest_disk, backend, program)
    with when(trial):
        take_away(trial, "xl save trial /tmp/saved")
        lab.run("xl restore /tmp/saved && rm /tmp/saved")
    guest = check_end(trial, moment)
    assert moved(guest) == (moment != "menu")


@pytest.mark.parametrize("backend", ONLY)
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["read", "POST", "menu"])
def test_migration(lab, blob, guest_disk, backend, moment):
    """Live, to the same machine."""
    program, when = MOMENTS[moment]
    trial = Trial(lab, blob, guest_disk, backend, program)
    with when(trial):
        take_away(trial, "xl migrate -s '' trial 'xl migrate-receive'")
    guest = check_end(trial, moment)
    assert guest.domid != trial.guest.domid
    assert moved(guest) == (moment != "menu")


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_checkpoint(lab, blob, guest_disk, backend):
    """The domain is saved and goes on: there is nothing to do again."""
    trial = Trial(lab, blob, guest_disk, backend)
    with trial.in_a_read():
        take_away(trial, "xl save -c trial /tmp/saved && rm /tmp/saved")
    trial.guest.unpause()
    assert check_end(trial, "read").domid == trial.guest.domid
    assert not moved(trial.guest)
    assert View(trial.guest).traces(trial.before) == []


# Longer than what the layer waits for at that moment (at the menu: than its cache lives)
PAUSE = 60          # seconds: longer than each limit of the layer


@pytest.mark.slow
@pytest.mark.parametrize("moment, backend", [*((moment, "phy") for moment in MOMENTS),
                                             ("read", "qdisk")])
def test_pause_that_is_longer_than_the_limit(lab, blob, guest_disk, backend, moment):
    program, when = MOMENTS[moment]
    trial = Trial(lab, blob, guest_disk, backend, program)
    with when(trial):
        trial.guest.pause()
        time.sleep(PAUSE)
        trial.guest.unpause()
    check_end(trial, moment)
    if moment != "menu":
        assert View(trial.guest).traces(trial.before) == []


# Run in dom0: what `xl` does not do while xenstored is stopped
XENCTRL = b"""
import ctypes, os, signal, sys, time
xenstored = int(open("/run/xen/xenstored.pid").read())
xenctrl = ctypes.CDLL("/lab/libxenctrl.so")
xenctrl.xc_interface_open.restype = ctypes.c_void_p
xen = ctypes.c_void_p(xenctrl.xc_interface_open(None, None, 0))
domid = ctypes.c_uint32(int(sys.argv[1]))
"""
UNPAUSE = XENCTRL + b"assert xenctrl.xc_domain_unpause(xen, domid) == 0"
# the guest soon waits for xenstored, at most 5 s
PAUSE_IN_AN_ATTACH = XENCTRL + b"""
os.kill(xenstored, signal.SIGSTOP)
time.sleep(3)
assert xenctrl.xc_domain_pause(xen, domid) == 0
os.kill(xenstored, signal.SIGCONT)
time.sleep(6)
assert xenctrl.xc_domain_unpause(xen, domid) == 0
"""


@pytest.mark.slow
@pytest.mark.pvh
def test_pause_in_an_attach_that_is_longer_than_its_limit(lab, blob, guest_disk):
    trial = Trial(lab, blob, guest_disk, mib=40)
    start(trial.guest)
    trial.guest.wait_line("^STREAM 80 ")
    lab.run(f"python3 - {trial.guest.domid}", stdin=PAUSE_IN_AN_ATTACH)
    assert trial.guest.lines()[-1].startswith("STREAM 80 ")      # it was not at its end
    check_end(trial, "read")
    assert View(trial.guest).traces(trial.before) == []


# The other side goes away

@pytest.mark.slow
@pytest.mark.pvh
def test_attach_fails_while_xenstored_is_stopped_and_succeeds_later(lab, blob, guest_disk):
    guest = steps(lab, blob, guest_disk)
    before = View(guest)
    start(guest)
    guest.wait_line("^STEP 0 ")
    guest.press("ret")
    guest.wait_line("^STEP 1 ")
    guest.pause()
    guest.press("ret")
    lab.run(STOP)
    try:
        lab.run(f"python3 - {guest.domid}", stdin=UNPAUSE)
        guest.wait_line("FAIL steps: AH want=00000000 got=00000080", 60)
    finally:
        lab.run(CONTINUE)
    reasons = [line for line in layer_lines(guest) if "xenstore" in line]
    assert reasons == ["no reply of xenstored"]
    guest.wait_line("^STEP 2 ")
    failed = len([line for line in guest.lines() if line.startswith("FAIL ")])
    for step in range(3, 8):
        guest.press("ret")
        guest.wait_line(f"^STEP {step} ")
    guest.press("ret")
    text = ending(guest)
    assert len([line for line in text if line.startswith("FAIL ")]) == failed
    assert View(guest).traces(before) == []


@pytest.mark.pvh
@pytest.mark.parametrize("backend", ONLY)
def test_read_ends_when_xenstored_is_stopped_under_it(lab, blob, guest_disk, backend):
    trial = Trial(lab, blob, guest_disk, backend)
    with trial.in_a_read():
        lab.run(STOP)
    try:
        trial.guest.wait_line("^xen: no reply of xenstored", 60)
    finally:
        lab.run(CONTINUE)
    check_end(trial, "read")        # the data had come before the store was needed
    assert View(trial.guest).traces(trial.before) == []


@pytest.mark.slow
@pytest.mark.pvh
def test_backend_that_goes_away_costs_its_disk_and_no_other(lab, blob, guest_disk):
    trial = Trial(lab, blob, guest_disk, disks=2)
    with trial.in_a_read():
        domid = trial.guest.domid
        lab.run(f"echo vbd-{domid}-51776 >/sys/bus/xen-backend/drivers/vbd/unbind &")
        time.sleep(1)
    trial.guest.wait_line("^FAIL stream: CF want=00000000 got=00000001 in ah=42 dl=80", 90)
    trial.guest.wait_line("^TEST ok stream", 60)
    text = ending(trial.guest)
    lines = [line for line in layer_lines(trial.guest) if line.startswith("xvde: backend ")]
    if len(lines) > 1:      # it went before it had answered the read
        assert lines.pop(0).startswith("xvde: backend did not answer in time, requests open")
    assert lines == ["xvde: backend did not close in 30 s (state 4)"]
    assert not [line for line in text if line.startswith("FAIL ") and "dl=81" in line]
    assert View(trial.guest).states() == {51776: ("6", "4"), 51792: ("1", "2")}


# The other xenstored

@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_save_and_restore_with_c_xenstored(blob, guest_disk, moment):
    with Lab.start("survival-xenstored", store="xenstored") as lab:
        test_save_and_restore(lab, blob, guest_disk, "phy", moment)


# Nothing is used up

def used(lab):
    """What dom0 and Xen have in use, after everything has settled: {what: number}."""
    time.sleep(1)
    keys = lab.debug_keys("ge")
    part = keys.split("Event channel information for domain 0")[1].split("Event channel info")[0]
    return {"store nodes": len(lab.run("xenstore-ls -f").splitlines()),
            "event channels of domain 0": len(re.findall(r"^\(XEN\) +\d+ \[", part, re.M)),
            "grants": len(re.findall(r"^\(XEN\) +\[", keys, re.M)),
            "processes": len(lab.run("ps -e -o comm= | grep -v kworker").splitlines())}


def free_kib(lab):
    """Memory that dom0 could use."""
    return int(lab.run("awk '/MemAvailable/ { print $2 }' /proc/meminfo"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_1000_misses_use_nothing_up(lab, blob, guest_disk, backend):
    # each read is behind the largest window of the one before: 7/8 of 1/64 of the memory
    image = guest_disk("stream", mib=450, bench_sectors=900)
    guest = create(lab, [xl_disk(lab.attach(image), "xvde", backend=backend)], blob, memory=32)
    before, view = used(lab), View(guest)
    memory = free_kib(lab)
    attaches = Attaches(guest, ["xvde"])
    start(guest)
    text = ending(guest, 1200)
    assert attaches.end() > 1000
    assert text[-2:] == ["TEST ok stream 1024 calls", "TEST PASS stream"]
    assert View(guest).traces(view) == []
    after = used(lab)
    published = after["store nodes"] - before["store nodes"]
    assert 0 <= published < 20                  # what the backend keeps after the first attach
    assert {**after, "store nodes": 0} == {**before, "store nodes": 0}
    assert memory - free_kib(lab) < 16 << 10


@pytest.mark.slow
def test_100_reboots_use_nothing_up(lab, blob, guest_disk):
    disk = xl_disk(lab.attach(guest_disk("stream", mib=5, bench_sectors=127, label="reboot")),
                   "xvde")
    guest = create(lab, [disk], blob, memory=64, name="trial", on_reboot="restart")
    guest.unpause()
    counts, memory = {}, {}
    for number in range(1, 101):
        # nothing is read while the BIOS waits for a key
        _, guest.position = lab.log.wait("for boot menu", 120, guest.position)
        if number in (5, 100):
            lab.run("xl pause trial")
            counts[number], memory[number] = used(lab), free_kib(lab)
            lab.run("xl unpause trial")
        lab.run("xl qemu-monitor-command trial 'sendkey spc'")
        _, guest.position = lab.log.wait("TEST PASS stream", 120, guest.position)
    # a guest that is being restarted cannot be destroyed
    lab.log.wait("for boot menu", 120, guest.position)
    lab.run("xl destroy trial")
    assert counts[5] == counts[100]
    assert memory[5] - memory[100] < 16 << 10
