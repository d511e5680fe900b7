"""CD drives give what they give with the stock BIOS: media that come and go, and small ones."""

import re

import pytest

import pattern
from lab import xl_disk
from script import FIRST_CD, Log, Script
from test_cd import el_torito, CATALOG, IMAGE
from trial import create, ending, start


BLOCKS = 2000
CD = FIRST_CD


@pytest.fixture(name="media")
def two_media(lab):
    """Files in dom0 of two CDs, of the pattern's generations 1 and 2; the second is longer."""
    return [lab.put(f"{generation}.iso", b"".join(
        pattern.sector(lba, generation) for lba in range(4 * BLOCKS * generation)))
            for generation in (1, 2)]


def exchange(lab, bios, programs, tmp_path, media):
    """Read, eject, read, insert, read, as a user at a loader's prompt does.

    Returns what came of each read, for each of the three: [(AH, what the first sector was)].
    """
    script = Script()
    keys, reads = [], []
    for _ in range(3):
        keys.append(script.key())
        reads.append([script.read(CD, block, 3) for block in (16, 16, 17, 1000)])
        script.reset(CD)
        reads[-1] += [script.read(CD, block, 3) for block in (16, 17, 17)]
        script.wait(3)
        reads[-1] += [script.read(CD, 16, 3), script.read(CD, BLOCKS + 100, 2)]
    image = script.image(tmp_path / f"{bool(bios)}.raw", programs)
    guest = create(lab, [xl_disk(lab.attach(image), "xvda"),
                         xl_disk(media[0], "hdc", access="ro", backend="qdisk", devtype="cdrom")],
                   bios)
    start(guest)
    actions = ["", "xl cd-eject {} hdc", f"xl cd-insert {{}} hdc {media[1]}"]
    for key, action in zip(keys, actions):
        guest.wait_line(f"^KEY {key:04x}$", 120)
        if action:
            lab.run(action.format(guest.domid))
        guest.press("ret")
    log = Log(ending(guest))
    guest.destroy()
    guest.wait_end()
    assert not log.failures()
    return [[(log[number].ah, [what for _, _, what in log[number].saw[:1]]) for number in part]
            for part in reads]


@pytest.mark.slow
def test_a_cd_that_is_exchanged_at_a_prompt(lab, blob, programs, tmp_path, media):
    """What was in the cache is gone as well. The stock BIOS, too, has to be told by a reset."""
    stock = exchange(lab, None, programs, tmp_path, media)
    first, ejected, second = stock
    assert first[0] == (0, ["g0001"]) and first[-1][0] != 0
    assert all(ah for ah, _ in ejected)
    assert all(what in ([], ["g0002"]) for _, what in second)
    assert exchange(lab, blob, programs, tmp_path, media) == stock


@pytest.mark.slow
def test_an_empty_drive(lab, blob, programs, tmp_path):
    """Beside a disk; its reads fail as they do with the stock BIOS."""
    script = Script()
    script.parameters(CD)
    reads = [script.read(CD, 16), script.read(CD, 16)]
    image = script.image(tmp_path / "disk.raw", programs)
    device = lab.attach(image)
    seen = []
    for bios in None, blob:
        guest = create(lab, [xl_disk(device, "xvda"),
                             "format=empty,devtype=cdrom,access=ro,vdev=hdc"], bios)
        start(guest)
        log = Log(ending(guest))
        guest.destroy()
        guest.wait_end()
        seen.append((log.parameters(CD), [log[number].ah for number in reads]))
    assert all(seen[0][1])
    assert seen[1] == seen[0]


# El Torito images of a boot sector and a few blocks: no cylinder fits in

def boot_program(text):
    """A program for El Torito that prints a text and sleeps."""
    # xor ax, ax; mov ds, ax; mov si, text; next: lodsb; test al, al; jz end; out 0xe9, al; jmp next;
    # end: hlt; jmp end
    code = bytes.fromhex("31c0 8ed8 be137c ac 84c0 7404 e6e9 ebf7 f4 ebfd")
    assert len(code) == 0x13
    return (code + text.encode() + b"\n\0").ljust(2048, b"\0")


@pytest.mark.parametrize("vdev", ["hdc", pytest.param("xvdf", marks=pytest.mark.slow)])
def test_a_cd_of_less_than_a_cylinder_boots(lab, blob, tmp_path, vdev):
    """With a twin, and without one."""
    program = boot_program("TEST PASS small")
    image = el_torito(program)[:(IMAGE + 1) * 2048]
    assert CATALOG < IMAGE and len(image) < 504 << 10
    path = tmp_path / "small.iso"
    path.write_bytes(image)
    if vdev == "hdc":
        disk = xl_disk(lab.attach(path, readonly=True), vdev, access="ro", backend="qdisk",
                       devtype="cdrom")
    else:
        disk = xl_disk(lab.attach(path, readonly=True), vdev, access="ro")
    guest = create(lab, [disk], blob, boot="d")
    if vdev == "xvdf":
        lab.run(f"xenstore-write /local/domain/{guest.domid}/device/vbd/51792/device-type cdrom")
    start(guest)
    assert guest.wait_line("^TEST PASS small|^No bootable device").group() == "TEST PASS small"


def test_a_cd_named_like_a_scsi_disk_is_one_drive(lab, blob, media):
    """libxl makes an IDE drive of each CD with a number below 4."""
    menus = []
    for bios in None, blob:
        guest = create(lab, [xl_disk(media[0], "sdc", access="ro", backend="qdisk",
                                     devtype="cdrom")], bios, boot="d")
        guest.unpause()
        guest.wait_line("Press .* for boot menu")
        guest.press("esc")
        guest.wait_line("^Select boot device")
        guest.wait_line(r"^\d+\. .*(DVD|CD)")
        guest.press("1")
        guest.wait_line("Booting from|Boot failed|No bootable")
        menus.append(len([line for line in guest.lines() if re.match(r"\d+\. .*(DVD|CD)", line)]))
        guest.destroy()
        guest.wait_end()
    assert menus == [1, 1]
