"""What the benchmarks' guests boot: disk images, kernels, boot programs, all of Debian packages.

A Linux kernel of these says on the debug port that it was entered, before it does anything else
(images.with_entry): the time to this point is the firmware's and the loader's alone.
"""

import gzip
import pathlib
import random
import shutil
import subprocess
import tempfile

import dom0
import images
import pattern
from debian import Step, command, cpio, initramfs, key, module_order
from releases import LIBRARIES, chosen, program

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
PACKAGES = ["grub-pc-bin", "grub-common", "grub-xen-bin", "syslinux", "syslinux-common",
            "busybox-static"]
GUESTS = ["bench", "hello"]
OWN = ["disks.py", "guest-init", "reads.c"]

MIB = 1 << 20
BIG, SMALL, SLOW = 32 * MIB, 6 * MIB, 2 * MIB   # the files that GRUB's testspeed reads
LOADS = {"16": 16 * MIB, "60": 60 * MIB}        # kernel and initrd together
SPEED = BIG + SMALL + LOADS["16"]               # what GRUB reads from the disk "speed"
MODULES = ["part_msdos", "ext2", "fat", "normal", "linux", "test", "testspeed", "iorw", "loadenv"]
LINUX_OPTIONS = "console=hvc0 earlyprintk=xen,keep mitigations=off nokaslr quiet loglevel=2"
PATTERN_MIB = 64
GRUBENV = "# GRUB Environment Block\n".ljust(1024, "#")


def mark(text):
    """GRUB commands that print a mark on the debug port."""
    return images.port_print(f"BENCH {text}")


def testspeed(what, file, size):
    """GRUB commands that read a file in blocks of size bytes, between marks."""
    return f"{mark(what)}testspeed -s {size} /{file}\n{mark(f'{what} end')}"


def load():
    """GRUB commands that load and start Linux."""
    return (f"linux /vmlinuz {LINUX_OPTIONS}\ninitrd /initrd\n{mark('loaded')}boot\n")


# What GRUB does on each of its disks.
CONFIGS = {
    "speed": mark("grub") + testspeed("big", "big", 65536) + testspeed("small", "small", 512)
             + load(),
    "speed-slow": mark("grub") + testspeed("big", "slow", 65536)
                  + testspeed("small", "slow2", 512),
    **{f"grub-{name}": mark("grub") + load() for name in LOADS},
    # as Ubuntu's and Fedora's do: what failed is known at the next boot
    "saved-60": mark("grub") + "set recordfail=1\nsave_env recordfail\n" + load(),
}


def noise(size):
    """Bytes that do not compress, so that no file system leaves a hole for them."""
    return random.Random(size).randbytes(size)


def linux(root, directory):
    """Write a kernel and an initramfs for each size of both.

    The small kernel is dom0's, which takes longer to unpack itself: bookworm's other one has 14 MB,
    and the modules are for that one. The smaller of trixie's two has 12 MB.
    """
    command(["gcc", "-O2", "-static", "-s", "-Wall", "-Werror", "-o", directory / "reads",
             HERE / "reads.c"])
    base = initramfs(root / "bin/busybox", (HERE / "guest-init").read_bytes(),
                     module_order(root, ["xen_blkfront"]))
    base += gzip.compress(cpio([("bin/reads", 0o100755, (directory / "reads").read_bytes())]),
                          mtime=0)
    base += bytes(-len(base) % 4)
    (directory / "initrd").write_bytes(base)
    cloud, = (root / "boot").glob("vmlinuz-*")
    for name, file in (("16", dom0.image() / "vmlinuz"), ("60", cloud)):
        image = images.with_entry(file.read_bytes(), "BENCH kernel")
        rest = LOADS[name] - len(image) - len(base) - 1024
        (directory / f"vmlinuz-{name}").write_bytes(image)
        (directory / f"initrd-{name}").write_bytes(
            base + cpio([("padding", 0o100644, noise(rest))]))


def grub_image(root, target, prefix, modules, directory):
    """Make a GRUB with its modules built in."""
    tool = program(root, "grub-mkimage")
    command([*tool, "-O", target, "-d", root / "usr/lib/grub" / target, "-p", prefix,
             "-o", directory / f"grub-{target}", *modules])


def lend_iorw(grub):
    """Give the GRUB for PVH the module iorw, which is only built for others of the same CPU.

    What it needs, extcmd, is a module there, but a part of the kernel here.
    """
    command(["objcopy", "--remove-section", ".moddeps", grub / "i386-pc/iorw.mod",
             grub / "i386-xen_pvh/iorw.mod"])
    with open(grub / "i386-xen_pvh/moddep.lst", "a", encoding="ascii") as file:
        file.write("iorw:\n")


