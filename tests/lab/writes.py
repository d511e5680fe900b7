#!/usr/bin/python3
"""Destroy guests that write, each at a random moment: all that int13 has reported as written is in
the image.

    writes.py [COUNT]

The guest's program is tests/guests/writes.asm, on images and backends of all kinds in turn, in HVM
and in PVH guests. Exit status 1 if a write was lost.
"""

import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "guests")]

import pattern                                  # noqa: E402
from debian import LabError                     # noqa: E402
from lab import BLOB, Lab                       # noqa: E402
from test_twins import Disk, is_known                     # noqa: E402

PVH = BLOB.with_name("seabios-xenpvh.elf")
MIB = 16
KINDS = ("raw phy", "raw qdisk", "qcow2 qdisk", "overlay qdisk", "vhd qdisk")
LIMIT = 120             # seconds from creation to the first write


class Writes:
    """What a guest's lines say: which generations each sector may have now."""

    def __init__(self, lines):
        self.failures = [line for line in lines if line.startswith("FAIL ")]
        self.reported = self.lost = self.unread = 0
        self.sectors = {}
        for line in lines:
            match = re.fullmatch(r"(TRY|WRITE|LOST|UNREAD) (\w{16}) (\w{4}) (\w{2,4})", line)
            if not match:
                continue
            what = match[1]
            lba, count, generation = (int(part, 16) for part in match.groups()[1:])
            if what == "TRY":
                for sector in range(lba, lba + count):
                    self.sectors.setdefault(sector, {0}).add(generation)
            elif what == "WRITE":
                self.sectors.update((sector, {generation}) for sector in range(lba, lba + count))
            self.reported += what == "WRITE"
            self.lost += what == "LOST"
            self.unread += what == "UNREAD"

    def problems(self, path):
        """Which sectors of a raw image are not as they may be: list of text."""
        found = list(self.failures)
        size = pattern.header(path).sectors
        with open(path, "rb") as image:
            image.seek(pattern.DATA * pattern.SECTOR)
            for lba in range(pattern.DATA, size):
                data = image.read(pattern.SECTOR)
                may = self.sectors.get(lba, {0})
                if not any(data == pattern.sector(lba, generation) for generation in may):
                    found.append(f"LBA {lba:#x}: {pattern.describe(data)}, not of generation {may}")
        return found


def destroyed(lab, firmware, kind, image, seconds):
    """Let a guest write to a disk, and destroy it so long after its first write: its Writes, and
    what is wrong with the disk (list of text)."""
    disk = Disk(lab, image, kind)
    guest = lab.create([disk.xl("xvde")], firmware)
    guest.wait_line("^WRITE ", LIMIT)
    time.sleep(seconds)
    guest.destroy()
    guest.wait_end()
    writes = Writes(guest.lines())
    found, raw = disk.export(image.with_suffix(".out"), killed=True)
    return writes, found + (writes.problems(raw) if raw else [])


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    failed = reported = 0
    start = time.monotonic()
    with Lab.start("writes") as lab, tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        subprocess.run(["make", "-s", "-C", HERE.parent / "guests", f"OUT={scratch}"], check=True)
        image = scratch / "disk.base"
        pattern.make(image, scratch / "writes.img", MIB << 11)
        kinds = [kind for kind in KINDS if is_known(lab, kind)]
        for number in range(count):
            kind = kinds[number % len(kinds)]
            firmware = (PVH, BLOB)[number // len(kinds) % 2]
            seconds = random.uniform(0, 2)
            try:
                writes, found = destroyed(lab, firmware, kind, image, seconds)
                reported += writes.reported
            except LabError as error:
                found = [str(error)]
                lab.clean()
            if found:
                failed += 1
                print(f"{kind}, {firmware.name}, destroyed after {seconds:.2f} s:", *found[:8],
                      sep="\n  ")
            if not (number + 1) % 20:
                print(f"{time.monotonic() - start:6.0f} s  {number + 1} guests destroyed, "
                      f"{reported} writes reported, {failed} with losses", flush=True)
    print(f"writes: {count} guests destroyed, {reported} writes reported, {failed} with losses")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
