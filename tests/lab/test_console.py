"""The PV console: BIOS, boot loaders and programs on `xl console`, driven as by a person."""

import os
import pathlib
import sys

import pytest

from lab import HERE, xl_disk
from releases import chosen
from terminal import DOWN, ENTER, ESC, F12, LEFT, ROWS, UP, Terminal
from trial import create, ending

sys.path.append(str(HERE.parent / "matrix"))
import disks        # noqa: E402

FUNCTION = [None, "\x1bOP", "\x1bOQ", "\x1bOR", "\x1bOS", "\x1b[15~", "\x1b[17~", "\x1b[18~",
            "\x1b[19~", "\x1b[20~", "\x1b[21~", "\x1b[23~", "\x1b[24~"]
# What a terminal sends, and the key that int16 AH=10 says.
KEYS = {
    "a": 0x1e61, "Z": 0x2c5a, "7": 0x0837, "~": 0x297e, " ": 0x3920, ENTER: 0x1c0d, "\t": 0x0f09,
    "\x7f": 0x0e08, "\x01": 0x1e01, "\x1a": 0x2c1a, "\x1bx": 0x2d00, "\x1b1": 0x7800,
    "\x1b=": 0x8300, UP: 0x48e0, DOWN: 0x50e0, "\x1bOC": 0x4de0, LEFT: 0x4be0, "\x1b[H": 0x47e0,
    "\x1b[4~": 0x4fe0, "\x1b[2~": 0x52e0, "\x1b[3~": 0x53e0, "\x1b[5~": 0x49e0,
    "\x1b[6~": 0x51e0, "\x1b[1;5C": 0x74e0, "ü": 0x0081, "─": 0x00c4, "Σ": 0x00e4, "€": None,
    "\x1b[1;2A": None, "\x1b[3;5~": None, "\x1bOx": None,
    "\x1bO2P": None, "\x1b[3$": None,
    FUNCTION[1]: 0x3b00, FUNCTION[9]: 0x4300, FUNCTION[11]: 0x8500, F12: 0x8600, ESC: 0x011b,
}
CP437 = bytes(range(0x80, 0x100)).decode("cp437").replace("\xa0", " ")
# What the screen of a PC has for control characters
GLYPHS = dict(enumerate("☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼", 1))
ALERT = "shows graphics (mode 13h), which this console cannot show."


@pytest.fixture(name="watch")
def terminals():
    """Opens terminals, and closes them after the test."""
    opened = []

    def watch(guest, **settings):
        opened.append(Terminal(guest, **settings))
        return opened[-1]
    yield watch
    for terminal in opened:
        terminal.close()


@pytest.fixture(name="boot_loader")
def loader_starter(lab, pvh, watch):
    """Starts a PVH guest from a disk of the matrix, with a terminal."""
    def boot(name, **settings):
        device = lab.attach(disks.files(chosen()) / f"{name}.raw", snapshot=True)
        guest = create(lab, [xl_disk(device, "xvde")], pvh, **settings)
        terminal = watch(guest)
        guest.unpause()
        return guest, terminal
    return boot


@pytest.fixture(name="program")
def program_starter(lab, pvh, guest_disk, watch):
    """Starts a PVH guest with tests/guests/console.asm, with a terminal."""
    def start(**settings):
        disk = lab.attach(guest_disk("console", mib=5))
        guest = create(lab, [xl_disk(disk, "xvde")], pvh, memory=64)
        terminal = watch(guest, **settings)
        guest.unpause()
        terminal.wait("Console is ready", 60)
        return guest, terminal
    return start


def shown(guest):
    """What is on the guest's screen, as its terminal would have it."""
    lines = [line.rstrip().translate(GLYPHS) for line in guest.screen().split("\n")[:ROWS]]
    return "\n".join([*lines, *[""] * (ROWS - len(lines))])


def picture(terminal, name):
    """Draw a screen, in the directory $PICTURES if there is one (`make pictures`)."""
    terminal.settle(0.5)
    image = terminal.svg()
    if "PICTURES" in os.environ:
        pathlib.Path(os.environ["PICTURES"], f"console-{name}.svg").write_text(image)


