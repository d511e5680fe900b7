"""Disks for the matrix: one for each boot loader, made from Debian packages.

A loader that boots Linux loads the lab's kernel and initramfs, which mount the file system with
the UUID that images.grub_linux() uses and check its data (tests/lab/guest-init).
"""

import hashlib
import pathlib
import shutil
import struct
import subprocess
import tempfile

import dom0
import images
from debian import Step, command, key
from releases import LIBRARIES, RELEASES, program

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ["grub-pc-bin", "grub-common", "syslinux", "syslinux-common", "extlinux", "isolinux",
            "genisoimage", "memtest86+", "ipxe"]
LEGACY = RELEASES["bookworm"]       # the last release whose package grub-legacy has a GRUB in it
GRUB_MODULES = [*images.GRUB_MODULES, "multiboot2", "chain", "cmostest"]

# The kernel says all it has to say: a reset of a frontend is a debug message.
LINUX = "console=hvc0 earlyprintk=xen,keep mitigations=off nokaslr ignore_loglevel lab.uuid="


def linux_line(filesystem):
    """The command line of Linux."""
    return LINUX + images.UUIDS[filesystem]


def grub_config(*lines):
    """The text of a grub.cfg."""
    return "\n".join([*lines, "boot", ""])


def syslinux_config(filesystem, directory):
    """The text of a configuration of the SYSLINUX family."""
    return (f"DEFAULT linux\nLABEL linux\nKERNEL {directory}/vmlinuz\n"
            f"INITRD {directory}/initrd\nAPPEND {linux_line(filesystem)}\n")


def grub(files, name, *lines, before=(), **settings):
    """A disk with GRUB 2 in its MBR and these lines in its configuration."""
    return disk(files, name, {**linux_files(files), "boot/grub/grub.cfg": grub_config(*lines),
                              **settings.pop("more", {})},
                mbr=(files / "boot.img", files / "core.img"), **settings)


def linux_files(files):
    """The kernel and the initramfs below /boot."""
    return {f"boot/{name}": files / name for name in ("vmlinuz", "initrd")}


def disk(files, name, content, mbr, filesystem="ext4", kind=None):
    """Make a disk image: a file system with content {path: file or text}, mbr in front of it."""
    path, data = files / f"{name}.raw", bytes(range(256)) * 4096
    with tempfile.TemporaryDirectory() as scratch:
        root, partition, made = (pathlib.Path(scratch, part)
                                 for part in ("root", "partition", "made"))
        made.mkdir()
        for target, source in zip(("boot.img", "core.img"), mbr):
            (made / target).write_bytes(source.read_bytes() if source else b"")
        with open(made / "boot.img", "ab") as file:
            file.truncate(images.SECTOR)
        for target, source in {**content, "data": data,
                               "sums": f"{hashlib.md5(data).hexdigest()}  data\n"}.items():
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, pathlib.Path):
                source = source.read_bytes()
            (root / target).write_bytes(source.encode() if isinstance(source, str) else source)
        with open(partition, "wb") as file:
            file.truncate(63 << 20)
        if filesystem == "vfat":
            command(["mkfs.fat", "-F", "32", "-h", images.FIRST,
                     "-i", images.UUIDS["vfat"].replace("-", ""), partition])
            command(["mcopy", "-s", "-i", partition, *sorted(root.iterdir()), "::/"])
        else:
            command(["mke2fs", "-q", "-t", kind or "ext4", "-O", "^has_journal", "-I",
                     128 if kind else 256, "-U", images.UUIDS["ext4"], "-d", root, partition])
        images.write_disk(path, made, partition, images.PARTITION_TYPES[filesystem])
    return path


def parts(release, directory):
    """Fill directory with everything that the disks of a release are made of."""
    step = Step(f"loaders: packages of {release.suite}", 20)
    with step, tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        release.unpack([*PACKAGES, *LIBRARIES], root)
        LEGACY.unpack(["grub-legacy"], root)
        linux = images.parts(release)
        for file in ("vmlinuz", "initrd", "boot.img"):
            shutil.copy(linux / file, directory)
        shutil.copy(dom0.image(release) / "xen", directory)
        for file in ("boot/memtest86+x64.bin", "usr/bin/extlinux", "usr/lib/syslinux/mbr/mbr.bin"):
            shutil.copy(root / file, directory)
        ipxe, = (file for file in root.rglob("ipxe.lkrn") if not file.is_symlink())
        shutil.copy(ipxe, directory)
        for wait, file in ((0, "silent"), (3000, "silent-wait")):
            command(["nasm", "-f", "bin", *([f"-DWAIT_MS={wait}"] if wait else []),
                     "-o", directory / file, HERE / "silent.asm"])
        command([*program(root, "grub-mkimage"), "-O", "i386-pc",
                 "-d", root / "usr/lib/grub/i386-pc", "-p", "(,msdos1)/boot/grub",
                 "-o", directory / "core.img", *GRUB_MODULES])
        modules = root / "usr/lib/syslinux/modules/bios"
        grub2_disks(directory)
        legacy_disk(directory, root / "usr/lib/grub/x86_64-pc")
        syslinux_disks(directory, modules, program(root, "syslinux"))
        isolinux_cd(directory, root / "usr/lib/ISOLINUX/isolinux.bin", modules, root)
        for file in ("silent", "silent-wait"):
            disk(directory, file, {}, mbr=(directory / file, None))


