"""Guests on the layer: their course from creation to the last line that they print."""

import contextlib
import re
import time

END = r"^TEST (PASS|FAIL) "


def create(lab, disks, bios, **settings):
    """Create a guest that is paused before its first instruction; see Lab.create()."""
    return lab.create(disks, bios, paused=True, **settings)


def start(guest):
    """Start a guest that is paused, past the boot menu."""
    guest.unpause()
    guest.skip_menu(120)


def throttle(lab, device, speed):
    """Let a disk of dom0 do `speed` bytes per second; 0: as fast as it can."""
    limits = dict.fromkeys(["bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"], 0)
    lab.machine.qmp.call("block_set_io_throttle",
                         {"device": lab.images[device][0], "bps": speed, **limits})


def stall(lab, devices):
    """Let disks of dom0 answer nothing from now on, as those of a SAN that waits for its storage.

    The one read that is let through is ours.
    """
    for device in devices:
        lab.run(f"echo 300 >/sys/block/{device.removeprefix('/dev/')}/device/timeout")
        throttle(lab, device, 1)
        lab.run(f"dd if={device} of=/dev/null bs=512 count=1 iflag=direct 2>&1")


@contextlib.contextmanager
def held(lab, device):
    """A disk of dom0 answers nothing meanwhile, and its backend has requests under way."""
    throttle(lab, device, 1)
    try:
        deadline, counts = time.monotonic() + 60, []
        # these are held when none of them ends any more
        while len(counts) < 5 or len(set(counts[-5:])) > 1 or counts[-1][1] == "0":
            assert time.monotonic() < deadline, counts
            fields = lab.run(f"cat /sys/block/{device.removeprefix('/dev/')}/stat").split()
            counts.append((fields[0], fields[8]))
            time.sleep(0.1)
        yield
    finally:
        throttle(lab, device, 0)


def wait_shutdown(guest, timeout=180):
    """Wait until a guest's domain has been suspended, or has ended."""
    guest.lab.run(f"while xl list {guest.domid} 2>/dev/null | "
                  "awk 'END { exit NR < 2 || $5 ~ /[sd]/ }'; do sleep 0.05; done", timeout)


def ending(guest, timeout=90):
    """Wait for the last line of a guest's program; returns all lines."""
    guest.wait_line(END, timeout)
    return guest.lines()


def layer_lines(guest):
    """What the layer has said, without its "xen: "."""
    return [line.removeprefix("xen: ") for line in guest.lines() if line.startswith("xen: ")]


def sectors_read(lab, device):
    """How many sectors of a disk of dom0 were read until now, by whomever."""
    return int(lab.run(f"cat /sys/block/{device.removeprefix('/dev/')}/stat").split()[2])


def twin_reads(guest):
    """How often each emulated disk was read, by the device model's own count: {name: reads}."""
    text = guest.lab.run(f"xl qemu-monitor-command {guest.name} 'info blockstats'")
    return {name: int(reads) for name, reads in
            re.findall(r"^((?:ide|scsi|ahci)\S+): .*?rd_operations=(\d+)", text, re.M)}
