"""The firmware of PVH guests: a machine without a device model boots from its PV disks."""

import re
import struct
import sys

import pytest

import pattern
from lab import HERE, Lab, xl_disk
from pristine import View
from test_settings import network_rom
from trial import create, ending, start

sys.path.append(str(HERE.parent / "build"))
from project import copy_project, must      # noqa: E402

TICK = 54.9254
HINTS = ["e820", "ec00", "1300", "4b00", "i18", "i19"]


@pytest.fixture(name="run_program")
def program_runner(lab, guest_disk, pvh):
    """Creates a guest with a program of tests/guests, not started yet."""
    def run(program, label="", backend="phy", memory=64, **settings):
        names = {key: settings.pop(key) for key in ("delay_ms", "mib") if key in settings}
        image = guest_disk(program, name=f"{program}-{label}", label=label, **{"mib": 5, **names})
        disk = xl_disk(lab.attach(image), "xvde", backend=backend)
        guest = create(lab, [disk], pvh, memory=memory, **settings)
        guest.image = image
        return guest
    return run


def failures(guest):
    """The lines of the checks that failed."""
    return [line for line in guest.lines() if line.startswith("FAIL ")]


def apic(guest):
    """The records of the local APIC that Xen would save."""
    text = guest.lab.run(f"xen-hvmctx {guest.domid}")
    return re.findall(r"^    LAPIC.*(?:\n {10}.*)*", text, re.M)


def reason(guest):
    """Wait until a domain has ended, and return why: 0 poweroff, 1 reboot, 3 crash."""
    return int(guest.lab.run(f"until xl list -v {guest.domid} | awk 'END {{ print $8; "
                             "exit $5 !~ /[sc]/ }'; do sleep 0.1; done | tail -n 1"))


def test_grub_boots_linux_in_a_machine_without_a_device_model(lab, pvh, grub_linux):
    device = lab.attach(grub_linux(options="lab.end=shell"), snapshot=True)
    guest = create(lab, [xl_disk(device, "xvde")], pvh)
    guest.unpause()
    guest.skip_menu()
    guest.wait_line("^LAB: GRUB starts Linux$", 120)
    guest.wait_line(r"LAB: booted from /dev/xvde1 \(vbd-51776\), ext4, \d+ files, test data right",
                    120)
    assert lab.run("pgrep -a -f '[q]emu-system' || true") == ""
    text = "\n".join(guest.lines())
    assert re.search(r"CPU Mhz=\d+ \(Xen\)", text)
    assert "Using pmtimer" not in text
    assert "xen: xvde: 51776, 64 MiB, blkback in domain 0, read-write" in guest.lines()
    assert "BIOS-e820: [mem 0x00000000fe700000-0x00000000fe701fff] reserved" in text


def test_int13_does_what_a_caller_may_expect(run_program):
    guest = run_program("int13")
    start(guest)
    lines = ending(guest, 300)
    assert lines[-1] == "TEST PASS int13", failures(guest)
    assert pattern.verify(guest.image, pattern.writes(lines)) == []


@pytest.mark.parametrize("label", ["device", "none"])
def test_pci_bios_has_a_device_for_the_rom_of_a_module(lab, run_program, programs, label):
    settings = {}
    if label == "device":
        settings["ramdisk"] = network_rom(lab, programs, 0x5853, 1, 0)
    guest = run_program("pci", label=label, **settings)
    start(guest)
    assert ending(guest)[-1] == "TEST PASS pci", failures(guest)


def traces_of_a_wait(guest, before):
    """What a guest that waits in the BIOS has left: each second it asks xenstore for a moment what
    dom0 wants, and a look into that is not the one that counts."""
    for _ in range(4):
        found = View(guest).traces(before)
        if not found:
            break
    return found


def test_no_trace_after_any_int13_and_while_the_firmware_waits(run_program):
    guest = run_program("steps", label="keys")
    before = View(guest)
    start(guest)
    for step in range(8):
        guest.wait_line(f"^STEP {step} ")
        assert traces_of_a_wait(guest, before) == [], step
        guest.press("ret")
    assert ending(guest)[-1] == "TEST PASS steps"


def test_os_finds_devices_and_local_apic_as_new_after_each_hint_alone(run_program):
    guests = {hint: run_program("takeover", label=hint) for hint in HINTS}
    new = {hint: apic(guest) for hint, guest in guests.items()}
    for hint, guest in guests.items():
        # alone: xenstored's event follows its reply within 200 us if it gets the CPU
        guest.unpause()
        ending(guest)
        assert failures(guest) == [], hint
        assert "SEEN apic base fee00900 spiv ff lvtt 10000 tmict 0 pending 0" in guest.lines(), hint
        assert len(new[hint]) == 2 and apic(guest) == new[hint], hint


def test_os_without_a_hint_finds_nothing_but_the_armed_timer(run_program):
    guest = run_program("takeover", label="none", on_reboot="preserve")
    start(guest)
    ending(guest)
    assert failures(guest) == []
    found, = [line for line in guest.lines() if line.startswith("SEEN apic")]
    armed = re.fullmatch(r"SEEN apic base fee00d00 spiv 1ff lvtt 70 tmict \w+ pending (\d)", found)
    assert armed and int(armed.group(1)) <= 1, found


