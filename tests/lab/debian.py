"""Programs run for the lab, its cache, and small initramfs images."""

import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache",
                     "seabios-xenpv")


class LabError(Exception):
    """The lab itself failed; the message says at what and where to look."""


class Step:
    """Print one line for a step that takes time: what, how long it may take, how long it took."""

    def __init__(self, what, about=None):
        self.text = f"lab: {what}" + (f" (about {about} s)" if about else "")

    def __enter__(self):
        print(f"{self.text} ...", end="", flush=True)
        self.start = time.monotonic()

    def __exit__(self, kind, error, trace):
        done = "failed after" if kind else "done in"
        print(f" {done} {time.monotonic() - self.start:.0f} s", flush=True)


def command(args, **options):
    """Run a program and return what it wrote on stdout (bytes); LabError with both streams."""
    args = [str(arg) for arg in args]
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    result = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                            env={**os.environ, "PATH": path, "LC_ALL": "C"}, **options)
    if result.returncode:
        output = (result.stdout + result.stderr).decode(errors="replace")
        raise LabError(f"{' '.join(args)}: exit status {result.returncode}\n{output[-4000:]}")
    return result.stdout


def as_root(args):
    """The command line that runs args as root."""
    return list(args) if os.getuid() == 0 else ["sudo", *args]


def key(*parts):
    """A short name for what is made from these parts: text, bytes, and files by content."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, pathlib.Path) else part
        data = data if isinstance(data, bytes) else str(data).encode()
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()[:16]


def module_order(root, names):
    """Files of the kernel modules and of all that they need, in the order to load them."""
    base, = (root / "lib/modules").iterdir()
    command(["depmod", "-b", root, base.name])
    needs = {}
    for line in (base / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[file] = others.split()
    by_name = {pathlib.Path(file).name.split(".")[0].replace("-", "_"): file for file in needs}
    order = []
    for name in names:
        file = by_name.get(name.replace("-", "_"))
        if file is None:
            continue        # built into the kernel
        for module in [*reversed(needs[file]), file]:
            if module not in order:
                order.append(module)
    return [base / file for file in order]


def cpio(entries):
    """A "newc" cpio archive of (name, mode, bytes) entries, the form of an initramfs."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields)
        for part in (name.encode() + b"\0", data):
            out += part
            out += bytes(-len(out) % 4)
    return bytes(out)


def initramfs(busybox, init, modules):
    """A gzip'ed initramfs: busybox with its applets, the program /init, modules in their order."""
    applets = command([busybox, "--list"]).decode().split()
    entries = [(name, 0o040755, b"")
               for name in ("bin", "dev", "proc", "sys", "root", "mnt", "modules")]
    entries.append(("bin/busybox", 0o100755, busybox.read_bytes()))
    entries += [(f"bin/{name}", 0o120777, b"busybox") for name in applets if name != "busybox"]
    entries.append(("init", 0o100755, init))
    entries.append(("modules/order", 0o100644,
                    "".join(f"{module.name}\n" for module in modules).encode()))
    entries += [(f"modules/{module.name}", 0o100644, module.read_bytes()) for module in modules]
    return gzip.compress(cpio(entries), 6, mtime=0)


def forget_old(prefix, keep):
    """Remove what was cached under the same prefix and not used for three days."""
    for path in CACHE.glob(f"{prefix}-*"):
        if path != keep and time.time() - path.stat().st_mtime > 3 * 86400:
            shutil.rmtree(path, ignore_errors=True)
