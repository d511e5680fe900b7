"""Runs in dom0: what a guest's grant table and its ring to xenstored hold, as JSON.

    python3 - DOMID <peek.py
"""

import ctypes
import json
import struct
import subprocess
import sys

PAGE = 4096
GRANT_TABLE = 1                 # XENMEM_resource_grant_table; id 0: the shared frames
GRANT_ENTRY = "<HHI"            # grant_entry_v1_t: flags, domid, frame
PROT_READ = 1

domid = int(sys.argv[1])
memory = ctypes.CDLL("libxenforeignmemory.so.1", use_errno=True)
pointer = ctypes.c_void_p
for name in ("open", "map_resource", "map"):
    getattr(memory, f"xenforeignmemory_{name}").restype = pointer
handle = pointer(memory.xenforeignmemory_open(None, 0))


def page(address):
    """The bytes of a page that was mapped."""
    if not address:
        sys.exit(f"cannot map a page of domain {domid} (errno {ctypes.get_errno()})")
    return ctypes.string_at(address, PAGE)


def grants():
    """The entries of the grant table that are not zero, by reference."""
    address = pointer()
    memory.xenforeignmemory_map_resource(
        handle, ctypes.c_uint32(domid), GRANT_TABLE, 0, ctypes.c_ulong(0), ctypes.c_ulong(1),
        ctypes.byref(address), PROT_READ, 0)
    entries = enumerate(struct.iter_unpack(GRANT_ENTRY, page(address.value)))
    return {number: "flags {:#x}, domain {}, frame {:#x}".format(*entry)
            for number, entry in entries if any(entry)}


def store_ring():
    """The indices of the rings to xenstored."""
    frame = subprocess.check_output(
        ["xenstore-read", f"/local/domain/{domid}/store/ring-ref"], text=True)
    frames = (ctypes.c_ulong * 1)(int(frame))
    content = page(memory.xenforeignmemory_map(
        handle, ctypes.c_uint32(domid), PROT_READ, ctypes.c_size_t(1), frames, None))
    names = ("requests taken", "requests put", "replies taken", "replies put")
    return dict(zip(names, struct.unpack_from("<IIII", content, 2048)))


print(json.dumps({"grants": grants(), "store_ring": store_ring()}))
