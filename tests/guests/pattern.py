#!/usr/bin/python3
"""Disk images for the guest programs: make them, check them, change them.

A guest program fills sectors 0 to 63; sector 1 is a header that this module
writes. The sectors from 64 on, and the last 128 of the disk, carry a pattern:
head (LBA, generation, magic), 480 bytes out of a pseudo-random table, head again.
Generation 0 is what `make` writes; a guest tells its writes as lines
`WRITE lba count generation` (hex), which `writes` reads and `verify` expects.

Needs nothing but Python, so that it also runs in dom0:
    pattern.py make IMAGE PROGRAM --mib 32 [--label a]
    pattern.py verify IMAGE [TRANSCRIPT]
"""

import argparse
import collections
import re
import struct
import sys
import zlib

SECTOR = 512
DATA = 64           # the first patterned sector
TAIL = 128          # patterned sectors at the end of the disk
SCRATCH = 2048      # sectors that a guest may write
MAGIC = b'PATT'
HEADER = struct.Struct('<8sQIIIIII16s')

Header = collections.namedtuple(
    'Header', 'magic sectors patterned scratch delay_ms bench_calls bench_sectors crc label')


def _table():
    x, table = 1, bytearray()
    for _ in range(4096 + 480):
        x = (x * 1664525 + 1013904223) & 0xffffffff
        table.append(x >> 24)
    return bytes(table)


TABLE = _table()


def sector(lba, generation=0):
    """The 512 bytes of a patterned sector."""
    head = struct.pack('<QI', lba, generation) + MAGIC
    start = (lba * 37 + generation * 1009) & 4095
    return head + TABLE[start:start + 480] + head


def describe(data):
    """What a sector's content is, in words."""
    lba, generation = struct.unpack_from('<QI', data)
    if data == sector(lba, generation):
        return f'sector {lba:#x} of generation {generation}'
    if not any(data):
        return 'zeros'
    return data[:16].hex()


def _crc(first):
    """CRC-32 of the first 64 sectors without the header."""
    return zlib.crc32(first[:SECTOR] + first[2 * SECTOR:])


def make(path, program, sectors, *, patterned=None, label='', delay_ms=2000,
         bench_calls=128, bench_sectors=1536):
    """Make the image `path` of `sectors` sectors with the guest program file `program`.

    patterned: the pattern ends in front of this sector (default: the disk's end); the rest
    but the last 128 sectors is a hole. delay_ms is for `steps`; bench_calls and
    bench_sectors limit each row of `bench`. Returns the Header.
    """
    patterned = sectors if patterned is None else min(patterned, sectors)
    if patterned - DATA < 4 * SCRATCH or patterned >= 1 << 31:
        raise ValueError(f'{patterned} patterned sectors: at least 4.1 MiB, less than 1 TiB')
    with open(program, 'rb') as f:
        first = bytearray(f.read())
    if len(first) != DATA * SECTOR:
        raise ValueError(f'{program}: {len(first)} bytes, not {DATA * SECTOR}')
    # An odd place for the scratch sectors, so that they share cache lines and pages with others.
    header = Header(b'INT13IMG', sectors, patterned, patterned // 2 | 1, delay_ms, bench_calls,
                    bench_sectors, _crc(first), label.encode()[:15])
    first[SECTOR:SECTOR + HEADER.size] = HEADER.pack(*header)
    with open(path, 'wb') as f:
        f.truncate(sectors * SECTOR)
        f.write(first)
        _write(f, DATA, patterned - DATA)
        tail = max(patterned, sectors - TAIL)
        _write(f, tail, sectors - tail)
    return header


def _write(f, lba, count, generation=0):
    f.seek(lba * SECTOR)
    for part in range(lba, lba + count, 2048):
        f.write(b''.join(sector(n, generation)
                         for n in range(part, min(part + 2048, lba + count))))


def header(path):
    """The Header of an image."""
    with open(path, 'rb') as f:
        f.seek(SECTOR)
        return Header(*HEADER.unpack(f.read(HEADER.size)))


def change(path, lba, count, generation):
    """Give `count` sectors from `lba` on the pattern of another generation."""
    with open(path, 'r+b') as f:
        _write(f, lba, count, generation)


def writes(lines):
    """The (lba, count, generation) of the WRITE lines in a transcript (any prefix is allowed)."""
    found = (re.search(r'WRITE ([0-9a-f]{16}) ([0-9a-f]{4}) ([0-9a-f]{4})\b', line)
             for line in lines)
    return [tuple(int(part, 16) for part in match.groups()) for match in found if match]


def verify(path, written=()):
    """Compare an image with what `make` and the writes (lba, count, generation) put into it.

    Returns a list of differences in words, empty if there is none.
    """
    generations = {}
    for lba, count, generation in written:
        generations.update((n, generation) for n in range(lba, lba + count))
    head = header(path)
    problems = []
    with open(path, 'rb') as f:
        if _crc(f.read(DATA * SECTOR)) != head.crc:
            problems.append('sectors 0 to 63: not what was written')
        tail = max(head.patterned, head.sectors - TAIL)
        for begin, end in (DATA, head.patterned), (tail, head.sectors):
            f.seek(begin * SECTOR)
            for lba in range(begin, end):
                data = f.read(SECTOR)
                generation = generations.get(lba, 0)
                if data != sector(lba, generation):
                    problems.append(f'sector {lba:#x}: generation {generation} expected, '
                                    f'{describe(data)} found')
    return problems


def main():
    parser = argparse.ArgumentParser(description='Disk images for the guest programs.')
    commands = parser.add_subparsers(dest='command', required=True)
    command = commands.add_parser('make', help='make an image')
    command.add_argument('image')
    command.add_argument('program')
    command.add_argument('--mib', type=int, default=32)
    command.add_argument('--label', default='')
    command = commands.add_parser('verify', help='check an image')
    command.add_argument('image')
    command.add_argument('transcript', nargs='?', help='what the guest printed (its WRITE lines)')
    args = parser.parse_args()
    if args.command == 'make':
        make(args.image, args.program, args.mib << 11, label=args.label)
        return
    written = []
    if args.transcript:
        with open(args.transcript, errors='replace') as f:
            written = writes(f)
    problems = verify(args.image, written)
    for problem in problems[:20]:
        print(problem)
    print(f'{len(problems)} differences, {len(written)} writes')
    sys.exit(bool(problems))


if __name__ == '__main__':
    main()
