"""Counts what int13 makes a guest do: numbers that do not depend on the machine's speed.

xentrace records the guest's exits to the hypervisor, xenstored (the one in C) its messages.
"""

import collections
import gzip
import re
import statistics
import struct

# Events of xen/trace.h; exit codes of AMD's manual, volume 2, appendix C; numbers of xen.h.
ENTRY = 0x81001
EXIT, PORT, MEMORY = (0x81002, 0x81102), (0x82016, 0x82216), (0x82017, 0x82217)
HYPERCALL, GRANT_MAP, GRANT_UNMAP = 0x82012, 0x10f001, 0x10f002
CR0_READ, CR0_WRITE = 0x00, 0x10
MEMORY_OP, EVENT_CHANNEL_OP = 12, 32
DEBUG_PORT = 0xe9

# What Xen serves itself: all other ports and addresses are the device model's.
XEN_PORTS = [range(0x20, 0x22), range(0x40, 0x44), range(0x61, 0x62), range(0x70, 0x72),
             range(0xa0, 0xa2), range(0x4d0, 0x4d2)]
XEN_MEMORY = range(0xfec00000, 0xff000000)      # I/O APIC, HPET, local APIC

PARTS = ("attach", "fill", "close")             # of a call that attaches, with blkback
KINDS = ("guest", "cr0", "device model", "hypercalls", "other exits")


def records(data):
    """The records of a trace: (event, TSC, words); one without a TSC gets the last one."""
    place, now = 0, 0
    while place + 4 <= len(data):
        head, = struct.unpack_from("<I", data, place)
        place += 4
        if head >> 31:
            now, = struct.unpack_from("<Q", data, place)
            place += 8
        count = head >> 28 & 7
        yield head & 0x0fffffff, now, struct.unpack_from(f"<{count}I", data, place)
        place += 4 * count


def device_model(event, words):
    """Whether a record is an access that the device model serves."""
    if event in PORT:
        return not any(words[0] in ports for ports in XEN_PORTS)
    return event in MEMORY and words[0] not in XEN_MEMORY


class Counter:
    """Adds up what happens between two lines of the program."""

    def __init__(self):
        self.rows = {}                  # row of `bench`: {what: how often in a call}
        self.attaches = []              # TSC ticks of (attach, fill, close)
        self.line, self.counts, self.call = "", collections.Counter(), []

    def take(self, event, now, words):
        """Take one record."""
        if event in EXIT:
            self.counts["exits"] += 1
        elif event in PORT and words[0] == DEBUG_PORT:
            self.counts["exits"] -= 1
            self.print(chr(words[1] & 0xff))
        elif device_model(event, words):
            self.counts["device model"] += 1
        elif event == HYPERCALL:
            if words[0] == MEMORY_OP:
                self.end_attach()       # pages are mapped: the next one begins
            self.counts["hypercalls"] += 1
            self.counts["event channel"] += words[0] == EVENT_CHANNEL_OP
            self.call.append((words[0], now))
        elif event in (GRANT_MAP, GRANT_UNMAP):
            self.call.append((event, now))

    def end_attach(self):
        """If the backend has mapped pages and given them back, keep how long the parts took."""
        maps, unmaps = ([now for what, now in self.call if what == event]
                        for event in (GRANT_MAP, GRANT_UNMAP))
        if len(maps) > 1 and len(unmaps) > 1 and MEMORY_OP in dict(self.call):
            # the first grant is the ring's, which is also given up last
            self.counts["attaches"] += 1
            self.attaches.append((maps[1] - self.call[0][1], unmaps[-2] - maps[1],
                                  self.call[-1][1] - unmaps[-2]))
            self.call = []

    def print(self, letter):
        """The program prints: a line that begins with BENCH ends a row."""
        if letter != "\n":
            self.line += letter
            return
        if self.line.startswith("BENCH"):
            self.end_attach()
            self.call = []
        match = re.match(r"BENCH (\S+ \d+) calls=(\d+)", self.line)
        if match:
            self.rows[match[1]] = {what: count / int(match[2])
                                   for what, count in self.counts.items()}
        if self.line.startswith("BENCH"):
            self.counts.clear()
        if self.line.startswith("BENCH khz"):
            self.attaches.clear()       # those of POST
        self.line = ""

    def measures(self, khz):
        """{measure: value}: counts in a call, and the median ms of the parts of an attach."""
        found = {f"{row} {what}": counts.get(what, 0) for row, counts in self.rows.items()
                 for what in ("exits", "device model", "hypercalls", "event channel", "attaches")}
        return found | {name: statistics.median(part) / khz
                        for name, part in zip(PARTS, zip(*self.attaches))}


