"""Scripts of disk operations that a guest carries out, and a model of what it has to see.

    script = Script()
    script.read(0x80, 1000, 8)
    script.write(0x80, 1000)
    script.port_read(0, 1000)
    image = script.image(path, programs, mib=64, label="a")
    model = Model(image)
    ...                                 # boot it
    assert problems(script, Log(guest.lines()), {0x80: model}, {0: model}) == []
    assert model.differences(data) == []

The guest's program is tests/guests/script.asm. A write puts down a generation of the pattern
(pattern.py) that no other write of the script has.
"""

import itertools
import re
import struct

import pattern

# Operations; names are those of script.asm
READ, WRITE, READ_CHS, WRITE_CHS, PORT_READ, PORT_WRITE, PORT_READ_DMA, PORT_WRITE_DMA, \
    PORT_FLUSH, WAIT, KEY, PARAMETERS, RESET, EJECT = range(1, 15)
RECORD = struct.Struct("<BBHIHHBBH")
READS = {READ, READ_CHS, PORT_READ, PORT_READ_DMA}
WRITES = {WRITE, WRITE_CHS, PORT_WRITE, PORT_WRITE_DMA}
PORTS = {PORT_READ, PORT_WRITE, PORT_READ_DMA, PORT_WRITE_DMA, PORT_FLUSH}
QUIET = 1
FIRST_CD = 0xe0
TABLE = 16 * pattern.SECTOR             # where script.asm has its table
TICK = 0.055


class Operation:
    """One record of the table."""

    def __init__(self, code, drive=0, lba=0, count=1, generation=0, repeat=1, drives=1, quiet=False,
                 step=0):
        self.code, self.drive, self.lba, self.count = code, drive, lba, count
        self.generation, self.repeat, self.drives = generation, repeat, drives
        self.quiet, self.step = quiet, step

    def record(self):
        """Its 16 bytes."""
        return RECORD.pack(self.code, self.drive, self.count, self.lba, self.generation,
                           self.repeat, self.drives, QUIET * self.quiet, self.step)

    def calls(self):
        """The (drive, first sector of 512 bytes, sectors) of each call."""
        unit = 4 if self.drive >= FIRST_CD else 1
        for number in range(self.repeat):
            lba = self.lba + number * (self.step or self.count)
            for drive in range(self.drive, self.drive + self.drives):
                yield drive, lba * unit, self.count * unit

    def __str__(self):
        names = ("", "read", "write", "CHS read", "CHS write", "PIO read", "PIO write", "DMA read",
                 "DMA write", "flush", "wait", "key", "parameters", "reset", "eject")
        return f"{names[self.code]} of {self.drive:02x}, {self.count} from LBA {self.lba:#x}"


class Script:
    """A list of operations. Each method appends one and returns its number."""

    def __init__(self):
        self.operations = []
        self.generations = itertools.count(1)

    def add(self, code, *arguments, **options):
        """Append an operation; see Operation."""
        self.operations.append(Operation(code, *arguments, **options))
        return len(self.operations) - 1

    def read(self, drive, lba, count=1, chs=False, **options):
        """Read by int13, AH=42 or AH=02."""
        return self.add(READ_CHS if chs else READ, drive, lba, count, **options)

    def write(self, drive, lba, count=1, chs=False, **options):
        """Write the next generation by int13, AH=43 or AH=03."""
        return self.add(WRITE_CHS if chs else WRITE, drive, lba, count, next(self.generations),
                        **options)

    def port_read(self, unit, lba, count=1, dma=False, **options):
        """Read by the ports of IDE disk 0 to 3."""
        return self.add(PORT_READ_DMA if dma else PORT_READ, unit, lba, count, **options)

    def port_write(self, unit, lba, count=1, dma=False, **options):
        """Write the next generation by the ports of an IDE disk, and flush its cache."""
        number = self.add(PORT_WRITE_DMA if dma else PORT_WRITE, unit, lba, count,
                          next(self.generations), **options)
        self.add(PORT_FLUSH, unit)
        return number

    def wait(self, seconds):
        """Do nothing for so long."""
        return self.add(WAIT, count=round(seconds / TICK))

    def key(self):
        """Wait until Enter is pressed (see press())."""
        return self.add(KEY)

    def parameters(self, drive):
        """Ask for all that int13 says about a drive."""
        return self.add(PARAMETERS, drive)

    def reset(self, drive):
        """Reset a drive by AH=00."""
        return self.add(RESET, drive)

    def image(self, path, programs, mib=16, sectors=None, **settings):
        """Make a disk image that carries out the script; settings: see pattern.make()."""
        table = b"".join(operation.record() for operation in self.operations)
        program = (programs / "script.img").read_bytes()
        assert len(table) < len(program) - TABLE, "too many operations"
        file = path.with_suffix(".program")
        file.write_bytes((program[:TABLE] + table).ljust(len(program), b"\0"))
        pattern.make(path, file, sectors or mib << 11, **settings)
        file.unlink()
        return path


class Result:
    """What came of an operation: ah and bad as in script.asm, saw = [(lba, sectors, what)]."""

    def __init__(self):
        self.ah = self.bad = None
        self.saw = []


