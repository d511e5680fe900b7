"""Rows of the matrix for guests of other kinds: each reads its whole disk, and leaves no trace.

What a guest does and how it is looked at is that of tests/lab/test_machines.py.
"""

import pathlib
import subprocess
import sys
import tempfile
import traceback

from debian import LabError, key
from releases import chosen

PROJECT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "tests/guests")]

import pattern                                      # noqa: E402
from test_machines import AHCI, KINDS, LARGE, read_all      # noqa: E402

SMALL = {**KINDS, "a twin on AHCI": AHCI}


def rows(release, store):
    """The kinds of guests on a lab of this release and xenstored: {size of the lab: {kind:
    settings}}. The large one is measured once."""
    large = {"5 GiB and 2 vCPUs, dom0 with 2 CPUs": LARGE}
    once = release == chosen() and store == "oxenstored"
    return {"small": SMALL, "large": large} if once else {"small": SMALL}


def image(directory):
    """Make the disk that the guests read; returns its path."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["make", "-s", "-C", PROJECT / "tests/guests", f"OUT={out}"], check=True)
        path = directory / "stream.raw"
        pattern.make(path, pathlib.Path(out, "stream.img"), 5 << 11)
    return path


def made(blob, disk, settings):
    """What a cell is kept under: other blobs, disks or settings make it new."""
    return key(blob, disk, sorted(settings.items()))


def measure(lab, blob, disk, settings):
    """Boot a guest of a kind; returns the cell: why it failed, or nothing."""
    try:
        read_all(lab, blob, disk, **settings)
        return {"wrong": []}
    except (AssertionError, LabError) as error:
        # without pytest, an assertion says nothing but where it stands
        line = traceback.extract_tb(error.__traceback__)[-1].line
        return {"wrong": [(str(error) or line).splitlines()[0]]}
    finally:
        lab.clean()
