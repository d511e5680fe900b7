"""Runs in dom0: give a guest VBDs that no real backend serves, and follow their states.

    python3 fakeback.py DOMID <VBDS

VBDS is JSON, {number: {"frontend": {node: value}, "backend": {node: value}, "states": text}}.
The backend's state becomes the 1st, 2nd, 3rd digit of `states` when the frontend's is 1, 4, 6;
"-" or nothing leaves it. No request is ever served. Says "ready" when all is in place.
"""

import ctypes
import json
import sys


class Permission(ctypes.Structure):
    """struct xs_permissions"""
    _fields_ = [("id", ctypes.c_uint), ("perms", ctypes.c_int)]


NONE, READ = 0, 1
xs = ctypes.CDLL("libxenstore.so.4")
for name in ("xs_open", "xs_read"):
    getattr(xs, name).restype = ctypes.c_void_p
xs.xs_read_watch.restype = ctypes.POINTER(ctypes.c_char_p)
handle = ctypes.c_void_p(xs.xs_open(ctypes.c_ulong(0)))
domid = int(sys.argv[1])


def read(path):
    """The content of a node, or None."""
    length = ctypes.c_uint()
    content = xs.xs_read(handle, 0, path.encode(), ctypes.byref(length))
    return content and ctypes.string_at(content, length.value).decode()


def write(path, value):
    """Write a node."""
    xs.xs_write(handle, 0, path.encode(), value.encode(), len(value)) or sys.exit(path)


def make(directory, nodes, owner, reader):
    """Make a directory that belongs to one domain and that another may read."""
    write(directory, "")
    permissions = (Permission * 2)(Permission(owner, NONE), Permission(reader, READ))
    xs.xs_set_permissions(handle, 0, directory.encode(), permissions, 2) or sys.exit(directory)
    for name, value in nodes.items():       # they inherit the permissions
        write(f"{directory}/{name}", value)


def follow(frontend, states):
    """Write the backend's state that answers the frontend's."""
    index = "146".find(read(f"{frontend}/state") or "-")
    state = states[index:index + 1] if index >= 0 else ""
    backend = read(f"{frontend}/backend")
    if state not in ("", "-") and read(f"{backend}/state") != state:
        write(f"{backend}/state", state)


followed = {}
for number, vbd in json.load(sys.stdin).items():
    place = f"/local/domain/{domid}/device/vbd/{number}"
    make(place, vbd["frontend"], domid, 0)
    if vbd["backend"] is not None:
        make(f"/local/domain/0/backend/fake/{domid}/{number}", vbd["backend"], 0, domid)
    if vbd["states"]:
        followed[place] = vbd["states"]
        xs.xs_watch(handle, f"{place}/state".encode(), b"")
print("ready", flush=True)
count = ctypes.c_uint()
while True:
    place = xs.xs_read_watch(handle, ctypes.byref(count))[0].decode().removesuffix("/state")
    follow(place, followed[place])
