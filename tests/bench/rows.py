"""The rows of the benchmarks: what is measured, in which columns, how often, and how.

A row's method takes a Bench and a Column, and returns {measure: value} of one guest's course:
seconds, or milliseconds for a call of int13 where it says so.
"""

import contextlib
import dataclasses
import re
import typing

import counts
import disks
import images
from columns import BY_NAME, ROM
from course import Course, Late
from lab import Lab, firmware
from network import Network, ROOT, ipxe_disk, script, url
from trial import stall, twin_reads

PV = ["closed", "closed qdisk", "sticky", "sticky qdisk"]
FAST = ["closed", "sticky", "dma", "ahci"]
TWINS = ["closed", "twin", "twin ahci", "ide", "ahci"]
# the goals are about these
REPEATED = ["closed", "twin", "sticky", "ahci", "layer pvh", "pvh", "linux", "rom", "netfront",
            "e1000"]


@dataclasses.dataclass
class Row:
    """A row: method(bench, column, *arguments) is done n times, for most columns only once."""
    name: str
    method: typing.Callable
    columns: list
    n: int
    arguments: tuple = ()


class Bench:
    """What rows need: the lab, the blobs, the disks."""

    def __init__(self, lab, blobs, made):
        self.lab, self.blobs, self.files = lab, blobs, disks.files()
        self.made = made                # a directory for disks that a row makes
        self.placed, self.holders = {}, []
        self.repetition = 0

    def attach(self, path):
        """The device of an image in dom0, whose content dom0 has in its page cache.

        That is what an emulated disk and qdisk read from, as long as somebody has it open.
        """
        device = self.lab.attach(path, snapshot=True)
        self.holders.append(self.lab.spawn(f"exec sleep 100000 <{device}"))
        self.lab.run(f"cat {device} >/dev/null")
        return device

    def clean(self):
        """Leave nothing of a course."""
        for pid in self.holders:
            self.lab.run(f"kill {pid}")
        self.holders.clear()
        self.lab.clean()

    def settings(self, column, **more):
        """The xl.cfg settings of a column's guest."""
        settings = {**column.settings, **more}
        if column.blob:
            file = self.blobs[column.blob]
            settings |= firmware(self.lab.blob(file), file)
        elif column.name.startswith("pvh"):
            settings["kernel"] = self.put("grub-i386-xen_pvh")
        elif column.name.startswith("linux"):
            settings["kernel"], settings["ramdisk"] = self.put("vmlinuz-60"), self.put("initrd")
        return settings

    def put(self, name):
        """One of our files in dom0."""
        if name not in self.placed:
            self.placed[name] = self.lab.put(name, (self.files / name).read_bytes())
        return self.placed[name]

    def course(self, column, devices, **more):
        """Create a guest of a column with these disks."""
        return Course(self.lab, "bench", column.disks(devices), **self.settings(column, **more))

    def disk(self, calls, sectors):
        """The disk of bench.asm with these limits."""
        path = self.made / f"bench-{calls}-{sectors}.raw"
        if not path.exists():
            disks.bench_disk(path, calls, sectors)
        return path


# Limits of calls and sectors in a row of int13 calls. A cache has to be filled over and over
# again where reads are sequential, so the layer reads more; random reads miss it always.
SEQUENTIAL = {"closed": (4096, 32768), "sticky": (4096, 32768), "ide": (48, 512),
              "dma": (256, 4096), "ahci": (256, 4096), "linux": (1024, 16384)}
RANDOM = {"closed": (16, 2032), "sticky": (16, 2032), "ide": (8, 254),
          "dma": (32, 2048), "ahci": (32, 2048), "linux": (128, 8192)}
RESULT = r"^(?:\[.*\] )?BENCH ([\w-]+ \d+) calls=(\d+) sectors=\d+ (tsc|ns)=(\w+)"


def timed(course, names, khz):
    """Milliseconds a call of each row of bench.asm or reads.c."""
    found = {}
    for name in names:
        _, match = course.wait(RESULT.replace(r"[\w-]+ \d+", name), 400)
        ticks = int(match.group(4), 16) / khz if match.group(3) == "tsc" \
            else int(match.group(4)) / 1e6
        found[name] = ticks / int(match.group(2))
    return found


SIZES = (1, 8, 64, 127)
READS = [f"read-seq {size}" for size in SIZES]
OTHERS = [f"read-random {size}" for size in SIZES] + ["write-seq 1", "write-seq 64"]


