"""The Xen monitor of the boot menu, driven by keys: what it shows is what dom0 sees."""

import re
import time

import pytest

from lab import Attaches, vbd_number, xl_disk
from pristine import View
from trial import END, create

PAGE = 23
PROMPT = "xen> "
KEYS = {" ": "spc", "/": "slash", "-": "minus", "\n": "ret", "\b": "backspace"}


class Monitor:
    """The prompt of a guest's monitor."""

    def __init__(self, guest):
        """Wait for the boot menu, and choose its entry."""
        self.guest = guest
        guest.wait_line("for boot menu", 120)
        guest.press("esc")
        guest.wait_line(r"^x\. Xen monitor$")
        time.sleep(0.5)         # the menu drops what was typed before it
        guest.press("x")
        guest.wait_line("^Xen monitor")

    def type(self, text):
        """Type keys."""
        self.guest.press_all(KEYS.get(letter, letter) for letter in text)

    def run(self, command, pages=1):
        """Type a command that shows so many pages; returns the lines that it shows."""
        # what is behind the last newline is not in the log: an empty line says that it was all
        self.type(command + "\n" * (1 + (pages == 1)))
        self.guest.wait_line("^" + re.escape(PROMPT + command))
        deadline, lines = time.monotonic() + 60 * pages, []
        while lines[-1:] != [PROMPT]:
            assert time.monotonic() < deadline, lines
            lines.append(self.guest.wait_line("^.*").group().replace("\r", ""))
            page, rest = divmod(len(lines), PAGE)
            if not rest and page < pages:
                self.type(" \n" if page == pages - 1 else " ")
        return [re.sub("^-- more -- *", "", line) for line in lines[:-1]]


@pytest.fixture(name="disks")
def three_disks(lab, guest_disk):
    """xvda with a twin, xvde, and a CD xvdf by qdisk: {name: image}."""
    images = {name: guest_disk("hello", mib=size, name=name)
              for name, size in [("xvda", 20), ("xvde", 16), ("xvdf", 9)]}
    options = {"xvdf": {"access": "ro", "backend": "qdisk", "devtype": "cdrom"}}
    return images, [xl_disk(lab.attach(image), name, **options.get(name, {}))
                    for name, image in images.items()]


