"""Runs in dom0: give a guest VBDs that no real backend serves, and follow their states.

    python3 fakeback.py DOMID <VBDS

VBDS is JSON, {number: {"frontend": {node: value}, "backend": {node: value}, "states": what,
"image": path}}. When somebody writes the frontend's state as 1, 4, 6, the backend's becomes the
1st, 2nd, 3rd digit of `states`; "-" or nothing leaves it, and the 1st comes only after the 3rd, as
with real backends. Other manners are {frontend's state: [what it does the first time, the second
time, ...]}; the last is done again and again. It is a digit, "-", "gone" (its directory in xenstore
vanishes), or "5 text" (a state with the text as the device's error). Requests are served from the
file `image`, or never if that is null; all of them have to be reads. Says "ready" when all is in
place.
"""

import ctypes
import json
import select
import struct
import sys

PAGE, SECTOR = 4096, 512
READ_WRITE = 3                  # PROT_READ | PROT_WRITE
OPERATION_READ = 0              # BLKIF_OP_READ
# blkif_request of x86_32-abi and its segments, of which there are as many as fit in
REQUEST, SEGMENT = struct.Struct("<BBHQQ"), struct.Struct("<IBBH")
REQUEST_SIZE, RESPONSE, HEADER, ENTRIES = 108, struct.Struct("<QBxh"), 64, 32
REQ_PROD, REQ_EVENT, RSP_PROD = 0, 4, 8         # blkif_sring


class Permission(ctypes.Structure):
    """struct xs_permissions"""
    _fields_ = [("id", ctypes.c_uint), ("perms", ctypes.c_int)]


NONE, READ = 0, 1
xs = ctypes.CDLL("libxenstore.so.4")
gnttab, evtchn = ctypes.CDLL("libxengnttab.so.1"), ctypes.CDLL("libxenevtchn.so.1")
for function in (xs.xs_open, xs.xs_read, gnttab.xengnttab_open, gnttab.xengnttab_map_grant_ref,
                 evtchn.xenevtchn_open):
    function.restype = ctypes.c_void_p
xs.xs_read_watch.restype = ctypes.POINTER(ctypes.c_char_p)
handle = ctypes.c_void_p(xs.xs_open(ctypes.c_ulong(0)))
grants = ctypes.c_void_p(gnttab.xengnttab_open(None, 0))
channels = ctypes.c_void_p(evtchn.xenevtchn_open(None, 0))
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


def map_page(ref):
    """Map a page of the guest; returns its address."""
    address = gnttab.xengnttab_map_grant_ref(grants, ctypes.c_uint32(domid), ctypes.c_uint32(ref),
                                             READ_WRITE)
    return address or sys.exit(f"grant {ref} cannot be mapped")


def unmap_page(address):
    """Give a page back."""
    gnttab.xengnttab_unmap(grants, ctypes.c_void_p(address), ctypes.c_uint32(1))


class Ring:
    """The block requests of a frontend that is connected, served from a file."""

    def __init__(self, frontend, image):
        self.image = image
        self.address = map_page(int(read(f"{frontend}/ring-ref")))
        self.page = (ctypes.c_char * PAGE).from_address(self.address)
        port = int(read(f"{frontend}/event-channel"))
        self.port = evtchn.xenevtchn_bind_interdomain(channels, ctypes.c_uint32(domid),
                                                      ctypes.c_uint32(port))
        self.done = 0

    def close(self):
        """Let go of everything."""
        evtchn.xenevtchn_unbind(channels, self.port)
        unmap_page(self.address)

    def index(self, offset, value=None):
        """Read or write one of the ring's indices."""
        word = ctypes.c_uint32.from_address(self.address + offset)
        if value is not None:
            word.value = value          # at once: pack_into() would write a 0 first
        return word.value

    def read_sectors(self, place, sector, count):
        """Carry out the request at a place of the page."""
        for number in range(count):
            ref, first, last, _ = SEGMENT.unpack_from(
                self.page, place + REQUEST.size + number * SEGMENT.size)
            self.image.seek(sector * SECTOR)
            data = self.image.read((last - first + 1) * SECTOR)
            sector += last - first + 1
            address = map_page(ref)
            ctypes.memmove(address + first * SECTOR, data, len(data))
            unmap_page(address)

    def serve(self):
        """Answer all requests that are there."""
        while self.done != self.index(REQ_PROD):
            place = HEADER + self.done % ENTRIES * REQUEST_SIZE
            operation, count, _, number, sector = REQUEST.unpack_from(self.page, place)
            if operation != OPERATION_READ:
                sys.exit(f"operation {operation}")
            self.read_sectors(place, sector, count)
            RESPONSE.pack_into(self.page, place, number, operation, 0)
            self.done = (self.done + 1) % (1 << 32)
            self.index(RSP_PROD, self.done)
            self.index(REQ_EVENT, (self.done + 1) % (1 << 32))
        evtchn.xenevtchn_notify(channels, self.port)


class Backend:
    """Follows the states of a frontend."""

    def __init__(self, frontend, states, image):
        self.frontend = frontend
        if isinstance(states, str):
            states = {seen: [state] for seen, state in zip("146", states)}
        self.manners = {seen: list(deeds) for seen, deeds in states.items()}
        self.place = read(f"{frontend}/backend")
        self.image = image and open(image, "rb")    # pylint: disable=consider-using-with
        self.ring = None
        self.new = True

    def look(self):
        """Answer the frontend's state, which has been written."""
        if self.new:            # not yet: a watch fires when it is made
            self.new = False
            return
        seen = read(f"{self.frontend}/state")
        deeds = self.manners.get(seen, ["-"])
        if seen == "1" and read(f"{self.place}/state") != self.manners.get("6", ["-"])[0][:1]:
            return
        deed = deeds.pop(0) if len(deeds) > 1 else deeds[0]
        if deed == "-":
            return
        if self.ring:
            self.ring.close()
            self.ring = None
        if deed == "gone":
            xs.xs_rm(handle, 0, self.place.encode())
            return
        state, _, error = deed.partition(" ")
        if error:
            write(self.place.replace("/backend/", "/error/backend/", 1) + "/error", error)
        if state == "4" and self.image:
            self.ring = Ring(self.frontend, self.image)
        write(f"{self.place}/state", state)


backends = {}
for vbd, what in json.load(sys.stdin).items():
    directory = f"/local/domain/{domid}/device/vbd/{vbd}"
    make(directory, what["frontend"], domid, 0)
    if what["backend"] is not None:
        make(f"/local/domain/0/backend/fake/{domid}/{vbd}", what["backend"], 0, domid)
    if what["states"]:
        backends[directory] = Backend(directory, what["states"], what["image"])
        xs.xs_watch(handle, f"{directory}/state".encode(), b"")
print("ready", flush=True)
watched = ctypes.c_uint()
poll = select.poll()
for fd in (xs.xs_fileno(handle), evtchn.xenevtchn_fd(channels)):
    poll.register(fd, select.POLLIN)
while True:
    for fd, _ in poll.poll():
        if fd == xs.xs_fileno(handle):
            changed = xs.xs_read_watch(handle, ctypes.byref(watched))[0].decode()
            backends[changed.removesuffix("/state")].look()
            continue
        port = evtchn.xenevtchn_pending(channels)
        evtchn.xenevtchn_unmask(channels, port)
        for backend in backends.values():
            if backend.ring and backend.ring.port == port:
                backend.ring.serve()
