#!/usr/bin/python3
"""Boot Linux in a PVH guest again and again: a boot that ends nowhere is looked at and kept.

    pvh_boots.py [COUNT]

GRUB loads the kernel by `linux` and by `linux16` in turn, which enters its 16-bit code; every other
boot waits for a key before, so that the local APIC's timer is armed by a wait as well as by the
boot. A boot ends at Linux's last word. What a failed one leaves is in out/boots: the screen, the
domain's state and registers, the firmware's lines. Exit status 1 if there was one.
"""

import shutil
import sys
import time

import images
from debian import LabError
from lab import BLOB, Lab, xl_disk

PVH = BLOB.with_name("seabios-xenpvh.elf")
KEPT = BLOB.parent / "boots"
LIMIT = 120             # seconds for a boot; one takes about 10
WAIT = "sleep --interruptible 1\n"
WAYS = {
    "linux": {}, "linux16": {"form": "16"},
    "linux, after a wait": {"before": WAIT},
    "linux16, after a wait": {"form": "16", "before": WAIT},
}


def look(guest):
    """What a guest that does not go on looks like."""
    parts = [f"xl list -v {guest.domid}", f"xl vcpu-list {guest.domid}",
             f"xen-hvmctx {guest.domid}"]
    text = "\n".join(f"$ {part}\n" + guest.lab.run(f"{part} 2>&1 || true") for part in parts)
    try:
        text += "\n" + guest.screen()
    except LabError as error:
        text += f"\nno screen: {error}"
    return text + "\n" + "\n".join(guest.lines())


def boot(lab, what, device):
    """Boot once. Returns what is wrong, or nothing."""
    guest = lab.create([xl_disk(device, "xvde")], PVH)
    try:
        guest.wait_line("LAB: booted from .*, test data right", LIMIT)
        guest.wait_end()
        return ""
    except LabError:
        return f"{what}\n{look(guest)}"


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    failed, start = 0, time.monotonic()
    with Lab.start("boots") as lab:
        devices = {what: lab.attach(images.grub_linux(**settings), snapshot=True)
                   for what, settings in WAYS.items()}
        for number in range(count):
            what = list(devices)[number % len(devices)]
            wrong = boot(lab, what, devices[what])
            if wrong:
                failed += 1
                (KEPT / f"{number}.txt").write_text(wrong)
                lab.destroy_guests()
            if wrong or not (number + 1) % 20:
                print(f"{time.monotonic() - start:6.0f} s  {number + 1} boots, {failed} failed",
                      flush=True)
    print(f"pvh-boots: {count} boots, {failed} failed" + (f", see {KEPT}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
