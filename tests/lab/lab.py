"""A real Xen with a Debian dom0, in QEMU's software emulation, to run guests and tests on.

    with Lab.start("name") as lab:
        print(lab.run("xl list"))
        disk = lab.attach("image.raw")
        guest = lab.create([xl_disk(disk, "xvde")], bios=pathlib.Path("out/bios-xenpv.bin"))
        guest.wait_line("Booting from", 60)

The dom0 is built from packages, booted once and saved (dom0.py, machine.py); each lab resumes
that state on throw-away copies of its disk and memory. Its logs are in out/lab/NAME of the
project. Whatever ends this process ends the lab.
"""

import base64
import fcntl
import itertools
import json
import os
import pathlib
import re
import shlex
import tempfile
import time
import warnings

import machine
from debian import HERE, LabError, key

BLOB = HERE.parent.parent / "out" / "bios-xenpv.bin"
# Seconds without a line, after which a guest's machine is looked at.
SILENCE = 10
KEYS = (HERE / "keys.py").read_bytes()

# What a guest gets unless its settings say otherwise.
GUEST = {
    "type": "hvm", "memory": 256, "vcpus": 1, "tsc_mode": "native", "bios": "seabios",
    "vga": "none", "vkb_device": 0, "vnc": 0, "sdl": 0, "usb": 0, "serial": "none",
    "on_poweroff": "destroy", "on_reboot": "destroy", "on_crash": "preserve",
}
# What of this belongs to a device model, which a PVH guest has not
DEVICE_MODEL = ["bios", "vga", "vkb_device", "vnc", "sdl", "usb", "serial"]
LOW_MEMORY = (HERE / "low_memory.py").read_bytes()


class CommandError(LabError):
    """A command in dom0 failed; the message has its exit status and both its streams."""


def xl_disk(target, vdev, access="rw", backend="phy", **options):
    """An xl disk specification (xl-disk-configuration); backend: phy is blkback, or qdisk."""
    words = {"format": "raw", "vdev": vdev, "access": access, "backendtype": backend, **options}
    return ",".join([f"{name}={value}" for name, value in words.items()] + [f"target={target}"])


def vbd_number(vdev):
    """The number of the VBD xvda, xvdb, ... in xenstore (xen-vbd-interface)."""
    disk = ord(vdev.removeprefix("xvd")) - ord("a")
    return 202 << 8 | disk << 4 if disk < 16 else 1 << 28 | disk << 8


def lock_logs(name):
    """Have the directory of a lab's logs for us alone until the returned file is closed."""
    directory = machine.LOGS / name
    directory.mkdir(parents=True, exist_ok=True)
    lock = open(directory / "lock", "w", encoding="ascii")  # pylint: disable=consider-using-with
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise LabError(f"another lab writes to {directory}: let it end, or use a tree of your own"
                       ) from None
    return lock


