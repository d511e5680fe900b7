"""scripts/blob-files, on files that stand for blobs: an empty front, then the BIOS."""

import os
import random
import struct

import pytest

from project import PROJECT, must, run

TOOL = PROJECT / "scripts/blob-files"
FRONT = 4096
BIOS = random.Random(1).randbytes(2048).replace(b"\0", b"\1") + b"XENPVROM"


@pytest.fixture(name="blob")
def blob_with_an_empty_front(tmp_path):
    """A blob without files."""
    path = tmp_path / "blob.bin"
    path.write_bytes(bytes(FRONT) + BIOS)
    return path


def files(blob):
    """What the tool lists, {name: size}."""
    return {name: int(size) for size, name in
            (line.split() for line in must(TOOL, "list", blob).splitlines())}


def fails(blob, *words):
    """The message of a command that has to fail, and to leave the blob as it was."""
    before = blob.read_bytes()
    result = run(TOOL, *words)
    assert result.returncode != 0
    assert blob.read_bytes() == before
    return result.stdout.strip().removeprefix("blob-files: ")


def test_files_are_added_replaced_and_removed(blob, tmp_path):
    empty = blob.read_bytes()
    rom = tmp_path / "rom"
    rom.write_bytes(b"\x55\xaa" + bytes(98))        # a content that ends with zeros
    must(TOOL, "add", blob, f"genroms/a.rom={rom}", f"pci5853,0001.rom={rom}")
    must(TOOL, "set", blob, "etc/show-boot-menu=0", "bootorder=xvdf", "etc/boot-fail-wait=-1")
    assert files(blob) == {"genroms/a.rom": 100, "pci5853,0001.rom": 100, "etc/show-boot-menu": 1,
                           "bootorder": 4, "etc/boot-fail-wait": 2}
    assert len(blob.read_bytes()) == len(empty) and blob.read_bytes().endswith(BIOS)
    must(TOOL, "set", blob, "bootorder=xvdf,xvde")
    assert files(blob)["bootorder"] == 9
    must(TOOL, "remove", blob, *files(blob))
    assert blob.read_bytes() == empty


def test_layout_is_that_of_the_header_in_the_layer(blob):
    must(TOOL, "set", blob, "etc/a=300", "bootorder=xvdf")
    content = blob.read_bytes()
    assert struct.unpack_from("<8sII48s3s", content) == (
        b"XENPVROM", 3, sum(b"300"), b"etc/a".ljust(48, b"\0"), b"300")
    assert struct.unpack_from("<8sII48s4s", content, 80) == (
        b"XENPVROM", 4, sum(b"xvdf"), b"bootorder".ljust(48, b"\0"), b"xvdf")


def test_values_are_bytes_as_many_as_a_setting_has(blob):
    must(TOOL, "set", blob, os.fsdecode(b"etc/a=\x84\xff"), "etc/b=" + 511 * "x")
    content = blob.read_bytes()
    assert content[64:66] == b"\x84\xff" and files(blob) == {"etc/a": 2, "etc/b": 511}
    for value in ("", 512 * "x"):
        assert fails(blob, "set", blob, f"etc/a={value}") == "etc/a: a value has 1 to 511 bytes"


def test_mode_of_the_blob_stays(blob):
    blob.chmod(0o640)
    must(TOOL, "set", blob, "etc/a=1")
    assert blob.stat().st_mode & 0o777 == 0o640


def test_files_that_would_overlap_the_bios_are_refused(blob, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(bytes(FRONT - 64))
    must(TOOL, "add", blob, f"a={big}")             # fits to the byte
    assert fails(blob, "set", blob, "etc/b=1") == \
        f"no room in {blob}: {FRONT + 80} bytes are needed, {FRONT} are free"


@pytest.mark.parametrize("words, message", [
    (["remove", "x"], "{blob} has no file x"),
    (["set", "=1"], "'' is no setting: bootorder or etc/..."),
    (["set", "show-boot-menu=1"], "'show-boot-menu' is no setting: bootorder or etc/..."),
    (["add", "=/dev/null"], "not a name of 1 to 47 printable characters: ''"),
    (["add", "n" * 48 + "=/dev/null"], f"not a name of 1 to 47 printable characters: '{'n' * 48}'"),
    (["set", "etc/a b=1"], "not a name of 1 to 47 printable characters: 'etc/a b'"),
    (["add", "x=/does/not/exist"], "[Errno 2] No such file or directory: '/does/not/exist'"),
])
def test_wrong_words_get_one_message(blob, words, message):
    command, *rest = words
    assert fails(blob, command, blob, *rest) == message.format(blob=blob)


@pytest.mark.parametrize("words", [["add"], ["add", "x"], ["set", "x"], ["other", "x=1"]])
def test_other_words_get_the_usage(blob, words):
    assert fails(blob, words[0], blob, *words[1:]).startswith("usage:")


def test_file_that_is_damaged_is_found(blob):
    must(TOOL, "set", blob, "etc/a=1")
    content = bytearray(blob.read_bytes())
    content[64] ^= 1
    blob.write_bytes(content)
    assert fails(blob, "list", blob) == "etc/a is damaged"
    content[16] = 0xff
    blob.write_bytes(content)
    assert fails(blob, "list", blob) == "\ufffdtc/a is damaged"


def test_file_that_ends_with_the_blob_is_damaged(blob):
    blob.write_bytes(b"XENPVROM\1\0\0\0")
    assert fails(blob, "list", blob).endswith("is damaged")


def test_blob_that_reads_no_files_is_refused(blob):
    blob.write_bytes(bytes(FRONT) + BIOS[:-1])
    assert "is not a blob that reads files" in fails(blob, "set", blob, "etc/a=1")


def test_link_to_a_blob_stays_one(blob, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(blob)
    must(TOOL, "set", link, "etc/a=1")
    assert link.is_symlink() and files(blob) == {"etc/a": 1}
