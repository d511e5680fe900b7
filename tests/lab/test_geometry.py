"""Order, size and geometry of disks that have twins are those of the stock BIOS, bit for bit.

Each test boots the same guest with the stock BIOS of dom0 and with the blob.
"""

import pytest

from lab import vbd_number, xl_disk
from script import Log, Model, Script, problems
from trial import create, ending, start


MIB = 2048                      # sectors


def entry(heads, sectors, size, kind=6):
    """A partition table whose only partition ends on the last head and sector of a geometry.

    Cylinders are those of CHS; 1023 where there are more.
    """
    last = min(size // (heads * sectors), 1024) - 1
    first = sectors if heads > 1 else 1
    return b"\x80\x01\x01\x00" + bytes([kind, heads - 1, sectors | last >> 8 << 6, last & 255]) + \
        first.to_bytes(4, "little") + (size - first).to_bytes(4, "little")


def protective(size):
    """The partition table of a GPT disk."""
    return b"\0\0\2\0\xee\xff\xff\xff" + (1).to_bytes(4, "little") + (size - 1).to_bytes(4, "little")


# Disks by controller: {name: (sectors, partition table)}; the table is (heads, sectors), GPT or
# None. Those of 505 to 535, 1009 to 1039 and 2018 to 2047 MiB are where the ways to guess a
# geometry part.
IDE = {"xvda": (512 * MIB, (16, 63)), "hdb": (505 * MIB, None), "xvdc": (1020 * MIB + 1, (64, 32)),
       "hdd": (2040 * MIB, (255, 63))}
MORE_IDE = {"xvda": (528 * MIB, "GPT"), "xvdb": (1009 * MIB + 7, None), "xvdc": (2047 * MIB, None),
            "xvdd": (300 << 21, (255, 63))}
LSI = {"sde": (520 * MIB, None), "sdf": (8 * MIB, (4, 50)), "sdg": (1039 * MIB, (16, 63))}
AHCI = {"xvda": (512 * MIB, (15, 63)), "xvdb": (1039 * MIB, None), "xvdc": (8 * MIB, (4, 50)),
        "xvdd": (2018 * MIB, None), "xvde": (9 << 21, "GPT"), "xvdf": (535 * MIB, None)}
SMALL = {"xvda": (16 * MIB, None), "xvdb": (17 * MIB, (16, 63)), "xvdc": (504 * MIB, (255, 63)),
         "xvdd": (536 * MIB, (240, 63))}


class Trial:
    """The disks of one guest, in dom0, and its runs with one BIOS and another."""

    def __init__(self, lab, programs, tmp_path, disks, **settings):
        self.lab, self.settings, self.vdevs = lab, settings, list(disks)
        self.script = Script()
        for drive in range(0x80, 0x80 + len(disks)):
            self.script.parameters(drive)
            self.script.read(drive, 1)                  # its label is in there
            # what old boot code reads first, and the last that a small disk has in one geometry
            for lba in 64, 5 * 16 * 63, 8128:
                self.script.read(drive, lba, 2, chs=True)
        self.models, self.specifications = [], []
        for vdev, (size, table) in disks.items():
            image = self.script.image(tmp_path / f"{vdev}.raw", programs, sectors=size, label=vdev,
                                      patterned=8 * MIB)
            if table:
                with open(image, "r+b") as file:
                    file.seek(446)
                    file.write(protective(size) if table == "GPT" else entry(*table, size))
            self.models.append(Model(image))
            self.specifications.append(xl_disk(lab.attach(image), vdev))

    def run(self, bios, broken=()):
        """The program's lines with a BIOS, the PV ways of some disks being broken."""
        guest = create(self.lab, self.specifications, bios, **self.settings)
        for vdev in broken:
            self.lab.run(f"xenstore-rm /local/domain/{guest.domid}/device/vbd/"
                         f"{vbd_number(vdev)}/backend")
        start(guest)
        log = Log(ending(guest))
        guest.destroy()
        guest.wait_end()
        assert problems(self.script, log, {
            0x80 + n: model for n, model in enumerate(self.models)}) == []
        return [line for line in log.lines if line.startswith("SCRIPT ")] + [
            f"{line}  ({vdev})" for drive, vdev in enumerate(self.vdevs, 0x80)
            for line in log.parameters(drive)]


def as_stock(trial, bios, **options):
    """The lines of a run, which have to be those of the stock BIOS."""
    stock = trial.run(None)
    assert stock[0].startswith("SCRIPT dl=80")
    for broken in options.get("broken", [()]):
        ours = trial.run(bios, broken)
        differences = [f"{mark}{line}" for mark, lines, others in
                       (("-", stock, ours), ("+", ours, stock))
                       for line in lines if line not in others]
        assert ours == stock, "\n".join([f"PV ways broken: {broken}", *differences])


@pytest.mark.slow
def test_ide_and_lsi_disks(lab, blob, programs, tmp_path):
    """In their order, in which nothing changes when PV ways fail in POST."""
    trial = Trial(lab, programs, tmp_path, {**IDE, **LSI})
    as_stock(trial, blob, broken=[(), ("xvda",)])


@pytest.mark.slow
def test_other_sizes_of_ide_disks(lab, blob, programs, tmp_path):
    as_stock(Trial(lab, programs, tmp_path, MORE_IDE), blob)


@pytest.mark.slow
def test_small_ide_disks(lab, blob, programs, tmp_path):
    as_stock(Trial(lab, programs, tmp_path, SMALL), blob, broken=[(), ("xvdb",), ("xvda", "xvdc")])


@pytest.mark.slow
def test_ahci_disks(lab, blob, programs, tmp_path):
    trial = Trial(lab, programs, tmp_path, AHCI, hdtype="ahci")
    as_stock(trial, blob, broken=[(), ("xvdb", "xvdc")])


@pytest.mark.parametrize("backend", ["phy", pytest.param("qdisk", marks=pytest.mark.slow)])
def test_a_file_whose_size_is_no_multiple_of_512(lab, blob, programs, tmp_path, backend):
    """QEMU rounds it up, a loop device down; it is one disk, of the size that the twin has."""
    script = Script()
    script.parameters(0x80)
    script.parameters(0x81)
    script.read(0x80, 8 * MIB - 1)
    script.read(0x80, 8 * MIB)          # its 100 bytes
    image = script.image(tmp_path / "odd.raw", programs, mib=8)
    file = lab.put("odd.raw", image.read_bytes() + bytes(100))
    stock, ours = [], []
    for bios, seen in (None, stock), (blob, ours):
        guest = create(lab, [xl_disk(file, "xvda", backend=backend)], bios)
        start(guest)
        log = Log(ending(guest))
        guest.destroy()
        guest.wait_end()
        seen += [line for line in log.lines if line.startswith("SCRIPT ")] + \
            log.parameters(0x80) + log.parameters(0x81) + \
            [(log[number].bad, log[number].saw) for number in (2, 3)]
    assert ours == stock