class Lab:
    """A running lab. What fails raises LabError with the output and the name of the log."""

    def __init__(self, running, lock):
        self.machine, self.lock = running, lock
        self.log = running.log
        self.images = {}        # device in dom0 -> (name in QEMU, file on the host)
        self.numbers = itertools.count()

    @classmethod
    def start(cls, name, store="oxenstored", release=None, size="small"):
        """Resume a lab whose logs go to out/lab/NAME.

        store: oxenstored or xenstored (C). release: dom0's, default releases.chosen(). size: of
        machine.SIZES.
        """
        lock = lock_logs(name)
        try:
            return cls(machine.resume(name, store, release, size), lock)
        except BaseException:
            lock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.stop()

    def stop(self):
        """End the lab with all its guests."""
        self.machine.kill()
        self.lock.close()

    def clean(self):
        """Destroy all guests and unplug all disks."""
        self.destroy_guests()
        for device in list(self.images):
            self.detach(device)

    def destroy_guests(self):
        """Destroy all guests."""
        # one may come to its end by itself meanwhile
        self.run("xl list | awk 'NR > 2 { print $2 }' | while read domid; do "
                 "xl destroy $domid || ! xl list $domid || exit; done")

    # Commands and files in dom0

    def run(self, script, timeout=60, stdin=b""):
        """Run a shell script in dom0 and return its stdout (str)."""
        return self.run_bytes(script, timeout, stdin).decode(errors="replace")

    def run_bytes(self, script, timeout=60, stdin=b""):
        """Run a shell script in dom0 and return its stdout (bytes)."""
        deadline = time.monotonic() + timeout
        pid = self.spawn(script, stdin)
        pause = 0.005
        while not (status := self.status(pid))["exited"]:
            if time.monotonic() > deadline:
                raise CommandError(f"dom0: not finished after {timeout} s: {script}\n"
                                   f"(see {self.log.path})")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        out, err = (base64.b64decode(status.get(name, "")) for name in ("out-data", "err-data"))
        if status.get("exitcode") != 0:
            raise CommandError(f"dom0: exit status {status.get('exitcode', 'signal')}: {script}\n"
                               f"--- stdout\n{out.decode(errors='replace')}"
                               f"--- stderr\n{err.decode(errors='replace')}")
        return out

    def spawn(self, script, stdin=b""):
        """Start a shell script in dom0 and return its process number."""
        arguments = {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True}
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        return self.machine.agent.call("guest-exec", arguments)["pid"]

    def status(self, pid):
        """How a spawned script stands, as the agent's guest-exec-status says it."""
        return self.machine.agent.call("guest-exec-status", {"pid": pid})

    def put(self, path, data):
        """Write bytes to a file in dom0 (a relative name is below /root) and return its path."""
        path = os.path.join("/root", path)
        if len(data) < 4096:
            self.run(f"head -c {len(data)} >{shlex.quote(path)}", stdin=data + b"\n")
            return path
        with tempfile.NamedTemporaryFile() as file:
            file.write(data + bytes(-len(data) % 512))
            file.flush()
            disk = self.attach(file.name, readonly=True)
            self.run(f"head -c {len(data)} {disk} >{shlex.quote(path)}")
            self.detach(disk)
        return path

    # Disks

    def attach(self, path, readonly=False, snapshot=False, bad=(), sector_size=512):
        """Plug a raw image of the host into dom0 and return its device (/dev/sda).

        What guests write goes to the file; with snapshot=True it is thrown away instead. Reads of
        the sectors `bad` fail. sector_size: of the device, in bytes.
        """
        number = next(self.numbers)
        name = f"disk{number}"
        file = "file"
        options = f"if=none,id={name},format=raw,cache=unsafe"
        if bad:
            file = "file.image.filename"
            options += ",file.driver=blkdebug"
            for place, sector in enumerate(bad):
                options += f",file.inject-error.{place}.event=read_aio" \
                           f",file.inject-error.{place}.sector={sector}"
        options += f",{file}={str(path).replace(',', ',,')}"
        options += ",readonly=on" * readonly + ",snapshot=on" * snapshot
        self.monitor(f"drive_add 0 {json.dumps(options, ensure_ascii=False)}")
        self.machine.qmp.call("device_add", {
            "driver": "scsi-hd", "bus": "scsi.0", "scsi-id": number % 256, "lun": number // 256,
            "drive": name, "id": name, "logical_block_size": sector_size,
            "physical_block_size": sector_size})
        place = f"/sys/bus/scsi/devices/0:0:{number % 256}:{number // 256}/block"
        device = self.run(f"until ls {place} 2>/dev/null; do sleep 0.02; done", 10).strip()
        self.images[f"/dev/{device}"] = name, pathlib.Path(path)
        return f"/dev/{device}"

    def detach(self, device):
        """Unplug a disk from dom0."""
        name, _ = self.images.pop(device)
        self.machine.qmp.call("device_del", {"id": name})
        block = device.replace("/dev/", "/sys/block/")
        self.run(f"while [ -e {block} ]; do sleep 0.02; done", 10)
        # QEMU closes the file a moment later
        deadline = time.monotonic() + 10
        while any(disk["device"] == name for disk in self.machine.qmp.call("query-block")):
            if time.monotonic() > deadline:
                raise LabError(f"QEMU keeps {name} open")
            time.sleep(0.005)

    def read_back(self, device):
        """The content of an attached disk (bytes), with all that guests have written."""
        self.run(f"blockdev --flushbufs {device}")
        return self.images[device][1].read_bytes()

    def monitor(self, line):
        """Run a line of QEMU's human monitor on the outer machine."""
        answer = self.machine.qmp.call("human-monitor-command", {"command-line": line}).strip()
        if answer not in ("", "OK"):
            raise LabError(f"QEMU: {line}: {answer}")

    # Xen

    def registers(self):
        """Where the machine's CPU is, and its timer."""
        text = "\n".join(self.machine.qmp.call("human-monitor-command", {"command-line": line})
                         for line in ("info registers", "info lapic"))
        return " ".join(re.findall(r"RIP=\w+|HLT=\d|initial_count.*", text))

    def wake(self):
        """Give dom0 something to do. If the log goes on then, the machine had missed a timer."""
        registers, end = self.registers(), self.log.end()
        self.run("true")
        time.sleep(1)
        if self.log.end() != end:
            warnings.warn(f"the lab's machine had stopped: {registers}")

    def what_stopped(self):
        """Where the machine, Xen and the last guest are, for a message."""
        found = [self.registers()]
        end = self.log.end()
        try:
            found.append(self.run("xl list", 20))
            time.sleep(3)
            found += ["and then:", *(text for _, text in self.log.lines(end))][:10]
            end = self.log.end()
            self.run("for key in v e; do xl debug-keys $key; sleep 0.5; done", 20)
            found += [text for _, text in self.log.lines(end)
                      if re.search(r"VMCB|exit|v_?intr|R[IS]P|RFLAGS|Polling|CS:", text, re.I)]
        except LabError as error:
            found.append(str(error))
        return "\n".join(found)

    def xenstore(self, path):
        """What is below a directory in xenstore: {path relative to it: value}."""
        tree = {}
        for line in self.run(f"xenstore-ls -f {path}").splitlines():
            name, _, value = line.partition(" = ")
            value = value[1:-1].encode().decode("unicode_escape")
            tree[name[len(path.rstrip("/")) + 1:]] = value
        return tree

    def debug_keys(self, keys):
        """What the hypervisor prints on its console for debug keys such as "g" or "e"."""
        start = self.log.end()
        mark = f"lab: end of {keys} {next(self.numbers)}"
        self.run(f"xl debug-keys {keys} && echo '{mark}' >/dev/hvc0")
        self.log.wait(re.escape(mark), 30, start)
        text = "\n".join(text for _, text in self.log.lines(start))
        return text[:text.index(mark)]      # which may have come into the middle of a line

    # Guests

    def create(self, disks, bios=None, timeout=60, paused=False, **settings):
        """Create a guest with xl.

        disks: see xl_disk(). bios: a file of the host to be used as BIOS blob, default is the
        dom0's stock SeaBIOS; an ELF file is the firmware of a PVH guest. paused: it stands before
        its first instruction. settings: xl.cfg, on top of GUEST.
        """
        name = settings.setdefault("name", f"guest{next(self.numbers)}")
        if bios:
            settings.update(firmware(self.blob(bios), bios))
        path = self.put(f"{name}.cfg", guest_config(disks, **settings).encode())
        position = self.log.end()
        try:
            self.run(f"xl create {'-p' * paused} -q {path}", timeout)
        except CommandError as error:
            log = self.run(f"tail -n 30 /var/log/xen/qemu-dm-{name}.log 2>/dev/null || true")
            raise CommandError(f"{error}--- device model\n{log}") from error
        return Guest(self, name, int(self.run(f"xl domid {name}")), position,
                     settings.get("type") == "pvh")

    def blob(self, path):
        """Put a BIOS blob of the host into dom0 if it is not there yet; returns its path."""
        data = pathlib.Path(path).read_bytes()
        place = f"/root/{key(data)}.bin"
        try:
            self.run(f"test -e {place}")
        except CommandError:
            self.put(place, data)
        return place


