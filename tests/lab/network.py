"""The lab's network: a server in dom0 for guests that boot from it, and what these load.

    network = Network(lab, {"vmlinuz": path, "script": script("kernel ...", "boot")})
    guest = lab.create([], blob, vif=[VIF])
    ...
    assert "/vmlinuz" in network.requests()
"""

import hashlib
import pathlib
import shutil
import tempfile

import images
from debian import Step, key
from dom0 import cached
from releases import chosen

VIF = "type=vif,bridge=xenbr0,mac=00:16:3e:00:00:01"
SERVER = "192.0.2.1"            # the address of xenbr0, dom0/boot
ROOT = "/srv/net"
PACKAGES = ["ipxe", "pxelinux", "syslinux-common"]

DATA = bytes(range(256)) * 4096
LINUX = ("console=hvc0 earlyprintk=xen,keep mitigations=off nokaslr quiet loglevel=2 "
         f"lab.fetch=http://{SERVER}/data")
ENTRY = "NETWORK kernel, a key starts it"


def script(*lines):
    """The bytes of a script for iPXE."""
    return "\n".join(["#!ipxe", *lines, ""]).encode()


def url(name):
    """Where a file of the network is, over HTTP."""
    return f"http://{SERVER}/{name}"


def fetched(data):
    """What Linux says (guest-init) when it has fetched a file of this content."""
    return f"LAB: fetched over vif-0: {len(data)} bytes, md5 {hashlib.md5(data).hexdigest()}"


def linux_files():
    """The files that a guest needs which loads Linux from the network, and that Linux fetches."""
    made = images.parts()
    return {"vmlinuz": images.with_entry((made / "vmlinuz").read_bytes(), ENTRY, hold=True),
            "initrd": made / "initrd", "data": DATA}


def parts():
    """The directory with ipxe.lkrn, pxelinux.0 and ldlinux.c32; makes it if need be."""
    release = chosen()

    def make(directory):
        with Step(f"network: iPXE and PXELINUX of {release.suite}", 5), \
                tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            release.unpack(PACKAGES, root)
            for file in ("ipxe.lkrn", "pxelinux.0", "bios/ldlinux.c32"):
                found, = (path for path in root.rglob(file) if not path.is_symlink())
                shutil.copy(found, directory)
    return cached("network", key(pathlib.Path(__file__), release.versions(PACKAGES)), make)


def ipxe_disk(path, *lines):
    """Write a disk image whose GRUB starts iPXE with a script."""
    with tempfile.TemporaryDirectory() as name:
        commands = pathlib.Path(name, "script")
        commands.write_bytes(script(*lines))
        images.make_disk(path, images.parts(), "linux16 /boot/ipxe.lkrn\ninitrd16 /boot/script\n"
                         "boot\n", more=[parts() / "ipxe.lkrn", commands])
    return path


class Network:
    """DHCP, TFTP and HTTP in dom0 on xenbr0, for one test: a new one ends those before it."""

    def __init__(self, lab, files, boot="", http=True):
        """files: {name: path on the host, or bytes}. boot: what DHCP gives as the boot file."""
        self.lab = lab
        lab.run("for file in /run/dnsmasq.pid /run/httpd.pid; do "
                "if pid=$(cat $file 2>/dev/null); then "
                "kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.05; done; fi; rm -f $file; "
                f"done; rm -rf {ROOT}; "
                f"mkdir -p {ROOT}; rm -f /run/dnsmasq.log /run/httpd.log")
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            lab.run(f"mkdir -p $(dirname {ROOT}/{name})")
            lab.put(f"{ROOT}/{name}", data)
        lab.run("dnsmasq --conf-file=/dev/null --user=root --port=0 --interface=xenbr0 "
                "--bind-interfaces --dhcp-range=192.0.2.10,192.0.2.99 --dhcp-authoritative "
                f"--no-ping --dhcp-boot={boot} --enable-tftp --tftp-root={ROOT} --log-dhcp "
                "--log-facility=/run/dnsmasq.log --pid-file=/run/dnsmasq.pid "
                "--dhcp-leasefile=/run/dnsmasq.leases")
        if http:
            lab.run(f"busybox httpd -f -vv -p {SERVER}:80 -h {ROOT} >/dev/null 2>/run/httpd.log & "
                    "echo $! >/run/httpd.pid; "
                    # it listens at port 80
                    "until grep -q ':0050 .* 0A ' /proc/net/tcp; do sleep 0.05; done")

    def requests(self):
        """The paths that were asked for over HTTP so far, in their order."""
        return [line.split("url:")[1].strip() for line in self.lab.run(
            "cat /run/httpd.log").splitlines() if "url:" in line]

    def log(self):
        """What dnsmasq says: the steps of DHCP, the files sent over TFTP."""
        return self.lab.run("cat /run/dnsmasq.log")