def test_boot_menu_grub_and_linux_by_console_alone(boot_loader):
    guest, terminal = boot_loader("grub-menu")
    terminal.wait("for boot menu")
    terminal.type(ESC)
    terminal.wait("1. Disk [Xen PV xvde (64 MiB)]")
    picture(terminal, "boot-menu")
    terminal.type("1")
    # GRUB: the second entry, with a word more in the line of Linux
    terminal.wait("A shell")
    terminal.wait("Power off")
    terminal.settle(0.5)
    assert terminal.text() == shown(guest)
    terminal.type(DOWN)
    terminal.wait(lambda: "black" in {cell.fg for cell in terminal.line_of("A shell")[1]})
    picture(terminal, "grub")
    assert "black" not in {cell.fg for cell in terminal.line_of("Power off")[1]}
    terminal.type("e")
    terminal.wait("linux /boot/vmlinuz")
    before = len(terminal.raw)
    for key in DOWN, DOWN, "\x05", *" lab.word=typed":
        terminal.type(key)
    terminal.wait(lambda: "lab.word=typed" in terminal.text().replace("\\\n", ""))
    print(f"{len(terminal.raw) - before} bytes for 18 keys in GRUB's editor")
    picture(terminal, "grub-editor")
    terminal.type("\x18")
    terminal.wait("Booting a command list")
    # what nobody in the firmware has asked for is the OS's
    terminal.type("echo ear''ly\r")
    # Linux's console goes on in the same ring
    terminal.wait("[Linux on /dev/xvde1", 120)
    assert terminal.text().startswith("  Booting a command list\n\n")
    terminal.wait("\nearly")
    terminal.type("cat /proc/cmdline; echo o''k\r")
    terminal.wait("\nok")
    assert "lab.word=typed" in terminal.text().replace("\n", "")


@pytest.mark.slow
def test_syslinux_prompt_and_menu(boot_loader):
    guest, terminal = boot_loader("syslinux-menu")
    terminal.wait("boot:")
    terminal.type("menux\x7f")
    terminal.wait("boot: menu")
    terminal.settle(0.5)
    assert "menux" not in terminal.text() and terminal.text() == shown(guest)
    picture(terminal, "syslinux")
    terminal.type(ENTER)
    terminal.wait("What to boot")
    terminal.wait("Another")
    terminal.settle(0.5)
    assert terminal.text() == shown(guest)
    picture(terminal, "menu.c32")
    assert {"blue", "black"} & {cell.bg for cell in terminal.line_of("What to boot")[1]}
    terminal.type(DOWN + ENTER)
    terminal.wait("LAB: booted from", 120)


