"""The commands `make run` and `make shell`."""

import pathlib
import subprocess

import pytest

RUN = pathlib.Path(__file__).resolve().parent / "run"


def run(blob, *args, **options):
    """Call tests/lab/run; returns (exit status, what it printed)."""
    result = subprocess.run([RUN, "--bios", blob, *args], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=300, check=False, **options)
    print(result.stdout)
    return result.returncode, result.stdout


def test_run_shows_the_way_to_the_prompt_of_linux(blob):
    status, text = run(blob)
    assert status == 0
    lines = [line for line in text.splitlines() if " s  (+" in line]
    stages = ["created", "BIOS starts", "layer has found", "BIOS boots", "GRUB runs",
              "GRUB has loaded", "Linux has mounted", "prompt is there"]
    assert len(lines) == len(stages)
    for stage, line in zip(stages, lines):
        assert stage in line
    assert "[Linux on /dev/xvde1 (vbd-51776), ext4] #" in lines[-1]
    assert text.splitlines()[-1].startswith("run: OK: Linux runs on /dev/xvde1")


@pytest.mark.slow
def test_run_boots_an_image_and_does_not_change_it(blob, guest_disk):
    disk = guest_disk("int13")
    before = disk.read_bytes()
    status, text = run(blob, "--seconds", "60", disk)
    assert status == 0
    assert "WRITE " in text
    assert text.splitlines()[-1].startswith("run: OK: the BIOS booted from the PV disk xvde")
    assert disk.read_bytes() == before


def test_run_fails_when_the_disk_does_not_boot(blob, guest_disk):
    status, text = run(blob, "--seconds", "15", guest_disk("not-bootable"))
    assert status == 1
    assert "run: FAILED: the BIOS did not boot from the disk" in text


def test_shell_runs_a_script_from_stdin_and_hands_on_its_exit_status(blob):
    script = "xl create -q linux.cfg && xl list linux && sha256sum bios-xenpv.bin; exit 5"
    status, text = run(blob, "--shell", input=script)
    assert status == 5
    digest = subprocess.run(["sha256sum", blob], capture_output=True, check=True).stdout[:64]
    assert f"{digest.decode()}  bios-xenpv.bin" in text
