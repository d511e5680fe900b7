"""Build a copy of the layer that was changed, and find out whether a test notices.

For mutate, which has a list of changes, and mutate-random, which makes them up.
"""

import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAYER = HERE.parents[1] / "src/xen"

# directory, and program there; the one that notices most comes first
PROGRAMS = (("sim", "sim"), ("sim", "sticky"), ("unit", "unit"))

# Tests that take longer, in seconds, run when those of all programs have passed that do not.
SLOW = 0.3

# Without the sanitizers a build takes a fraction of the time.
QUICK = ("quick", ["SANITIZE="])
FULL = ("full", [])


def sources(layer=LAYER):
    """{file name: text} of the layer."""
    return {path.relative_to(layer).as_posix(): path.read_text()
            for path in sorted(layer.rglob("*.[ch]"))}


class Bench:
    """A directory with the layer as it is, built, and copies of it that are broken."""

    def __init__(self, tree, out, builds, limit):
        self.tree, self.out, self.builds, self.limit = tree.resolve(), out.resolve(), builds, limit
        self.base = self.out / "base"
        self.failing, self.slow = [], {}
        self.base.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.base / "xen", ignore_errors=True)
        shutil.copytree(LAYER, self.base / "xen")

    def make(self, work, build, directory, target):
        """Build something of a copy: (whether it went well, what make said)."""
        name, settings = build
        path = work / name / directory / target
        result = subprocess.run(["make", "-s", f"TREE={self.tree}", f"LAYER={work / 'xen'}",
                                 f"OUT={work / name / directory}", *settings,
                                 "-C", HERE.parent / directory, path],
                                capture_output=True, text=True, check=False)
        return not result.returncode, result.stdout + result.stderr

    def test(self, path, words=()):
        """Run a test program: the names of tests that failed, or [its name] if it crashed."""
        result = subprocess.run([path, "-l", str(self.limit), *words],
                                capture_output=True, text=True, errors="replace", check=False)
        names = [line[7:] for line in result.stdout.splitlines() if line.startswith("FAILED ")]
        return names or ([path.name] if result.returncode else [])

    def first_failure(self, work):
        """Build the test programs and run them until a test fails.

        Returns (the output of a build that failed, None), or (None, the name of the test or None).
        """
        for late in (False, True):
            for build in self.builds:
                for directory, program in PROGRAMS:
                    good, text = self.make(work, build, directory, program)
                    if not good:
                        return text, None
                    slow = self.slow[program]
                    if late and not slow:
                        continue
                    words = slow if late else leave_out(slow)
                    path = work / build[0] / directory / program
                    names = self.test(path, ["-f", *leave_out(self.failing), *words])
                    if names:
                        return None, names[0]
        return None, None

    def try_base(self):
        """Run the tests with the layer as it is: those that fail are left out from now on."""
        failing = []
        for build in self.builds:
            for directory, program in PROGRAMS:
                good, text = self.make(self.base, build, directory, program)
                if not good:
                    raise SystemExit(text)
                results = self.base / "results.xml"
                failing += self.test(self.base / build[0] / directory / program, ["-x", results])
                if build == QUICK:
                    self.slow[program] = [
                        case.get("name") for case in ElementTree.parse(results).iter("testcase")
                        if float(case.get("time")) > SLOW]
        self.failing = sorted(set(failing))

    def copy(self, number):
        """Make a copy to break. With the times of files: only what changes is compiled again."""
        work = self.out / f"mutation-{number}"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.base, work)
        return work


def leave_out(names):
    return [word for name in names for word in ("-e", name)]


def each(jobs, function, arguments):
    """The results of function(argument), in order, several at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(function, arguments)