def test_monitor_has_lines_that_are_edited_and_kept(lab, pvh, guest_disk, watch):
    guest = create(lab, [xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde")], pvh, memory=64)
    terminal = watch(guest)
    guest.unpause()
    terminal.wait("for boot menu")
    terminal.type(ESC)
    terminal.wait("x. Xen monitor")
    terminal.type("x")
    terminal.wait("\nxen>")
    terminal.type("nothing\x15get domud\x7f\x7fid" + ENTER)
    terminal.wait(f"xen> get domid\n{guest.domid}\nxen>")
    terminal.type("disks" + ENTER)
    terminal.wait("xvde: 51776, blkback in domain 0, states 1 2, used by PV")
    terminal.type(UP + UP + ENTER)
    terminal.wait(lambda: terminal.text().count(f"xen> get domid\n{guest.domid}\n") == 2)
    terminal.type("boot" + ENTER)
    assert ending(guest)[-1] == "TEST PASS hello"


def test_no_bootable_device_is_said(lab, pvh, watch):
    guest = create(lab, [], pvh, memory=64)
    terminal = watch(guest)
    guest.unpause()
    terminal.wait("No bootable device.")


def test_screen_and_keys_of_a_program(program):
    guest, terminal = program()
    # the keys, one by one, each as one thing that is typed
    for keys, code in KEYS.items():
        terminal.type(keys)
        if code is None:
            continue
        assert guest.wait_line("^KEY (....)$").group(1) == f"{code:04x}", keys
    # all of CP437, in the colours that int10 leaves
    terminal.type(FUNCTION[7])
    terminal.wait(CP437[-8:].rstrip())
    assert CP437.rstrip() in terminal.text().replace("\n", "")
    # what is written past int10, and its colours
    terminal.type(FUNCTION[2])
    terminal.wait("Written to the screen's memory")
    row, cells = terminal.line_of("Written to")
    assert (row, cells[0].fg, cells[0].bg, cells[0].bold) == (10, "brown", "blue", True)
    terminal.settle(0.3)
    assert terminal.text() == shown(guest)
    # graphics, and text again
    terminal.type(FUNCTION[3])
    terminal.wait(ALERT)
    terminal.type(FUNCTION[4])
    terminal.wait("Console is ready")
    terminal.settle(0.3)
    assert terminal.text() == shown(guest) and ALERT not in terminal.text()
    # other fonts, and as many rows as before
    terminal.type(FUNCTION[9])
    guest.wait_line("^ROWS 31 18$")
    # each line of a flood is there once, those that have left the screen, too
    terminal.type(FUNCTION[5])
    guest.wait_line("^FLOOD ends$", 120)
    terminal.wait("Line 0299")
    everything = terminal.everything().splitlines()
    assert [line for line in everything if line.startswith("Line ")] == \
        [f"Line {number:04}" for number in range(300)]
    # what is pasted comes whole, although the program reads slower than it comes
    text = "".join(chr(ord("a") + (at * 7 + at // 64) % 26) for at in range(4096))
    sum_ = 0
    for letter in text:
        sum_ = ((sum_ << 5 | sum_ >> 27) & 0xffffffff) ^ ord(letter)
    terminal.type(FUNCTION[6] + text)
    assert guest.wait_line("^PASTED (.*)$", 120).group(1) == f"{sum_:08x}"
    # what nobody asked for stays in the ring: the OS's
    terminal.type(FUNCTION[8])
    assert ending(guest)[-1] == "TEST PASS console"


def test_terminal_of_24_lines_is_right_but_for_its_last(program):
    guest, terminal = program(rows=24)
    terminal.type(FUNCTION[4])
    for _ in range(23):                         # until the cursor is in the last line
        terminal.type(FUNCTION[10])
        guest.wait_line("^KEY 4400$")
    terminal.settle(0.3)
    assert shown(guest).splitlines() == 24 * ["Console is ready"]
    assert terminal.text().splitlines()[:23] == 23 * ["Console is ready"]


def test_boot_goes_on_while_the_daemon_is_stopped(lab, program):
    guest, terminal = program()
    lab.run("kill -STOP $(cat /run/xen/xenconsoled.pid)")
    try:
        # a flood by keys that come another way
        guest.press("f5")
        guest.wait_line("^FLOOD ends$", 120)
    finally:
        lab.run("kill -CONT $(cat /run/xen/xenconsoled.pid)")
    terminal.wait("Line 0299")
    terminal.settle(0.3)
    assert terminal.text() == shown(guest)
    terminal.type("a")
    guest.wait_line("^KEY 1e61$")


@pytest.mark.slow
def test_migration_at_the_prompt_loses_nothing(lab, program, watch):
    guest, _ = program()
    name = guest.name
    lab.run(f"xl save {name} /root/saved && xl restore /root/saved", 180)
    guest = guest.now()
    terminal = watch(guest)
    terminal.wait("Console is ready")
    terminal.settle(0.3)
    assert terminal.text() == shown(guest)
    terminal.type("a")
    guest.wait_line("^KEY 1e61$")


@pytest.mark.parametrize("vga", ["none", pytest.param("stdvga", marks=pytest.mark.slow)])
def test_hvm_guest_has_a_console_if_it_is_asked_for(lab, blob, guest_disk, watch, vga):
    disk = lab.attach(guest_disk("console", mib=5))
    guest = create(lab, [xl_disk(disk, "xvde")], blob, memory=64, vga=vga)
    lab.run(f"xenstore-write /local/domain/{guest.domid}/vm-data/seabios/etc/xen-console 1")
    terminal = watch(guest)
    guest.unpause()
    terminal.wait("for boot menu")
    terminal.type(ESC)
    terminal.wait("1. Disk [Xen PV xvde (5 MiB)]")
    terminal.type("1")
    terminal.wait("Console is ready")
    terminal.type("a")
    guest.wait_line("^KEY 1e61$")
    if vga == "none":
        # to scroll an emulated screen takes too long here
        terminal.type(FUNCTION[5])
        guest.wait_line("^FLOOD ends$", 120)
        terminal.wait("Line 0299")
        lines = [line for line in terminal.everything().splitlines() if line.startswith("Line ")]
        assert lines == [f"Line {number:04}" for number in range(300)]


def test_linux_of_a_hvm_guest_gets_a_console_as_it_expects_it(lab, blob, grub_linux, watch):
    disk = lab.attach(grub_linux(), snapshot=True)
    guest = create(lab, [xl_disk(disk, "xvde")], blob, vga="none")
    lab.run(f"xenstore-write /local/domain/{guest.domid}/vm-data/seabios/etc/xen-console 1")
    terminal = watch(guest)
    guest.unpause()
    guest.wait_line(r"LAB: booted from .*, test data right", 120)
    guest.wait_end()
    terminal.settle(0.5)
    firmware_, reset, linux = terminal.raw.rpartition(b"\x1b[0m\x1b[?7h")
    assert b"for boot menu" in firmware_ and reset
    assert b"\x1b" not in linux.split(b"LAB: booted")[0]


def test_hvm_guest_has_none_otherwise(lab, blob, guest_disk, watch):
    disk = lab.attach(guest_disk("hello", mib=5))
    guest = create(lab, [xl_disk(disk, "xvde")], blob, memory=64)
    terminal = watch(guest)
    guest.unpause()
    ending(guest)
    terminal.settle(0.5)
    assert terminal.raw == b""
