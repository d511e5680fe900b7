"""Settings of SeaBIOS and of the layer, by SMBIOS and by xenstore; the boot order."""

import re
import subprocess
import time

import pytest

from debian import HERE
from lab import Guest, guest_config, vbd_number, xl_disk
from pristine import View
from trial import END, create, layer_lines

PROJECT = HERE.parents[1]
SMBIOS_STRINGS = PROJECT / "scripts/smbios-strings"
README = (PROJECT / "README.md").read_text()
PAGE = (PROJECT / "docs/seabios-xenpv.7").read_text()
STORE = "vm-data/seabios"


def by_smbios(lab, *strings):
    """The xl.cfg setting that gives a guest strings of SMBIOS."""
    data = subprocess.run([SMBIOS_STRINGS, *strings], check=True, stdout=subprocess.PIPE).stdout
    return {"smbios_firmware": lab.put("strings.smbios", data)}


def by_store(guest, settings):
    """Write settings of a paused guest to xenstore."""
    guest.lab.run("\n".join(
        f"xenstore-write /local/domain/{guest.domid}/{STORE}/{name} '{value}'"
        for name, value in settings.items()))


def said(guest):
    """What the layer has said about settings."""
    return [line for line in layer_lines(guest) if re.match("setting |bootorder: |more ", line)]


@pytest.fixture(name="hellos")
def disks_of_several_sizes(lab, guest_disk):
    """Disks xvde, xvdf, xvdg of 5, 6 and 7 MiB, which say how large they are."""
    return [xl_disk(lab.attach(guest_disk("hello", mib=5 + n, name=vdev)), vdev)
            for n, vdev in enumerate(["xvde", "xvdf", "xvdg"])]


def booted(guest):
    """The name of the disk that a guest has booted from."""
    size = int(guest.wait_line(r"^HELLO dl=80 .* sectors=(\w+)")[1], 16) >> 11
    return f"xvd{'efg'[size - 5]}"


@pytest.mark.release
def test_settings_of_smbios_are_there_from_the_first_step_and_win(lab, blob, hellos):
    guest = create(lab, hellos, blob, **by_smbios(
        lab, "io.systemd.credential:a=b", "seabios:bootorder=xvdf,xvdz,xvde",
        "seabios:etc/show-boot-menu=0", "seabios:etc/threads=2", "seabios:etc/sdcard0=1"))
    by_store(guest, {"bootorder": "xvde", "etc/threads": 1, "etc/xen-cache-kib": 256,
                     "etc/xen-cache": 1})
    guest.unpause()
    assert booted(guest) == "xvdf"
    assert said(guest) == [
        "setting bootorder by SMBIOS: xvdf,xvdz,xvde",
        "setting etc/show-boot-menu by SMBIOS: 0",
        "setting etc/threads by SMBIOS: 2",
        "setting etc/sdcard0 by SMBIOS is refused: unknown",
        "setting etc/xen-cache by xenstore is refused: unknown",
        "setting bootorder by xenstore is refused: it is set already",
        "setting etc/threads by xenstore is refused: it is set already",
        "setting etc/xen-cache-kib by xenstore: 256",
        "bootorder: there is no xvdz"]
    lines = guest.lines()
    # the menu is not shown; what reads a setting comes behind it
    assert not any("for boot menu" in line for line in lines)
    assert lines.index("xen: setting bootorder by SMBIOS: xvdf,xvdz,xvde") \
        < lines.index("boot order:")


def test_settings_of_the_store_reach_what_seabios_reads_later(lab, blob, hellos):
    guest = create(lab, hellos, blob)
    by_store(guest, {"bootorder": "xvdg HALT", "etc/boot-menu-message": "What now?",
                     "etc/boot-menu-wait": 1, "etc/boot-fail-wait": 100, "etc/sercon-port": 0})
    guest.unpause()
    assert booted(guest) == "xvdg"
    assert any(line.startswith("What now?") for line in guest.lines())
    assert "bootorder: there is no HALT" not in said(guest)
    assert [line for line in said(guest) if "refused" in line] == []


@pytest.mark.slow
def test_nothing_but_what_is_named_is_tried_before_a_halt(lab, blob, hellos, guest_disk):
    bad = xl_disk(lab.attach(guest_disk("not-bootable")), "xvdb")
    guest = create(lab, [bad, *hellos], blob, **by_smbios(
        lab, "seabios:bootorder=xvdb,HALT", "seabios:etc/show-boot-menu=0",
        "seabios:etc/boot-fail-wait=200"))
    guest.unpause()
    # it is tried although it has no boot signature; then the machine is reset after the wait
    guest.wait_line("^Boot failed: not a bootable disk")
    guest.wait_line("^No bootable device")
    guest.wait_end()
    assert not any("HELLO" in line for line in guest.lines())