def fill(root, files):
    """Put files {name: bytes, text or file} into a directory."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pathlib.Path):
            shutil.copy(content, root / name)
        else:
            (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


def disk(path, made, files, filesystem):
    """Write a disk image: one partition with files, and a boot loader in front of it."""
    with tempfile.TemporaryDirectory() as scratch:
        root, partition = pathlib.Path(scratch, "root"), pathlib.Path(scratch, "partition")
        root.mkdir()
        fill(root, files)
        used = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        with open(partition, "wb") as file:
            file.truncate((used // MIB + 16 + used // (16 * MIB)) * MIB)
        if filesystem == "ext4":
            command(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, partition])
        else:
            command(["mkfs.fat", "-F", "16", "-h", images.FIRST, partition])
            command(["mcopy", "-s", "-i", partition, *sorted(root.iterdir()), "::/"])
        images.write_disk(path, made, partition, images.PARTITION_TYPES[
            "ext4" if filesystem == "ext4" else "vfat"])


def grub_disks(directory):
    """The disks that GRUB boots from, also in a PVH guest."""
    data = {"big": noise(BIG), "small": noise(SMALL), "slow": noise(SLOW), "slow2": noise(SLOW)}
    shutil.copy(directory / "grub-i386-pc", directory / "core.img")
    for name, config in CONFIGS.items():
        size = name.rpartition("-")[2]
        if size not in LOADS:
            size = "16"
        files = {"boot/grub/grub.cfg": config, "boot/grub/grubenv": GRUBENV,
                 "vmlinuz": directory / f"vmlinuz-{size}",
                 "initrd": directory / f"initrd-{size}"}
        if name == "speed":
            files |= {"big": data["big"], "small": data["small"]}
        elif name == "speed-slow":
            files |= {"slow": data["slow"], "slow2": data["slow2"]}
        disk(directory / f"{name}.raw", directory, files, "ext4")


def syslinux_disks(root, directory):
    """The disks that SYSLINUX boots from."""
    config = (f"DEFAULT linux\nLABEL linux\nKERNEL /vmlinuz\nINITRD /initrd\n"
              f"APPEND {LINUX_OPTIONS}\n")
    made = directory / "syslinux"
    made.mkdir()
    mbr = (root / "usr/lib/syslinux/mbr/mbr.bin").read_bytes()
    (made / "boot.img").write_bytes(mbr.ljust(512, b"\0"))
    (made / "core.img").write_bytes(b"")
    for name in LOADS:
        path = directory / f"syslinux-{name}.raw"
        disk(path, made, {
            "ldlinux.c32": root / "usr/lib/syslinux/modules/bios/ldlinux.c32",
            "syslinux.cfg": config, "vmlinuz": directory / f"vmlinuz-{name}",
            "initrd": directory / f"initrd-{name}"}, "fat16")
        command([*program(root, "syslinux"), "--offset", images.FIRST * images.SECTOR,
                 "--install", path])


def guest_programs(directory):
    """The disks with the boot programs of tests/guests."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["make", "-s", "-C", PROJECT / "tests/guests", f"OUT={out}",
                        *(f"{out}/{name}.img" for name in GUESTS)], check=True)
        for name in GUESTS:
            shutil.copy(pathlib.Path(out, f"{name}.img"), directory)
    pattern.make(directory / "hello.raw", directory / "hello.img", 8 << 11)


def build(directory):
    """Fill directory with everything."""
    with tempfile.TemporaryDirectory() as name, Step("bench: disks from Debian packages", 40):
        root = pathlib.Path(name)
        release = chosen()
        release.unpack([release.kernel("cloud-amd64"), *PACKAGES, *LIBRARIES], root)
        linux(root, directory)
        grub = root / "usr/lib/grub"
        shutil.copy(grub / "i386-pc/boot.img", directory)
        lend_iorw(grub)
        grub_image(root, "i386-pc", "(,msdos1)/boot/grub", ["biosdisk", *MODULES], directory)
        grub_image(root, "i386-xen_pvh", "(xen/xvda,msdos1)/boot/grub", MODULES, directory)
        grub_disks(directory)
        syslinux_disks(root, directory)
        guest_programs(directory)


def files():
    """The cached directory with all disks."""
    programs = [PROJECT / "tests/guests" / name
                for name in ("common.inc", *(f"{name}.asm" for name in GUESTS))]
    return dom0.cached("bench", key(
        *[HERE / name for name in OWN], *programs, PROJECT / "tests/guests/pattern.py",
        images.HERE / "images.py", images.HERE / "entry.asm", images.HERE / "debian.py", dom0.image().name,
        chosen().versions([chosen().kernel("cloud-amd64"), *PACKAGES])), build)


def bench_disk(path, calls, sectors):
    """Make the disk of bench.asm, with a limit for each of its rows."""
    pattern.make(path, files() / "bench.img", PATTERN_MIB << 11,
                 bench_calls=calls, bench_sectors=sectors)
    return path