@pytest.mark.slow
def test_monitor_shows_what_dom0_sees(lab, blob, disks):
    images, xl_disks = disks
    guest = create(lab, xl_disks, blob)
    own = f"/local/domain/{guest.domid}"
    lab.run(f"xenstore-write {own}/vm-data/seabios/etc/xen-cache-kib 512 {own}/data/old 1")
    before = View(guest)
    guest.unpause()
    monitor = Monitor(guest)

    # the store
    tree = lab.xenstore(own)
    below = {path for path in tree if "/" not in path}
    assert {line.split(" = ")[0] for line in monitor.run("ls")} == below
    assert monitor.run("get domid") == [str(guest.domid)]
    node = f"device/vbd/{vbd_number('xvde')}"
    assert dict(line.split(" = ") for line in monitor.run(f"ls {node}")) == {
        path.removeprefix(f"{node}/"): value for path, value in tree.items()
        if path.startswith(f"{node}/")}

    # disks: states, and the backend's features
    shown = "\n".join(monitor.run("disks"))
    for name, kind, use, what in [
            ("xvda", "blkback", "read by PV, written by its emulated twin", "20 MiB, "),
            ("xvde", "blkback", "used by PV", "16 MiB, "),
            ("xvdf", "qdisk", "used by PV", "9 MiB, ")]:
        backend = guest.backend(name)
        number = vbd_number(name)
        features = [int(backend.get(f"feature-{feature}", 0)) for feature in
                    ("max-indirect-segments", "flush-cache", "barrier", "persistent")]
        mode = "read-only, CD" if name == "xvdf" else "read-write"
        assert f"{name}: {number}, {kind} in domain 0, states 1 {backend['state']}, {use}\n" \
            f"  {what}sectors of {backend['sector-size']} bytes, {mode}; " \
            "indirect {}, flush {}, barrier {}, persistent {}".format(*features) in shown

    # Xen
    version = lab.run("xl info xen_version").strip()
    release = ".".join(version.split(".")[:2])
    assert re.fullmatch(rf"SeaBIOS .*-xenpv-.*, Xen {re.escape(release)}", monitor.run("ver")[0])
    view = View(guest)
    ports = {line.split(":")[0] for line in monitor.run("ports")}
    assert ports == {what.split()[2] for what in view.entries
                     if what.startswith("event channel ")
                     and what.endswith(f"of domain {guest.domid}")}
    grants = {line.split(":")[0] for line in monitor.run("grants")}
    assert grants == {what.split()[1] for what in view.entries if what.startswith("grant ")}
    hvm = dict(re.match(r"(\d+): (0x\w+)", line).groups() for line in monitor.run("hvm"))
    assert int(hvm["2"], 16) == int(tree["store/port"])
    assert int(hvm["18"], 16) == int(tree["console/port"])
    assert monitor.run("settings") == ["etc/xen-cache-kib by xenstore: 512"]
    assert "0000000000000000-000000000009fbff RAM" in monitor.run("map")

    # disks are read as they are, a page at a time
    for name in ("xvda", "xvde"):
        lines = monitor.run(f"read {name} 17", 2)
        data = b"".join(bytes.fromhex(line[5:52]) for line in lines)
        assert data == images[name].read_bytes()[17 * 512:18 * 512]
    attaches = Attaches(guest, ["xvde"])
    speed, = monitor.run("speed xvde")
    match = re.fullmatch(r"8192 KiB in \d+ ms, [\d.]+ MiB/s, (\d+) attaches, \d+ requests", speed)
    assert match, speed
    assert int(match[1]) == attaches.end()

    # what the guest may write in xenstore, and what not
    assert monitor.run("set data/new a b") == []
    assert monitor.run("rm data/old") == []
    data = lab.xenstore(f"{own}/data")
    assert data == {"new": "a b"}
    assert monitor.run("set name x") == ["name: EACCES"]
    assert monitor.run("ls /local/domain/0") == ["/local/domain/0: EACCES"]
    lab.run(f"xenstore-rm {own}/data/new; xenstore-write {own}/data/old 1")

    # nobody has written, nothing is left, and the boot goes on
    assert View(guest).traces(before) == []
    counters = guest.disk_counters("xvde")
    assert counters["writes"] == 0
    monitor.type("boot\n")
    guest.wait_line(END)


def test_memory_map_is_what_linux_gets(lab, blob, grub_linux):
    """But for the boundary of what SeaBIOS keeps at the end of RAM: it is known at the boot."""
    guest = create(lab, [xl_disk(lab.attach(grub_linux(), snapshot=True), "xvde")], blob)
    guest.unpause()
    monitor = Monitor(guest)
    words = {"RAM": "usable", "reserved": "reserved", "ACPI": "ACPI data", "NVS": "ACPI NVS"}
    shown = [re.fullmatch(r"(\w{16})-(\w{16}) (.*)", line).groups() for line in monitor.run("map")]
    monitor.type("boot\n")
    guest.wait_line("LAB: booted from", 120)
    linux = re.findall(r"BIOS-e820: \[mem 0x(\w{16})-0x(\w{16})\] (.*)", "\n".join(guest.lines()))
    top, = (end for _, end, kind in linux if kind == "usable" and int(end, 16) >= 1 << 20)
    boundary = {top, f"{int(top, 16) + 1:016x}"}
    known = [entry for entry in linux if not boundary & set(entry)]
    assert len(known) >= len(linux) - 2 > 2
    assert set(known) <= {(start, end, words[kind]) for start, end, kind in shown}
    assert len(shown) == len(linux)


@pytest.mark.parametrize("command, state", [("off", "destroyed"), ("crash", "crashed"),
                                            ("reboot", "destroyed")])
def test_monitor_ends_the_domain(lab, blob, disks, command, state):
    guest = create(lab, disks[1][1:2], blob)
    guest.unpause()
    monitor = Monitor(guest)
    monitor.type(f"of\b\b{command}\n" if command != "off" else "off\n")
    if state == "destroyed":
        guest.wait_end()
        return
    # on_crash=preserve
    deadline = time.monotonic() + 60
    while lab.run(f"xl list {guest.domid}").split()[-2][4] != "c":
        assert time.monotonic() < deadline
        time.sleep(0.2)