def int13(bench, column):
    """Milliseconds a call, of bench.asm; the calls check what they read."""
    kind = column.name.split()[0]
    if kind == "linux":
        return linux_reads(bench, column)
    found = {}
    for limits, names in ((SEQUENTIAL[kind], READS), (RANDOM[kind], OTHERS)):
        device = bench.attach(bench.disk(*limits))
        with bench.course(column, [device]) as course:
            course.boot()
            khz = int(course.wait(r"BENCH khz=(\d+)")[1].group(1))
            found |= timed(course, names, khz)
            if names is OTHERS:
                course.wait("^TEST PASS")
        bench.clean()
    return found


def linux_reads(bench, column):
    """The same by Linux's direct reads."""
    found = {}
    for limits, names in ((SEQUENTIAL["linux"], [*READS, "read-seq 128"]),
                          (RANDOM["linux"], OTHERS)):
        device = bench.attach(bench.disk(4096, 32768))
        with bench.course(column, [device], extra=f"{disks.LINUX_OPTIONS} bench.reads="
                          + ",".join(map(str, limits))) as course:
            course.first_line()
            found |= timed(course, names, 0)
        bench.clean()
    return found


PLAIN = {"max_indirect_segments": 0, "feature_persistent": "N", "max_ring_page_order": 0}
FORMS = {   # of requests, as options of Linux's blkfront
    "plain": PLAIN,
    "indirect": {**PLAIN, "max_indirect_segments": 256},
    "persistent": {**PLAIN, "feature_persistent": "Y"},
    "16 ring pages": {**PLAIN, "max_ring_page_order": 4},
}


def fills(bench, column):
    """Milliseconds of a read of 2 MiB by Linux, with each form of requests."""
    found = {}
    for form, options in FORMS.items():
        device = bench.attach(bench.disk(4096, 32768))
        words = ",".join(f"{name}={value}" for name, value in options.items())
        with bench.course(column, [device], extra=f"{disks.LINUX_OPTIONS} bench.reads=64,262144 "
                          f"bench.blkfront={words}") as course:
            course.first_line()
            found[form] = timed(course, ["read-seq 4096"], 0)["read-seq 4096"]
        bench.clean()
    return found


def counted(bench, column):
    """What a call of int13 makes the guest do, of bench.asm: see counts.py."""
    device = bench.attach(bench.disk(16, 2032))
    trace = counts.Trace(bench.lab)
    with bench.course(column, [device]) as course:
        course.boot()
        khz = int(course.wait(r"BENCH khz=(\d+)")[1].group(1))
        course.wait("^TEST PASS", 200)
        counter = counts.Counter()
        trace.end(counter)
        found = counter.measures(khz)
    if column.name != "closed":
        # QEMU maps no pages of a fill, and sticky closes later
        found = {name: value for name, value in found.items() if name not in counts.PARTS}
    return found


def boot(bench, column):
    """What a boot of 60 MiB by GRUB makes the guest do, and its messages to xenstored."""
    with Lab.start("bench-boot", "xenstored") as lab:
        bench = Bench(lab, bench.blobs, bench.made)
        device = bench.attach(bench.files / "grub-60.raw")
        trace, log, counter = counts.Trace(lab), counts.StoreLog(lab), counts.Boot()
        with bench.course(column, [device], memory=512) as course:
            course.boot()
            course.marks(["kernel"], 400)
            found = log.end()
            trace.end(counter)
    return counter.measures() | found


def attach(bench, column):
    """Milliseconds of int13 calls that attach, read a sector and close, with each xenstored.

    And the requests of one: only the xenstored in C tells them.
    """
    found = {}
    for store in ("oxenstored", "xenstored"):
        with Lab.start("bench-attach", store) as lab:
            there = Bench(lab, bench.blobs, bench.made)
            device = there.attach(there.disk(*RANDOM["closed"]))
            log = counts.StoreLog(lab) if store == "xenstored" else None
            with there.course(column, [device]) as course:
                course.boot()
                khz = int(course.wait(r"BENCH khz=(\d+)")[1].group(1))
                found[store] = timed(course, ["read-random 1"], khz)["read-random 1"]
                course.wait("^TEST PASS", 200)
                if log:
                    found["requests"] = log.end()["requests of an attach"]
    return found


