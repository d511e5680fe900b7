"""Calls of int13 in every form that SeaBIOS handles, for the guest program calls.asm, and the
comparison of what they did on one kind of disk with what they did on another.

    disk = image(path, programs)                # boot it, take its lines
    differences(lines, others)                  # of two runs

The same table is run on all kinds of disks; a difference of the lines or, afterwards, of the images
is one of the kinds of disks, as neither table nor image has anything random in it.
"""

import random
import re
import struct

import pattern

RECORD = struct.Struct("<6HHHHHHBBBx24s")
TABLE = 12 * pattern.SECTOR             # where calls.asm has its table
# Of the disk. One of 20 MiB has 64 sectors to a track on LSI, which AH=08 tells as 0: of a disk of less
# than 32 MiB whose size is a multiple of QEMU's heads and cylinders SeaBIOS believes these.
SECTORS = (20 << 11) + 8
HEADS, TRACK = 16, 63                   # its geometry, as the partition table has it
IF, DF, CF = 0x200, 0x400, 1
AX, BX, CX, DX = range(4)               # targets of a step
PACKET = 0x80                           # the same, with an offset in the packet
BUFFER = 0x3000, 0x0200                 # segment, offset
PACKET_BUFFER, PACKET_LBA = PACKET + 4, PACKET + 8


def call(ax, bx=BUFFER[1], cx=1, dx=0x80, si=0x1000, di=0x5d1d, ds=0x2000, es=BUFFER[0], flags=IF,
         repeat=1, step=0, target=AX, packet=b"", lines=0):     # pylint: disable=too-many-arguments
    """A record of calls.asm."""
    return RECORD.pack(ax, bx, cx, dx, si, di, ds, es, flags, repeat, step & 0xffff, target,
                       len(packet), lines, packet)


def packet(lba=64, count=1, segment=BUFFER[0], offset=BUFFER[1], size=16, reserved=0, flat=b""):
    """A disk address packet, see EDD-3, 4.2."""
    return struct.pack("<BBHHHQ", size, reserved, count, offset, segment, lba & (1 << 64) - 1) + flat


def by_number(dx):
    """Calls that need no data: all functions, of the drive DX."""
    for al in 0, 1, 0xff:
        first = 0x06 if al else 0       # AH=03 and 05 are told apart below
        yield call(first << 8 | al, dx=dx, repeat=0x40 - first, step=0x100)
        yield call(0x4400 | al, dx=dx, repeat=0xbc, step=0x100, packet=packet(size=0x1a))
    yield call(0x4500, dx=dx, repeat=8, step=1)
    yield call(0x4e00, dx=dx, repeat=8, step=1)
    yield call(0x4100, 0x55aa, dx=dx)
    yield call(0x4100, 0xaa55, dx=dx)
    yield call(0x4800, dx=dx, packet=b"\0\0", repeat=75, step=1, target=PACKET, lines=4)


def by_chs(ah, dx):
    """Transfers by CHS: counts, and places at the edges of the geometry."""
    for al in 0, 1, 2, 7, 8, 9, 62, 63, 64, 126, 127, 128, 129, 192, 254, 255:
        yield call(ah << 8 | al, cx=0x0203, dx=0x100 | dx)
    yield call(ah << 8 | 1, cx=0, dx=dx, repeat=66, step=1, target=CX)
    for first, number, step in (0, 0x30, 1), (0x30, 16, 13):
        yield call(ah << 8 | 1, cx=5, dx=first << 8 | dx, repeat=number, step=step << 8, target=DX)
        yield call(ah << 8 | 1, cx=first << 8 | 7, dx=dx, repeat=number, step=step << 8, target=CX)
    for cx in 0x0041, 0x0081, 0x00c1, 0x2641, 0x2781, 0xffff:
        yield call(ah << 8 | 1, cx=cx, dx=dx)
    end = SECTORS // (HEADS * TRACK)
    for cylinder in end - 2, end - 1, end:
        for al in 1, 2, 64, 128:
            yield call(ah << 8 | al, cx=cylinder << 8 | TRACK, dx=(HEADS - 1) << 8 | dx)