@pytest.mark.slow
def test_layer_can_be_switched_off_by_each_source(lab, blob, hellos):
    for settings, nodes in [(by_smbios(lab, "seabios:etc/xen-pv=0"), {}), ({}, {"etc/xen-pv": 0})]:
        guest = create(lab, [disk.replace("xvde", "xvda") for disk in hellos[:1]], blob, **settings)
        by_store(guest, nodes) if nodes else None
        before = View(guest)
        guest.unpause()
        guest.skip_menu()
        # the emulated disk is there all the same
        assert booted(guest) == "xvde"
        assert "switched off by etc/xen-pv" in layer_lines(guest)
        assert not any("51712" in line for line in layer_lines(guest))
        assert View(guest).traces(before) == []
        guest.destroy()


@pytest.mark.slow
def test_findings_are_in_the_store_only_if_a_setting_asks_for_them(lab, blob, hellos, tmp_path):
    small = tmp_path / "small.raw"
    small.write_bytes(bytes(256 << 10))
    small = xl_disk(lab.attach(small), "xvdh")
    for on in (0, 1):
        guest = create(lab, [*hellos, small], blob, **by_smbios(lab, f"seabios:etc/xen-report={on}"))
        guest.unpause()
        guest.skip_menu()
        booted(guest)
        tree = lab.xenstore(f"/local/domain/{guest.domid}/data")
        version, = {line for line in guest.lines() if line.startswith("SeaBIOS (version ")}
        assert tree == ({} if not on else {
            "seabios": "", "seabios/version": version[17:-1],
            "seabios/boot": "Disk [Xen PV xvde (5 MiB)]"})
        errors = lab.xenstore(f"/local/domain/{guest.domid}/error")
        path = f"device/vbd/{vbd_number('xvdh')}/error"
        assert errors.get(path) == ("too small, not even a cylinder" if on else None)
        guest.destroy()


def network_rom(lab, programs, vendor, device, number):
    """Put the ROM of a network device into dom0."""
    path = programs / f"{number}.rom"
    subprocess.run(["nasm", "-f", "bin", f"-DVENDOR={vendor}", f"-DDEVICE={device}",
                    f"-DNUMBER={number}", "-o", path, HERE.parent / "guests/rom.asm"], check=True)
    data = path.read_bytes()
    # a page of its own, as Xen maps it
    return lab.put(path.name, (data + bytes([-sum(data) & 0xff])).ljust(4096, b"\0"))


@pytest.mark.slow
@pytest.mark.parametrize("order, rom", [
    ("vif1,vif0", "1"), ("vif0,xvde", "0"), ("xvde,vif0", None)])
def test_boot_order_names_emulated_network_devices(lab, blob, hellos, programs, order, rom):
    arguments = []
    for number in range(2):
        path = network_rom(lab, programs, 0x10ec, 0x8139, number)
        arguments += ["-device", f"rtl8139,romfile={path}"]
    guest = create(lab, hellos, blob, device_model_args=arguments,
                   **by_smbios(lab, f"seabios:bootorder={order}"))
    guest.unpause()
    guest.skip_menu()
    if rom:
        guest.wait_line(f"^ROM {rom} boots$")
    else:
        assert booted(guest) == "xvde"
    assert not any("there is no" in line for line in said(guest))


def test_boot_order_names_the_rom_of_the_platform_device(lab, blob, hellos, programs):
    path = network_rom(lab, programs, 0x5853, 1, 7)
    guest = create(lab, hellos, blob,
                   device_model_args=["-global", f"xen-platform.romfile={path}"],
                   **by_smbios(lab, "seabios:bootorder=vif0,xvdf"))
    guest.unpause()
    guest.skip_menu()
    guest.wait_line("^ROM 7 boots$")
    assert not any("there is no" in line for line in said(guest))


