"""Counts what int13 makes a guest do: numbers that do not depend on the machine's speed.

xentrace records the guest's exits to the hypervisor while the program `bench` runs.
"""

import collections
import gzip
import re
import statistics
import struct

# Events of xen/trace.h; exit codes of AMD's manual, volume 2, appendix C; numbers of xen.h.
EXIT, PORT, MEMORY = (0x81002, 0x81102), (0x82016, 0x82216), (0x82017, 0x82217)
HYPERCALL, GRANT_MAP, GRANT_UNMAP = 0x82012, 0x10f001, 0x10f002
CR0_WRITE = 0x10
MEMORY_OP, EVENT_CHANNEL_OP = 12, 32
DEBUG_PORT = 0xe9

# What Xen serves itself: all other ports and addresses are the device model's.
XEN_PORTS = [range(0x20, 0x22), range(0x40, 0x44), range(0x61, 0x62), range(0x70, 0x72),
             range(0xa0, 0xa2), range(0x4d0, 0x4d2)]
XEN_MEMORY = range(0xfec00000, 0xff000000)      # I/O APIC, HPET, local APIC

PARTS = ("attach", "fill", "close")             # of a call that attaches, with blkback


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
            if words[0] == CR0_WRITE:
                self.end_call()         # the mode changes: into or out of the BIOS's 32-bit code
        elif event in PORT and words[0] == DEBUG_PORT:
            self.counts["exits"] -= 1
            self.print(chr(words[1] & 0xff))
        elif event in PORT:
            self.counts["device model"] += not any(words[0] in ports for ports in XEN_PORTS)
        elif event in MEMORY:
            self.counts["device model"] += words[0] not in XEN_MEMORY
        elif event == HYPERCALL:
            self.counts["hypercalls"] += 1
            self.counts["event channel"] += words[0] == EVENT_CHANNEL_OP
            self.call.append((words[0], now))
        elif event in (GRANT_MAP, GRANT_UNMAP):
            self.call.append((event, now))

    def end_call(self):
        """If the call attached, keep how long its parts took."""
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
        match = re.match(r"BENCH (\S+ \d+) calls=(\d+)", self.line)
        if match:
            self.rows[match[1]] = {what: count / int(match[2])
                                   for what, count in self.counts.items()}
        if self.line.startswith("BENCH"):
            self.counts.clear()
        self.line = ""


class Trace:
    """A running trace of a lab's guest."""

    FILE = "/dev/shm/trace"

    def __init__(self, lab):
        self.lab = lab
        self.process = lab.spawn(f"exec /lab/bin/xentrace -e 0x00183000 -S 2048 {self.FILE}")

    def end(self, khz):
        """End it; returns {measure: value}: counts in a call, ms of the parts of an attach."""
        self.lab.run(f"kill -INT {self.process}; while kill -0 {self.process}; do sleep 0.1; done "
                     "2>/dev/null; true")
        counter = Counter()
        for record in records(gzip.decompress(self.lab.run_bytes(f"gzip -1 <{self.FILE}", 120))):
            counter.take(*record)
        self.lab.run(f"rm {self.FILE}")
        found = {f"{row} {what}": counts.get(what, 0) for row, counts in counter.rows.items()
                 for what in ("exits", "device model", "hypercalls", "event channel", "attaches")}
        parts = zip(*counter.attaches)
        return found | {name: statistics.median(part) / khz
                        for name, part in zip(PARTS, parts)}
