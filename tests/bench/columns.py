"""The columns of the benchmarks: what reads the disk, and as which device of which guest."""

import dataclasses
import hashlib

import disks
from debian import Step, command
from lab import xl_disk
from network import VIF

OUT = disks.PROJECT / "out/bench"
ROM = disks.PROJECT / "out/58530001.rom"
SETTINGS = {    # of `make`, for each blob
    "closed": "",
    "sticky": "CONFIG_XEN_PV_STICKY=y",
    "stock": "CONFIG_XEN_PV=n",
    "dma": "CONFIG_XEN_PV=n CONFIG_ATA_DMA=y",
}


@dataclasses.dataclass
class Column:
    """A way to read a disk; blob is empty for those that are no BIOS."""
    name: str
    title: str
    blob: str = ""
    first: str = "xvde"         # the first disk's name
    backend: str = "phy"
    settings: dict = dataclasses.field(default_factory=dict)

    def disks(self, devices):
        """The guest's disks, for xl."""
        prefix, letter = self.first[:-1], ord(self.first[-1])
        return [xl_disk(device, f"{prefix}{chr(letter + number)}", backend=self.backend)
                for number, device in enumerate(devices)]


PVH = {"type": "pvh"}
AHCI = {"hdtype": "ahci"}


def emulated(model):
    """The settings of a guest whose network device is only emulated."""
    return {"vif": [VIF.replace("type=vif", f"type=ioemu,model={model}")], "xen_platform_pci": 0}


COLUMNS = [
    Column("closed", "this layer, closed", "closed"),
    Column("twin", "this layer, closed, IDE disk", "closed", first="xvda"),
    Column("twin ahci", "this layer, closed, AHCI disk", "closed", first="hda", settings=AHCI),
    Column("closed qdisk", "this layer, closed, qdisk", "closed", backend="qdisk"),
    Column("sticky", "this layer, sticky", "sticky"),
    Column("sticky qdisk", "this layer, sticky, qdisk", "sticky", backend="qdisk"),
    Column("ide", "SeaBIOS, IDE by PIO", "stock", first="hda"),
    Column("dma", "SeaBIOS, IDE by DMA", "dma", first="hda"),
    Column("ahci", "SeaBIOS, AHCI", "stock", first="hda", settings=AHCI),
    Column("layer pvh", "this layer in PVH", "pvh",
           settings={**PVH, "cmdline": "seabios:etc/show-boot-menu=0"}),
    Column("pvh", "GRUB in PVH", first="xvda", settings=PVH),
    Column("pvh qdisk", "GRUB in PVH, qdisk", first="xvda", backend="qdisk", settings=PVH),
    Column("rom", "netfront, `make ipxe`", "closed", settings={"vif": [VIF], "boot": "n"}),
    Column("netfront", "netfront", "closed", settings={"vif": [VIF]}),
    Column("e1000", "e1000", "closed", settings=emulated("e1000")),
    Column("rtl8139", "rtl8139", "closed", settings=emulated("rtl8139")),
    Column("linux", "Linux's blkfront", settings=PVH),
    Column("linux qdisk", "Linux's blkfront, qdisk", backend="qdisk", settings=PVH),
]
BY_NAME = {column.name: column for column in COLUMNS}


def blobs():
    """Build the firmware: {name: file}."""
    for name, settings in SETTINGS.items():
        with Step(f"bench: blob {name}", 20):
            command(["env", "-u", "MAKEFLAGS", "make", "-s", "-C", disks.PROJECT,
                     f"OUT=out/bench/{name}", f"SETTINGS={settings}"])
    return {**{name: OUT / name / "bios-xenpv.bin" for name in SETTINGS},
            "pvh": OUT / "closed/seabios-xenpvh.elf"}


def check_blobs(files):
    """The settings have to be in the builds; else a column is not what its name says."""
    for name, settings in SETTINGS.items():
        config = (OUT / name / "seabios/.config").read_text().splitlines()
        for setting in settings.split():
            option, _, value = setting.partition("=")
            line = setting if value != "n" else f"# {option} is not set"
            if line not in config:
                raise ValueError(f"{name}: {line!r} is not in the configuration")
    if len({file.read_bytes() for file in files.values()}) != len(files):
        raise ValueError("two blobs are the same")


def digests(files):
    """The beginnings of the blobs' SHA-256."""
    return {name: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for name, file in files.items()}
