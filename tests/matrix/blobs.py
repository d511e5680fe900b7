"""The BIOS blobs of the matrix: the default one, the sticky one, and that with hints left out."""

import pathlib
import shutil
import tempfile

from debian import Step, command, key
from dom0 import cached

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
SOURCES = ["Makefile", "Kconfig.xen", "configs", "patches", "scripts", "src", "tests/lab/packages"]

# For each hint: the file in src/xen, its text without which it is not taken, and what comes there.
HINTS = {
    "E820": ("handover.c", "(regs->ax == 0xe820 && !regs->ebx)", "0"),
    "EC00": ("handover.c", "regs->ax == 0xec00", "0"),
    "floppy": ("handover.c", "(!regs->ah && !regs->dl)", "0"),
    "idle": ("handover.c", "if (!left)", "if (0)"),
    "sector 0": ("blkfront.c", "xenblk->sticky && todo->sector", "xenblk->sticky"),
}
STICKY = "CONFIG_XEN_PV_STICKY=y"
MODES = {       # name: (settings, hints that are left out)
    "closed": ("", []),
    "sticky": (STICKY, []),
    **{f"no {hint}": (STICKY, [hint]) for hint in HINTS},
    "no hint": (STICKY, list(HINTS)),
    "pvh": ("", []),        # the firmware of PVH guests, closed
}


def sources():
    """The files that a blob is built from."""
    places = [PROJECT / name for name in SOURCES]
    return sorted(file for place in places for file in [place, *place.rglob("*")]
                  if file.is_file())


def leave_out(hints, layer):
    """Put the files of a copy of src/xen there as they are without some hints."""
    texts = {file: (PROJECT / "src/xen" / file).read_text() for file, _, _ in HINTS.values()}
    for file, old, new in map(HINTS.get, hints):
        if texts[file].count(old) != 1:
            raise ValueError(f"{file}: {old!r} is there {texts[file].count(old)} times, not once")
        texts[file] = texts[file].replace(old, new)
    for file, text in texts.items():
        (layer / file).write_text(text)


def build(directory):
    """Build the firmware of all modes: directory/MODE.bin."""
    with tempfile.TemporaryDirectory() as name:
        tree = pathlib.Path(name)
        for file in sources():
            copy = tree / file.relative_to(PROJECT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        for mode, (settings, hints) in MODES.items():
            with Step(f"blob: {mode}", 15):
                leave_out(hints, tree / "src/xen")
                command(["env", "-u", "MAKEFLAGS", "make", "-s", f"SETTINGS={settings}"], cwd=tree)
                name = "seabios-xenpvh.elf" if mode == "pvh" else "bios-xenpv.bin"
                shutil.copy(tree / "out" / name, directory / f"{mode}.bin")


def recorder(directory):
    """A blob that says each int13 of a PV disk, in directory."""
    command(["env", "-u", "MAKEFLAGS", "make", "-s", f"OUT={directory}",
             "SETTINGS=CONFIG_DEBUG_LEVEL=5"], cwd=PROJECT)
    return directory / "bios-xenpv.bin"


def blobs():
    """{mode: blob}"""
    where = cached("blobs", key(HERE / "blobs.py", *sources()), build)
    return {mode: where / f"{mode}.bin" for mode in MODES}
