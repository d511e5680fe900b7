"""A CD of the toolstack is a BIOS drive that El Torito boots from."""

import struct
import subprocess

import pytest

from lab import HERE, xl_disk
from pristine import View
from trial import create, ending, layer_lines, twin_reads

BLOCK = 2048
CATALOG, IMAGE, FIRST, END = 19, 20, 22, 1000      # blocks


def el_torito(program):
    """An ISO image that boots a program of 4 KiB, with data blocks from FIRST to END."""
    primary = b"\x01CD001\x01" + bytes(33) + b"LAB".ljust(32) + bytes(8) + \
        struct.pack("<I", END) + struct.pack(">I", END)
    boot = b"\0CD001\x01" + b"EL TORITO SPECIFICATION".ljust(32, b"\0") + bytes(32) + \
        struct.pack("<I", CATALOG)
    validation = bytearray(struct.pack("<BB2x24xHBB", 1, 0, 0, 0x55, 0xaa))
    validation[28:30] = struct.pack("<H", -sum(struct.unpack("<16H", validation)) & 0xffff)
    entry = struct.pack("<BBHBxHI", 0x88, 0, 0, 0, len(program) // 512, IMAGE)
    blocks = {16: primary, 17: boot, 18: b"\xffCD001\x01", CATALOG: validation + entry}
    system = b"".join(blocks.get(number, b"").ljust(BLOCK, b"\0") for number in range(IMAGE))
    data = struct.pack(f"<{(END - FIRST) * 512}I", *range(FIRST * 512, END * 512))
    return system + program + data


@pytest.fixture(name="iso")
def iso_image(tmp_path):
    """The file of such an image."""
    subprocess.run(["nasm", "-f", "bin", "-w+error", f"-DFIRST={FIRST}", f"-DEND={END}",
                    "-o", tmp_path / "cd.bin", HERE / "cd.asm"], check=True)
    path = tmp_path / "cd.iso"
    path.write_bytes(el_torito((tmp_path / "cd.bin").read_bytes()))
    return path


def boot(guest):
    """Let a guest boot from its CD, and check that this leaves no trace.

    Returns what POST had read from emulated disks: SeaBIOS looks whether a CD can be booted.
    """
    before = View(guest)
    guest.unpause()
    guest.wait_line("Press .* for boot menu")
    guest.press("esc")
    guest.wait_line(r"^1\. DVD/CD")
    reads = twin_reads(guest)
    guest.press("1")
    lines = ending(guest)
    assert lines[-1] == "TEST PASS cd", lines
    assert View(guest).traces(before) == []
    return reads


def test_cd_with_an_emulated_twin_boots_through_the_pv_backend(lab, blob, iso):
    """As libxl makes all CDs of a HVM guest: on qdisk, and as IDE drives."""
    disk = xl_disk(lab.attach(iso, readonly=True), "hdc", access="ro", backend="qdisk",
                   devtype="cdrom")
    guest = create(lab, [disk], blob)
    reads = boot(guest)
    assert "hdc: 5632, 1 MiB, qdisk in domain 0, read-only, CD, with an emulated twin" in layer_lines(guest)
    # and the twin is asked for the block behind the last one
    assert twin_reads(guest) == {"ide-5632": reads["ide-5632"] + 1}


def test_cd_without_an_emulated_twin_boots(lab, blob, iso):
    """As other toolstacks make them."""
    guest = create(lab, [xl_disk(lab.attach(iso, readonly=True), "xvde", access="ro")], blob)
    lab.run(f"xenstore-write /local/domain/{guest.domid}/device/vbd/51776/device-type cdrom")
    boot(guest)
    assert "xvde: 51776, 1 MiB, blkback in domain 0, read-only, CD" in layer_lines(guest)
