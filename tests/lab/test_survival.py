"""int13 goes on when the guest is saved, moved or paused, and ends when its other side is gone."""

import contextlib
import re
import time

import pytest

from lab import Lab, xl_disk
from pristine import View
from trial import Guest, create, ending, layer_lines, lines

BACKENDS = ["phy", "qdisk"]
STOP, CONTINUE = (f"kill -{signal} $(cat /run/xen/xenstored.pid)" for signal in ("STOP", "CONT"))
ONLY = ["phy", pytest.param("qdisk", marks=pytest.mark.slow)]
CRAWL = 128 << 10               # bytes per second that keep a read under way for seconds


def throttle(lab, device, speed):
    """Let a disk of dom0 do `speed` bytes per second; 0: as fast as it can."""
    limits = dict.fromkeys(["bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"], 0)
    lab.machine.qmp.call("block_set_io_throttle",
                         {"device": lab.images[device][0], "bps": speed, **limits})


@contextlib.contextmanager
def slow(lab, device, speed=CRAWL):
    """A disk of dom0 is slow meanwhile."""
    throttle(lab, device, speed)
    try:
        yield
    finally:
        throttle(lab, device, 0)


def wait_under_way(lab, device):
    """Wait until the backend has requests for a disk under way."""
    inflight = f"/sys/block/{device.removeprefix('/dev/')}/inflight"
    lab.run(f"until awk '{{ exit !$1 }}' {inflight}; do sleep 0.05; done")


def start(guest):
    """Start a guest, past the boot menu."""
    guest.unpause()
    guest.skip_menu()


def steps(lab, blob, guest_disk):
    """A guest with the program `steps`, not started yet."""
    disk = lab.attach(guest_disk("steps", mib=5, delay_ms=1500))
    return create(lab, [xl_disk(disk, "xvde")], blob, memory=64)


