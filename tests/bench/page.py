"""Makes docs/benchmarks.md and its plots out of the results of a run."""

import statistics
import textwrap

import disks
import plots
from columns import BY_NAME
from counts import KINDS, PARTS

HEAD = """# Benchmarks

Written by `make bench` on {date}; do not edit. **Only ratios mean something here**: the machine is
a Xen in QEMU's software emulation (TCG) on {cpus} CPUs ({cpu}), where a VM exit costs about
26 µs, far more than on real hardware, and where dom0 and the guests share one emulated CPU.

- Xen {xen}, Linux {dom0} in dom0, oxenstored; a guest has one CPU and 256 MiB where nothing else is
  said.
- Firmware {bios}: *closed* is the default blob (SHA-256 {closed}...), *sticky* has
  `CONFIG_XEN_PV_STICKY` ({sticky}...). Those of the other columns are the same SeaBIOS with
  `CONFIG_XEN_PV=n`, which is the unpatched one byte for byte ({stock}...), and with
  `CONFIG_ATA_DMA=y` ({dma}...).
{packages}
- The disks are images that dom0 sees as SCSI disks. blkback serves the PV disks, QEMU those of the
  columns that say *qdisk* and the emulated ones. dom0 has all of an image in its page cache, which
  only QEMU gains from.
- A number is the median of n guests' courses, with the smallest and the largest in brackets.
  Courses of different columns take turns.

"""

SECTIONS = {
"goals": """## Goals

""",
"int13": """
## Calls of int13

![](benchmarks-int13.svg)

Milliseconds a call, by the guest's own clock, of `tests/guests/bench.asm`, which checks all data.
*Linux's blkfront* is a PVH guest that reads and writes the same disk with `O_DIRECT`, the same
number of sectors a call, and flushes after a write, as the layer does. A cache is worth nothing to
random reads; they cost *closed* an attach and a close each.

{calls}

""",
"counts": """
## What a call costs, counted

For each call of int13: exits of the guest to the hypervisor, accesses that the device model serves,
hypercalls, those that concern event channels (of them one notifies the backend, the others wake
xenstored or open, check and close a port), and attaches; and the milliseconds of the parts of an
attach, from the first hypercall to the first page that the backend maps, to the last one that it gives
back, to the last hypercall.

""",
"boot": """
## What a boot costs, counted

From SeaBIOS's first line to the kernel's entry, GRUB with 60 MiB of kernel and initrd, one disk: as
above, and messages to xenstored (here the one in C, whose log counts them).

""",
"attach": """
## What an attach costs

Milliseconds of an int13 that reads one sector at random, which is an attach, a read and a close; and the
requests to xenstored of one, by the C one's log. 17 of them are the layer's own, the others looks at the
backend's state.

""",
"fills": """
## Forms of requests

Milliseconds of a read of 2 MiB with `O_DIRECT`, as much as the layer reads at a time, by Linux's blkfront
with each form of requests alone: *plain* ones of 11 pages on a ring of one page, as the layer makes
them for a backend that knows no others; *indirect* ones of 256 pages (the layer makes them of 32);
plain ones with *persistent* grants, whose data Linux copies; a ring of *16 pages*. QEMU has no
indirect requests: that column is plain there.

""",
"testspeed": """
## GRUB reads

![](benchmarks-grub.svg)

MiB/s of GRUB's `testspeed` on a file of 32 MiB in blocks of 64 KiB, and on one of 6 MiB in blocks
of 512 bytes (IDE by PIO: 2 MiB each); and the seconds from the first to the last int13 of this
boot, which then loads 16 MiB of kernel and initrd: 54 MiB in all. That time goes from the BIOS's
line "Booting from 0000:7c00" to GRUB's mark in front of `boot`; in PVH it begins with the first
line of GRUB's configuration.

""",
"profile": """
## Where the time goes

Milliseconds of GRUB's `testspeed` of 32 MiB, by what the guest waits for: *guest* is the code of GRUB
and the firmware, with the emulation's own work for it; *cr0* the exits at changes of the CPU's mode,
of which GRUB causes four a call and the layer three; *device model* the accesses that QEMU serves;
*hypercalls* all of the layer's attaches, fills and closes.

{profile}

""",
"load": """
## Loading Linux

![](benchmarks-load.svg)

Seconds from the guest's creation by `xl create` to the first instruction of the kernel's 32-bit
code, and to its init (n = 1), with 10 and 60 MiB of kernel and initrd; guests of 512 MiB. A key
ends the BIOS's wait for its boot menu. IDE by PIO was stopped after {limit} s: its time is what it
would have taken at the speed that it had.

""",
"twins": """
## Disks that are emulated as well

Seconds from the start of the boot sector to the kernel's entry, GRUB with 60 MiB of kernel and initrd; the
same in times of what a disk without a twin takes; and how often the emulated disk was read meanwhile. In
the other half GRUB saves its environment first: what it writes to is read from the emulated disk from then on.

""",
"network": """
## Boot from the network

Seconds from the guest's creation to the kernel's entry, 16 and 60 MiB of kernel and initrd by HTTP from
dom0 over one bridge, and MiB/s of what the larger ones have more. The loader of the first is the ROM of
`make ipxe`, with its patches (`patches/ipxe`), and there is no disk; that of the others is Debian's iPXE on
a PV disk, which GRUB starts. The guests of the emulated devices have no Xen platform device, thus no netfront.

""",
"post": """
## POST

Seconds from SeaBIOS's first line to the offer of its boot menu, by number of disks. libxl emulates
four IDE and six AHCI disks at most. The storage of a silent disk answers nothing.

""",
"together": """
## Guests that start together

Seconds from the first guest's creation until the last one has entered its kernel, GRUB with 16 MiB
of kernel and initrd, guests of 96 MiB. Nobody presses a key: SeaBIOS waits 2.5 s for its boot menu.

""",
"memory": """
## Memory

MiB of RAM in the firmware's memory map, as Linux gets it. The layer may keep 1/64 of the guest's
memory for its cache, and never more than 4 MiB.

""",
"end": """
## Not measured

{ovmf}
- GRUB in PVH calls no BIOS, so it has no part in the rows of int13 and POST.
- IDE and AHCI with qdisk: an emulated disk does not use its PV backend.
- Real hardware, real disks, and more than one CPU.
""",
}

