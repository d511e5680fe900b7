"""The outer machine: QEMU without KVM, with Xen and the dom0 booted once and then resumed."""

import ctypes
import itertools
import json
import re
import signal
import socket
import subprocess
import time

import dom0
from debian import HERE, LabError, Step, command, key
from releases import chosen, own, program

LOGS = HERE.parent.parent / "out" / "lab"

# What the machine has: the one for nearly all tests, and one for what needs more.
SIZES = {"small": {"cpus": 1, "memory_mb": 2048}, "large": {"cpus": 2, "memory_mb": 8192}}
# Without eager-fpu, dom0's programs lose their SSE registers (they read 0) while a HVM guest runs.
XEN_OPTIONS = ("console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all serial_tx_buffer=1M "
               "dom0_mem=640M,max:640M dom0_max_vcpus={cpus} bootscrub=0 "
               "spec-ctrl=no,eager-fpu=on noreboot")
LINUX_OPTIONS = "console=hvc0 mitigations=off nokaslr loglevel=4"


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

    def __init__(self, name, qemu, directory, arguments, files=()):
        self.logs = LOGS / name
        self.logs.mkdir(parents=True, exist_ok=True)
        self.log = Log(self.logs / "hypervisor.log")
        self.qemu_log = self.logs / "qemu.log"
        sockets = {what: socket.socketpair() for what in ("qmp", "agent", "shell")}
        inherited = [theirs.fileno() for _, theirs in sockets.values()]
        args = [*qemu, "-accel", "tcg,thread=multi",
                "-cpu", "EPYC,-smap,-smep,-monitor,-rdtscp",
                "-nodefaults", "-no-user-config", "-display", "none",
                "-serial", f"file:{self.log.path}",
                "-device", "virtio-blk-pci,drive=root", "-device", "virtio-scsi-pci,id=scsi",
                "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=shell",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                "-mon", "chardev=qmp,mode=control"]
        for what, (_, theirs) in sockets.items():
            args += ["-chardev", f"socket,id={what},fd={theirs.fileno()}"]
        with open(self.qemu_log, "wb") as log:
            # A session of its own, so that Ctrl-C at the terminal does not reach QEMU.
            # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
            self.process = subprocess.Popen(
                [*args, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=directory, pass_fds=[*inherited, *files], start_new_session=True,
                preexec_fn=die_with_parent)
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


def emulator(release):
    """The beginning of the command of the QEMU that runs a release: the machine's, or its own."""
    name = "qemu-system-x86_64"
    if not release.own_qemu or release.suite == own():
        return [name]

    def build(directory):
        with Step(f"QEMU: from packages of {release.suite}", 20):
            release.unpack(["qemu-system-x86"], directory, depends=True)

    root = dom0.cached("qemu", key(release.versions(["qemu-system-x86"])), build)
    return ["env", f"QEMU_MODULE_DIR={root}/usr/lib/x86_64-linux-gnu/qemu", *program(root, name),
            "-L", root / "usr/share/qemu", "-L", root / "usr/share/seabios"]


def save(directory, qemu, image, store, size):
    """Boot dom0 with this xenstored and save the machine's state in directory."""
    command(["cp", "--sparse=always", "--reflink=auto", image / "root.img", directory / "root.img"])
    memory = directory / "memory"
    with Step("3/3 dom0: first boot", 30):
        machine = Machine("boot", qemu, directory, [
            *machine_options(memory, "on", size),
            "-drive", "if=none,id=root,format=raw,cache=unsafe,file=root.img",
            "-kernel", str(image / "xen"), "-append",
            XEN_OPTIONS.format(**SIZES[size]),
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


def machine_options(memory, share, size):
    """QEMU options for the machine and its memory, which is kept in a file."""
    cpus, memory_mb = SIZES[size].values()
    return ["-smp", str(cpus), "-m", str(memory_mb), "-machine", "q35,usb=off,smbus=off,sata=off,memory-backend=memory", "-object",
            f"memory-backend-file,id=memory,size={memory_mb}M,mem-path={memory},share={share}"]


def saved(store="oxenstored", release=None, size="small"):
    """The directory with a booted machine's root.img, memory and state; makes it if need be."""
    image, qemu = dom0.image(release), emulator(release or chosen())
    name = key(image.name, HERE / "machine.py", store, size, command([*qemu, "--version"]))
    return dom0.cached("saved", name, lambda directory: save(directory, qemu, image, store, size))


def resume(name, store="oxenstored", release=None, size="small"):
    """A Machine with a booted dom0 whose agent answers; its logs are in out/lab/NAME."""
    directory = saved(store, release, size)
    with open(directory / "state", "rb") as state:
        machine = Machine(name, emulator(release or chosen()), directory, [
            *machine_options(directory / "memory", "off", size),
            "-drive", "if=none,id=root,format=raw,snapshot=on,file=root.img",
            "-incoming", "defer"], [state.fileno()])
        try:
            machine.migrate("migrate-incoming", f"fd:{state.fileno()}")
            machine.qmp.call("cont")
            machine.connect_agent(60)
        except BaseException:
            machine.kill()
            raise
    return machine
