"""Runs in dom0: type keys on a guest's emulated keyboard, by QMP's names of them.

    python3 - DOMID KEY... <keys.py
"""

import json
import socket
import sys
import time

# the keyboard holds 16 codes
PAUSE = 0.08

domid, *keys = sys.argv[1:]
qmp = socket.socket(socket.AF_UNIX)
qmp.connect(f"/run/xen/qmp-libxl-{domid}")
answers = qmp.makefile()
answers.readline()              # the greeting


def call(command, **arguments):
    """Carry out a command of QMP."""
    qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
    while "return" not in (answer := json.loads(answers.readline())):
        if "error" in answer:
            sys.exit(f"{command}: {answer['error']['desc']}")


call("qmp_capabilities")
for key in keys:
    call("send-key", keys=[{"type": "qcode", "data": key}], **{"hold-time": 20})
    time.sleep(PAUSE)