def speed(bench, column):
    """GRUB's testspeed, and what GRUB loads after it: seconds and MiB/s."""
    slow = column.name == "ide"
    device = bench.attach(bench.files / ("speed-slow.raw" if slow else "speed.raw"))
    with bench.course(column, [device]) as course:
        times = course.boot() if column.blob else {}
        times |= course.marks(["grub", "big", "big end", "small", "small end"], 400)
        found = {what: (disks.SLOW if slow else size) / disks.MIB /
                       (times[f"{what} end"] - times[what])
                 for what, size in (("big", disks.BIG), ("small", disks.SMALL))}
        if not slow:
            times |= course.marks(["loaded"], 400)
            found["first to last"] = times["loaded"] - times.get("boot sector", times["grub"])
    return found


def profile(bench, column):
    """Milliseconds of GRUB's testspeed of 32 MiB, by what the guest waits for: see counts.py."""
    device = bench.attach(bench.files / "speed.raw")
    khz = float(bench.lab.run("xl info cpu_mhz")) * 1000
    trace = counts.Trace(bench.lab)
    with bench.course(column, [device]) as course:
        course.boot()
        course.marks(["grub", "big", "big end"], 400)
        taker = counts.Profile("BENCH big", "BENCH big end")
        trace.end(taker)
    return taker.measures(khz)


LIMIT = 70          # seconds that IDE by PIO gets to load


def load(bench, column, loader, size):
    """Seconds from the guest's creation to the kernel's entry, and once also to Linux's init."""
    device = bench.attach(bench.files / f"{loader}-{size}.raw")
    with bench.course(column, [device], memory=512) as course:
        if column.blob:
            times = course.boot()
        if column.name == "ide":
            return load_slowly(bench, course, times["boot sector"], disks.LOADS[size])
        found = course.marks(["kernel"], 200)
        if column.blob:
            found["loading"] = found["kernel"] - times["boot sector"]
            if not course.pvh:
                found["emulated reads"] = sum(twin_reads(course).values())
        if bench.repetition == 0:
            found |= course.marks(["init"], 200)
    return found


def load_slowly(bench, course, begin, size):
    """Load for LIMIT seconds; the rest of the time follows from what was read until then."""
    try:
        return course.marks(["kernel"], begin + LIMIT)
    except Late:
        text = bench.lab.run(f"xl qemu-monitor-command {course.name} 'info blockstats'")
        done = int(re.search(r"^ide\S+: rd_bytes=(\d+)", text, re.M).group(1))
        return {"kernel": begin + LIMIT * size / done, "read": done / disks.MIB,
                "loading": LIMIT * size / done}


NETWORK_LIMIT = 120


def network(bench, column, size):
    """Seconds from the guest's creation to the kernel's entry; iPXE loads it by HTTP from dom0.

    Debian's iPXE, which has all the drivers, is on a PV disk with a script; our ROM gets its script
    from the network, and there is no disk. What takes longer than NETWORK_LIMIT is ended; the rest of
    the time follows from what dom0 has sent until then.
    """
    load = [f"kernel {url('disk/vmlinuz')} {disks.LINUX_OPTIONS}", f"initrd {url('disk/initrd')}",
            "boot"]
    Network(bench.lab, {"script": script(*load)}, boot=url("script"))
    files, loaders, settings = bench.attach(bench.files / f"grub-{size}.raw"), [], {}
    if column.name == "rom":
        rom = bench.lab.put(ROM.name, ROM.read_bytes())
        settings["device_model_args"] = ["-global", f"xen-platform.romfile={rom}"]
    else:
        path = bench.made / "ipxe.raw"
        if not path.exists():
            ipxe_disk(path, "dhcp net0", *load)
        loaders.append(bench.attach(path))
    bench.lab.run(f"mkdir {ROOT}/disk; "
                  f"mount -o ro,offset={images.FIRST * images.SECTOR} {files} {ROOT}/disk")
    try:
        with bench.course(column, loaders, memory=512, **settings) as course:
            begin = max(course.boot(bool(loaders)).values())
            try:
                return course.marks(["kernel"], begin + NETWORK_LIMIT)
            except Late:
                sent = int(bench.lab.run("cat /sys/class/net/vif*-emu/statistics/tx_bytes"))
                return {"kernel": begin + NETWORK_LIMIT * disks.LOADS[size] / sent}
    finally:
        bench.lab.run(f"umount {ROOT}/disk")


def post_disks(bench, count, silent):
    """So many disks; the last `silent` ones answer nothing."""
    devices = [bench.lab.attach(bench.files / "hello.raw", snapshot=True) for _ in range(count)]
    stall(bench.lab, devices[count - silent:])
    return devices


def post(bench, column, count, silent=0):
    """Seconds from SeaBIOS's first line to its boot menu, with so many disks."""
    with bench.course(column, post_disks(bench, count, silent)) as course:
        times = course.boot(silent < count)
    return {"post": times["menu"] - times["bios"]}


