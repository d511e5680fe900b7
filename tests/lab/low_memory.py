"""Runs in dom0: press keys in a guest without a keyboard, or show its text screen.

    python3 - DOMID key NAME... <low_memory.py
    python3 - DOMID screen <low_memory.py

A PVH guest has no device model. Its BIOS takes keys from the buffer in its data area, and its
screen is plain memory.
"""

import ctypes
import struct
import sys

PAGE = 4096
READ, WRITE = 1, 2              # PROT_*
BDA = 0x400
HEAD, TAIL, BEGIN, END = 0x41a, 0x41c, 0x480, 0x482     # of the ring of keys
CODES = {"spc": 0x3920, "ret": 0x1c0d, "esc": 0x011b, "down": 0x5000, "tab": 0x0f09,
         "f5": 0x3f00}

memory = ctypes.CDLL("libxenforeignmemory.so.1", use_errno=True)
pointer = ctypes.c_void_p
for name in ("open", "map"):
    getattr(memory, f"xenforeignmemory_{name}").restype = pointer


def page(domid, frame, access):
    """A page of a guest's memory, to read or write."""
    handle = pointer(memory.xenforeignmemory_open(None, 0))
    frames = (ctypes.c_ulong * 1)(frame)
    address = memory.xenforeignmemory_map(
        handle, ctypes.c_uint32(domid), access, ctypes.c_size_t(1), frames, None)
    if not address:
        sys.exit(f"cannot map frame {frame:#x} of domain {domid} (errno {ctypes.get_errno()})")
    return (ctypes.c_ubyte * PAGE).from_address(address)


def press(domid, names):
    """Put keys into the ring."""
    low = page(domid, 0, READ | WRITE)
    begin, end = (struct.unpack_from("<H", low, place)[0] for place in (BEGIN, END))
    for key in names:
        code = CODES.get(key) or ord(key)
        tail, = struct.unpack_from("<H", low, TAIL)
        after = tail + 2 if tail + 2 < end else begin
        if after == struct.unpack_from("<H", low, HEAD)[0]:
            sys.exit("the keyboard buffer is full")
        struct.pack_into("<H", low, BDA + tail, code)
        struct.pack_into("<H", low, TAIL, after)


def screen(domid):
    """The text of the screen, without the blanks at the ends of lines."""
    content = bytes(page(domid, 0xb8, READ))
    for row in range(25):
        line = content[row * 160:row * 160 + 160:2].replace(b"\0", b" ")
        print(line.decode("cp437").rstrip())


if sys.argv[2] == "screen":
    screen(int(sys.argv[1]))
else:
    press(int(sys.argv[1]), sys.argv[3:])
