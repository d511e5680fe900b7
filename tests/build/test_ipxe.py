"""The patches of iPXE on the source of each of Debian's releases."""

import os

import pytest

from project import PROJECT, must, run

# With IPXE=tree of git: the commits that Debian's versions are made from.
TREE = os.environ.get("IPXE", "")
COMMITS = {"bookworm": "36a4c85", "trixie": "dad20602", "sid": "v2.0.0"}


def source(suite, scratch):
    """Where the source of a release's iPXE is."""
    if TREE:
        tarball = scratch / "ipxe.tar"
        must("git", "-C", TREE, "archive", "--prefix=ipxe/", "-o", tarball, COMMITS[suite])
        return tarball
    said = run("scripts/fetch-source", "ipxe", suite)
    if said.returncode:
        pytest.skip(f"{suite}: the source is not on the mirror: {said.stdout}")
    return said.stdout.splitlines()[-1]


@pytest.mark.parametrize("suite", COMMITS)
def test_patches_apply_to_the_ipxe_of_each_release(suite, tmp_path):
    must("tar", "-C", tmp_path, "--strip-components=1", "-xf", source(suite, tmp_path))
    for patch in sorted((PROJECT / "patches/ipxe").glob("*.patch")):
        must("patch", "-d", tmp_path, "-p1", "-F0", "-s", "-i", patch)
