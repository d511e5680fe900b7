"""A real Xen with a Debian dom0, in QEMU's software emulation, to run guests and tests on.

    with Lab.start("name") as lab:
        print(lab.run("xl list"))
        disk = lab.attach("image.raw")
        guest = lab.create({"bios_path_override": lab.put("bios.bin", blob)},
                           [f"phy:{disk},xvde,w"])
        guest.wait_line(r"Booting from", 60)

The dom0 is built from packages, booted once and saved (see dom0.py); each lab resumes that
state on throw-away copies of its disk and memory. Logs are in out/lab/NAME of the project.
"""

import base64
import ctypes
import io
import itertools
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import tarfile
import tempfile
import time

import dom0
from debian import HERE, LabError, Step, command, key, versions

LOGS = HERE.parent.parent / "out" / "lab"
MEMORY_MB = 2048
CPUS = 2
STOCK_BIOS = "/usr/share/seabios/bios-256k.bin"     # in dom0

XEN_OPTIONS = ("console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all serial_tx_buffer=1M "
               "dom0_mem=640M,max:640M dom0_max_vcpus=1 bootscrub=0 spec-ctrl=no noreboot")
LINUX_OPTIONS = "console=hvc0 mitigations=off nokaslr loglevel=4"

# What a guest gets unless its configuration says otherwise.
GUEST_DEFAULTS = {
    "type": "hvm", "memory": 256, "vcpus": 1, "bios": "seabios", "tsc_mode": "native",
    "vga": "none", "vnc": 0, "sdl": 0, "usb": 0, "serial": "none", "on_poweroff": "destroy",
    "on_reboot": "destroy", "on_crash": "preserve",
}


class CommandError(LabError):
    """A command in dom0 failed; the message has its exit status and both its streams."""


