"""The lab's dom0: a small Debian with Xen's tools, made from packages and kept in the cache."""

import fcntl
import os
import pathlib
import shutil
import tempfile

from debian import CACHE, HERE, Step, as_root, command, forget_old, initramfs, key, module_order
from releases import chosen

# {xen}: the release's version of Xen
PACKAGES = ["busybox-static", "dmsetup", "dnsmasq-base", "iproute2", "kmod", "mount", "procps",
            "qemu-guest-agent", "qemu-system-xen", "sysvinit-core", "xen-utils-{xen}",
            "xen-utils-common"]
HYPERVISOR = "xen-hypervisor-{xen}-amd64"
MODULES = ["virtio_pci", "virtio_blk", "virtio_scsi", "virtio_console", "sd_mod",
           "crc32c_generic", "ext4", "loop", "xen-evtchn", "xen-gntdev", "xen-gntalloc",
           "xen-privcmd", "xenfs", "xen-blkback", "xen-netback", "bridge", "tun",
           "dm-delay", "dm-flakey", "dm-thin-pool", "xen-blkfront"]
FILES = ["agent", "block", "boot", "inittab"]

# mmdebstrap runs this with the new root as its argument, /proc and others still mounted in it:
# a bind mount shows it without them.
FINISH = """#!/bin/sh
set -e
cd "$1"
mkdir -p lab
cp {files}/agent {files}/boot lab/
cp {files}/inittab etc/inittab
cp {files}/block etc/xen/scripts/block
ln -s /usr/lib/xen-{xen}/bin lab/bin
ln -s /usr/lib/x86_64-linux-gnu/libxenctrl.so.{xen} lab/libxenctrl.so
rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/qemu/*.fd var/cache/apt var/lib/apt
mkdir {scratch}/root
mount --bind "$1" {scratch}/root
trap 'umount {scratch}/root' EXIT
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=0 -d {scratch}/root {scratch}/root.img 1G
chown {owner} {scratch}/root.img
"""


def build(release, directory):
    """Make xen, vmlinuz, initrd and root.img of a release in directory."""
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        scratch = pathlib.Path(name)
        with Step(f"1/3 dom0: kernel and hypervisor from packages of {release.suite}", 10):
            release.unpack([HYPERVISOR.format(xen=release.xen), release.kernel("amd64"),
                            "busybox-static"], scratch / "boot")
            hypervisor, = (scratch / "boot/boot").glob("xen-*.gz")
            (directory / "xen").write_bytes(command(["zcat", hypervisor]))
            linux, = (scratch / "boot/boot").glob("vmlinuz-*")
            shutil.copy(linux, directory / "vmlinuz")
            modules = module_order(scratch / "boot", MODULES)
            init = (HERE / "dom0/init").read_bytes()
            (directory / "initrd").write_bytes(
                initramfs(scratch / "boot/bin/busybox", init, modules))
        with Step(f"2/3 dom0: root file system from packages of {release.suite}", 40):
            finish = scratch / "finish"
            finish.write_text(FINISH.format(files=HERE / "dom0", scratch=scratch, xen=release.xen,
                                            owner=f"{os.getuid()}:{os.getgid()}"))
            finish.chmod(0o755)
            command(as_root(["mmdebstrap", "--variant=essential", "--format=null",
                             "--include=" + ",".join(PACKAGES).format(xen=release.xen),
                             f"--customize-hook={finish}",
                             release.suite, "/dev/null", *release.sources()]))
            shutil.move(scratch / "root.img", directory / "root.img")


def image(release=None):
    """The directory with the dom0's xen, vmlinuz, initrd and root.img; builds it if need be."""
    release = release or chosen()
    parts = [HERE / name for name in ("dom0.py", "debian.py", "releases.py", "dom0/init")]
    parts += [HERE / "dom0" / name for name in FILES]
    names = [name.format(xen=release.xen) for name in (HYPERVISOR, *PACKAGES)]
    parts.append(release.versions([release.kernel("amd64"), *names]))
    return cached("dom0", key(*parts), lambda directory: build(release, directory))


def cached(prefix, name, make):
    """The directory CACHE/prefix-name; make(directory) fills it the first time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    final = CACHE / f"{prefix}-{name}"
    with open(CACHE / f"{prefix}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"new-{prefix}-") as new:
                make(pathlib.Path(new))
                os.chmod(new, 0o755)
                os.rename(new, final)
                os.mkdir(new)       # what TemporaryDirectory removes
        os.utime(final)
        forget_old(prefix, final)
    return final
