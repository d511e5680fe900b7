"""Disk images for the lab's guests: GRUB 2 with Linux, made from Debian packages."""

import hashlib
import pathlib
import struct
import tempfile

from debian import HERE, LabError, Step, command, initramfs, key, module_order
from dom0 import cached
from releases import LIBRARIES, chosen, program

SECTOR = 512
FIRST = 2048        # first sector of the partition
SIGNATURE = 0x4c414231
UUIDS = {"ext4": "4c414231-7365-6162-696f-732d78656e21", "vfat": "4C41-4231"}
PARTITION_TYPES = {"ext4": 0x83, "vfat": 0x0c}
GRUB_MODULES = ["biosdisk", "part_msdos", "ext2", "fat", "normal", "linux", "linux16", "sleep",
                "iorw", "test"]
LINUX_MODULES = ["xen_blkfront", "xen_netfront", "crc32c_generic", "ext4", "nls_cp437",
                 "nls_ascii", "vfat"]
LINUX_OPTIONS = "console=hvc0 earlyprintk=xen,keep mitigations=off nokaslr quiet loglevel=2"


def port_print(text):
    """GRUB commands that print a line on the debug port."""
    return "".join(f"outb 0xe9 {byte:#x}\n" for byte in f"{text}\n".encode())


def packages(release):
    """What the guest is made of."""
    return [release.kernel("cloud-amd64"), "busybox-static", "grub-pc-bin", "grub-common",
            *LIBRARIES]


def parts(release=None):
    """The directory with vmlinuz, initrd, boot.img and core.img; makes it if need be."""
    release = release or chosen()
    own = [HERE / name for name in ("images.py", "debian.py", "releases.py", "guest-init")]
    return cached("guest", key(*own, release.versions(packages(release))),
                  lambda directory: make_parts(release, directory))


def make_parts(release, directory):
    """Fill directory for parts()."""
    step = Step(f"guest: GRUB and Linux from packages of {release.suite}", 10)
    with tempfile.TemporaryDirectory() as name, step:
        root = pathlib.Path(name)
        release.unpack(packages(release), root)
        linux, = (root / "boot").glob("vmlinuz-*")
        (directory / "vmlinuz").write_bytes(linux.read_bytes())
        modules = module_order(root, LINUX_MODULES)
        (directory / "initrd").write_bytes(initramfs(
            root / "bin/busybox", (HERE / "guest-init").read_bytes(), modules))
        grub = root / "usr/lib/grub/i386-pc"
        (directory / "boot.img").write_bytes((grub / "boot.img").read_bytes())
        command([*program(root, "grub-mkimage"),
                 "-O", "i386-pc", "-d", grub, "-p", "(,msdos1)/boot/grub",
                 "-o", directory / "core.img", *GRUB_MODULES])


def with_entry(image, text, hold=False):
    """A bzImage that prints a text when its 32-bit code is entered. hold: and waits for a key."""
    image = bytearray(image) + bytes(-len(image) % 16)
    begin = (image[0x1f1] + 1) * SECTOR             # of the 32-bit code
    with tempfile.NamedTemporaryFile() as file:
        command(["nasm", "-f", "bin", f"-DSTART={len(image) - begin}", f'-DTEXT="{text}"',
                 *["-DHOLD"] * hold, "-o", file.name, HERE / "entry.asm"])
        entry = file.read()
    first, = struct.unpack_from("<I", image, 0x214)     # code32_start
    struct.pack_into("<I", image, 0x214, first + len(image) - begin)
    image += entry
    struct.pack_into("<I", image, 0x1f4, (len(image) - begin) // 16)    # syssize
    return bytes(image)


def grub_linux(filesystem="ext4", options="lab.end=poweroff", size_mb=64, form="", before=""):
    """The path of a disk image: MBR, GRUB 2, a partition with a kernel, an initramfs, test data.

    Linux mounts the partition (ext4 or vfat), checks the test data and reports it (guest-init);
    options are for its command line, lab.end= says what it does then: poweroff or shell. form:
    16 for GRUB's commands linux16 and initrd16; before: commands that come first. The image is
    kept in the cache and shared: attach it with snapshot=True.
    """
    made = parts()
    config = (port_print("LAB: GRUB reads its configuration") + before +
              f"linux{form} /boot/vmlinuz {LINUX_OPTIONS} lab.uuid={UUIDS[filesystem]} {options}\n"
              f"initrd{form} /boot/initrd\n" + port_print("LAB: GRUB starts Linux") + "boot\n")
    name = key(made.name, filesystem, config, size_mb)
    return cached("linux", name, lambda directory: make_disk(
        directory / "disk.raw", made, config, filesystem, size_mb)) / "disk.raw"


def make_disk(path, made, config, filesystem="ext4", size_mb=64, more=()):
    """Write the disk image; made: the directory of parts(), more: other files for /boot."""
    data = bytes(range(256)) * 4096
    with tempfile.TemporaryDirectory() as name:
        root, partition = pathlib.Path(name, "root"), pathlib.Path(name, "partition")
        (root / "boot/grub").mkdir(parents=True)
        for file in (made / "vmlinuz", made / "initrd", *more):
            (root / "boot" / file.name).write_bytes(file.read_bytes())
        (root / "boot/grub/grub.cfg").write_text(config)
        (root / "data").write_bytes(data)
        (root / "sums").write_text(f"{hashlib.md5(data).hexdigest()}  data\n")
        sectors = size_mb * 2048 - FIRST
        with open(partition, "wb") as file:
            file.truncate(sectors * SECTOR)
        if filesystem == "ext4":
            command(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-U", UUIDS["ext4"],
                     "-d", root, partition])
        else:
            command(["mkfs.fat", "-F", "32", "-h", FIRST,
                     "-i", UUIDS["vfat"].replace("-", ""), partition])
            command(["mcopy", "-s", "-i", partition, *sorted(root.iterdir()), "::/"])
        write_disk(path, made, partition, PARTITION_TYPES[filesystem])


def partition_table(kind, sectors):
    """The bytes of an MBR behind its program: one bootable partition of so many sectors."""
    return struct.pack("<IHB3sB3sII", SIGNATURE, 0, 0x80, b"\xfe\xff\xff", kind, b"\xfe\xff\xff",
                       FIRST, sectors) + bytes(48) + b"\x55\xaa"


def add_partition(path, partition):
    """Put a partition's content into its place on a disk."""
    command(["dd", f"if={partition}", f"of={path}", "bs=1M", f"seek={FIRST * SECTOR >> 20}",
             "conv=notrunc,sparse"])


def write_disk(path, made, partition, kind):
    """Put GRUB and one bootable partition together in a disk image."""
    boot = bytearray((made / "boot.img").read_bytes())
    core = (made / "core.img").read_bytes()
    if len(core) > (FIRST - 1) * SECTOR:
        raise LabError(f"core.img has no room before the partition: {len(core)} bytes")
    sectors = partition.stat().st_size // SECTOR
    boot[440:] = partition_table(kind, sectors)
    # GRUB's boot.img reads core.img from sector 1, and that the rest of itself from sector 2.
    with open(path, "wb") as disk:
        disk.write(boot + core)
        disk.truncate((FIRST + sectors) * SECTOR)
    add_partition(path, partition)
