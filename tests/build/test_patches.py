"""The patches as a series that a maintainer of SeaBIOS could take, all of it or its first ones."""

import os
import re
from email.parser import Parser

import pytest

from project import PATCHES, PROJECT, build_series, must, run

# Debian's releases with their SeaBIOS; sid has the newest.
SUITES = ("bullseye", "bookworm", "trixie", "sid")
OLDEST = (1, 14, 0)
# SEABIOS=tree of git: each release in it, too
TREE = os.environ.get("SEABIOS", "")
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")


def tags():
    """The releases of SeaBIOS that the tree of $SEABIOS has tags for."""
    said = run("git", "-C", TREE, "tag", "--list", "rel-*") if os.path.isdir(TREE) else None
    names = said.stdout.split() if said and said.returncode == 0 else []
    return [name for name in names if re.fullmatch(r"rel-\d+\.\d+\.\d+", name)
            and tuple(map(int, name[4:].split("."))) >= OLDEST]


def unpack(name, tree, scratch):
    """Make a tree of a release of SeaBIOS: Debian's, or that of a tag."""
    source = scratch / f"{name}.tar"
    if name in SUITES:
        said = run("scripts/fetch-source", "seabios", name)
        if said.returncode:
            pytest.skip(f"{name}: the source is not on the mirror: {said.stdout}")
        source = said.stdout.splitlines()[-1]
    else:
        must("git", "-C", TREE, "archive", "--prefix=seabios/", "-o", source, name)
    must("scripts/copy-seabios", source, tree)


@pytest.mark.parametrize("name", [*SUITES, *tags()])
def test_series_applies_with_git_am(name, tmp_path):
    """git am accepts no fuzz."""
    tree = tmp_path / "seabios"
    unpack(name, tree, tmp_path)
    must("git", "init", "-q", cwd=tree)
    must("git", "add", "-A", cwd=tree)
    must(*GIT, "commit", "-q", "-m", "SeaBIOS", cwd=tree)
    must(*GIT, "am", "-q", *PATCHES, cwd=tree)
    log = must("git", "log", "--reverse", "--format=%s", "HEAD~%d.." % len(PATCHES), cwd=tree)
    assert log.splitlines() == [subject(patch) for patch in PATCHES]


def message(patch):
    """The mail that a patch is, and its message without the diff."""
    mail = Parser().parsestr(patch.read_text().split("\n", 1)[1])
    return mail, mail.get_payload().split("\n---\n", 1)[0]


def subject(patch):
    """The first line of a patch's message."""
    return " ".join(message(patch)[0]["Subject"].split()).split("] ", 1)[1]


def test_series_has_one_author_and_one_numbering():
    """As scripts/series writes them."""
    mails = [message(patch)[0] for patch in PATCHES]
    assert len({mail["From"] for mail in mails}) == 1
    for number, (patch, mail) in enumerate(zip(PATCHES, mails), 1):
        digits = len(str(len(PATCHES)))
        assert re.match(rf"\[PATCH {number:0{digits}}/{len(PATCHES)}\] xen: [A-Z]", mail["Subject"])
        words = re.sub(r"\W+", "-", subject(patch))
        assert patch.name == f"{number:04}-{words}"[:len(patch.name) - 6] + ".patch"
        assert patch.read_text().startswith(f"From {40 * '0'} ")


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_message_says_why_and_what_it_costs_and_what_was_measured(patch):
    text = message(patch)[1]
    assert re.fullmatch(r"(?s)(?!Cost|Measured).{100,}\n\nCost: .+?\n\nMeasured: .+", text.strip())
    assert text.count("\nCost: ") == text.count("\nMeasured: ") == 1
    assert re.search(r"\d", text.split("\nMeasured: ")[1])
    assert max(map(len, text.splitlines())) < 76


def test_what_only_the_sticky_mode_needs_comes_last():
    assert ["xen_handover" in patch.read_text() for patch in PATCHES] == \
        [False] * (len(PATCHES) - 1) + [True]


@pytest.mark.parametrize("count", [
    1, *(pytest.param(count, marks=pytest.mark.slow) for count in range(2, len(PATCHES) - 1)),
    len(PATCHES) - 1])
def test_layer_builds_with_the_first_patches_alone(count, tmp_path, figure):
    """With all of them it is the build of the other tests."""
    log = build_series(count, tmp_path / "out")
    size, = re.findall(r"Total size: +(\d+)", log)
    figure(f"first {count} patches: {size} bytes, the last: {subject(PATCHES[count - 1])}")
    assert re.findall(r"^src/xen/\S+: warning: .*", log, re.M) == []
    config = (tmp_path / "out/seabios/.config").read_text()
    assert "CONFIG_XEN_PV=y" in config.splitlines()
