"""A guest without a disk boots through its PV network device, by iPXE's ROM (`make ipxe`).

The ROM is on Xen's platform device, in the blob (`make NET=1`), or the module of a PVH guest.
`make check-net` builds all.
"""

import os
import pathlib
import re
import struct
import subprocess

import pytest

from lab import BLOB, xl_disk
from network import DATA, VIF, Network, linux_files, script, url
from pristine import View
from test_network import LOAD, ipxe_traces, linux_traces
from test_pvh import apic, reason
from test_settings import PROJECT, by_smbios
from trial import create, start

pytestmark = pytest.mark.slow

# What iPXE says, and then goes on to the next boot device.
WHY = {"no DHCP server": "No configuration methods succeeded",
       "dead HTTP server": "/script... Connection reset",
       "no backend": "Could not open net0: Input/output error"}
OUT = pathlib.Path(os.environ.get("NET_OUT") or BLOB.parent)


def built(name):
    """A file that `make ipxe` or `make NET=1` has built."""
    path = OUT / name
    if not path.exists():
        pytest.skip(f"{path} is missing: `make check-net` builds it")
    return path


NAMES = {"n": "vif0", "c": "xvde"}     # of xl.cfg's boot devices, in a bootorder


@pytest.fixture(name="ways", params=["platform device", "blob", "PVH"])
def ways_of_the_rom(request, lab, blob):
    """The firmware and settings of a guest that has iPXE's ROM in one of the ways, and boots so."""
    rom = lab.put("58530001.rom", built("58530001.rom").read_bytes())

    def settings(boot):
        if request.param == "blob":
            return {"bios": built("bios-xenpv-net.bin"), "boot": boot}
        if request.param == "PVH":
            order = ",".join(NAMES[device] for device in boot)
            return {"bios": built("seabios-xenpvh.elf"), "ramdisk": rom,
                    "extra": f"seabios:bootorder={order}"}
        return {"bios": blob, "boot": boot,
                "device_model_args": ["-global", f"xen-platform.romfile={rom}"]}
    return settings


# A PVH guest has no OEM strings.
HVM = pytest.mark.parametrize("ways", ["platform device", "blob"], indirect=True)


def test_guest_without_a_disk_boots_linux_by_dhcp_and_http(lab, ways):
    network = Network(lab, {**linux_files(), "script": script(*LOAD)}, boot=url("script"))
    guest = create(lab, [], vif=[VIF], **ways("n"))
    before, new = View(guest), apic(guest)
    start(guest)
    assert linux_traces(guest, before, lambda: not guest.pvh or apic(guest) == new) == []
    assert network.requests() == ["/script", "/vmlinuz", "/initrd", "/data"]


def test_script_of_the_network_runs_and_goes_on_to_the_disk(lab, ways, guest_disk):
    # what takes time, once a file is loaded: DHCP, and a server that is not there
    network = Network(lab, {"script": script("dhcp", "chain http://192.0.2.250/ || exit")},
                      boot=url("script"))
    disk = xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde")
    guest = create(lab, [disk], vif=[VIF], **ways("nc"))
    before = View(guest)
    start(guest)
    guest.wait_line("^HELLO dl=80", 240)
    assert View(guest).traces(before) == []
    assert network.requests() == ["/script"]


def test_guest_without_a_disk_boots_an_image_by_sanboot_over_http(lab, ways, guest_disk):
    """The image is drive 80 then. It has more than 8 MB: iPXE gives a smaller one no cylinder."""
    network = Network(lab, {"disk": guest_disk("hello", mib=16), "script": script(
        f"sanboot {url('disk')}")}, boot=url("script"))
    guest = create(lab, [], vif=[VIF], **ways("n"))
    start(guest)
    guest.wait_line("^HELLO dl=80", 120)
    guest.wait_line("^TEST PASS hello")
    assert set(network.requests()) == {"/script", "/disk"}


def test_dom0_is_answered_when_ipxe_has_ended(lab):
    """There is no disk: nothing but iPXE has used Xen since POST."""
    Network(lab, {"script": script("exit")}, boot=url("script"))
    guest = create(lab, [], built("seabios-xenpvh.elf"), vif=[VIF], ramdisk=lab.put(
        "58530001.rom", built("58530001.rom").read_bytes()), on_poweroff="preserve")
    start(guest)
    guest.wait_line("^No bootable device", 120)
    lab.run(f"xl shutdown {guest.domid}")
    assert reason(guest) == 0


@HVM
def test_script_of_the_oem_strings_has_precedence(lab, ways, guest_disk):
    """The string behind "ipxe" names it, wherever that is among those of others."""
    network = Network(lab, {"mine": script("exit"), "script": script("shell")},
                      boot=url("script"))
    disk = xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde")
    guest = create(lab, [disk], vif=[VIF], **ways("nc"), **by_smbios(
        lab, "io.systemd.credential:a=b", "seabios:etc/show-boot-menu=0", "ipxe", url("mine"),
        "ipxe.org"))
    before = View(guest)
    guest.unpause()
    guest.wait_line("^HELLO dl=80", 240)
    assert View(guest).traces(before) == []
    assert network.requests() == ["/mine"]


