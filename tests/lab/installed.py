"""Disks with a complete Debian, installed by debootstrap's way and its own grub-install."""

import os
import pathlib
import tempfile

from debian import CACHE, HERE, Step, as_root, command, key
from dom0 import cached
from images import FIRST, PARTITION_TYPES, SECTOR, add_partition, partition_table
from lab import Lab

MIB = 1536              # of the disk; the system takes half of it
UUID = "4c414231-7365-6162-696f-732d696e7374"
PACKAGES = ["grub-pc", "kmod", "login", "systemd-sysv", "udev"]
FILES = ["40_custom", "lab", "lab.service"]

# mmdebstrap runs this with the new root as its argument. Debian's own settings stay, but for the
# choice of the entry, which GRUB has to save, and for the console: the lab's guests have no VGA, and
# GRUB waits long in them, where its clock may run ten times too slow.
FINISH = """#!/bin/sh
set -e
cd "$1"
cp {files}/40_custom etc/grub.d/
cp {files}/lab usr/local/sbin/
chmod 755 etc/grub.d/40_custom usr/local/sbin/lab
cp {files}/lab.service etc/systemd/system/
mkdir -p etc/systemd/system/multi-user.target.wants var/lib/lab
ln -s ../lab.service etc/systemd/system/multi-user.target.wants/
echo 'UUID={uuid} / ext4 errors=remount-ro 0 1' >etc/fstab
echo lab >etc/hostname
sed -i 's/^root:[^:]*:/root::/' etc/shadow
cat >>etc/default/grub <<end
GRUB_CMDLINE_LINUX="console=hvc0 mitigations=off"
GRUB_DEFAULT=saved
GRUB_TIMEOUT=1
GRUB_TERMINAL=console
GRUB_SAVEDEFAULT=true
end
mkdir {scratch}/root
mount --bind "$1" {scratch}/root
trap 'umount {scratch}/root' EXIT
mke2fs -q -t ext4 -U {uuid} -E lazy_itable_init=0 -d {scratch}/root {scratch}/partition {mib}M
chown {owner} {scratch}/partition
"""


# Run in dom0 with the disk's device. No udev has made the link that tells update-grub to name the
# root by its UUID.
GRUB_INSTALL = """
mkdir -p /dev/disk/by-uuid
ln -sf {disk}1 /dev/disk/by-uuid/{uuid}
mount {disk}1 /mnt
for name in dev proc sys; do mount --bind /$name /mnt/$name; done
chroot /mnt grub-install {disk} 2>&1 && chroot /mnt update-grub 2>&1
status=$?
umount /mnt/sys /mnt/proc /mnt/dev /mnt
exit $status
"""


def build(release, directory):
    """Make disk.raw of a release in directory."""
    with tempfile.TemporaryDirectory(dir=CACHE) as name, \
            Step(f"a disk with Debian ({release.suite})", 120):
        scratch = pathlib.Path(name)
        finish = scratch / "finish"
        finish.write_text(FINISH.format(files=HERE / "installed", scratch=scratch, uuid=UUID,
                                        mib=MIB - FIRST // 2048,
                                        owner=f"{os.getuid()}:{os.getgid()}"))
        finish.chmod(0o755)
        packages = [*PACKAGES, release.kernel("cloud-amd64")]
        command(as_root(["mmdebstrap", "--variant=apt", "--format=null",
                         "--include=" + ",".join(packages), f"--customize-hook={finish}",
                         release.suite, "/dev/null", *release.sources()]))
        partition, disk = scratch / "partition", directory / "disk.raw"
        sectors = partition.stat().st_size // SECTOR
        disk.write_bytes(bytes(440) + partition_table(PARTITION_TYPES["ext4"], sectors))
        add_partition(disk, partition)
    # in a lab of its own: dom0 is slow after it
    with Lab.start("installer", release=release) as lab:
        device = lab.attach(disk)
        lab.run(GRUB_INSTALL.format(disk=device, uuid=UUID), 300)
        lab.detach(device)


def disk(release):
    """The path of such a disk, in the cache: not to be changed."""
    parts = [HERE / name for name in ("installed.py", "images.py", "debian.py", "releases.py")]
    parts += [HERE / "installed" / name for name in FILES]
    versions = release.versions([release.kernel("cloud-amd64"), *PACKAGES])
    return cached("installed", key(*parts, versions),
                  lambda directory: build(release, directory)) / "disk.raw"
