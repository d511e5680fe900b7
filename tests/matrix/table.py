"""Writes docs/boot-matrix.md out of the results of a run."""

import re
import textwrap

HEAD = """# Boot matrix

Written by `make matrix` on {date}; do not edit. How an OS finds the PV disk that a loader has
booted it from, on a real Xen under QEMU's software emulation.

{labs}
- blkback serves the disk, QEMU the CD. The guest has 256 MiB, the disk xvde and one row the CD
  xvdf: none has an emulated twin.
- Firmware: {bios}, see *Modes*; SHA-256 of the default blob {digest}...

The guest is paused at the first message of its OS, Linux always before its own driver for xenstore
begins. From dom0 we compare with the time before the guest's first instruction: the frontend's
nodes and the backend's state in xenstore, the grants in use, and all event channels with their
pending and mask bits. *Pristine* means that all are equal. Then the guest goes on: Linux has to
mount the disk and to find its test data right, and its log tells whether it had to reset the
frontend.

## What the OS finds

The number counts the attaches of the whole boot up to there, with one for each disk in POST. In
*closed* it can differ by one or two from run to run: a slow machine makes the cache forget earlier.
Empty: this hint does not come, or others of the disk's int13 come after it. `make matrix` fails if
a device is not pristine in *closed*, or in the other modes after a hint that was not left out, and
also if it is pristine without one.

"""

LABS = """
## Other releases and the C xenstored

The same with the Xen, the loaders and the Linux of each Debian release, and with each xenstored.
GRUB legacy is bookworm's in all of them: later packages of that name have no GRUB in them.

"""

MACHINES = """
## Other guests and dom0s

A guest of each kind reads its whole disk of 5 MiB, xvde where no twin is named, compares all data,
and dom0 looks for traces as above.

"""

MODES = """
## Modes

- *closed*: the default, attached only while an int13 runs.
- *sticky* (`CONFIG_XEN_PV_STICKY`): attached until a hint. The hints are the start of the memory
  map (int15 E820 with EBX=0), int15 EC00, the reset of the floppy drive (int13 AH=00 DL=00), 2 s
  without int13, a read of a disk's sector 0 (for this disk), and a few more that no loader here
  needs.
- *no E820*, *no EC00*, *no floppy*, *no idle*, *no sector 0*: *sticky* without this one hint.
- *no hint*: *sticky* without these five. It shows that the test sees a disk that is left attached.
- *pvh*: *closed*, in a PVH guest: `out/seabios-xenpvh.elf`, and no device model.

16-bit code of Linux and Xen reads sector 0 of each disk after all other hints, for its signature:
that is the last int13, so the disk is closed after it. On a CD it reads nothing.

## Time

Attaches, MiB read from the disks, and seconds from the start of the boot sector to the OS's first
message. The seconds are those of an emulated machine that may have had other work to do.

"""

ABSENT = """
## Not run

- FreeBSD, NetBSD, OpenBSD, Windows: not packaged in Debian. The *silent loader* does as the loaders
  of the first three: its last BIOS call is an int13 read, then it is in protected mode.
- LILO: no longer in Debian. It ends as GRUB legacy does, with the reset of the floppy drive and
  Linux's 16-bit code.
- Linux before 3.2, which cannot reset a frontend: no longer in Debian.
- FreeDOS with JEMMEX: no DOS is packaged in Debian. `tests/guests/vm86.asm` calls int13 out of
  virtual-8086 mode as EMM386 and JEMMEX make DOS do (`tests/lab/test_vm86.py`).
- iPXE from the network: `make check-net` (tests/lab/test_network.py, test_netboot.py).
"""

# What may surprise in a row.
NOTES = {
    "GRUB 2 `linux`, Linux":
        "enters the kernel's 32-bit code, which calls no BIOS: the memory map is its only sign. "
        "GRUB asks for it at two moments more, and reads on: three attaches after POST.",
    "GRUB 2 `chainloader`, SYSLINUX, Linux":
        "two attaches more than SYSLINUX alone: GRUB asks for the memory map, too.",
    "ISOLINUX on a PV CD, Linux":
        "two disks, so two attaches in POST; Linux mounts xvde, it does not use PV CDs.",
    "GRUB 2 `linux16`, memtest86+":
        "most of its seconds pass in memtest86+, before its first line on the serial port.",
    "GRUB 2, iPXE `sanboot`, GRUB 2 `linux`, Linux":
        "the same disk is booted twice, and only the second GRUB hands it over.",
    "silent loader":
        "left attached in *sticky*, as it gives no sign; this is why *closed* is the "
        "default.",
    "silent loader, 3 s idle":
        "the same, but it waits before its end as at a prompt; only the idle hint sees that.",
}