def by_packet(ah, dx, sectors):
    """Transfers by packet: counts, numbers at the disk's end and far behind it, bad packets."""
    ax = ah << 8
    for count in 0, 1, 2, 8, 63, 127, 128, 129, 255, 256, 0x7fff, 0x8001, 0xffff:
        yield call(ax, dx=dx, packet=packet(200, count))
    for count in 1, 2, 127, 128:
        yield call(ax, dx=dx, packet=packet(sectors - 3, count), repeat=6, step=1,
                   target=PACKET_LBA)
    for lba in (1 << 28) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 64, 1 << 48, 1 << 55, \
            1 << 63, -64, -1:
        for count in 0, 1, 128:
            yield call(ax, dx=dx, packet=packet(lba, count))
    yield call(ax, dx=dx, packet=packet(300, size=0), repeat=34, step=1, target=PACKET)
    yield call(ax, dx=dx, packet=packet(300, reserved=0xff))
    # the form with a 64-bit flat address
    for size in 0x10, 0x18:
        yield call(ax, dx=dx, packet=packet(310, 1, 0xffff, 0xffff, size,
                                            flat=struct.pack("<Q", 0x38000)))
    yield call(ax, dx=dx, packet=packet(320), ds=0x1fff, si=0x0ff1)
    # what was written across the end is a matter of the drive: from here on it is not
    yield call(0x4300, dx=dx, packet=packet(sectors - 128, 128))


def by_buffer(dx):
    """Reads and writes with buffers of each alignment, and across the ends of segments."""
    for ah in 2, 3:
        yield call(ah << 8 | 3, 0x01f8, 0x0407, dx, repeat=24, step=1, target=BX)
        yield call(ah << 8 | 2, 0xfc00, 0x0507, dx, repeat=17, step=0x3d, target=BX)
        yield call(ah << 8 | 1, 0xfdfc, 0x0507, dx, repeat=10, step=1, target=BX)
        for bx in 0xff00, 0xffff:
            yield call(ah << 8 | 128, bx, 0x0601, dx, es=0x2fff)
    for ah in 0x42, 0x43:
        yield call(ah << 8, dx=dx, packet=packet(5000, 3, offset=0x1f8), repeat=24, step=1,
                   target=PACKET_BUFFER)
        yield call(ah << 8, dx=dx, packet=packet(5100, 2, offset=0xfc00), repeat=17, step=0x3d,
                   target=PACKET_BUFFER)
        for offset in 0xfdff, 0xfe01, 0xff00, 0xffff:
            yield call(ah << 8, dx=dx, packet=packet(5200, 128, 0x2fff, offset))


def by_caller(dx):
    """Callers with other flags."""
    for flags in 0, IF, DF, IF | DF | CF:
        for ax in 0x0000, 0x0100, 0x0201, 0x0301, 0x0800, 0x1500:
            yield call(ax, cx=0x0809, dx=dx, flags=flags)
        for ah in 0x42, 0x43, 0x44, 0x47:
            yield call(ah << 8, dx=dx, flags=flags, packet=packet(6000, 5))


def at_random(dx, sectors, number, seed):
    """Transfers that a seeded generator makes, most of them on the disk."""
    choose = random.Random(seed)
    for _ in range(number):
        ah = choose.choice((2, 3, 4, 0x42, 0x43, 0x44, 0x47))
        segment, offset = choose.randrange(0x2000, 0x4000), choose.randrange(0x10000)
        count = choose.choice((choose.randrange(1, 20), choose.randrange(130), 128))
        if ah < 0x40:
            yield call(ah << 8 | count, offset, choose.randrange(0x2900) & ~0xc0 | choose.randrange(
                1, 63), choose.randrange(HEADS) << 8 | dx, es=segment)
        else:
            lba = choose.choice((choose.randrange(sectors - 128), sectors - count,
                                 choose.randrange(256)))
            # The packet is in front of all buffers, so that a read does not go over it.
            yield call(ah << 8, dx=dx, ds=0x1f00, si=0x0100,
                       packet=packet(lba, count, segment, offset))


def table(sectors=SECTORS, dx=0x80):
    """All records for a hard disk of so many sectors."""
    return b"".join((
        *by_number(dx), *by_number(0x9f), *by_buffer(dx), *by_caller(dx),
        *(record for ah in (2, 3, 4, 5) for record in by_chs(ah, dx)),
        *(record for ah in (0x42, 0x43, 0x44, 0x47) for record in by_packet(ah, dx, sectors)),
        *at_random(dx, sectors, 80, 1)))