@HVM
@pytest.mark.parametrize("strings, why", [
    (["ipxe", url("missing")], r"http://192\.0\.2\.1/missing\.\.\. Not found"),
    (["ipxe"], 'No script is named behind the OEM string "ipxe"')])
def test_disk_boots_where_there_is_no_such_script(lab, ways, guest_disk, strings, why):
    Network(lab, {"script": script("shell")}, boot=url("script"))
    disk = xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde")
    guest = create(lab, [disk], vif=[VIF], **ways("nc"), **by_smbios(lab, *strings))
    start(guest)
    guest.wait_line(why, 240)
    guest.wait_line("^HELLO dl=80", 240)


@pytest.mark.parametrize("fault", ["no DHCP server", "dead HTTP server", "no backend"])
def test_disk_boots_where_the_network_does_not(lab, ways, guest_disk, fault):
    """boot="nc": iPXE says why, and SeaBIOS goes on to the disk."""
    network = Network(lab, {"data": DATA}, boot=url("script"), http=False)
    if fault == "no DHCP server":
        lab.run("kill $(cat /run/dnsmasq.pid)")
    disk = xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde")
    guest = create(lab, [disk], vif=[VIF], **ways("nc"))
    if fault == "no backend":
        lab.run(f"xenstore-write /local/domain/{guest.domid}/device/vif/0/backend "
                f"/local/domain/0/backend/vif/{guest.domid}/9")
    start(guest)
    guest.wait_line("^Booting from ROM")
    guest.wait_line(re.escape(WHY[fault]), 240)
    guest.wait_line("^HELLO dl=80", 240)
    guest.wait_line("^TEST PASS hello")
    assert ("DHCPACK" in network.log()) == (fault == "dead HTTP server")


def wrong_checksum(blob):
    """A byte of the ROM is another one; the file of the blob is as it should be."""
    rom = bytearray(built("58530001.rom").read_bytes())
    rom[len(rom) // 2] ^= 1
    file = blob.with_name("rom")
    file.write_bytes(rom)
    subprocess.run([PROJECT / "scripts/blob-files", "add", blob, f"pci5853,0001.rom={file}"],
                   check=True)


def overlap(blob):
    """The file of the ROM goes on to where the BIOS is, by its header."""
    content = bytearray(blob.read_bytes())
    struct.pack_into("<I", content, 8, len(content))
    blob.write_bytes(content)


@pytest.mark.parametrize("damage, why", [
    (wrong_checksum, "Found option rom with bad checksum: "),
    (overlap, "xen: a file of the blob is damaged, it and those behind it are ignored")])
def test_damaged_rom_of_the_blob_is_left_out(lab, guest_disk, tmp_path, damage, why):
    network = Network(lab, {}, boot=url("script"))
    blob = tmp_path / "damaged.bin"
    blob.write_bytes(built("bios-xenpv-net.bin").read_bytes())
    damage(blob)
    disk = xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde")
    guest = create(lab, [disk], blob, vif=[VIF], boot="nc")
    start(guest)
    guest.wait_line("^TEST PASS hello")
    assert [line for line in guest.lines() if re.match(why, line)]
    assert "DHCPDISCOVER" not in network.log()


def roms_run(guest):
    """The option ROMs that were initialised until now, but for the VGA BIOS, which comes first."""
    text = "\n".join(guest.lines()).split("\nScan for option roms\n")[1]
    return re.findall(r"unning (?:the )?option rom", text, re.I)


def test_rom_is_not_even_initialised_where_nobody_asks_for_the_network(lab, ways, guest_disk):
    """It is in the boot menu all the same."""
    network = Network(lab, {})
    guest = create(lab, [xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde")], vif=[VIF],
                   **ways("c"))
    start(guest)
    guest.wait_line("^TEST PASS hello")
    assert "DHCPDISCOVER" not in network.log()
    assert roms_run(guest) == []


def test_network_is_asked_where_the_disk_cannot_be_booted(lab, ways, tmp_path):
    """The ROM is initialised then, when POST has ended."""
    network = Network(lab, {"script": script("exit")}, boot=url("script"))
    empty = tmp_path / "empty.raw"
    empty.write_bytes(bytes(5 << 20))
    guest = create(lab, [xl_disk(lab.attach(empty), "xvde")], vif=[VIF], **ways("cn"))
    before = View(guest)
    start(guest)
    guest.wait_line("^Booting from ROM", 60)
    guest.wait_line("^No bootable device", 120)
    assert network.requests() == ["/script"]
    assert ipxe_traces(guest, before) == []
    assert re.search(r"^Booting from ROM\.\.\.\nxen: running the option ROM at \w{4}:0003\n"
                     r"Booting from ", "\n".join(guest.lines()), re.M)
