"""Settings of SeaBIOS and of the layer: by SMBIOS and by xenstore."""

import subprocess

import pytest

from lab import xl_disk
from debian import HERE
from trial import END, create, layer_lines

SMBIOS_STRINGS = HERE.parents[1] / "scripts/smbios-strings"


def by_smbios(lab, *strings):
    """The xl.cfg setting that gives a guest strings of SMBIOS."""
    data = subprocess.run([SMBIOS_STRINGS, *strings], check=True, stdout=subprocess.PIPE).stdout
    return {"smbios_firmware": lab.put("strings.smbios", data)}


def by_store(guest, settings):
    """Write settings of a paused guest to xenstore."""
    place = f"/local/domain/{guest.domid}/vm-data/seabios"
    guest.lab.run("\n".join(f"xenstore-write {place}/{name} '{value}'"
                            for name, value in settings.items()))


def test_first(lab, blob, guest_disk):
    disks = [xl_disk(lab.attach(guest_disk("hello", name=vdev)), vdev) for vdev in ("xvde", "xvdf")]
    guest = create(lab, disks, blob, **by_smbios(lab, "seabios:bootorder=xvdf,xvde,xvdz", "seabios:etc/show-boot-menu=0", "seabios:a=1"))
    by_store(guest, {"bootorder":"xvde", "etc/threads": 2, "foo": "a", "etc/bar": 3, "etc/xen-cache-kib": 256})
    guest.unpause()
    guest.wait_line(END)
    print(*guest.lines(), sep="\n")
    assert 0
