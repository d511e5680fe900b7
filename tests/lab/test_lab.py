"""The lab itself: resume, commands, files, disks, guests with stock SeaBIOS, clean-up."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from lab import CommandError, Lab, LabError, xl_disk
from releases import chosen

HERE = pathlib.Path(__file__).resolve().parent


@pytest.mark.release
def test_runs_commands_in_a_dom0_of_a_real_xen(lab):
    assert lab.run("xl info xen_version").startswith(f"{chosen().xen}.")
    assert lab.run("cat", stdin=b"text") == "text"


def test_two_programs_of_apt_never_see_each_others_lists_half_written(tmp_path):
    order = tmp_path / "order"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(chosen().apt, 2 * [["sh", "-c",
                                         f"echo begin >>{order}; sleep 1; echo end >>{order}"]]))
    assert order.read_text().split() == ["begin", "end"] * 2


def test_failed_command_raises_with_both_streams(lab):
    with pytest.raises(CommandError) as caught:
        lab.run("echo seen; echo wrong >&2; exit 3")
    for text in ("exit status 3", "seen", "wrong"):
        assert text in str(caught.value)


def test_command_that_does_not_end_raises(lab):
    with pytest.raises(CommandError, match="not finished after 1 s"):
        lab.run("sleep 30", timeout=1)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 262144, 1000001])
def test_puts_any_bytes_into_a_file(lab, size):
    data = os.urandom(size)
    assert lab.run_bytes(f"cat {lab.put('file', data)}") == data


def test_disk_is_the_file_on_the_host(lab, tmp_path):
    image = tmp_path / "image,with comma"
    image.write_bytes(os.urandom(1 << 20))
    disk = lab.attach(image)
    lab.run(f"printf changed | dd of={disk} bs=1 seek=512 conv=notrunc 2>&1")
    data = lab.read_back(disk)
    assert data == lab.run_bytes(f"cat {disk}", timeout=20) == image.read_bytes()
    assert data[512:519] == b"changed"


def test_snapshot_disk_leaves_the_file_alone(lab, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    disk = lab.attach(image, snapshot=True)
    lab.run(f"printf changed | dd of={disk} bs=1 conv=notrunc,fsync 2>&1")
    assert not any(image.read_bytes())


def test_xenstore_is_a_dictionary(lab):
    lab.run("xenstore-write /test/a/b 'with \"quotes\" = and \\\\ tab\t'")
    assert lab.xenstore("/test") == {"a": "", "a/b": 'with "quotes" = and \\ tab\t'}


@pytest.mark.release
def test_debug_keys_return_what_the_hypervisor_prints(lab):
    assert "gnttab_usage_print_all" in lab.debug_keys("g")
    assert "Event channel information for domain 0" in lab.debug_keys("e")


@pytest.mark.parametrize("backend", ["phy", pytest.param("qdisk", marks=pytest.mark.slow)])
def test_stock_seabios_boots_from_an_emulated_disk(lab, guest_disk, backend):
    disk = lab.attach(guest_disk("hello"))
    guest = lab.create([xl_disk(disk, "xvda", backend=backend)])
    guest.skip_menu()
    guest.wait_line("TEST PASS hello", 90)
    assert guest.frontend("xvda")["state"] == "1"
    assert guest.backend("xvda")["state"] == "2"
    assert guest.disk_counters("xvda")["emulated"] > 0
    guest.destroy()
    guest.wait_end(10)


@pytest.mark.parametrize("backend", ["phy", pytest.param("qdisk", marks=pytest.mark.slow)])
def test_counters_show_that_requests_go_to_the_pv_backend(lab, blob, guest_disk, backend):
    disks = [xl_disk(lab.attach(guest_disk("hello", name=name)), name, backend=backend)
             for name in ("xvda", "xvdb")]
    guest = lab.create(disks, blob)
    start = guest.disk_counters("xvda")
    guest.skip_menu()
    guest.wait_line("TEST PASS hello", 90)
    end = guest.disk_counters("xvda")
    assert end["reads"] > start["reads"]
    assert end["writes"] == start["writes"]
    assert end["emulated"] == 0


@pytest.mark.slow
def test_console_of_linux(lab, blob, grub_linux):
    disk = lab.attach(grub_linux(filesystem="vfat", options="lab.end=shell"), snapshot=True)
    guest = lab.create([xl_disk(disk, "xvde")], blob, name="linux")
    guest.skip_menu()
    line = guest.wait_line("LAB: booted from (.*)", 120).group(1)
    assert line == "/dev/xvde1 (vbd-51776), vfat, 5 files, test data right"
    guest.type("echo $((6 * 7)) answers; exit\n")
    guest.wait_end()
    assert "42 answers" in guest.console()


def test_missing_line_names_the_log(lab, guest_disk):
    guest = lab.create([xl_disk(lab.attach(guest_disk("hello")), "xvda")])
    with pytest.raises(LabError) as caught:
        guest.wait_line("no such line", 1)
    assert str(lab.log.path) in str(caught.value)


def test_guest_that_xl_refuses_raises(lab):
    with pytest.raises(CommandError, match="/dev/none"):
        lab.create([xl_disk("/dev/none", "xvda")])


@pytest.mark.release
def test_c_xenstored_can_be_chosen():
    with Lab.start("xenstored", store="xenstored") as other:
        assert other.run("ps -C xenstored -o comm=").split() == ["xenstored"]


def heed_interrupts():
    """A shell lets what it starts in the background ignore SIGINT, and so this process may too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_process_is_ended(ending):
    program = textwrap.dedent("""
        from lab import Lab
        with Lab.start("ended") as lab:
            print(lab.machine.process.pid, flush=True)
            lab.run("sleep 100", timeout=100)
        """)
    with subprocess.Popen([sys.executable, "-c", program], cwd=HERE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          preexec_fn=heed_interrupts) as process:
        line = process.stdout.readline()
        while line.startswith("lab:"):
            line = process.stdout.readline()
        process.send_signal(ending)
        process.wait(60)
    status = pathlib.Path(f"/proc/{int(line)}/status")
    deadline = time.monotonic() + 10
    while status.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not status.exists(), status.read_text()