def state(cell):
    """A cell of the first table."""
    if cell is None:
        return ""
    if "error" in cell:
        return "failed"
    return f"{'**attached**' if cell['left'] else 'pristine'}, {cell['attaches']}"


def machine(cell):
    """A cell of the table of other guests."""
    if cell is None:
        return ""
    return f"failed: {'; '.join(cell['wrong'])}" if cell["wrong"] else "right, pristine"


def costs(cell):
    """The cells of the second table."""
    if cell is None or "error" in cell:
        return ["–"] * 3
    return [str(cell["attaches"]), str(cell["mib"]), str(cell["seconds"])]


def rows(lines):
    """The text of a table; the first line is its head."""
    lines = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def sums(cells):
    """Sentences on all cells."""
    booted = [cell for cell in cells if "reset" in cell]
    right = [cell for cell in booted if "data right" in cell["disk"]]
    left = {text for cell in cells for text in cell.get("left", ())}
    return paragraph(
        f"In all tables Linux was booted in {len(booted)} cells, and found its test data right in "
        f"{len(right)}. It had to reset the frontend in {sum(bool(cell['reset']) for cell in booted)}"
        f"; the disk was attached in {sum(bool(cell['left']) for cell in booted)}. What differs "
        f"where it is attached: {'; '.join(sorted(left))}.")


def paragraph(text, indent=""):
    """Text in lines of at most 100 characters."""
    return textwrap.fill(text, 100, subsequent_indent=indent, break_on_hyphens=False) + "\n"


def notes(loaders, results):
    """One sentence for each cell that may surprise."""
    text = ""
    for loader in loaders:
        for column, cells in results.items():
            cell = cells.get(loader.name)
            if cell and cell["wrong"]:
                text += paragraph(
                    f"- {loader.name}, {column}: **wrong**: {'; '.join(cell['wrong'])}.", "  ")
        if loader.not_pvh:
            text += paragraph(f"- {loader.name}: not run in PVH: {loader.not_pvh}.", "  ")
        if loader.name in NOTES:
            text += paragraph(f"- {loader.name}: {NOTES[loader.name]}", "  ")
    return text


def pick(loader, results, columns):
    """The cells of a loader in some columns."""
    return [results[column.name].get(loader.name) for column in columns]


def write(path, loaders, results, modes, labs, machines, facts):
    """Write the file; results: {column: {loader: cell}}, machines: {column: {kind: cell}}, facts:
    what HEAD names."""
    cells = [cell for column in results.values() for cell in column.values()]
    kernels = {column: match.group(1) for column, found in results.items()
               for cell in found.values()
               if (match := re.search(r"Linux version (\S+)", cell.get("os", "")))}
    lines = [paragraph(f"- {text}, Linux {kernel}.", "  ")
             for suite, text in facts.pop("labs").items()
             for kernel in {kernels[name] for name in kernels if name.startswith(f"{suite}, ")}]
    first = [["Loader, OS", *(column.mode for column in modes)]]
    first += [[loader.name, *map(state, pick(loader, results, modes))] for loader in loaders]
    other = [["Loader, OS", *(column.name for column in labs)]]
    other += [[loader.name, *map(state, pick(loader, results, labs))] for loader in loaders]
    kinds = [["Guest", *machines]]
    kinds += [[kind, *(machine(cells.get(kind)) for cells in machines.values())]
              for kind in next(iter(machines.values()))]
    second = [["Loader, OS", "closed: attaches", "MiB", "s", "sticky: attaches", "MiB", "s"]]
    for loader in loaders:
        closed, sticky = pick(loader, results, modes)[:2]
        second.append([loader.name, *costs(closed), *costs(sticky)])
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD.format(date=max(cell["date"] for cell in cells),
                                labs="".join(lines).strip(), **facts)
                    + rows(first) + LABS + rows(other) + "\n" + sums(cells) + "\n"
                    + notes(loaders, results) + MACHINES + rows(kinds) + MODES + rows(second)
                    + ABSENT)