class Attaches:
    """Counts attaches: each writes the node ring-ref, and its close removes that."""

    def __init__(self, guest, vdevs):
        self.lab = guest.lab
        self.paths = [f"/local/domain/{guest.domid}/device/vbd/{vbd_number(vdev)}/ring-ref"
                      for vdev in vdevs]
        self.pid = self.lab.spawn(f"exec xenstore-watch {' '.join(self.paths)} >/root/attaches")
        self.lab.run(f"until [ $(wc -l </root/attaches) = {len(vdevs)} ]; do sleep 0.05; done")

    def end(self):
        """The number of attaches so far; ends counting."""
        seen = self.lab.run(f"kill {self.pid}; cat /root/attaches").split()
        return sum(seen.count(path) // 2 for path in self.paths)


def firmware(place, path):
    """The settings for a firmware of the host that is at a place in dom0."""
    if pathlib.Path(path).read_bytes()[:4] == b"\x7fELF":
        return {"type": "pvh", "kernel": place}
    return {"bios_path_override": place}


def guest_config(disks, **settings):
    """The text of an xl.cfg file: GUEST, the settings and the disks."""
    settings = {**GUEST, **settings, "disk": list(disks)}
    if settings["type"] == "pvh":
        settings = {name: value for name, value in settings.items() if name not in DEVICE_MODEL}
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


class Guest:
    """A guest that was created with Lab.create()."""

    def __init__(self, lab, name, domid, position, pvh=False):
        self.lab, self.name, self.domid, self.pvh = lab, name, domid, pvh
        self.begin = self.position = position   # in the hypervisor's log

    def pause(self):
        """Stop the guest's CPU."""
        self.lab.run(f"xl pause {self.domid}")

    def unpause(self):
        """Let the guest's CPU run."""
        self.lab.run(f"xl unpause {self.domid}")

    def now(self):
        """The same guest, in the domain that a restore or a migration has made."""
        domid = int(self.lab.run(f"xl domid {self.name}"))
        return Guest(self.lab, self.name, domid, self.position, self.pvh)

    def lines(self):
        """All lines that the guest has printed on its debug port so far."""
        prefix = f"(d{self.domid}) "
        return [text.removeprefix(prefix) for _, text in self.lab.log.lines(self.begin)
                if text.startswith(prefix)]

    def wait_line(self, pattern, timeout=60):
        """Wait for the guest's next line on its debug port 0xE9 that matches (re.Match).

        Lines before it are passed over; "^" is where the line begins after Xen's "(d1) ".
        """
        deadline = time.monotonic() + timeout
        while True:
            end = self.lab.log.end()
            try:
                match, self.position = self.lab.log.wait(
                    pattern, min(SILENCE, deadline - time.monotonic()), self.position,
                    f"(d{self.domid}) ")
                return match
            except LabError:
                if time.monotonic() > deadline:
                    raise LabError(f"no line {pattern!r} of guest {self.domid} in {timeout} s\n"
                                   f"{self.lab.log.tail()}\n{self.lab.what_stopped()}") from None
            if self.lab.log.end() == end:
                self.lab.wake()

    def skip_menu(self, timeout=60):
        """Press a key when the BIOS waits 2.5 s for a choice of its boot menu.

        In a PVH guest the wait takes its time: to press a key there takes as long.
        """
        self.wait_line("Press .* for boot menu", timeout)
        if not self.pvh:
            self.press("spc")

    def press(self, key_name):
        """Press a key (a name of QEMU's, as spc or ret)."""
        if self.pvh:
            self.lab.run(f"python3 - {self.domid} key {key_name}", stdin=LOW_MEMORY)
        else:
            self.lab.run(f"xl qemu-monitor-command {self.domid} 'sendkey {key_name}'")

    def screen(self):
        """The text screen of a PVH guest."""
        return self.lab.run(f"python3 - {self.domid} screen", stdin=LOW_MEMORY)

    def press_all(self, key_names):
        """Press many keys, one by one, in less time."""
        self.lab.run(f"python3 - {self.domid} {' '.join(key_names)}", stdin=KEYS)

    def frontend(self, vdev):
        """The frontend's directory of a VBD in xenstore, {name: value}."""
        return self.lab.xenstore(f"/local/domain/{self.domid}/device/vbd/{vbd_number(vdev)}")

    def backend(self, vdev):
        """The backend's directory of a VBD in xenstore, {name: value}."""
        return self.lab.xenstore(self.frontend(vdev)["backend"])

    def disk_counters(self, vdev):
        """Requests for a VBD so far: {"reads": n, "writes": n, "emulated": n}.

        reads and writes are those of the PV backend: qdisk's own count, for blkback that of the
        disk in dom0, as blkback forgets its count with each attach. emulated are those of the
        guest's emulated disks; where it is not 0, blkback's number may include some of them.
        """
        names, counts = ("", "") if self.pvh else (
            self.lab.run(f"xl qemu-monitor-command {self.domid} 'info {what}'")
            for what in ("block", "blockstats"))
        names = re.findall(r"^(\S+?)(?: \(#block\d+\))?: ", names, re.M)
        counts = re.findall(r"rd_operations=(\d+) wr_operations=(\d+)", counts)
        device_model = {name: tuple(map(int, pair)) for name, pair in zip(names, counts)}
        backend = self.frontend(vdev)["backend"]
        if "/backend/qdisk/" in backend:
            reads, writes = device_model[f"{vdev}-raw"]
        else:
            disk = self.lab.xenstore(backend)["params"].removeprefix("/dev/")
            fields = self.lab.run(f"cat /sys/block/{disk}/stat").split()
            reads, writes = int(fields[0]), int(fields[4])
        emulated = sum(sum(pair) for name, pair in device_model.items() if name.startswith("ide"))
        return {"reads": reads, "writes": writes, "emulated": emulated}

    def console(self):
        """What the guest has written to its PV console."""
        return self.lab.run(f"cat /var/log/xen/console/guest-{self.name}.log 2>/dev/null || true")

    def type(self, text):
        """Type text at the guest's PV console."""
        self.lab.run(f"cat >$(xenstore-read /local/domain/{self.domid}/console/tty)",
                     stdin=text.encode())

    def wait_end(self, timeout=60):
        """Wait until the guest is no more."""
        self.lab.run(f"while xl domid {self.name} >/dev/null 2>&1; do sleep 0.2; done", timeout)

    def destroy(self):
        """End the guest at once."""
        self.lab.run(f"xl destroy {self.domid}")
