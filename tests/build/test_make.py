"""What the Makefile promises, with SeaBIOS from its default source."""

import os
import shutil
import subprocess
import tempfile

import pytest

from project import PROJECT, VERSION, copy_project, must, run

BLOB = "out/bios-xenpv.bin"
PVH = "out/seabios-xenpvh.elf"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with a finished build."""
    project = copy_project(tmp_path_factory.mktemp("make") / "project")
    must("make", cwd=project)
    return project


@pytest.fixture(scope="module")
def tree(tmp_path_factory, tarball):
    """SeaBIOS as an unpacked tree."""
    tree = tmp_path_factory.mktemp("tree") / "seabios"
    must("scripts/copy-seabios", tarball, tree)
    return tree


def test_blob_is_256_kib_and_names_both_versions(project):
    blob = (project / BLOB).read_bytes()
    seabios = (project / "out/seabios/.version").read_text().strip()
    assert len(blob) == 256 * 1024
    assert f"{seabios}-xenpv-{VERSION}\0".encode() in blob


def test_second_make_does_nothing(project):
    before = (project / BLOB).stat().st_mtime_ns
    assert must("make", cwd=project) == ""
    assert (project / BLOB).stat().st_mtime_ns == before


def test_change_in_the_layer_compiles_that_file_only(project):
    source = sorted((project / "src/xen").glob("*.c"))[0]
    os.utime(source)
    compiled = [line.split()[-1] for line in must("make", cwd=project).splitlines()
                if "Compile checking" in line]
    assert compiled == [f"{build}/src/xen/{source.stem}.o" for build in ("out", "out-pvh")]


def test_another_configuration_is_built_however_old_its_file_is(project, tmp_path):
    """What is asked for, and what is not asked for any more."""
    config = tmp_path / "config"
    config.write_text((project / "configs/hvm.config").read_text() + "CONFIG_XEN_PV_STICKY=y\n")
    os.utime(config, (1e9, 1e9))
    before = (project / BLOB).read_bytes()
    must("make", f"CONFIG={config}", BLOB, cwd=project)
    assert (project / BLOB).read_bytes() != before
    must("make", cwd=project)
    assert (project / BLOB).read_bytes() == before


def test_package_has_the_settings_that_were_asked_for():
    said = run("make", "-n", "-f", "debian/rules", "override_dh_auto_build",
               SETTINGS="CONFIG_XEN_PV_STICKY=y").stdout
    assert 'SETTINGS="CONFIG_XEN_PV_STICKY=y"' in said


@pytest.fixture(scope="module")
def other(tmp_path_factory, tree):
    """Another path, another time, another user's settings, a tree instead of a tarball."""
    other = copy_project(tmp_path_factory.mktemp("other") / "a-directory-with-a-longer-name")
    for path in other.rglob("*.[ch]"):
        os.utime(path, (1e9, 1e9))
    must("make", f"SEABIOS={tree}", cwd=other, TZ="Asia/Tokyo", LANG="C.UTF-8", USER="somebody")
    return other


def test_build_is_reproducible(project, other):
    assert (other / BLOB).read_bytes() == (project / BLOB).read_bytes()
    assert (other / PVH).read_bytes() == (project / PVH).read_bytes()


def test_install_takes_what_was_built_from_another_tree(other, tmp_path):
    before = (other / BLOB).stat().st_mtime_ns
    must("make", "install", f"DESTDIR={tmp_path}", cwd=other)
    assert (other / BLOB).stat().st_mtime_ns == before
    source = next((other / "src/xen").glob("*.c"))
    os.utime(source)
    said = must("make", "install", f"DESTDIR={tmp_path}", cwd=other)
    assert f"out/src/xen/{source.stem}.o" in said
    assert "fetch-source" not in said


def test_install_under_destdir(project, tmp_path):
    output = must("make", "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/x", cwd=project)
    name = "/opt/x/lib/seabios-xenpv/bios-xenpv.bin"
    installed = tmp_path / name[1:]
    pvh = installed.with_name("seabios-xenpvh.elf")
    scripts = {installed.with_name(script) for script in ("smbios-strings", "blob-files")}
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {installed, pvh, *scripts}
    for script in scripts:
        assert script.read_bytes() == (project / "scripts" / script.name).read_bytes()
        assert script.stat().st_mode & 0o777 == 0o755
    assert installed.read_bytes() == (project / BLOB).read_bytes()
    assert pvh.read_bytes() == (project / PVH).read_bytes()
    assert {path.stat().st_mode & 0o777 for path in (installed, pvh)} == {0o644}
    assert f'bios_path_override = "{name}"' in output


def test_patch_that_needs_fuzz_stops_the_build(project, tree, tmp_path):
    changed = shutil.copytree(tree, tmp_path / "seabios")
    block = changed / "src/block.c"
    text = block.read_text()
    assert text.count("{\n    floppy_setup();") == 1
    block.write_text(text.replace("{\n    floppy_setup();", "{\n    floppy_setup(0);"))
    result = run("make", f"SEABIOS={changed}", f"OUT={tmp_path}/out", cwd=project)
    assert result.returncode != 0
    assert "FAILED" in result.stdout
    assert not (tmp_path / "out/bios-xenpv.bin").exists()


@pytest.mark.parametrize("kind, reason", [
    ("missing", "no such directory or file"),
    ("empty", "not a SeaBIOS tree"),
    ("text", "cannot be unpacked"),
])
def test_bad_source_gives_one_clear_message(kind, reason, tmp_path):
    source = tmp_path / kind
    if kind == "empty":
        source.mkdir()
    if kind == "text":
        source.write_text("no archive\n")
    result = run("make", "-s", f"SEABIOS={source}", f"OUT={tmp_path}/out", cwd=PROJECT)
    said = [line for line in result.stdout.splitlines() if not line.startswith("make")]
    assert result.returncode != 0
    assert said == [f"SEABIOS={source}: {reason}"]


@pytest.mark.parametrize("words, reason", [
    ([], "which strings?"), (["a", ""], "an empty string"),
    (["x"] * 256, "more than 255 strings"),
])
def test_bad_strings_for_smbios_give_one_clear_message(words, reason):
    result = run("scripts/smbios-strings", *words)
    assert (result.returncode, result.stdout) == (1, f"smbios-strings: {reason}\n")


def test_strings_for_smbios_are_one_structure_behind_its_length():
    """DSP0134, "OEM Strings"."""
    words = ["seabios:bootorder=xvdf,xvde", "b%s\\n", "ü"] + ["x"] * 252
    with tempfile.TemporaryFile() as file:
        subprocess.run([PROJECT / "scripts/smbios-strings", *words], stdout=file, check=True)
        file.seek(0)
        data = file.read()
    assert int.from_bytes(data[:4], "little") == len(data) - 4
    assert data[4:9] == bytes([11, 5, 0, 0, 255])
    assert data[9:] == b"".join(word.encode() + b"\0" for word in words) + b"\0"
