"""Runs in dom0: bring VBDs of a guest into states that a former owner of theirs could have left.

    python3 - DOMID NUMBER=STATES... <owner.py

STATES are what the frontend writes one after the other, as 45 or 2; - stands for no state at
all. Before 3 and 4 it publishes a ring and an event channel, and waits for the backend: the
ring is the page of the guest's PV console, whose grant is there from the beginning.
"""

import ctypes
import subprocess
import sys
import time

CONSOLE_REF = 0                 # GNTTAB_RESERVED_CONSOLE

xenctrl = ctypes.CDLL("/lab/libxenctrl.so")
xenctrl.xc_interface_open.restype = ctypes.c_void_p
handle = ctypes.c_void_p(xenctrl.xc_interface_open(None, None, 0))


def store(command, *arguments):
    """Run xenstore-COMMAND and return what it prints."""
    return subprocess.check_output([f"xenstore-{command}", *arguments], text=True).strip()


def wait_state(backend, state):
    """Wait until a backend is in a state."""
    deadline = time.monotonic() + 20
    while (seen := store("read", f"{backend}/state")) != state:
        if time.monotonic() > deadline:
            sys.exit(f"{backend}: state {seen}, not {state}")
        time.sleep(0.02)


def own(domid, number, states):
    """Write the states of one VBD's frontend."""
    frontend = f"/local/domain/{domid}/device/vbd/{number}"
    backend = store("read", f"{frontend}/backend")
    for state in states:
        if state == "-":
            store("rm", f"{frontend}/state")
        elif state in "34":
            port = xenctrl.xc_evtchn_alloc_unbound(handle, ctypes.c_uint32(domid),
                                                   ctypes.c_uint32(0))
            store("write", f"{frontend}/ring-ref", str(CONSOLE_REF),
                  f"{frontend}/event-channel", str(port),
                  f"{frontend}/protocol", "x86_32-abi", f"{frontend}/state", state)
            wait_state(backend, "4")
        else:
            store("write", f"{frontend}/state", state)
            if state in "56":
                wait_state(backend, state)


for word in sys.argv[2:]:
    own(int(sys.argv[1]), *word.split("="))
time.sleep(0.5)                 # for what the backends still do
