"""Rows of the matrix: boot loaders, and what each boots."""

import dataclasses
import typing

import disks

LINUX_FIRST = r"\] Linux version (\S+)"


@dataclasses.dataclass
class Loader:
    """A row of the matrix."""
    name: str
    image: str                      # the disk's file, xvde
    first: str                      # the OS's first message, a pattern
    linux: bool = True
    serial: bool = False            # the message comes on the serial port, not on port 0xE9
    hints: tuple = ()               # any of these closes the disk after its last int13
    cdrom: str = ""                 # the CD to boot from, xvdf
    not_pvh: str = ""               # why it cannot be run in a PVH guest
    prepare: typing.Callable = None     # called with (lab, its disk in dom0) before the boot


def install_extlinux(lab, device):
    """Let EXTLINUX's own installer do its work in dom0: it needs the mounted file system."""
    installer = lab.put("extlinux", lab.images[device][1].with_name("extlinux").read_bytes())
    lab.run(f"chmod +x {installer} && mount -t ext4 {device}1 /mnt && "
            f"{installer} --install /mnt/boot/extlinux 2>&1; umount /mnt")


def loaders(release):
    """All rows of the matrix."""
    where = disks.files(release)
    # 16-bit code of Linux and Xen ends with a look for a signature on each disk, but on no CD
    grub2, setup, isolinux = ("E820",), ("sector 0",), ("E820", "EC00", "floppy")
    silent = {"first": "^SILENT: in protected mode", "linux": False}

    def linux(name, image, hints, **settings):
        return Loader(name, where / f"{image}.raw", LINUX_FIRST, hints=hints, **settings)

    def other(name, image, first, hints):
        return Loader(name, where / f"{image}.raw", first, hints=hints, linux=False, serial=True,
                      not_pvh="it speaks through a serial port, which a PVH guest has not")

    return [
        linux("GRUB 2 `linux`, Linux", "grub-linux", grub2),
        linux("GRUB 2 `linux16`, Linux", "grub-linux16", setup),
        other("GRUB 2 `multiboot2`, Xen", "grub-xen", "Xen version", setup),
        linux("GRUB 2 `chainloader`, SYSLINUX, Linux", "grub-chain", setup),
        linux("SYSLINUX on FAT, Linux", "syslinux", setup),
        linux("EXTLINUX on ext2, Linux", "extlinux", setup, prepare=install_extlinux),
        linux("ISOLINUX on a PV CD, Linux", "grub-linux", isolinux, cdrom=where / "isolinux.iso"),
        linux("GRUB legacy, Linux", "grub-legacy", setup),
        other("GRUB 2 `linux16`, memtest86+", "grub-memtest", "Memtest86", grub2),
        linux("GRUB 2, iPXE `sanboot`, GRUB 2 `linux`, Linux", "grub-ipxe", grub2,
              not_pvh="the disk's GRUB asks the CMOS, which a PVH guest has not"),
        Loader("silent loader", where / "silent.raw", **silent),
        Loader("silent loader, 3 s idle", where / "silent-wait.raw", hints=("idle",), **silent),
    ]