class Channel:
    """JSON objects, one a line, over a socket: QMP and the guest agent both speak it."""

    def __init__(self, sock, what):
        self.sock, self.what, self.buffer = sock, what, b""

    def send(self, message):
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, deadline):
        """The next object; LabError when none comes before the deadline."""
        while b"\n" not in self.buffer:
            self.sock.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.sock.recv(1 << 20)
            except TimeoutError as error:
                raise LabError(f"no answer from {self.what}") from error
            except OSError as error:
                raise LabError(f"{self.what}: {error}") from error
            if not data:
                raise LabError(f"{self.what} closed the connection")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line.lstrip(b"\xff"))

    def call(self, name, arguments=None, timeout=30):
        """Run a command and return its result."""
        deadline = time.monotonic() + timeout
        self.send({"execute": name, "arguments": arguments or {}})
        while True:
            answer = self.receive(deadline)
            if "error" in answer:
                raise LabError(f"{self.what}: {name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]


def die_with_parent():
    """In a child: be killed when the parent ends, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG


class Log:
    """A log file that another program is writing, read line by line."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(b"")

    def lines(self, start=0):
        """Complete lines from byte offset start, as (offset after the line, text)."""
        with open(self.path, "rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                start += len(line)
                yield start, line.decode(errors="replace").rstrip("\r\n")

    def end(self):
        """The offset after the last complete line."""
        return max((offset for offset, _ in self.lines()), default=0)

    def tail(self, count=30):
        """The last lines with the log's name, for messages."""
        lines = [text for _, text in self.lines()][-count:]
        return "\n".join([f"--- end of {self.path}", *lines])

    def wait(self, pattern, timeout, start=0, prefix=""):
        """Wait for a line that matches after its prefix; returns (match, offset after the line)."""
        deadline = time.monotonic() + timeout
        while True:
            last = time.monotonic() > deadline
            for start, text in self.lines(start):
                match = text.startswith(prefix) and re.search(pattern, text[len(prefix):])
                if match:
                    return match, start
            if last:
                raise LabError(f"no line {prefix}{pattern!r} in {timeout} s\n{self.tail()}")
            time.sleep(0.02)


class Machine:
    """The QEMU process with its control sockets and logs."""

    def __init__(self, name, directory, arguments, files=()):
        self.logs = LOGS / name
        self.logs.mkdir(parents=True, exist_ok=True)
        self.log = Log(self.logs / "hypervisor.log")
        self.qemu_log = self.logs / "qemu.log"
        sockets = {what: socket.socketpair() for what in ("qmp", "agent", "shell")}
        inherited = [theirs.fileno() for _, theirs in sockets.values()]
        args = ["qemu-system-x86_64", "-accel", "tcg,thread=multi",
                "-cpu", "EPYC,-smap,-smep,-monitor,-rdtscp", "-smp", str(CPUS), "-m", str(MEMORY_MB),
                "-nodefaults", "-no-user-config", "-display", "none", "-net", "none",
                "-serial", f"file:{self.log.path}",
                "-device", "virtio-blk-pci,drive=root", "-device", "virtio-scsi-pci,id=scsi",
                "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=shell",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                "-mon", "chardev=qmp,mode=control"]
        for what, (_, theirs) in sockets.items():
            args += ["-chardev", f"socket,id={what},fd={theirs.fileno()}"]
        with open(self.qemu_log, "wb") as log:
            # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
            self.process = subprocess.Popen(
                [*args, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=directory, pass_fds=[*inherited, *files], preexec_fn=die_with_parent)
        for _, theirs in sockets.values():
            theirs.close()
        self.qmp = Channel(sockets["qmp"][0], f"QEMU (see {self.qemu_log})")
        self.agent = Channel(sockets["agent"][0], f"dom0's agent (see {self.log.path})")
        self.shell = sockets["shell"][0]
        try:
            self.qmp.receive(time.monotonic() + 30)
            self.qmp.call("qmp_capabilities")
            # The memory stays in its file, it is not part of the saved state.
            self.qmp.call("migrate-set-capabilities", {"capabilities": [
                {"capability": "x-ignore-shared", "state": True}]})
        except BaseException:
            self.kill()
            raise

    def connect_agent(self, timeout):
        """Wait until the agent in dom0 answers."""
        deadline = time.monotonic() + timeout
        for number in itertools.count(1):
            self.agent.buffer = b""
            try:
                self.agent.sock.sendall(b"\xff")
                self.agent.send({"execute": "guest-sync-delimited", "arguments": {"id": number}})
                while self.agent.receive(time.monotonic() + 2).get("return") != number:
                    pass
                return
            except LabError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise

    def migrate(self, direction, uri):
        """Save or load the machine's state."""
        self.qmp.call(direction, {"uri": uri})
        deadline = time.monotonic() + 60
        while True:
            status = self.qmp.call("query-migrate").get("status")
            if status == "completed":
                return
            if status == "failed" or time.monotonic() > deadline:
                raise LabError(f"QEMU: {direction}: {status} (see {self.qemu_log})")
            time.sleep(0.02)

    def kill(self):
        """End QEMU; nothing of it is left."""
        self.process.kill()
        self.process.wait()


def save(directory, store):
    """Boot dom0 with this xenstored and save the machine's state in directory."""
    image = dom0.image()
    command(["cp", "--sparse=always", "--reflink=auto", image / "root.img", directory / "root.img"])
    memory = directory / "memory"
    with Step("3/3 dom0: first boot", 30):
        machine = Machine("boot", directory, [
            *machine_options(memory, "on"),
            "-drive", "if=none,id=root,format=raw,cache=unsafe,file=root.img",
            "-kernel", str(image / "xen"), "-append", XEN_OPTIONS,
            "-initrd", f"{image}/vmlinuz {LINUX_OPTIONS} lab.store={store},{image}/initrd"])
        try:
            up, _ = machine.log.wait("lab: dom0 is up|dom0 crashed", 300)
            if "crashed" in up.group():
                raise LabError(f"dom0 does not boot\n{machine.log.tail(60)}")
            machine.connect_agent(60)
            machine.qmp.call("stop")
            machine.migrate("migrate", "exec:cat >state")
        finally:
            machine.kill()
        command(["fallocate", "--dig-holes", memory])


def machine_options(memory, share):
    """QEMU options for the machine and its memory, which is kept in a file."""
    return ["-machine", "q35,usb=off,smbus=off,sata=off,memory-backend=memory", "-object",
            f"memory-backend-file,id=memory,size={MEMORY_MB}M,mem-path={memory},share={share}"]


def saved(store="oxenstored"):
    """The directory with a booted machine's root.img, memory and state; makes it if need be."""
    image = dom0.image()
    name = key(image.name, pathlib.Path(__file__), store, versions(["qemu-system-x86"]))
    return dom0.cached("saved", name, lambda directory: save(directory, store))


class Lab:
    """A running lab. Every method raises LabError with the log's name when it fails."""

    def __init__(self, machine):
        self.machine = machine
        self.disks = {}
        self.guests = []
        self.numbers = itertools.count()

    @classmethod
    def start(cls, name, store="oxenstored"):
        """Resume a lab whose logs go to out/lab/NAME."""
        directory = saved(store)
        with open(directory / "state", "rb") as state:
            machine = Machine(name, directory, [
                *machine_options(directory / "memory", "off"),
                "-drive", "if=none,id=root,format=raw,snapshot=on,file=root.img",
                "-incoming", "defer"], [state.fileno()])
            try:
                machine.migrate("migrate-incoming", f"fd:{state.fileno()}")
                machine.qmp.call("cont")
                machine.connect_agent(60)
            except BaseException:
                machine.kill()
                raise
        return cls(machine)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.stop()

    def stop(self):
        """End the lab with all its guests."""
        self.machine.kill()

    # Commands and files in dom0

    def run(self, script, timeout=60, stdin=b""):
        """Run a shell script in dom0 and return its stdout (str)."""
        return self.run_bytes(script, timeout, stdin).decode(errors="replace")

    def run_bytes(self, script, timeout=60, stdin=b""):
        """Run a shell script in dom0 and return its stdout (bytes)."""
        deadline = time.monotonic() + timeout
        agent = self.machine.agent
        arguments = {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True}
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        pid = agent.call("guest-exec", arguments)["pid"]
        pause = 0.005
        while True:
            status = agent.call("guest-exec-status", {"pid": pid})
            if status["exited"]:
                break
            if time.monotonic() > deadline:
                raise CommandError(f"dom0: not finished after {timeout} s: {script}\n"
                                   f"(see {self.machine.log.path})")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        out = base64.b64decode(status.get("out-data", ""))
        if status.get("exitcode") != 0:
            err = base64.b64decode(status.get("err-data", "")).decode(errors="replace")
            raise CommandError(f"dom0: exit status {status.get('exitcode', 'signal')}: {script}\n"
                               f"--- stdout\n{out.decode(errors='replace')}--- stderr\n{err}")
        return out

    def put(self, path, data):
        """Write bytes to a file in dom0 (a relative name is below /root) and return its path."""
        path = os.path.join("/root", path)
        if len(data) < 4096:
            self.run(f"cat >{shlex.quote(path)}", stdin=data or b"\n")
            return path
        with tempfile.NamedTemporaryFile() as file:
            file.write(data + bytes(-len(data) % 512))
            file.flush()
            disk = self.attach(file.name, readonly=True)
            self.run(f"head -c {len(data)} {disk} >{shlex.quote(path)}")
            self.detach(disk)
        return path

    # Disks

    def attach(self, path, readonly=False, snapshot=False):
        """Plug a raw image of the host into dom0 and return its device (/dev/sda).

        The guests' writes go to the file; with snapshot=True they are thrown away.
        """
        number = next(self.numbers)
        name = f"disk{number}"
        options = f"if=none,id={name},format=raw,cache=unsafe,file={path}"
        options += ",readonly=on" * readonly + ",snapshot=on" * snapshot
        self.monitor(f"drive_add 0 {options}")
        self.machine.qmp.call("device_add", {
            "driver": "scsi-hd", "bus": "scsi.0", "scsi-id": number % 256, "lun": number // 256,
            "drive": name, "id": name})
        place = f"/sys/bus/scsi/devices/0:0:{number % 256}:{number // 256}/block"
        device = self.run(f"until ls {place} 2>/dev/null; do sleep 0.02; done", 10).strip()
        self.disks[f"/dev/{device}"] = name
        return f"/dev/{device}"

    def detach(self, device):
        """Unplug a disk from dom0; what was written to it is then in its file."""
        self.run(f"echo 1 >/sys/block/{device.removeprefix('/dev/')}/device/delete")
        self.machine.qmp.call("device_del", {"id": self.disks.pop(device)})

    def monitor(self, line):
        """Run a line of QEMU's human monitor on the outer machine."""
        answer = self.machine.qmp.call("human-monitor-command", {"command-line": line})
        if answer.strip() not in ("", "OK"):
            raise LabError(f"QEMU: {line}: {answer.strip()}")

    # Guests

    def create(self, config, disks=(), timeout=60):
        """Create a guest with xl.

        config: a dict of xl.cfg settings, on top of GUEST_DEFAULTS, or the text of a whole file.
        disks: xl disk specifications, such as "phy:/dev/sda,xvde,w".
        """
        if isinstance(config, dict):
            name = config.get("name", f"guest{next(self.numbers)}")
            settings = {**GUEST_DEFAULTS, **config, "name": name, "disk": list(disks)}
            config = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        else:
            name, = re.findall(r"^name *= *[\"'](.*)[\"']", config, re.M)
        path = self.put(f"{name}.cfg", config.encode())
        start = self.machine.log.end()
        try:
            self.run(f"xl create -q {path}", timeout)
        except CommandError as error:
            raise CommandError(f"{error}\n{self.device_model_log(name)}") from error
        domid = int(self.run(f"xl domid {name}"))
        return Guest(self, name, domid, start)

    def device_model_log(self, name):
        """What the guest's device model said."""
        return self.run(f"tail -n 30 /var/log/xen/qemu-dm-{name}.log 2>/dev/null || true")


class Guest:
    """A running guest."""

    def __init__(self, lab, name, domid, start):
        self.lab, self.name, self.domid, self.position = lab, name, domid, start

    def wait_line(self, pattern, timeout=60):
        """Wait for the next line of the guest on its debug port (0xE9) that matches."""
        match, self.position = self.lab.machine.log.wait(
            pattern, timeout, self.position, f"(d{self.domid}) ")
        return match

    def destroy(self):
        """End the guest at once."""
        self.lab.run(f"xl destroy {self.domid}")
