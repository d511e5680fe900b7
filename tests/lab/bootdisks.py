"""Bootable disks and CDs as Debian's own tools make them: file systems, RAID, LVM, MBRs, images.

The tools run in dom0, in a root of their packages: it has a real Linux with real disks.
"""

import hashlib
import pathlib
import shutil
import tempfile

import images
from debian import CACHE, HERE, Step, command, key, module_order
from dom0 import cached
from lab import Lab
from releases import chosen, program

TOOLS = ["bash", "btrfs-progs", "coreutils", "dash", "dosfstools", "e2fsprogs", "extlinux", "fdisk",
         "grep", "grub-common", "grub-pc-bin", "grub2-common", "isolinux", "kmod", "lvm2", "mdadm",
         "mount", "sed", "syslinux", "syslinux-common", "util-linux", "xfsprogs", "xorriso"]
CDS = ["grub-rescue-pc", "memtest86+"]
MODULES = ["ext4", "vfat", "nls_cp437", "nls_ascii", "xfs", "btrfs", "dm-mod", "raid0", "raid1",
           "raid456"]
DATA_RIGHT, STARTS = "LAB: all data is right", "LAB: GRUB starts Linux"

# (loader, file system, layout): number of disks; see bootdisks/make
KINDS = {
    **{("grub", name, "plain"): 1 for name in ("ext2", "ext3", "fat16", "fat32", "xfs", "btrfs")},
    ("grub", "ext4", "gpt"): 1,
    ("grub", "btrfs", "raid0"): 3,
    ("grub", "btrfs", "raid1"): 3,
    ("grub", "ext4", "lvm"): 2,
    ("grub", "ext4", "md0"): 2,
    ("grub", "ext4", "md1"): 2,
    ("grub", "ext4", "md5"): 3,
    **{("mbr", name, "plain"): 1 for name in ("fat12", "fat16", "ext2", "ext3", "ext4", "btrfs")},
    ("altmbr", "fat32", "plain"): 1,
    ("gptmbr", "ext4", "plain"): 1,
    ("gptmbr", "fat16", "plain"): 1,
}
MIB = {"xfs": 320, "btrfs": 160}    # of a disk, the least that their tools take


def uuid(kind):
    """By which the lab's Linux finds the file system of a disk that it can mount, or None."""
    _, filesystem, layout = kind
    if layout in ("plain", "gpt"):
        return images.UUIDS.get({"f": "vfat", "e": "ext4"}.get(filesystem[0]))
    return None


def configuration(loader, root, directory="/boot"):
    """The loader's configuration: GRUB checks all data before it boots, Linux some of it.

    root: what uuid() gives.
    """
    line = images.LINUX_OPTIONS + (f" lab.uuid={root}" if root else "")
    if loader == "grub":
        return ("insmod iorw\nif md5sum --check /boot/all; then\n" + images.port_print(DATA_RIGHT) +
                f"fi\nlinux {directory}/vmlinuz {line}\ninitrd {directory}/initrd\n" +
                images.port_print(STARTS) + "boot\n")
    return (f"DEFAULT linux\nLABEL linux\nKERNEL {directory}/vmlinuz\nINITRD {directory}/initrd\n"
            f"APPEND {line}\n")


def payload(release, directory):
    """What the disks boot, and data with its sums."""
    directory.mkdir()
    for name in ("vmlinuz", "initrd"):
        shutil.copy(images.parts(release) / name, directory)
    (directory / "data").write_bytes(bytes(range(256)) * 4096)
    sums = {name: hashlib.md5((directory / name).read_bytes()).hexdigest()
            for name in ("vmlinuz", "initrd", "data")}
    (directory / "sums").write_text(f"{sums['data']}  data\n")
    (directory / "all").write_text("".join(
        f"{digest}  /{'' if name == 'data' else 'boot/'}{name}\n" for name, digest in sums.items()))


def root_disk(release, root, disk):
    """Put the tools' root, with the modules of dom0's kernel, into a disk image."""
    with tempfile.TemporaryDirectory() as name:
        kernel = pathlib.Path(name)
        release.unpack([release.kernel("amd64")], kernel)
        order = module_order(kernel, MODULES)
        for module in order:
            shutil.copy(module, root / "payload")
    (root / "payload/order").write_text("".join(f"{module.name}\n" for module in order))
    shutil.copy(HERE / "bootdisks/make", root / "payload")
    for name in ("dev", "proc", "sys", "tmp", "run"):
        (root / name).mkdir(exist_ok=True)
    command(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, disk, "1G"])


