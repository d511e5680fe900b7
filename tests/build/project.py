"""Helpers of the build tests: run commands and copy the project."""

import os
import re
import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PATCHES = sorted((PROJECT / "patches").glob("*.patch"))
VERSION = re.search(r"^VERSION = (\S+)$", (PROJECT / "Makefile").read_text(), re.M)[1]


def run(*command, cwd=PROJECT, **env):
    """Run a command with its output merged; `env` is added to the environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run([str(word) for word in command], cwd=cwd, env={**clean, **env},
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def must(*command, **kwargs):
    """Run a command that has to succeed; returns its output."""
    result = run(*command, **kwargs)
    assert result.returncode == 0, result.stdout
    return result.stdout


def copy_project(dest):
    """Copy all that a build needs to `dest`, a new directory."""
    dest.mkdir(parents=True)
    for name in ("Makefile", "Kconfig.xen", "configs", "patches", "scripts", "src"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy2
        copy(PROJECT / name, dest / name)
    (dest / "tests/lab").mkdir(parents=True)
    shutil.copy2(PROJECT / "tests/lab/packages", dest / "tests/lab")
    return dest


def build_series(count, out):
    """Build with the first patches of the series alone, in a directory; returns make's output."""
    patches = " ".join(f"patches/{patch.name}" for patch in PATCHES[:count])
    return must("make", f"PATCHES={patches}", f"OUT={out}", f"{out}/bios-xenpv.bin")
