"""One guest's way from its creation to where a benchmark ends it, with the time of each mark."""

import re
import time

from debian import LabError
from lab import guest_config


class Late(LabError):
    """A line did not come in time."""


class Course:
    """Creates a guest and reads its lines with the seconds since then.

    The time is the host's, taken when the line is seen: up to 20 ms late.
    """

    def __init__(self, lab, name, disks, **settings):
        self.lab, self.name, self.prefix, self.status = lab, name, "(d", None
        self.pvh = settings.get("type") == "pvh"
        path = lab.put(f"{name}.cfg", guest_config(disks, name=name, **settings).encode())
        self.position = lab.log.end()
        self.start = time.monotonic()
        self.pid = lab.spawn(f"exec xl create -q {path}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.run(f"while ! xl domid {self.name} >/dev/null && kill -0 {self.pid}; do "
                     f"sleep 0.1; done 2>/dev/null; xl destroy {self.name}; "
                     f"while kill -0 {self.pid}; do sleep 0.1; done 2>/dev/null; true", 120)

    def wait(self, pattern, timeout=90):
        """Wait for the guest's next line that matches; returns (seconds, match)."""
        deadline = self.start + timeout
        while True:
            try:
                match, self.position = self.lab.log.wait(
                    pattern, min(5, deadline - time.monotonic()), self.position, self.prefix)
                return time.monotonic() - self.start, match
            except LabError as error:
                if self.failed():
                    raise
                if time.monotonic() > deadline:
                    raise Late(f"{error}") from error

    def failed(self):
        """Whether xl could not create the guest."""
        if self.status is None or not self.status["exited"]:
            self.status = self.lab.status(self.pid)
        return self.status.get("exitcode", 0) != 0

    def first_line(self):
        """Wait for the guest's first line: from then on others' lines do not count."""
        _, match = self.wait(r"^(\d+)\) ")
        self.prefix = f"(d{match.group(1)}) "
        return int(match.group(1))

    def boot(self, disk=True):
        """Follow a BIOS up to its boot sector, if there is a disk; returns {mark: seconds}.

        In a PVH guest, which has no keyboard to end its wait, the boot menu is off.
        """
        domain = self.first_line()
        times = {"bios": self.wait("^SeaBIOS [(]version")[0]}
        if not self.pvh:
            times["menu"] = self.wait("Press .* for boot menu")[0]
            self.lab.spawn(f"exec xl qemu-monitor-command {domain} 'sendkey spc'")
        if disk:
            times["boot sector"] = self.wait("Booting from 0000:7c00")[0]
        return times

    def marks(self, names, timeout=90):
        """Wait for marks one after the other; returns {mark: seconds}."""
        return {name: self.wait(rf"\bBENCH {re.escape(name)}$", timeout)[0] for name in names}