class Log:
    """What a guest with a script has printed."""

    def __init__(self, lines):
        self.lines = lines
        self.results = {}
        for line in lines:
            if match := re.fullmatch(r"SAW (\w{4}) (\w{8}) (\w{4}) ([gh]\w+)", line):
                number, lba, count = (int(part, 16) for part in match.groups()[:3])
                self[number].saw.append((lba, count, match[4]))
            elif match := re.fullmatch(r"OP (\w{4}) ah=(\w\w) bad=(\w{4})", line):
                number, ah, bad = (int(part, 16) for part in match.groups())
                self[number].ah, self[number].bad = ah, bad

    def __getitem__(self, number):
        return self.results.setdefault(number, Result())

    def failures(self):
        """What the program found wrong with a call itself."""
        return [line for line in self.lines if line.startswith(("FAIL ", "TEST FAIL"))]

    def parameters(self, drive):
        """All that int13 said about a drive, but where its DPTE is: list of text."""
        return [re.sub(r"^(P48 \w\w 18 \w{4})\w{8}", r"\1........", line)
                for line in self.lines
                if re.match(rf"(P[0-9a-f]{{2}}|DPTE) {drive:02x} ", line)]


def checksum(data):
    """That of script.asm for a sector."""
    total = 0
    for word, in struct.iter_unpack("<I", data):
        total = ((total << 5 | total >> 27) + word) & 0xffffffff
    return total


def what_is(lba, data):
    """What script.asm calls a sector with this content."""
    lba_seen, generation = struct.unpack_from("<QI", data)
    if lba_seen == lba and generation < 1 << 16 and data == pattern.sector(lba, generation):
        return f"g{generation:04x}"
    return f"h{checksum(data):08x}"


class Model:
    """What a disk holds: the content of a raw image when the model is made, and writes."""

    def __init__(self, path):
        self.base = open(path, "rb")    # pylint: disable=consider-using-with
        self.written = {}

    def __getitem__(self, lba):
        if lba in self.written:
            return f"g{self.written[lba]:04x}"
        self.base.seek(lba * pattern.SECTOR)
        return what_is(lba, self.base.read(pattern.SECTOR).ljust(pattern.SECTOR, b"\0"))

    def write(self, lba, count, generation):
        """Put down a generation of the pattern."""
        self.written.update(dict.fromkeys(range(lba, lba + count), generation))

    def differences(self, path):
        """Where the raw image at path is not as it has to be: list of text."""
        found = []
        size = 1 << 20
        self.base.seek(0)
        with open(path, "rb") as image:
            for start in itertools.count(0, size // pattern.SECTOR):
                wanted, seen = self.base.read(size), image.read(size)
                if not wanted:
                    return found
                if wanted == seen and not self.written.keys() & range(
                        start, start + size // pattern.SECTOR):
                    continue
                place = self.base.tell()
                for lba in range(start, start + len(wanted) // pattern.SECTOR):
                    offset = (lba - start) * pattern.SECTOR
                    is_there = what_is(lba, seen[offset:offset + pattern.SECTOR].ljust(
                        pattern.SECTOR, b"\0"))
                    if self[lba] != is_there:
                        found.append(f"LBA {lba:#x}: {is_there}, not {self[lba]}")
                self.base.seek(place)


def problems(script, log, drives, units=None, failed=()):
    """Replay a script on models and compare with what a guest has seen: list of text.

    drives: {BIOS number: Model}, units: {IDE disk: Model}; failed: numbers of operations of which
    each call has to fail and so must not have changed anything.
    """
    found = log.failures()
    for number, operation in enumerate(script.operations):
        result = log[number]
        if result.ah is None:
            found.append(f"operation {number:#x}, {operation}: not done")
            break
        if (number in failed) != bool(result.bad):
            found.append(f"operation {number:#x}, {operation}: AH={result.ah:02x}, "
                         f"{result.bad} of {operation.repeat * operation.drives} calls failed")
            continue
        models = units if operation.code in PORTS else drives
        if operation.code in WRITES and number not in failed:
            for drive, lba, count in operation.calls():
                models[drive].write(lba, count, operation.generation)
        elif operation.code in READS and number not in failed:
            found += [f"operation {number:#x}, {operation}: {text}"
                      for text in compare(operation, result, models)]
    return found


def compare(operation, result, models):
    """What a read has seen, and what it had to see: list of differences."""
    seen = [(lba + number, what) for lba, count, what in result.saw for number in range(count)]
    wanted = [(lba + number, models[drive][lba + number])
              for drive, lba, count in operation.calls() for number in range(count)]
    if operation.quiet:
        wanted = [pair for pair in wanted if pair[1] != f"g{operation.generation:04x}"]
    if len(seen) != len(wanted):
        return [f"saw {seen[:8]}, not {wanted[:8]}"]
    return [f"LBA {lba:#x} was {what}, not {right}"
            for (lba, what), (_, right) in zip(seen, wanted) if (lba, what) != (_, right)][:8]


def press(guest, number):
    """Wait until the guest is at the key of operation `number`, and press it."""
    guest.wait_line(f"^KEY {number:04x}$", 120)
    guest.press("ret")