# How the rows of a section begin, where that is not its own name: "" are all.
ROWS_OF = {"goals": ("",)}

BOOT = ("exits", "device model", "hypercalls", "event channel", "store requests", "attaches")

OVMF = ("Debian 11 is the last release whose OVMF has drivers for Xen's PV disks, but its package "
        "(2020.11-2+deb11u3, tried once) cannot run in this lab: right after hvmloader's line "
        "\"Invoking OVMF\" the QEMU around Xen ends by itself, with \"tcg_handle_interrupt: "
        "assertion failed: (qemu_mutex_iothread_locked())\".")


def values(results, row, column, measure):
    """All values of a measure."""
    cell = results.get(row, {}).get(column, {"values": []})
    return [course[measure] for course in cell["values"] if measure in course]


def median(results, row, column, measure):
    """The median of a measure."""
    return statistics.median(values(results, row, column, measure))


def number(value):
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(found):
    """A median with smallest and largest."""
    if not found:
        return "–"
    text = number(statistics.median(found))
    if len(found) > 1:
        text += f" ({number(min(found))}–{number(max(found))})"
    return text


def table(lines):
    """The text of a table; the first line is its head."""
    lines = [lines[0], ["---"] + ["--:"] * (len(lines[0]) - 1), *lines[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def measures(results, head, parts):
    """A table with a line for each column; parts: the (row, measure) of its cells."""
    lines = [[head[0], "n", *head[1:]]]
    for column in BY_NAME.values():
        found = [values(results, row, column.name, measure) for row, measure in parts]
        if any(found):
            lines.append([column.title, str(max(map(len, found))), *map(spread, found)])
    return table(lines)


def ratios(results):
    """The goals: (text, wanted, found, whether it is met)."""
    def faster(row, measure, one, other):
        """How many times faster `one` is; measure: a time, or a rate where its row has those."""
        ratio = median(results, row, other, measure) / median(results, row, one, measure)
        return 1 / ratio if row == "testspeed" and measure in ("big", "small") else ratio

    def least(text, wanted, found):
        return text, f"at least {wanted}", found, found >= wanted

    speed = "GRUB `testspeed`, 32 MiB: "
    entry = "Creation to kernel entry, 60 MiB, GRUB: "
    linux = 128 / median(results, "int13", "linux", "read-seq 128")
    sticky = 127 / median(results, "int13", "sticky", "read-seq 127")
    one, sixteen = (median(results, f"post {count}", "closed", "post") for count in (1, 16))
    hit = median(results, "counts", "closed", "read-seq 1 device model")
    return [
        least(speed + "closed / AHCI", 8, faster("testspeed", "big", "closed", "ahci")),
        least(speed + "closed / GRUB in PVH", 4, faster("testspeed", "big", "closed", "pvh")),
        least(speed + "this layer in PVH / GRUB in PVH", 2,
              faster("testspeed", "big", "layer pvh", "pvh")),
        least(speed + "sticky / closed", 2, faster("testspeed", "big", "sticky", "closed")),
        least(speed + "closed / IDE by PIO", 200, faster("testspeed", "big", "closed", "ide")),
        least("Sequential reads of 1 sector: closed / AHCI", 40,
              faster("int13", "read-seq 1", "closed", "ahci")),
        least("Sequential reads of 127 sectors: closed / AHCI", 1.5,
              faster("int13", "read-seq 127", "closed", "ahci")),
        least("Sequential reads of 127 sectors: sticky / Linux's of 64 KiB", 1, sticky / linux),
        least(entry + "closed / IDE by PIO", 20, faster("load grub 60", "kernel", "closed", "ide")),
        least(entry + "closed / AHCI", 3, faster("load grub 60", "kernel", "closed", "ahci")),
        least(entry + "this layer in PVH / closed", 1.5,
              faster("load grub 60", "kernel", "layer pvh", "closed")),
        least(entry + "this layer in PVH / GRUB in PVH", 1,
              faster("load grub 60", "kernel", "layer pvh", "pvh")),
        least("First to last int13 of a GRUB boot, 54 MiB: closed / AHCI", 4,
              faster("testspeed", "first to last", "closed", "ahci")),
        ("POST of closed: 16 disks / 1 disk", "at most 2", sixteen / one,
         sixteen / one <= 2),
        ("A cache hit: accesses that the device model serves", "none", hit, not hit),
        *[(f"Boot sector to kernel entry, 60 MiB, GRUB{what}: IDE disk / no twin", "at most 1.1",
           found, found <= 1.1)
          for what, row in (("", "twins"), (" that saves its environment", "twins saved"))
          for found in [median(results, row, "twin", "loading")
                        / median(results, row, "closed", "loading")]],
    ]


def memory_taken(results, mib):
    """(text, wanted, MiB that the layer keeps, whether it is little enough)."""
    row, limit = f"memory {mib}", min(4, mib / 64)
    taken = median(results, row, "ahci", "usable") - median(results, row, "closed", "usable")
    return (f"Memory kept from the OS, guest of {mib} MiB", f"at most {limit:g} MiB", taken,
            taken <= limit)


def goals(results):
    """The table of the goals."""
    lines = [["times faster, where no unit is named", "goal", "found", ""]]
    for text, wanted, found, met in ratios(results):
        lines.append([text, wanted, number(found), "met" if met else "**not met**"])
    for mib in (128, 512):
        text, wanted, found, met = memory_taken(results, mib)
        lines.append([text, wanted, f"{found:.3f} MiB", "met" if met else "**not met**"])
    return table(lines)


def int13(results):
    """The table of the calls."""
    names = [name for cell in [results["int13"]["closed"]["values"][0]] for name in cell]
    return measures(results, ["ms a call", *[name.replace("-", " ") for name in names]],
                    [("int13", name) for name in names])


def least_time(results):
    """What no driver can be faster than."""
    ahci, guest = (sum(median(results, "profile", "ahci", kind) for kind in kinds)
                   for kinds in (KINDS, ("guest", "cr0")))
    return (f"A driver that costs nothing would leave GRUB's own share. Of AHCI's {ahci:.0f} ms, "
            f"{guest:.0f} ms are the guest's and cr0's: {ahci / guest:.1f} times faster is about all "
            "that any driver can be for GRUB here, whatever it does.")


def counted(results):
    """The table of what a call makes the guest do."""
    parts = [("read-seq 1", "exits"), ("read-seq 1", "device model"), ("read-random 64", "exits"),
             ("read-random 64", "device model"), ("read-random 64", "hypercalls"),
             ("read-random 64", "event channel"), ("read-random 64", "attaches")]
    heads = [f"{row.replace('-', ' ')}: {what}" for row, what in parts]
    return measures(results, ["", *heads, "attach ms", "fill ms", "close ms"],
                    [("counts", f"{row} {what}") for row, what in parts] +
                    [("counts", name) for name in PARTS])


def loads(results):
    """The table of the boots."""
    rows = [(f"load {loader} {size}", loader, size)
            for loader in ("grub", "syslinux") for size in ("16", "60")]
    heads = {"grub": "GRUB", "syslinux": "SYSLINUX"}
    return measures(results, ["s", *[f"{heads[loader]} {size} MiB: {what}"
                                     for _, loader, size in rows for what in ("entry", "init")]],
                    [(row, measure) for row, _, _ in rows for measure in ("kernel", "init")])


def twins(results):
    """How long each disk takes to load, in times of what one without a twin takes."""
    least = median(results, "twins", "closed", "loading")
    lines = [["", "n", "s", "times", "emulated reads", "saved: s", "times", "emulated reads"]]
    for name in results["twins"]:
        line = [BY_NAME[name].title, str(len(values(results, "twins", name, "loading")))]
        for row in ("twins", "twins saved"):
            times = values(results, row, name, "loading")
            line += [spread(times), f"{statistics.median(times) / least:.2f}",
                     spread(values(results, row, name, "emulated reads"))]
        lines.append(line)
    return table(lines)


def network(results):
    """How long each network device takes to load, and how fast it is."""
    more = (disks.LOADS["60"] - disks.LOADS["16"]) / disks.MIB
    lines = [["", "n", "16 MiB: s", "60 MiB: s", "MiB/s"]]
    for name in results["network 60"]:
        times = [values(results, f"network {size}", name, "kernel") for size in disks.LOADS]
        small, large = map(statistics.median, times)
        lines.append([BY_NAME[name].title, str(len(times[1])), *map(spread, times),
                      number(more / (large - small))])
    return table(lines)


def post(results):
    """The tables of POST."""
    import rows
    return measures(results, ["s", *rows.POSTS], [(f"post {name}", "post") for name in rows.POSTS]) \
        + "\nCounted, of *closed*, as of a boot above:\n\n" \
        + table([["disks", *BOOT], *[[name, *[spread(values(results, "post counts", "closed",
                                                           f"{name} {what}")) for what in BOOT]]
                                     for name in rows.POSTS]])


def counts(results, row, numbers, measure, what):
    """A table with a column for each number of disks or guests."""
    return measures(results, ["s", *[f"{count} {what}" for count in numbers]],
                    [(f"{row} {count}", measure) for count in numbers])


def paragraph(text, indent=""):
    """Text in lines of at most 100 characters."""
    return textwrap.fill(text, 100, subsequent_indent=indent, break_on_hyphens=False)


def calls(table_of):
    """How many calls of one sector each kind of disk gets."""
    names = {"closed": "this layer", "ide": "IDE by PIO", "ahci": "DMA and AHCI", "linux": "Linux"}
    return ", ".join(f"{name} {table_of[kind][0]}" for kind, name in names.items())


def text_of(results):
    """The page."""
    import rows
    facts = results["facts"]
    packages = "; ".join(f"{name} {version}" for name, version in facts["packages"].items())
    words = {**facts, **facts["blobs"], "limit": rows.LIMIT,
             "ovmf": paragraph(f"- OVMF: {OVMF}", "  "),
             "packages": paragraph(f"- {packages}.", "  "),
             "profile": paragraph(least_time(results)) if is_complete(results, "profile") else "",
             "calls": paragraph(
                 f"Calls of a row of sequential reads: {calls(rows.SEQUENTIAL)}; of another row: "
                 f"{calls(rows.RANDOM)}; fewer of many sectors.")}
    tables = {
        "goals": goals, "int13": int13, "counts": counted,
        "boot": lambda _: measures(results, ["", *BOOT], [("boot", what) for what in BOOT]),
        "attach": lambda _: measures(results, ["", "oxenstored: ms", "xenstored in C: ms",
                                               "store requests"],
                                     [("attach", what)
                                      for what in ("oxenstored", "xenstored", "requests")]),
        "fills": lambda _: measures(results, ["ms", *rows.FORMS],
                                    [("fills", name) for name in rows.FORMS]),
        "testspeed": lambda _: measures(results, ["", "32 MiB: MiB/s", "small blocks: MiB/s",
                                                  "first to last: s"],
                                        [("testspeed", name)
                                         for name in ("big", "small", "first to last")]),
        "profile": lambda _: measures(results, ["ms", *KINDS], [("profile", kind) for kind in KINDS]),
        "load": loads,
        "twins": twins,
        "network": network,
        "post": post,
        "together": lambda _: counts(results, "together", (1, 4, 8), "all", "guests"),
        "memory": lambda _: measures(results, ["MiB", "of 128", "of 512"],
                                     [("memory 128", "usable"), ("memory 512", "usable")]),
        "end": lambda _: "",
    }
    return {"head": HEAD.format(**words),
            **{name: section.format(**words) + tables[name](results)
               for name, section in SECTIONS.items() if is_complete(results, name)}}


def is_complete(results, section):
    """Whether there are all results of a section."""
    import rows
    names = ROWS_OF.get(section, (section,))
    return all(len(results.get(row.name, {}).get(column.name, {"values": ()})["values"]) > repetition
               for row, column, repetition in rows.jobs() if row.name.startswith(names))


def heading(section):
    """The line that a section begins with."""
    return SECTIONS[section].strip().splitlines()[0]


def parts_of(text):
    """A page's sections: {heading: text}; the part before the first one has none."""
    parts, line = {}, ""
    for piece in text.splitlines(keepends=True):
        if piece.startswith("## "):
            line = piece.strip()
        parts[line] = parts.get(line, "") + piece
    return parts


def write(docs, results):
    """Write the page and the plots, and print the page.

    Where results of some sections are missing, the other ones take their places in the page as it
    is, and say of which day and blob they are.
    """
    path, sections = docs / "benchmarks.md", text_of(results)
    head = sections.pop("head")
    if "goals" in sections:
        plots.write(docs, results, median)
        text = head + "".join(sections.values())
    else:
        old = parts_of(path.read_text())
        note = "\n*Measured on {date}, blob {blobs[closed]}...*\n".format(**results["facts"])
        new = {heading(name): part.lstrip("\n") + note
               for name, part in sections.items() if name != "end"}
        order = ["", *map(heading, SECTIONS)]
        text = "\n".join({**old, **new}[line].rstrip("\n") + "\n" for line in order
                         if line in old or line in new)
    path.write_text(text)
    print(text)
