"""The Debian package: installed in dom0, and used as its manual page says, it boots a guest."""

import re
import subprocess

import pytest

from debian import HERE
from lab import Guest

PROJECT = HERE.parent.parent


@pytest.fixture(scope="module", name="package")
def built_package(tmp_path_factory):
    """The package, as `make deb` makes it."""
    out = tmp_path_factory.mktemp("package")
    subprocess.run(["env", "-u", "MAKEFLAGS", "make", "-s", "deb", f"OUT={out}"], cwd=PROJECT,
                   check=True)
    deb, = out.glob("*.deb")
    return deb


@pytest.mark.slow
def test_lintian_finds_nothing(package):
    found = subprocess.run(["lintian", "--info", "--display-info", "--pedantic", package],
                           text=True, capture_output=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.slow
def test_guest_boots_with_the_example_of_the_manual_page(lab, package, grub_linux):
    deb = lab.put("package.deb", package.read_bytes())
    lab.run(f"dpkg --install {deb}")
    page = lab.run("zcat /usr/share/man/man7/seabios-xenpv.7.gz")
    example = re.search(r'^name = "guest"\n.*?(?=^\.RE)', page, re.M | re.S)[0]
    disk = lab.attach(grub_linux(), snapshot=True)
    assert "target=/dev/vg/guest" in example
    config = lab.put("guest.cfg", example.replace("/dev/vg/guest", disk).encode())
    position = lab.log.end()
    lab.run(f"xl create -q {config}")
    guest = Guest(lab, "guest", int(lab.run("xl domid guest")), position)
    guest.wait_line(r"LAB: booted from /dev/xvde1 \(vbd-51776\), ext4, .* right", 240)
    guest.wait_end()
