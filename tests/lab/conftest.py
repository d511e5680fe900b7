"""Fixtures for tests on the lab.

    def test_something(lab, grub_linux):
        disk = lab.attach(grub_linux(), snapshot=True)
        guest = lab.create([xl_disk(disk, "xvde")], BLOB)
        guest.wait_line("LAB: booted from /dev/xvde1")
"""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "guests")]

import images                   # noqa: E402
import pattern                  # noqa: E402
from lab import BLOB, Lab       # noqa: E402


def pytest_configure(config):
    """Tests of minutes are marked with @pytest.mark.slow: `make check-slow` runs these."""
    config.addinivalue_line("markers", "slow: not in check-lab, but in check-slow")
    config.addinivalue_line("markers", "release: also in check-releases, on the other releases; a "
                            "few minutes of what differs there")
    config.addinivalue_line("markers", "pvh: also in check-pvh, in PVH guests: what needs no device "
                            "model, and no help of the toolstack to stop a guest that is busy")


@pytest.fixture(scope="session", autouse=True)
def end_on_sigterm():
    """SIGTERM ends the tests as Ctrl-C does, with their clean-up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def blob():
    """The blob to test: $BIOS or what `make` built."""
    path = pathlib.Path(os.environ.get("BIOS") or BLOB)
    assert path.exists(), f"{path} is missing; `make` builds it"
    return path


@pytest.fixture(scope="session")
def pvh(blob):
    """The firmware of PVH guests, which `make` builds beside the blob."""
    path = blob.with_name("seabios-xenpvh.elf")
    assert path.exists(), f"{path} is missing; `make` builds it"
    return path


@pytest.fixture(params=["xenpv", pytest.param("stock", marks=pytest.mark.slow)])
def either_bios(request, blob):
    """The blob; and, in a slow test of the test itself, None for the stock BIOS of dom0."""
    return blob if request.param == "xenpv" else None


@pytest.fixture(scope="module", name="module_lab")
def one_lab_for_a_module(request):
    """The lab that all tests of a module share; its logs are in out/lab/MODULE."""
    with Lab.start(request.module.__name__) as running:
        yield running


@pytest.fixture(name="lab")
def lab_for_a_test(module_lab, request):
    """The module's lab; after the test its guests and disks are removed."""
    start = module_lab.log.end()
    yield module_lab
    failed = getattr(request.node, "failed", False)
    if failed:
        lines = [text for _, text in module_lab.log.lines(start)]
        print(f"--- {module_lab.log.path} since the test began", *lines[-60:], sep="\n")
    module_lab.clean()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Let the lab fixture know that a test failed."""
    report = (yield).get_result()
    if report.when == "call":
        item.failed = report.failed


@pytest.fixture
def grub_linux():
    """Makes GRUB and Linux disk images, see images.grub_linux()."""
    return images.grub_linux


@pytest.fixture
def guest_disk(tmp_path, programs):
    """Makes a disk image with a program of tests/guests; settings are those of pattern.make()."""
    def make(program, mib=16, name=None, **settings):
        path = tmp_path / f"{name or program}.raw"
        pattern.make(path, programs / f"{program}.img", mib << 11, **settings)
        return path
    return make


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The directory with the built programs of tests/guests."""
    out = tmp_path_factory.mktemp("guests")
    subprocess.run(["make", "-s", "-C", HERE.parent / "guests", f"OUT={out}"], check=True)
    return out
