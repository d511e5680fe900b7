"""iPXE boots guests through their PV network device, and leaves disks and network as it found them.

iPXE is Debian's, started from a PV disk by GRUB. What it leaves behind where it is not ours to mend
is in the tests, too.
"""

import re

import pytest

from lab import xl_disk
from network import (DATA, ENTRY, LINUX, VIF, Network, fetched, ipxe_disk, linux_files,
                     parts, url)
from pristine import View
from test_cd import iso_image           # noqa: F401  pylint: disable=unused-import
from trial import create, start

LOAD = [f"kernel {url('vmlinuz')} {LINUX}", f"initrd {url('initrd')}", "boot"]


@pytest.fixture(name="ipxe")
def ipxe_guest(lab, blob, tmp_path):
    """Creates a guest whose first disk starts iPXE with a script; returns it and its View."""
    def make(*lines, disks=(), **settings):
        image = ipxe_disk(tmp_path / "ipxe.raw", *lines)
        guest = create(lab, [xl_disk(lab.attach(image), "xvde"), *disks], blob, vif=[VIF],
                       **settings)
        return guest, View(guest)
    return make


# An event came for a port that iPXE then closed: the word of pending ports is still selected, in
# which none is. iPXE never looks at events.
SELECTED = re.compile(r"event channel \d+ of domain \d+: \[0/([01])/1\]: (.*), "
                      r"was \[0/\1/0\]: \2$")


def ipxe_traces(guest, before):
    """What is not as it was, but for SELECTED."""
    return [line for line in View(guest).traces(before) if not SELECTED.match(line)]


def linux_traces(guest, before, is_new=lambda: True):
    """What Linux finds at its entry, but for SELECTED, and then see it use its network.

    is_new: what else has to be so at the entry.
    """
    guest.wait_line(ENTRY, 180)
    traces = ipxe_traces(guest, before)
    assert is_new()
    guest.press("spc")
    guest.wait_line(fetched(DATA), 120)
    guest.wait_end()
    return traces


@pytest.mark.slow
def test_linux_by_http_finds_network_and_disk_as_they_were(lab, ipxe):
    network = Network(lab, linux_files())
    guest, before = ipxe("dhcp net0", *LOAD)
    start(guest)
    assert linux_traces(guest, before) == []
    assert network.requests() == ["/vmlinuz", "/initrd", "/data"]


@pytest.mark.slow
def test_pxelinux_loads_linux_by_tftp(lab, ipxe):
    made = parts()
    network = Network(lab, {
        "pxelinux.0": made / "pxelinux.0", "ldlinux.c32": made / "ldlinux.c32", **linux_files(),
        "pxelinux.cfg/default": b"DEFAULT linux\nLABEL linux\nKERNEL vmlinuz\nINITRD initrd\n"
                                b"APPEND " + LINUX.encode() + b"\n"}, boot="pxelinux.0")
    guest, before = ipxe("autoboot net0")
    start(guest)
    assert linux_traces(guest, before) == []
    sent = re.findall(r"sent /srv/net/(\S+) to", network.log())
    assert sent == ["pxelinux.0", "ldlinux.c32", "pxelinux.cfg/default", "vmlinuz", "initrd"]


def test_exit_goes_to_the_next_boot_entry(lab, ipxe, iso):
    network = Network(lab, {})
    cd = xl_disk(lab.attach(iso, readonly=True), "hdc", access="ro", backend="qdisk",
                 devtype="cdrom")
    guest, before = ipxe("dhcp net0", "exit", disks=[cd])
    start(guest)
    guest.wait_line("^TEST PASS cd", 120)
    assert View(guest).traces(before) == []
    assert "DHCPACK" in network.log()


@pytest.mark.slow
@pytest.mark.parametrize("close", [True, False])
def test_sanboot_of_the_local_disk(lab, ipxe, guest_disk, close):
    """iPXE closes no network device for a local disk: a script has to say ifclose.

    What remains then are entries of the grant table that grant nothing.
    """
    Network(lab, {})
    disk = lab.attach(guest_disk("steps", mib=5, label="keys"))
    guest, before = ipxe("dhcp net0", *["ifclose net0"] * close,
                         "sanboot --no-describe --drive 0x81", disks=[xl_disk(disk, "xvdf")])
    start(guest)
    guest.wait_line("^STEP 0 ", 120)
    traces = View(guest).traces(before)
    if close:
        assert [line for line in traces if not re.match(r"grant \d+: flags 0x0, ", line)] == []
    else:
        assert any(re.search(r'/device/vif/0/state: "4"', line) for line in traces), traces
    assert not [line for line in traces if "vbd" in line or "qdisk" in line]
