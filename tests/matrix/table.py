"""Writes docs/boot-matrix.md out of the results of a run."""

import re

HEAD = """# Boot matrix

Written by `make matrix` on {date}; do not edit. How an OS finds the PV disk that a loader has
booted it from, on a real Xen under QEMU's software emulation.

- Xen {xen}, Linux {dom0} in dom0, oxenstored. The disk is served by blkback, the CD by QEMU.
- The guest has 256 MiB, the disk xvde and one row the CD xvdf: none has an emulated twin.
- Firmware: {bios}, see *Modes*.
- Loaders and OSes are Debian's: Linux {linux}, {packages}.

The guest is paused at the first message of its OS, Linux always before its own driver for xenstore
begins. From dom0 we compare with the time before the guest's first instruction: the frontend's
nodes and the backend's state in xenstore, the grants in use, and all event channels with their
pending and mask bits. *Pristine* means that all are equal. Then the guest goes on: Linux has to
mount the disk and to find its test data right, and its log tells whether it had to reset the
frontend.

## What the OS finds

The number counts the attaches of the whole boot up to there, with one for each disk in POST.
Empty: the loader does not give this hint, so leaving it out changes nothing.

"""

MODES = """
## Modes

- *closed*: the default, attached only while an int13 runs.
- *sticky* (`CONFIG_XEN_PV_STICKY`): attached until a hint. The hints are the start of the memory
  map (int15 E820 with EBX=0), int15 EC00, the reset of the floppy drive (int13 AH=00 DL=00), 2 s
  without int13, and a few more that no loader here needs.
- *no E820*, *no EC00*, *no floppy*, *no idle*: *sticky* without this one hint.
- *no hint*: *sticky* without these four. It shows that the test sees a disk that is left attached.

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
- iPXE from the network and its own driver for Xen's network: the lab's guests have no network.
"""

NOTES = {
    "silent loader":
        "left attached in every sticky mode, as it gives no sign; this is why *closed* is the "
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


def costs(cell):
    """The cells of the second table."""
    if cell is None or "error" in cell:
        return ["–"] * 3
    return [str(cell["attaches"]), str(cell["mib"]), str(cell["seconds"])]


def rows(lines):
    """The text of a table; the first line is its head."""
    lines = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def linux_says(results):
    """A sentence on the resets of the frontend."""
    booted = [cell for cell in results.values() if "reset" in cell]
    reset = [cell for cell in booted if cell["reset"]]
    left = sum(bool(cell["left"]) for cell in booted)
    return (f"Linux was booted in {len(booted)} cells and found its test data in "
            f"{sum('data right' in cell['disk'] for cell in booted)}. {left} of them left the disk "
            f"attached, and in {len(reset)} Linux reset the frontend.\n")


def notes(loaders, results, modes):
    """One sentence for each cell that may surprise."""
    text = ""
    for loader in loaders:
        for mode in modes:
            cell = results.get(f"{mode}: {loader.name}")
            if cell and cell["wrong"]:
                text += f"- {loader.name}, {mode}: **wrong**: {'; '.join(cell['wrong'])}.\n"
        if loader.name in NOTES:
            text += f"- {loader.name}: {NOTES[loader.name]}\n"
    return text


def write(path, loaders, results, modes, facts):
    """Write the file; results: {"MODE: LOADER": cell}, facts: what HEAD names."""
    by_mode = [[results.get(f"{mode}: {loader.name}") for mode in modes] for loader in loaders]
    linux = next(match.group(1) for cell in results.values()
                 if (match := re.search(r"Linux version (\S+)", cell.get("os", ""))))
    date = max(cell["date"] for cell in results.values())
    first = [["Loader, OS", *modes]]
    first += [[loader.name, *map(state, cells)] for loader, cells in zip(loaders, by_mode)]
    second = [["Loader, OS", "closed: attaches", "MiB", "s", "sticky: attaches", "MiB", "s"]]
    second += [[loader.name, *costs(cells[0]), *costs(cells[1])]
               for loader, cells in zip(loaders, by_mode)]
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD.format(date=date, linux=linux, **facts) + rows(first) + "\n" +
                    linux_says(results) + "\n" + notes(loaders, results, modes) +
                    MODES + rows(second) + ABSENT)
