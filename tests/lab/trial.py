"""Guests on the layer: their course from creation to the last line that they print."""

import re

from lab import CommandError, Guest as LabGuest, guest_config

END = r"^TEST (PASS|FAIL) "


class Guest(LabGuest):
    """A guest that can be paused."""

    def __init__(self, *args):
        super().__init__(*args)
        self.begin = self.position

    def pause(self):
        self.lab.run(f"xl pause {self.domid}")

    def unpause(self):
        self.lab.run(f"xl unpause {self.domid}")


def create(lab, disks, bios, **settings):
    """Create a guest that is paused before its first instruction; see Lab.create()."""
    name = settings.setdefault("name", f"guest{next(lab.numbers)}")
    path = lab.put(f"{name}.cfg", guest_config(
        disks, bios_path_override=lab.blob(bios), **settings).encode())
    position = lab.log.end()
    try:
        lab.run(f"xl create -p -q {path}")
    except CommandError as error:
        log = lab.run(f"tail -n 30 /var/log/xen/qemu-dm-{name}.log 2>/dev/null || true")
        raise CommandError(f"{error}--- device model\n{log}") from error
    return Guest(lab, name, int(lab.run(f"xl domid {name}")), position)


def lines(guest):
    """All lines that a guest has printed on its debug port."""
    prefix = f"(d{guest.domid}) "
    return [text.removeprefix(prefix) for _, text in guest.lab.log.lines(guest.begin)
            if text.startswith(prefix)]


def ending(guest, timeout=90):
    """Wait for the last line of a guest's program; returns all lines."""
    guest.wait_line(END, timeout)
    return lines(guest)


def layer_lines(guest):
    """What the layer has said, without its "xen: "."""
    return [line.removeprefix("xen: ") for line in lines(guest) if line.startswith("xen: ")]


def twin_reads(guest):
    """How often each emulated disk was read, by the device model's own count: {name: reads}."""
    text = guest.lab.run(f"xl qemu-monitor-command {guest.domid} 'info blockstats'")
    return {name: int(reads) for name, reads in
            re.findall(r"^((?:ide|scsi)\S+): .*?rd_operations=(\d+)", text, re.M)}