# disks, and how many of them answer nothing
POSTS = {"1": (1, 0), "4": (4, 0), "16": (16, 0), "4, one silent": (4, 1), "1 silent": (1, 1),
         "4 silent": (4, 4), "16 silent": (16, 16)}


def post_counts(bench, column):
    """What POST with so many disks makes the guest do, and its messages to xenstored."""
    found = {}
    with Lab.start("bench-post", "xenstored") as lab:
        bench = Bench(lab, bench.blobs, bench.made)
        for name, (count, silent) in POSTS.items():
            devices = post_disks(bench, count, silent)
            trace, log = counts.Trace(lab), counts.StoreLog(lab)
            with bench.course(column, devices) as course:
                domain = course.first_line()
                course.wait("Press .* for boot menu")
                lab.run(f"xl pause {domain}")
                counter = counts.Boot(counts.Boot.MENU)
                trace.end(counter)
                found |= {f"{name} {what}": value
                          for what, value in {**counter.measures(), **log.end()}.items()}
            bench.clean()
    return found


def together(bench, column, count):
    """Seconds from the first guest's creation until the last has entered its kernel.

    Nobody presses a key: SeaBIOS waits 2.5 s for its boot menu.
    """
    devices = [bench.lab.attach(bench.files / "grub-16.raw", snapshot=True) for _ in range(count)]
    with contextlib.ExitStack() as stack:
        courses = [stack.enter_context(Course(
            bench.lab, f"bench{number}", column.disks([device]),
            **bench.settings(column, memory=96))) for number, device in enumerate(devices)]
        for _ in courses:
            seconds, _ = courses[0].wait(r"^\d+[)] BENCH kernel$", 900)
    return {"all": seconds}


def memory(bench, column, mib):
    """MiB of RAM that the firmware's memory map leaves to Linux, of a guest with so many."""
    device = bench.attach(bench.files / "grub-16.raw")
    with bench.course(column, [device], memory=mib) as course:
        course.boot()
        _, match = course.wait(r"BENCH usable=(\d+)", 200)
    return {"usable": int(match.group(1)) / disks.MIB}


ROWS = [
    Row("counts", counted, [*PV, "ide", "dma", "ahci"], 1),
    Row("boot", boot, ["closed", "layer pvh", "sticky", "dma", "ahci"], 1),
    Row("attach", attach, ["closed"], 1),
    Row("int13", int13, [*PV, "ide", "dma", "ahci", "linux", "linux qdisk"], 3),
    Row("fills", fills, ["linux", "linux qdisk"], 3),
    Row("testspeed", speed, [*PV, "ide", "dma", "ahci", "layer pvh", "pvh", "pvh qdisk"], 3),
    Row("profile", profile, ["closed", "sticky", "ahci"], 1),
    Row("load grub 16", load, [*FAST, "pvh", "ide"], 1, ("grub", "16")),
    Row("load grub 60", load, [*FAST, "layer pvh", "pvh", "ide"], 3, ("grub", "60")),
    Row("load syslinux 16", load, FAST, 1, ("syslinux", "16")),
    Row("load syslinux 60", load, FAST, 1, ("syslinux", "60")),
    Row("twins", load, TWINS, 3, ("grub", "60")),
    Row("twins saved", load, TWINS, 3, ("saved", "60")),
    *[Row(f"network {size}", network, ["rom", "netfront", "e1000", "rtl8139"], 3, (size,))
      for size in disks.LOADS],
    # libxl emulates no more than four IDE disks
    *[Row(f"post {name}", post, ["closed"] if silent or count > 4 else ["closed", "ide", "ahci"],
          1 if silent else 3, (count, silent)) for name, (count, silent) in POSTS.items()],
    Row("post counts", post_counts, ["closed"], 1),
    *[Row(f"together {count}", together, ["closed", "sticky", "ahci", "pvh"], 1, (count,))
      for count in (1, 4)],
    # takes minutes
    Row("together 8", together, ["closed", "ahci"], 1, (8,)),
    *[Row(f"memory {mib}", memory, ["closed", "ahci"], 1, (mib,)) for mib in (128, 512)],
]


def jobs(word=""):
    """(row, column, repetition) in the order to be done: each repetition of a row asks all its
    columns, so that what changes on the machine meanwhile changes all of them."""
    for row in ROWS:
        if word in row.name:
            for repetition in range(row.n):
                for name in row.columns:
                    if repetition == 0 or name in REPEATED:
                        yield row, BY_NAME[name], repetition