# Time

def check_clock(guest, wanted_ms):
    """Each way to wait has counted the ticks that the TSC says."""
    lines = ending(guest, 60 + wanted_ms * 20 // 1000)
    assert lines[-1] == "TEST PASS clock", failures(guest)
    rows = {name: (int(ms), int(ticks), int(calls)) for name, ms, ticks, calls in re.findall(
        r"^CLOCK (\S+) ms=(\d+) ticks=(\d+) calls=(\d+)$", "\n".join(lines), re.M)}
    assert len(rows) == 14, sorted(rows)
    for name, (ms, ticks, calls) in rows.items():
        # a tick that is under way at either end, and 1 %
        assert abs(ms - ticks * TICK) <= 2 * TICK + ms / 100, (name, ms, ticks)
        if "hook" in name:
            assert abs(calls - ticks) <= 1, (name, calls, ticks)
        if name.startswith("poll-key"):
            # programs that only wait sleep for 20 ms, to the next look at the console
            assert calls <= 3 * ticks + 110, (name, calls, ticks)
    for name in ("int15-86", "int15-83"):
        assert abs(rows[name][0] - wanted_ms) <= 2 * TICK + wanted_ms / 100, rows[name]
    assert abs(rows["seconds"][2] - rows["seconds"][0] / 1000) <= 1, rows["seconds"]
    return rows


def test_ticks_are_right_however_a_program_waits(run_program):
    guest = run_program("clock", delay_ms=1000)
    start(guest)
    check_clock(guest, 1000)


@pytest.mark.slow
def test_ticks_are_right_within_one_percent_over_a_minute(run_program):
    guest = run_program("clock", delay_ms=60000)
    start(guest)
    check_clock(guest, 60000)


def test_no_disk_ends_in_a_wait_that_dom0_can_end(lab, pvh):
    guest = create(lab, [], pvh, memory=64)
    start(guest)
    guest.wait_line("^No bootable device.$")
    lab.run(f"xl shutdown {guest.domid}")
    guest.wait_line("^xen: dom0 asks for poweroff$", 60)
    guest.wait_end()


@pytest.mark.slow
def test_six_gib_and_four_vcpus(guest_disk, pvh):
    """In a machine of its own, which has 8 GiB."""
    with Lab.start("pvh-large", size="large") as lab:
        guest = create(lab, [xl_disk(lab.attach(guest_disk("stream", mib=5)), "xvde")], pvh,
                       memory=6144, vcpus=4)
        before = View(guest)
        start(guest)
        assert ending(guest, 240)[-1] == "TEST PASS stream"
        assert View(guest).traces(before) == []
        high, = re.findall(r"0000000100000000 - (\w+) = 1 RAM", "\n".join(guest.lines()))
        # the hole below 4 GiB has 64 MiB at least
        assert int(high, 16) >= (6 << 30) + (64 << 20)


# Power

@pytest.mark.parametrize("label, why", [("off", 0), ("reset", 1)])
def test_dom0_sees_why_a_guest_has_ended(run_program, label, why):
    guest = run_program("power", label=label, on_poweroff="preserve", on_reboot="preserve")
    start(guest)
    guest.wait_line("^POWER ends now")
    assert reason(guest) == why


@pytest.mark.slow
def test_panic_is_a_crash(lab, tmp_path):
    """Without its own part for booting SeaBIOS panics, when there is nothing else to do."""
    project = copy_project(tmp_path / "project")
    must("make", "SETTINGS=CONFIG_BOOT=n", "out/seabios-xenpvh.elf", cwd=project)
    guest = create(lab, [], project / "out/seabios-xenpvh.elf", memory=64)
    guest.unpause()
    assert reason(guest) == 3
    assert guest.lines()[-1] == "Boot support not compiled in."


def without_start_info(pvh, path):
    """The firmware with an entry that loses Xen's start_info."""
    data = bytearray(pvh.read_bytes())
    segment, = struct.unpack_from("<I", data, 52 + 4)
    free = 0x10000                      # in the empty front of the image
    assert not any(data[segment + free:segment + free + 16])
    # mov $0x200000, %ebx; jmp to the entry
    data[segment + free:segment + free + 10] = struct.pack("<BIBi", 0xbb, 0x200000, 0xe9,
                                                           -free - 10)
    note = data.index(b"Xen\0\0\0\x0c\0") + 4
    struct.pack_into("<I", data, note, 0xc0000 + free)
    path.write_bytes(data)
    return path


def test_entry_without_a_start_info_is_a_crash_with_its_reason(lab, pvh, tmp_path):
    guest = create(lab, [], without_start_info(pvh, tmp_path / "changed.elf"), memory=64)
    guest.unpause()
    assert reason(guest) == 3
    assert guest.lines() == ["pvh: start_info is none"]


def test_long_command_line_is_cut_with_a_line(lab, pvh):
    guest = create(lab, [], pvh, memory=64, cmdline="x" * 5000)
    start(guest)
    assert guest.lines()[0] == "pvh: the command line is cut after 4095 bytes"


@pytest.mark.slow
def test_module_that_is_no_rom_is_ignored_with_a_line(lab, run_program):
    module = lab.put("module", bytes(4096))
    guest = run_program("hello", ramdisk=module)
    start(guest)
    assert ending(guest)[-1] == "TEST PASS hello"
    assert "xen: the module of the domain (ramdisk=) is no option ROM, and ignored" in guest.lines()


# What dom0 asks for

@pytest.mark.parametrize("request_, why", [("shutdown", 0), ("reboot", 1)])
def test_dom0_is_answered_while_a_program_waits_for_a_key(run_program, request_, why):
    guest = run_program("takeover", label="menu", on_poweroff="preserve", on_reboot="preserve")
    start(guest)
    guest.wait_line("^takeover: wait for Enter")
    guest.lab.run(f"xl {request_} {guest.domid}")
    assert reason(guest) == why


def test_guest_that_waits_is_saved_and_restored(lab, run_program):
    guest = run_program("takeover", label="menu", name="saved")
    start(guest)
    guest.wait_line("^takeover: wait for Enter")
    lab.run("xl save saved /root/saved && xl restore /root/saved", 180)
    guest = guest.now()
    guest.press("ret")
    ending(guest, 120)
    assert failures(guest) == []


@pytest.mark.slow
def test_a_hook_of_the_timer_reads_a_disk_while_dom0_may_ask(lab, run_program):
    """Each second the firmware looks whether dom0 asks for something, in a wait as here; xenstored
    takes its time, so that ticks are due in many looks."""
    guest = run_program("hook", delay_ms=30000, mib=33)
    before = View(guest)
    start(guest)
    lab.spawn("for i in $(seq 70); do kill -STOP $(cat /run/xen/xenstored.pid); sleep 0.2; "
              "kill -CONT $(cat /run/xen/xenstored.pid); sleep 0.2; done")
    lines = ending(guest, 240)
    assert lines[-1] == "TEST PASS hook", lines[-5:]
    calls, = (re.match(r"HOOK calls=(\d+) ", line) for line in lines if line.startswith("HOOK "))
    assert int(calls[1]) >= 10
    assert View(guest).traces(before) == []


@pytest.mark.slow
def test_ticks_go_on_where_a_hook_of_the_timer_was_left(run_program):
    guest = run_program("hook", label="left")
    start(guest)
    assert ending(guest, 240)[-1] == "TEST PASS hook", failures(guest)


# The machine

@pytest.mark.slow
def test_a_machine_without_x2apic_waits_without_the_timer(run_program):
    guest = run_program("takeover", label="menu", cpuid="host,x2apic=0")
    start(guest)
    guest.wait_line("^takeover: wait for Enter")
    guest.press("ret")
    ending(guest, 120)
    assert failures(guest) == []


@pytest.mark.slow
def test_a_boot_that_failed_is_tried_again_only_if_a_setting_says_when(lab, pvh):
    guest = create(lab, [], pvh, memory=64, on_reboot="preserve")
    lab.run(f"xenstore-write /local/domain/{guest.domid}/vm-data/seabios/etc/boot-fail-wait 2000")
    start(guest)
    guest.wait_line("^No bootable device.  Retrying in 2 seconds.$")
    assert reason(guest) == 1


@pytest.mark.parametrize("memory, maxmem, vcpus", [
    (32, 32, 1), (64, 64, 1), pytest.param(200, 400, 4, marks=pytest.mark.slow)])
def test_small_memory_and_memory_below_maxmem(run_program, memory, maxmem, vcpus):
    guest = run_program("hello", memory=memory, maxmem=maxmem, vcpus=vcpus)
    start(guest)
    lines = ending(guest)
    assert lines[-1] == "TEST PASS hello"
    text = "\n".join(lines)
    end = int(re.search(r"3: 0{10}100000 - (\w+) = 1 RAM$", text, re.M).group(1), 16)
    assert 0 < (maxmem << 20) - end <= (maxmem << 20) / 64 + (64 << 10)
    # the tables of ACPI, just below 4 GiB, are not its end
    assert f"MACHINE 88={min(end - (1 << 20) >> 10, 63 << 10):04x} " \
        f"e801={end - (1 << 24) >> 16:04x}" in lines


def test_ticks_of_the_day_are_right_before_midnight(lab, run_program):
    late = (23 * 3600 - int(lab.run("date -u +%s"))) % 86400
    guest = run_program("hello", rtc_timeoffset=late)
    start(guest)
    line = next(line for line in ending(guest) if line.startswith("NOW "))
    ticks, hour, minute, second = re.search(r"ticks=(\w+) time=(..)(..)(..)$", line).groups()
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
    assert seconds >= 23 * 3600 and abs(int(ticks, 16) * TICK / 1000 - seconds) <= 2, line