class Serial:
    """A guest's serial console, which a setting asks for."""

    def __init__(self, lab, blob, disks):
        self.lab = lab
        self.guest = create(lab, disks, blob, serial="pty",
                            **by_smbios(lab, "seabios:etc/sercon-port=0x3f8"))
        self.tty = lab.run(
            f"xenstore-read /local/domain/{self.guest.domid}/serial/0/tty").strip()
        lab.spawn(f"exec cat {self.tty} >/root/serial")
        self.guest.unpause()
        self.guest.wait_line("for boot menu")
        self.type("\x1b")
        self.wait("3. Disk [Xen PV xvdg")

    def type(self, text):
        """Type keys."""
        self.lab.run(f"cat >{self.tty}", stdin=text.encode())

    def wait(self, text):
        """Wait until a text has come."""
        deadline = time.monotonic() + 60
        while text.encode() not in (seen := self.lab.run_bytes("cat /root/serial")):
            assert time.monotonic() < deadline, seen
            time.sleep(0.2)


def test_serial_console_has_the_menu_where_a_setting_asks_for_it(lab, blob, hellos):
    """With etc/sercon-port, `xl console` shows the boot menu, and takes its keys."""
    serial = Serial(lab, blob, hellos)
    serial.type("3")
    assert booted(serial.guest) == "xvdg"


@pytest.mark.slow
def test_serial_console_has_the_monitor(lab, blob, hellos):
    serial = Serial(lab, blob, hellos)
    serial.type("x")
    serial.wait("xen> ")
    serial.type("disks\r")
    serial.wait("xvdg: 51808, blkback in domain 0")
    serial.type("boot\r")
    assert booted(serial.guest) == "xvde"


################ The examples of README and manual page, as they are printed there

def examples(text):
    """The blocks of code in README's section Settings, or the manual page's."""
    if text is README:
        section = re.search(r"^## Settings\n(.*?)^## ", text, re.M | re.S)[1]
        blocks = re.findall(r"(?:^    .*\n)+", section, re.M)
        return [re.sub("^    ", "", block, flags=re.M) for block in blocks]
    section = re.search(r"^\.SH SETTINGS\n(.*?)^\.SH ", text, re.M | re.S)[1]
    return [block.replace("\\", "") for block in
            re.findall(r"^\.RS\n(.*?)^\.RE\n", section, re.M | re.S)]


def example(text, begin):
    """The one block that begins so."""
    block, = [block for block in examples(text) if block.startswith(begin)]
    return block


def prepare(lab, blob, hellos, more=""):
    """Write the xl.cfg of a guest, which the examples call guest.cfg, and install the script."""
    config = guest_config(hellos, name="guest", bios_path_override=lab.blob(blob)) + more
    lab.put("guest.cfg", config.encode())
    place = "/usr/lib/seabios-xenpv/smbios-strings"
    lab.run(f"mkdir -p /usr/lib/seabios-xenpv /etc/xen; cat >{place}; chmod +x {place}; "
            "ln -sfn /usr/lib/seabios-xenpv /root/scripts",
            stdin=SMBIOS_STRINGS.read_bytes())


def run(lab, commands):
    """Run an example's commands, after which the guest is there."""
    position = lab.log.end()
    lab.run(f"cd /root\n{commands}")
    return Guest(lab, "guest", int(lab.run("xl domid guest")), position)


@pytest.mark.parametrize("text, script", [
    pytest.param(README, "scripts/smbios-strings", id="readme"),
    pytest.param(PAGE, "/usr/lib/seabios-xenpv/smbios-strings", id="manual",
                 marks=pytest.mark.slow)])
def test_examples_do_what_they_say(lab, blob, hellos, text, script):
    ways = {"file": example(text, "smbios_firmware ="), "store": "", "store of xe": ""}
    major, minor = map(int, lab.run("xl info xen_version").split(".")[:2])
    if (major, minor) >= (4, 18):
        ways["xl.cfg"] = example(text, "smbios = ")
    for way, config in ways.items():
        prepare(lab, blob, hellos, config)
        if way == "file":
            lab.run("cd /root\n" + example(text, script))
        commands = "xl create -q guest.cfg"
        if way == "store":
            commands = example(text, "xl create -p")
        if way == "store of xe":
            # what xenopsd writes of xenstore-data
            path, value = re.search(r" xenstore-data:(\S+)=(\S+)", example(text, "xe ")).groups()
            commands = ("xl create -q -p guest.cfg\nxenstore-write "
                        f"/local/domain/$(xl domid guest)/{path} {value}\nxl unpause guest")
        guest = run(lab, commands)
        guest.wait_line("for boot menu")
        assert booted(guest) == "xvdf", way
        expected = ["setting bootorder by xenstore: xvdf"] if "store" in way else [
            "setting bootorder by SMBIOS: xvdf,xvde", "setting etc/boot-menu-wait by SMBIOS: 500"]
        assert said(guest) == expected, way
        guest.destroy()
