"""The Debian releases that the lab is made of: what differs between them, and their packages.

A program runs on the release that $RELEASE names, or on the machine's own.
"""

import dataclasses
import os
import pathlib
import tempfile

from debian import HERE, LabError, command


@dataclasses.dataclass(frozen=True)
class Release:
    """A release of Debian."""
    suite: str          # Debian's name of it
    xen: str            # the version in the names of Xen's packages, libraries and directories
    # packages that were renamed since the oldest release
    renamed: dict = dataclasses.field(hash=False)
    own_qemu: bool = False  # whether its Xen runs in no later release's QEMU, see RELEASES

    def apt(self, args, **options):
        """Run a program of apt on this release's packages; see command()."""
        return command([HERE.parent.parent / "scripts/apt-release", self.suite, *args], **options)

    def name(self, package):
        """The name of a package that is named as in the oldest release."""
        return self.renamed.get(package, package)

    def kernel(self, flavour):
        """The name of the package with the kernel of a flavour (amd64, cloud-amd64)."""
        text = self.apt(["apt-cache", "depends", "--important", f"linux-image-{flavour}"]).decode()
        for line in text.splitlines():
            kind, _, name = line.strip().partition(" ")
            if kind == "Depends:":
                return name
        raise LabError(f"{self.suite} has no kernel package linux-image-{flavour}")

    def versions(self, packages):
        """The versions of packages, as one string."""
        names = map(self.name, packages)
        text = self.apt(["apt-cache", "show", "--no-all-versions", *names]).decode()
        return " ".join(line for line in text.splitlines()
                        if line.startswith(("Package:", "Version:")))

    def sources(self):
        """The apt sources, one line each."""
        form = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
        text = self.apt(["apt-get", "indextargets", "--format", form,
                         "Created-By: Packages"]).decode()
        return sorted(set(text.splitlines()))

    def unpack(self, packages, directory, depends=False):
        """Download packages and unpack them below directory, without installing them.

        depends: also what they depend on. The directory gets a merged /usr, whether the release
        has one or not.
        """
        for name in ("bin", "lib", "sbin"):
            if not (directory / name).is_symlink():
                (directory / "usr" / name).mkdir(parents=True)
                (directory / name).symlink_to(f"usr/{name}")
        with tempfile.TemporaryDirectory() as scratch:
            download = ["apt-get", "download", *map(self.name, packages)]
            if depends:
                download = ["apt-get", "install", "-qq", "--no-install-recommends",
                            "--download-only", "-o", "Debug::NoLocking=1",
                            "-o", f"Dir::Cache::archives={scratch}", *map(self.name, packages)]
            try:
                self.apt(download, cwd=scratch)
            except LabError:    # the package lists may be older than the archive
                self.apt(["apt-get", "-qq", "update"])
                self.apt(download, cwd=scratch)
            for file in pathlib.Path(scratch).glob("*.deb"):
                command(["sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | '
                         'tar -x -C "$2" --keep-directory-symlink', "sh", file, directory])


# QEMU looks up SVM's intercept of a read of CR2 under CR0's, since 9.1 (a wrong condition in
# decode_op() of target/i386/tcg/decode-new.c.inc). Xen 4.17 intercepts CR0, carries the read out by
# itself, and gives the guest 0 for CR2: Linux then halts at its first page fault.
RELEASES = {
    "bookworm": Release("bookworm", xen="4.17", renamed={}, own_qemu=True),
    "trixie": Release("trixie", xen="4.20", renamed={"libmagic1": "libmagic1t64"}),
}

# The libraries of the programs that are run without being installed, see program().
LIBRARIES = ["libbz2-1.0", "libc6", "libcap2", "libdevmapper1.02.1", "liblzma5", "libmagic1",
             "libpcre2-8-0", "libselinux1", "libudev1", "zlib1g"]


def program(root, name):
    """The beginning of a command that runs a program which was unpacked with its LIBRARIES.

    Everything is its own release's, also libc: the machine's may be older, or newer.
    """
    libraries = root / "lib/x86_64-linux-gnu"
    return [libraries / "ld-linux-x86-64.so.2", "--inhibit-cache", "--library-path", libraries,
            root / "usr/bin" / name]


def own():
    """Debian's name of the machine's own release."""
    words = dict(line.split("=", 1) for line in
                 pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return words.get("VERSION_CODENAME", words["ID"]).strip('"')


def chosen():
    """The release that $RELEASE names, or the machine's own."""
    suite = os.environ.get("RELEASE") or own()
    if suite not in RELEASES:
        raise LabError(f"the lab knows no release {suite}: RELEASE={' or '.join(RELEASES)}")
    return RELEASES[suite]


if __name__ == "__main__":      # the others, for the Makefile
    print(*(suite for suite in RELEASES if suite != chosen().suite))
