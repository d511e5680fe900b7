"""int13 from the caller's side, on PV disks of both backends."""

import dataclasses
import re

import pytest

import pattern
from lab import xl_disk
from trial import create, ending

BACKENDS = ["phy", "qdisk"]


@dataclasses.dataclass
class Run:
    """A finished run of the program int13."""
    lines: list         # what it printed
    image: object       # its disk on the host
    flushes: int        # that its backend was asked for


@pytest.fixture(scope="module")
def runs(module_lab, blob, tmp_path_factory, programs):
    """A Run for each backend, made at the same time."""
    directory = tmp_path_factory.mktemp("int13")
    guests = {}
    for backend in BACKENDS:
        image = directory / backend
        pattern.make(image, programs / "int13.img", 6 << 11)
        disk = xl_disk(module_lab.attach(image), "xvde", backend=backend)
        guests[backend] = image, create(module_lab, [disk], blob)
    for _, guest in guests.values():
        guest.unpause()
    ...