def debian_cd(root, path):
    """A CD as Debian makes those of its installer: it boots from a disk, too."""
    with tempfile.TemporaryDirectory() as name:
        tree = pathlib.Path(name)
        for directory in ("isolinux", "install", "boot/grub"):
            (tree / directory).mkdir(parents=True)
        isolinux, bios = root / "usr/lib/ISOLINUX", root / "usr/lib/syslinux/modules/bios"
        for file in (isolinux / "isolinux.bin", bios / "ldlinux.c32"):
            shutil.copy(file, tree / "isolinux")
        for file in ("vmlinuz", "initrd"):
            shutil.copy(root / "payload" / file, tree / "install")
        (tree / "isolinux/isolinux.cfg").write_text(configuration("isolinux", None, "/install"))
        efi = tree / "boot/grub/efi.img"
        command(["mkfs.fat", "-C", efi, "2880"])
        command([*program(root, "xorriso"), "-as", "mkisofs", "-quiet", "-r", "-J",
                 "-joliet-long", "-checksum_algorithm_iso", "sha256", "-V", "Debian lab amd64 n",
                 "-o", path, "-isohybrid-mbr", isolinux / "isohdpfx.bin",
                 "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-boot-load-size", "4",
                 "-boot-info-table", "-no-emul-boot", "-eltorito-alt-boot",
                 "-e", "boot/grub/efi.img", "-no-emul-boot", "-isohybrid-gpt-basdat",
                 "-isohybrid-apm-hfsplus", tree])


def build(release, directory):
    """Fill directory for files()."""
    with tempfile.TemporaryDirectory(dir=CACHE) as name, \
            Step(f"disks by the tools of {release.suite}", 400):
        root, tools = pathlib.Path(name, "root"), pathlib.Path(name, "tools")
        (root / "usr/lib64").mkdir(parents=True)
        (root / "lib64").symlink_to("usr/lib64")
        release.unpack(TOOLS, root, depends=True)
        release.unpack(CDS, root)
        payload(release, root / "payload")
        root_disk(release, root, tools)
        debian_cd(root, directory / "debian.iso")
        shutil.copy(root / "usr/lib/grub-rescue/grub-rescue-cdrom.iso", directory / "grub-rescue.iso")
        memtest, = (root / "usr/lib/memtest86+").glob("*x64.iso")
        shutil.copy(memtest, directory / "memtest86+.iso")
        with Lab.start("bootdisks", release=release) as lab:
            device = lab.attach(tools, snapshot=True)
            lab.run(f"mount {device} /mnt; for name in dev proc sys; do "
                    "mount --bind /$name /mnt/$name; done; cd /mnt/payload; "
                    "while read -r name; do insmod $name 2>/dev/null; done <order; true")
            for kind in KINDS:
                make(lab, kind, directory)


def make(lab, kind, directory):
    """Let dom0 make the disks of a kind."""
    loader, filesystem, _ = kind
    disks = paths(directory, kind)
    for path in disks:
        with open(path, "wb") as file:
            file.truncate(MIB.get(filesystem, 64) << 20)
    devices = [lab.attach(path) for path in disks]
    lab.run(f"chroot /mnt /bin/dash /payload/make {' '.join(kind)} "
            f"{uuid(kind) or images.UUIDS['ext4']} {' '.join(devices)} 2>&1", 300,
            configuration(loader, uuid(kind)).encode())
    for device in devices:
        lab.run(f"blockdev --flushbufs {device}")
        lab.detach(device)


def paths(directory, kind):
    """The files of the disks of a kind, in their order."""
    return [directory / f"{'-'.join(kind)}.{number}" for number in range(KINDS[kind])]


def files():
    """The cached directory with all disks and CDs: not to be changed."""
    release = chosen()
    own = [HERE / name for name in ("bootdisks.py", "bootdisks/make", "debian.py", "releases.py")]
    versions = release.versions([*TOOLS, *CDS, release.kernel("amd64")])
    return cached("bootdisks", key(*own, images.parts(release).name, versions),
                  lambda directory: build(release, directory))