def image(path, programs):
    """Make the disk image of `SECTORS` sectors that makes the calls; returns its path."""
    program = (programs / "calls.img").read_bytes()
    records = table()
    assert len(records) < len(program) - TABLE, "too many records"
    file = path.with_suffix(".program")
    file.write_bytes((program[:TABLE] + records).ljust(len(program), b"\0"))
    pattern.make(path, file, SECTORS)
    file.unlink()
    cylinders = SECTORS // (HEADS * TRACK)
    with open(path, "r+b") as disk:
        disk.seek(446)                  # one partition of all whole cylinders but the first track
        disk.write(struct.pack("<8BII", 0x80, 1, 1, 0, 6, HEADS - 1, TRACK | cylinders - 1 >> 8 << 6,
                               cylinders - 1 & 255, TRACK, cylinders * HEADS * TRACK - TRACK))
    return path


def results(lines, physical):
    """What a run has printed of its calls, as far as it has to be the same on all kinds of drives:
    {call in words: text}.

    Three things are a drive's own. How much is moved of a transfer across the disk's end, all of which
    AH tells to have failed. What AH=48 says behind byte 26, of the bus that the disk is on, with how
    long it is therefore. And, if not `physical`, the geometry that AH=48 tells: SeaBIOS asks a SCSI
    disk for it, and has none if the disk's size is not a multiple of the answer.
    """
    records = list(RECORD.iter_unpack(table()))
    named, name = {}, ""
    for line in lines:
        if match := re.fullmatch(r"C (\w{4}) (\w{4}) (.*) (\w{8})", line):
            number, repetition, registers, memory = match.groups()
            record = records[int(number, 16)]
            name, count = f"{number}: {in_words(record)}, {int(repetition, 16)} steps on", 0
            room = record[0] == 0x4800 and int(repetition, 16)
            own = room >= 30 or is_across_the_end(record, int(repetition, 16)) \
                or not physical and is_ah_48(record, int(repetition, 16))
            named[name] = registers if own else f"{registers} {memory}"
        elif match := re.fullmatch(r"D \w{4} (\w+)", line):
            text = match[1]
            if room >= 30:              # 26 bytes of the result but its size
                text = ["0000" + text[4:], text[:4], "", ""][count]
            if not physical and count == 0:     # the flags, cylinders, heads, sectors of a track
                text = text[:4] + text[32:]
            named[f"{name}, line {count}"] = text
            count += 1
    return named


def is_across_the_end(record, repetition):
    """Whether a call begins on the disk and ends behind it."""
    ax, target, address = record[0], record[11], record[14]
    if ax >> 8 not in (0x42, 0x43) or not address:
        return False
    _, _, count, _, _, lba = struct.unpack("<BBHHHQ", address[:16])
    lba += repetition * (target == PACKET_LBA)
    return lba < SECTORS < lba + count <= SECTORS + 128


def is_ah_48(record, repetition):
    """Whether a call asks for the drive's parameters."""
    ax, step, target = record[0], record[10], record[11]
    return ax + repetition * step * (target == AX) >> 8 == 0x48


def in_words(record):
    """A record for a reader."""
    ax, bx, cx, dx, si, _, ds, es, flags, _, step, target, length, _, address = record
    words = f"AX={ax:04x} BX={bx:04x} CX={cx:04x} DX={dx:04x} ES={es:04x} flags={flags:04x}"
    if length:
        words += f" DS:SI={ds:04x}:{si:04x} packet={address[:length].hex()}"
    if step:
        what = f"packet+{target - PACKET}" if target >= PACKET else "ABCD"[target] + "X"
        words += f", {what} by {step:#x}"
    return words


def differences(lines, others, physical=True):
    """Where two runs differ: list of text. See results() for `physical`."""
    ours, theirs = results(lines, physical), results(others, physical)
    assert ours.keys() == theirs.keys() and ours
    return [f"{name}: {text}, not {theirs[name]}" for name, text in ours.items()
            if text != theirs[name]]