class Trial:
    """A guest with the program `stream` or `takeover` on its first disk, not started yet."""

    def __init__(self, lab, blob, guest_disk, backend="phy", program="stream", disks=1, mib=5):
        self.lab = lab
        names = ["xvde", "xvdf"][:disks]
        self.devices = [lab.attach(guest_disk(program, name=name, mib=mib, bench_sectors=127,
                                              label="idle")) for name in names]
        self.disk = self.devices[0]
        self.guest = create(lab, [xl_disk(device, name, backend=backend)
                                  for device, name in zip(self.devices, names)],
                            blob, memory=64, name="trial")
        self.before = View(self.guest)

    def domain(self):
        """The guest, in the domain that it lives in now."""
        position = self.guest.position
        guest = Guest(self.lab, "trial", int(self.lab.run("xl domid trial")), position)
        guest.position = position
        return guest

    @contextlib.contextmanager
    def in_post(self):
        """POST's first read, of 64 KiB, is under way."""
        with slow(self.lab, self.disk, CRAWL // 16):
            self.guest.unpause()
            wait_under_way(self.lab, self.disk)
            yield

    @contextlib.contextmanager
    def in_a_read(self):
        """A read of int13 is under way."""
        start(self.guest)
        self.guest.wait_line("^STREAM 80 ")
        with slow(self.lab, self.disk):
            self.guest.wait_line("^STREAM 80 ")
            wait_under_way(self.lab, self.disk)
            yield

    @contextlib.contextmanager
    def between_reads(self):
        """No int13 is running."""
        start(self.guest)
        self.guest.wait_line("^TEST ok load")
        yield


MOMENTS = {"POST": ("stream", Trial.in_post), "read": ("stream", Trial.in_a_read),
           "between": ("takeover", Trial.between_reads)}


def take_away(trial, script):
    """Run a script in dom0 that suspends the domain; then the disk gets its speed back."""
    start = trial.lab.log.end()
    pid = trial.lab.spawn(f"{{ {script}; }} >/tmp/out 2>&1")
    trial.lab.log.wait(rf"^\(XEN\) HVM d{trial.guest.domid} save: ", 60, start)
    throttle(trial.lab, trial.disk, 0)
    deadline = time.monotonic() + 120
    while not (status := trial.lab.status(pid))["exited"]:
        assert time.monotonic() < deadline, trial.lab.run("cat /tmp/out")
        time.sleep(0.1)
    assert status["exitcode"] == 0, trial.lab.run("cat /tmp/out")


def check_end(trial):
    """The program has found all data right, and nothing is left."""
    guest = trial.domain()
    text = ending(guest)
    assert not [line for line in text if line.startswith("FAIL ")]
    assert re.match("TEST PASS", text[-1])
    return guest


# The domain goes away and comes back

def moved(guest):
    """Whether the layer has said that the domain moved in the middle of its work."""
    return any("the domain has moved, once more" in line for line in layer_lines(guest))


@pytest.mark.parametrize("backend", ONLY)
@pytest.mark.parametrize("moment", MOMENTS)
def test_save_and_restore(lab, blob, guest_disk, backend, moment):
    program, when = MOMENTS[moment]
    trial = Trial(lab, blob, guest_disk, backend, program)
    with when(trial):
        take_away(trial, "xl save trial /tmp/saved")
        lab.run("xl restore /tmp/saved && rm /tmp/saved")
    guest = check_end(trial)
    assert moved(guest) == (moment != "between")
    if program == "stream":
        assert View(guest).states() == {51776: ("1", "2")}


@pytest.mark.parametrize("backend", ONLY)
@pytest.mark.parametrize("moment", ["read", pytest.param("POST", marks=pytest.mark.slow)])
def test_migration(lab, blob, guest_disk, backend, moment):
    """Live, to the same machine."""
    program, when = MOMENTS[moment]
    trial = Trial(lab, blob, guest_disk, backend, program)
    with when(trial):
        take_away(trial, "xl migrate -s '' trial 'xl migrate-receive'")
    guest = check_end(trial)
    assert guest.domid != trial.guest.domid
    # with qdisk, the read has been seen to end before the domain is suspended
    assert moved(guest) or backend == "qdisk"
    assert View(guest).states() == {51776: ("1", "2")}


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_checkpoint(lab, blob, guest_disk, backend):
    """The domain is saved and goes on: there is nothing to do again."""
    trial = Trial(lab, blob, guest_disk, backend)
    with trial.in_a_read():
        take_away(trial, "xl save -c trial /tmp/saved && rm /tmp/saved")
    assert check_end(trial).domid == trial.guest.domid
    assert not moved(trial.guest)
    assert View(trial.guest).traces(trial.before) == []


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_pause_in_a_read_that_is_longer_than_its_limit(lab, blob, guest_disk, backend):
    trial = Trial(lab, blob, guest_disk, backend)
    with trial.in_a_read():
        trial.guest.pause()
    time.sleep(40)
    trial.guest.unpause()
    check_end(trial)
    assert View(trial.guest).traces(trial.before) == []


# Runs in dom0: xenstored stops, and the guest soon waits for it, at most 5 s; but after 3 s it is
# paused. `xl pause` needs xenstored.
PAUSE_IN_AN_ATTACH = b"""
import ctypes, os, signal, sys, time
xenstored = int(open("/run/xen/xenstored.pid").read())
xenctrl = ctypes.CDLL("libxenctrl.so.4.17")
xenctrl.xc_interface_open.restype = ctypes.c_void_p
xen = ctypes.c_void_p(xenctrl.xc_interface_open(None, None, 0))
domid = ctypes.c_uint32(int(sys.argv[1]))
os.kill(xenstored, signal.SIGSTOP)
time.sleep(3)
assert xenctrl.xc_domain_pause(xen, domid) == 0
os.kill(xenstored, signal.SIGCONT)
time.sleep(6)
assert xenctrl.xc_domain_unpause(xen, domid) == 0
"""


def test_pause_in_an_attach_that_is_longer_than_its_limit(lab, blob, guest_disk):
    trial = Trial(lab, blob, guest_disk, mib=40)
    start(trial.guest)
    trial.guest.wait_line("^STREAM 80 ")
    lab.run(f"python3 - {trial.guest.domid}", stdin=PAUSE_IN_AN_ATTACH)
    assert lines(trial.guest)[-1].startswith("STREAM 80 ")      # it was not at its end
    check_end(trial)
    assert View(trial.guest).traces(trial.before) == []


# The other side goes away

def test_attach_fails_while_xenstored_is_stopped_and_succeeds_later(lab, blob, guest_disk):
    guest = steps(lab, blob, guest_disk)
    before = View(guest)
    start(guest)
    guest.wait_line("^STEP 1 ")
    lab.run(STOP)
    begin = time.monotonic()
    try:
        guest.wait_line("FAIL steps: AH want=00000000 got=00000080", 60)
        passed = time.monotonic() - begin
    finally:
        lab.run(CONTINUE)
    assert passed < 15
    reasons = [line for line in layer_lines(guest) if "xenstore" in line]
    assert reasons == ["no reply of xenstored"]
    guest.wait_line("^STEP 2 ")
    failed = len([line for line in lines(guest) if line.startswith("FAIL ")])
    text = ending(guest)
    assert len([line for line in text if line.startswith("FAIL ")]) == failed
    assert View(guest).traces(before) == []


@pytest.mark.parametrize("backend", ONLY)
def test_read_ends_when_xenstored_is_stopped_under_it(lab, blob, guest_disk, backend):
    trial = Trial(lab, blob, guest_disk, backend)
    with trial.in_a_read():
        lab.run(STOP)
    try:
        trial.guest.wait_line("^xen: no reply of xenstored", 60)
    finally:
        lab.run(CONTINUE)
    check_end(trial)        # the data had come before the store was needed
    assert View(trial.guest).traces(trial.before) == []


def test_backend_that_goes_away_costs_its_disk_and_no_other(lab, blob, guest_disk):
    trial = Trial(lab, blob, guest_disk, disks=2)
    with trial.in_a_read():
        domid = trial.guest.domid
        lab.run(f"echo vbd-{domid}-51776 >/sys/bus/xen-backend/drivers/vbd/unbind &")
        time.sleep(1)
    begin = time.monotonic()
    trial.guest.wait_line("^FAIL stream: CF want=00000000 got=00000001 in ah=42 dl=80", 60)
    assert time.monotonic() - begin < 45
    trial.guest.wait_line("^TEST ok stream", 60)
    text = ending(trial.guest)
    assert [line for line in layer_lines(trial.guest) if line.startswith("xvde: backend ")] == [
        "xvde: backend did not close in 5 s (state 4)"]
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
def test_300_misses_use_nothing_up(lab, blob, guest_disk, backend):
    # each read is behind the largest window of the one before
    image = guest_disk("stream", mib=240, bench_sectors=1600)
    guest = create(lab, [xl_disk(lab.attach(image), "xvde", backend=backend)], blob, memory=64)
    before, view = used(lab), View(guest)
    memory = free_kib(lab)
    start(guest)
    text = ending(guest, 600)
    if backend == "phy":
        attaches = lab.run(f"dmesg | grep -c 'backend/vbd/{guest.domid}/51776: using'")
        assert int(attaches) > 300
    assert text[-2:] == ["TEST ok stream 308 calls", "TEST PASS stream"]
    assert View(guest).traces(view) == []
    after = used(lab)
    published = after["store nodes"] - before["store nodes"]
    assert 0 <= published < 20                  # what the backend keeps after the first attach
    assert {**after, "store nodes": 0} == {**before, "store nodes": 0}
    assert memory - free_kib(lab) < 16 << 10


@pytest.mark.slow
def test_30_reboots_use_nothing_up(lab, blob, guest_disk):
    disk = xl_disk(lab.attach(guest_disk("stream", mib=5, bench_sectors=127, label="reboot")),
                   "xvde")
    guest = create(lab, [disk], blob, memory=64, name="trial", on_reboot="restart")
    guest.unpause()
    counts = {}
    for number in range(30):
        _, guest.position = lab.log.wait("TEST PASS stream", 120, guest.position)
        if number in (4, 29):
            lab.log.wait(r"Booting from 0000:7c00", 60, guest.position)
            lab.run("xl pause trial")
            counts[number] = used(lab)
            lab.run("xl unpause trial")
    assert counts[4] == counts[29]