class Profile:
    """Adds up the time between two lines that the guest prints, by what the guest waits for."""

    def __init__(self, first, last):
        self.first, self.last, self.line, self.on = first, last, "", False
        self.begin = self.exit = self.ticks = 0
        self.spent, self.kind = collections.Counter(), "other exits"

    def take(self, event, now, words):
        """Take one record."""
        if event in EXIT:
            self.exit = now
            self.kind = "cr0" if words[0] in (CR0_READ, CR0_WRITE) else "other exits"
        elif event == ENTRY and self.on:
            self.spent[self.kind] += now - self.exit
        elif event in PORT and words[0] == DEBUG_PORT:
            self.print(chr(words[1] & 0xff), now)
        elif device_model(event, words):
            self.kind = "device model"
        elif event == HYPERCALL:
            self.kind = "hypercalls"

    def print(self, letter, now):
        """The guest prints."""
        if letter != "\n":
            self.line += letter
            return
        if self.line == self.first:
            self.on, self.begin = True, now
        elif self.line == self.last and self.on:
            self.on, self.ticks = False, now - self.begin
        self.line = ""

    def measures(self, khz):
        """{what: ms}; "guest" is what is left."""
        found = {what: self.spent[what] / khz for what in KINDS if what != "guest"}
        return found | {"guest": self.ticks / khz - sum(found.values())}


class Boot:
    """Adds up what happens from SeaBIOS's first line to another one's beginning."""

    FIRST, KERNEL, MENU = "SeaBIOS (version", "BENCH kernel", "Press ESC for boot menu"

    def __init__(self, last=KERNEL):
        self.last = last
        self.line, self.counts, self.on = "", collections.Counter(), False

    def take(self, event, _, words):
        """Take one record."""
        if event in PORT and words[0] == DEBUG_PORT:
            self.counts["exits"] -= self.on
            if len(words) > 1:      # hvmloader's string instructions have no value here
                self.print(chr(words[1] & 0xff))
        elif self.on:
            self.counts["exits"] += event in EXIT
            self.counts["device model"] += device_model(event, words)
            self.counts["hypercalls"] += event == HYPERCALL
            self.counts["event channel"] += event == HYPERCALL and words[0] == EVENT_CHANNEL_OP

    def print(self, letter):
        """The guest prints."""
        self.line = "" if letter == "\n" else self.line + letter
        if self.line in (self.FIRST, self.last):
            self.on = self.line == self.FIRST

    def measures(self):
        """{what: how often}"""
        return {what: self.counts[what]
                for what in ("exits", "device model", "hypercalls", "event channel")}


class StoreLog:
    """What xenstored (the one in C) logs of its messages from now on."""

    FILE = "/dev/shm/store"

    def __init__(self, lab):
        self.lab = lab
        # xenstored goes on with a file that is there
        lab.run(f"rm -f {self.FILE}; xenstore-control logfile {self.FILE}")

    def end(self):
        """End it; returns {what: how often} of the layer, which begins by listing the disks.

        The requests of an attach are those from one to the next, where there are two.
        """
        self.lab.run("xenstore-control log off")
        lines = self.lab.run(f"cat {self.FILE}").splitlines()
        messages = [match.groups() for match in
                    (re.match(r"IN (\S+) \S+ \S+ (\S+) \((.*)", line) for line in lines) if match]
        start = next((place for place, (_, kind, path) in enumerate(messages)
                      if (kind, path.rstrip(" )")) == ("DIRECTORY", "device/vbd")), len(messages))
        ours = [(kind, data) for who, kind, data in messages[start:] if who == messages[start][0]]
        attaches = [place for place, (kind, data) in enumerate(ours)
                    if kind == "WRITE" and re.match(r"device/vbd/\d+/state 4\b", data)]
        found = {"store requests": len(ours), "attaches": len(attaches)}
        if len(attaches) > 1:
            found["requests of an attach"] = statistics.median(
                after - before for before, after in zip(attaches, attaches[1:]))
        return found


class Trace:
    """A running trace of a lab's guest."""

    FILE = "/dev/shm/trace"

    def __init__(self, lab):
        self.lab = lab
        self.process = lab.spawn(f"exec /lab/bin/xentrace -e 0x00183000 -S 2048 {self.FILE}")

    def end(self, taker):
        """End it; taker, a Counter or a Profile, takes all records."""
        self.lab.run(f"kill -INT {self.process}; while kill -0 {self.process}; do sleep 0.1; done "
                     "2>/dev/null; true")
        for record in records(gzip.decompress(self.lab.run_bytes(f"gzip -1 <{self.FILE}", 120))):
            taker.take(*record)
        self.lab.run(f"rm {self.FILE}")
