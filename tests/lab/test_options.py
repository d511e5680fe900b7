"""Each option of xl.cfg(5) that changes an HVM guest's machine, alone and in pairs.

In each machine a guest reads its whole disk rightly and leaves no trace, as in test_machines.py.
"""

import os
import random

import pytest

from debian import LabError
from test_machines import read_all

pytestmark = pytest.mark.slow

# Name: its values that are not the default, or not the lab's (GUEST in lab.py). Not here is what
# Debian's Xen refuses: hap=0, tsc_mode="native_paravirt".
OPTIONS = {
    # CPUs and memory
    "vcpus": [2, 8],
    "maxvcpus": [4],
    "maxmem": [300, 700],
    "mmio_hole": [2048],
    "max_grant_frames": [1, 64],
    "max_maptrack_frames": [64],
    "max_grant_version": [1, 2],
    "event_channels": [32],
    "vnuma": [[["pnode=0", "size=256", "vcpus=0", "vdistances=10"]]],
    "nomigrate": [1],
    "driver_domain": [1],
    # what the CPU can do
    "pae": [0],
    "nx": [0],
    "altp2m": ["external"],
    "cpuid": ["host,x2apic=0", ["0x80000001:edx=xx0xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]],
    # platform
    "acpi": [0],
    "acpi_s3": [0],
    "acpi_s4": [0],
    "acpi_laptop_slate": [1],
    "apic": [0],
    "hpet": [0],
    "vpt_align": [0],
    "timer_mode": [0, 1, 2, 3],
    "tsc_mode": ["default", "always_emulate"],
    "localtime": [1],
    "rtc_timeoffset": [3600],
    "ms_vm_genid": ["generate"],
    "viridian": [1, ["all"], ["base", "time_ref_count", "reference_tsc"]],
    "xen_platform_pci": [0],
    "vendor_device": ["xenserver"],
    # the device model's
    "hdtype": ["ahci"],
    "boot": ["cd", "dc", "n", "nc"],
    "vga": ["stdvga", "cirrus"],
    "videoram": [16, 64],
    "vkb_device": [1],
    "vnc": [1],
    "usb": [1],
    "usbdevice": [["tablet"], ["tablet", "mouse"]],
    "usbversion": [3],
    "serial": ["pty", ["pty", "null"]],
    "soundhw": ["hda"],
    "device_model_args": [["-rtc", "base=2001-01-01"]],
}
DISKS = ["xvde", "xvda", "sda"]
CASES = [(name, value) for name, values in OPTIONS.items() for value in values]


@pytest.fixture(name="boot")
def reader(module_lab, blob, guest_disk):
    """Boots a guest with some settings, which ends well."""
    image = guest_disk("stream", mib=5)

    def run(vdev, **settings):
        if "usbdevice" in settings:
            settings["usb"] = 1
        try:
            read_all(module_lab, blob, image, vdev, **settings)
        finally:
            module_lab.clean()
    return run


@pytest.mark.parametrize("name,value", CASES, ids=lambda value: str(value))
def test_option(boot, name, value):
    boot("xvda" if name == "hdtype" else "xvde", **{name: value})


def test_pairs_at_random(boot):
    """SEED in the environment gives the same pairs again."""
    seed = int(os.environ.get("SEED") or random.randrange(10 ** 6))
    chance, wrong = random.Random(seed), []
    for _ in range(10):
        settings = {}
        # xl takes usbversion only without its other ways to USB
        while len(settings) < 2 or ("usbversion" in settings
                                    and {"usb", "usbdevice"} & {*settings}):
            settings = dict(chance.sample(CASES, 2))
        vdev = chance.choice(DISKS)
        try:
            boot(vdev, **settings)
        except (AssertionError, LabError) as error:
            wrong.append((vdev, settings, str(error)))
    assert not wrong, f"SEED={seed}"