def grub2_disks(files):
    """The disks that GRUB 2 boots from."""
    line = linux_line("ext4")
    plain = [f"linux /boot/vmlinuz {line}", "initrd /boot/initrd"]
    grub(files, "grub-linux", *plain)
    grub(files, "grub-linux16", f"linux16 /boot/vmlinuz {line}", "initrd16 /boot/initrd")
    grub(files, "grub-xen", "multiboot2 /boot/xen console=com1 com1=115200,8n1 noreboot",
         more={"boot/xen": files / "xen"})
    grub(files, "grub-memtest", "linux16 /boot/memtest console=ttyS0,115200",
         more={"boot/memtest": files / "memtest86+x64.bin"})
    # a menu, for those who test the console
    menu = [f'menuentry "{title}" {{\nlinux /boot/vmlinuz {images.LINUX_OPTIONS} '
            f'lab.uuid={images.UUIDS["ext4"]} {options}\ninitrd /boot/initrd\n}}'
            for title, options in (("Power off", "lab.end=poweroff"), ("A shell", "lab.end=shell"))]
    disk(files, "grub-menu", {**linux_files(files), "boot/grub/grub.cfg": "\n".join([*menu, ""])},
         mbr=(files / "boot.img", files / "core.img"))
    # iPXE boots the same disk once more; a bit in the CMOS tells that it was there.
    grub(files, "grub-ipxe", "if cmostest 0x70:0; then", *plain, "else", "cmosset 0x70:0",
         "linux16 /boot/ipxe", "initrd16 /boot/script", "fi",
         more={"boot/ipxe": files / "ipxe.lkrn",
               "boot/script": "#!ipxe\nsanboot --no-describe --drive 0x80\n"})


def legacy_disk(files, grub_legacy):
    """A disk with GRUB legacy, put together as its own command `setup` does it."""
    stage1 = bytearray((grub_legacy / "stage1").read_bytes())
    struct.pack_into("<HIH", stage1, 0x42, 0x2000, 1, 0x200)    # stage 1.5: address, LBA, segment
    stage1[0x4b:0x4d] = b"\x90\x90"                             # trust the BIOS's drive number
    middle = bytearray((grub_legacy / "e2fs_stage1_5").read_bytes())
    sectors = (len(middle) + 511) // 512
    struct.pack_into("<IHH", middle, 0x1f8, 2, sectors - 1, 0x220)  # the rest of itself
    place = b"/boot/grub/stage2 /boot/grub/menu.lst"            # on the first partition
    struct.pack_into(f"<I{len(place)}s", middle, 0x217, 0xff00ffff, place)
    (files / "stage1").write_bytes(stage1)
    (files / "stage1_5").write_bytes(middle)
    menu = (f"default 0\ntimeout 0\ntitle linux\nroot (hd0,0)\n"
            f"kernel /boot/vmlinuz {linux_line('ext4')}\ninitrd /boot/initrd\n")
    disk(files, "grub-legacy", {**linux_files(files), "boot/grub/menu.lst": menu,
                                "boot/grub/stage2": grub_legacy / "stage2"},
         mbr=(files / "stage1", files / "stage1_5"), kind="ext2")


def syslinux_disks(files, modules, installer):
    """Disks with SYSLINUX, SYSLINUX behind GRUB's chainloader, and with EXTLINUX's files."""
    content = {**linux_files(files), "ldlinux.c32": modules / "ldlinux.c32",
               "syslinux.cfg": syslinux_config("vfat", "/boot")}
    chain = {"boot/grub/grub.cfg": grub_config("chainloader (hd0,msdos1)+1")}
    for name, more, mbr in (("syslinux", {}, (files / "mbr.bin", None)),
                            ("grub-chain", chain, (files / "boot.img", files / "core.img"))):
        path = disk(files, name, {**content, **more}, mbr=mbr, filesystem="vfat")
        command([*installer, "--offset", images.FIRST * images.SECTOR, "--install", path])
    path = disk(files, "syslinux-menu", {
        **content, **{name: modules / name for name in ("menu.c32", "libutil.c32")},
        "syslinux.cfg": syslinux_config("vfat", "/boot") + "PROMPT 1\nTIMEOUT 0\nLABEL menu\n"
                        "KERNEL menu.c32\nAPPEND menu.cfg\n",
        "menu.cfg": "MENU TITLE What to boot\n" + syslinux_config("vfat", "/boot").replace(
            "LABEL linux", "LABEL other\nMENU LABEL Another\nKERNEL no-such-file\nLABEL linux\n"
            "MENU LABEL Linux", 1)},
        mbr=(files / "mbr.bin", None), filesystem="vfat")
    command([*installer, "--offset", images.FIRST * images.SECTOR, "--install", path])
    disk(files, "extlinux", {
        **linux_files(files), "boot/extlinux/ldlinux.c32": modules / "ldlinux.c32",
        "boot/extlinux/extlinux.conf": syslinux_config("ext4", "/boot")},
         mbr=(files / "mbr.bin", None), kind="ext2")


def isolinux_cd(files, isolinux, modules, root):
    """A CD with ISOLINUX."""
    with tempfile.TemporaryDirectory() as name:
        tree = pathlib.Path(name, "isolinux")
        tree.mkdir()
        for file in (isolinux, modules / "ldlinux.c32", files / "vmlinuz", files / "initrd"):
            shutil.copy(file, tree)
        (tree / "isolinux.cfg").write_text(syslinux_config("ext4", "/isolinux"))
        command(["env", f"MAGIC={root}/usr/share/misc/magic", *program(root, "genisoimage"),
                 "-quiet", "-R", "-o", files / "isolinux.iso", "-b", "isolinux/isolinux.bin",
                 "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", name])


def files(release):
    """The cached directory with all disks."""
    own = [HERE / "disks.py", HERE / "silent.asm"]
    return dom0.cached("loaders", key(*own, images.parts(release).name, dom0.image(release).name,
                                      release.versions(PACKAGES), LEGACY.versions(["grub-legacy"])),
                       lambda directory: parts(release, directory))
