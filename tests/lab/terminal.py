"""A guest's PV console, as somebody sees it who has `xl console` in a terminal.

    terminal = Terminal(guest)
    terminal.wait("boot menu")
    terminal.type(ESC)
    print(terminal.text())

The bytes go through a serial port of dom0's machine; pyte is the terminal.
"""

import itertools
import socket
import time
from xml.sax.saxutils import escape

import pyte

from lab import LabError

ESC, ENTER, UP, DOWN, RIGHT, LEFT, F12 = "\x1b", "\r", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", \
    "\x1b[24~"
ROWS, COLS = 25, 80
NUMBERS = itertools.count()
# VGA's colours; the second ones are bright
COLOURS = {
    "black": ("#000000", "#555555"), "red": ("#aa0000", "#ff5555"), "green": ("#00aa00", "#55ff55"),
    "brown": ("#aa5500", "#ffff55"), "blue": ("#0000aa", "#5555ff"),
    "magenta": ("#aa00aa", "#ff55ff"), "cyan": ("#00aaaa", "#55ffff"),
    "white": ("#aaaaaa", "#ffffff"),
}
WIDTH, HEIGHT = 8, 16       # of a character in a picture


class Terminal:
    """A terminal with `xl console` of a guest. `raw` is all that has come (bytes)."""

    def __init__(self, guest, rows=ROWS):
        lab, name = guest.lab, f"terminal{next(NUMBERS)}"
        self.guest, self.name, self.raw = guest, name, b""
        self.screen = pyte.HistoryScreen(COLS, rows, history=10000)
        self.stream = pyte.ByteStream(self.screen)
        path = f"{lab.log.path.parent}/{name}"
        lab.machine.qmp.call("chardev-add", {"id": name, "backend": {"type": "socket", "data": {
            "addr": {"type": "unix", "data": {"path": path}}, "server": True, "wait": False}}})
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        lab.machine.qmp.call("device_add", {"driver": "virtserialport", "chardev": name,
                                            "name": name, "id": name})
        port = lab.run(f"until grep -ls '^{name}$' /sys/class/virtio-ports/*/name; do "
                       "sleep 0.05; done", 10).split("/")[-2]
        self.port = f"/dev/{port}"
        # without a terminal of its own it takes no input
        command = ["xl", "console", "-t", "pv", str(guest.domid)]
        self.pid = lab.spawn(f'exec python3 -c "import pty; pty.spawn({command})" '
                             f"<>{self.port} >&0")

    def close(self):
        """End `xl console`, and unplug the port."""
        lab = self.guest.lab
        lab.run(f"kill {self.pid} 2>/dev/null; while [ -d /proc/{self.pid} ]; do sleep 0.05; done")
        lab.machine.qmp.call("device_del", {"id": self.name})
        lab.run(f"while [ -e /sys/class/virtio-ports/{self.port[5:]} ]; do sleep 0.05; done")
        self.socket.close()
        lab.machine.qmp.call("chardev-remove", {"id": self.name})

    def receive(self, seconds):
        """Take what comes within a time. Returns whether that was something."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        self.raw += data
        self.stream.feed(data)
        return bool(data)

    def settle(self, seconds=1):
        """Take what comes, until nothing has for a time."""
        while self.receive(seconds):
            pass

    def text(self):
        """The screen's lines, without blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def everything(self):
        """The same, with the lines that have been scrolled out before."""
        old = ["".join(line[col].data for col in range(COLS)).rstrip()
               for line in self.screen.history.top]
        return "\n".join([*old, self.text()])

    def wait(self, text, timeout=60):
        """Wait until a text is on the screen, or until a function of the screen says yes."""
        shown = text if callable(text) else lambda: text in self.text()
        deadline = time.monotonic() + timeout
        while not shown():
            left = deadline - time.monotonic()
            if left < 0:
                raise LabError(f"not on the terminal of guest {self.guest.domid} in {timeout} s: "
                               f"{text!r}\n{self.text()}\n{self.raw[-500:]}")
            self.receive(min(left, 1))

    def type(self, keys):
        """Type keys: text, or what a terminal sends for others."""
        self.socket.settimeout(60)
        self.socket.sendall(keys.encode())

    def line_of(self, text):
        """The number of the line that has a text, and its cells."""
        for row, line in enumerate(self.screen.display):
            if text in line:
                begin = line.index(text)
                return row, [self.screen.buffer[row][begin + at] for at in range(len(text))]
        raise LabError(f"{text!r} is not on the screen\n{self.text()}")

    def svg(self):
        """A picture of the screen."""
        width, height = COLS * WIDTH, self.screen.lines * HEIGHT
        parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                 f'width="{width}" height="{height}" font-family="DejaVu Sans Mono, monospace" '
                 f'font-size="13"><rect width="{width}" height="{height}" fill="#000000"/>']
        for row in range(self.screen.lines):
            line = self.screen.buffer[row]
            looks = itertools.groupby(range(COLS), lambda col, line=line: (
                line[col].fg.replace("default", "white"), line[col].bg.replace("default", "black"),
                line[col].bold))
            for (front, back, bold), cols in looks:
                cols = list(cols)
                text = "".join(line[col].data for col in cols)
                x, length = cols[0] * WIDTH, len(cols) * WIDTH
                if back != "black":
                    parts.append(f'<rect x="{x}" y="{row * HEIGHT}" width="{length}" '
                                 f'height="{HEIGHT}" fill="{COLOURS[back][0]}"/>')
                if text.strip():
                    parts.append(f'<text x="{x}" y="{row * HEIGHT + 12}" textLength="{length}" '
                                 f'xml:space="preserve" fill="{COLOURS[front][bold]}">'
                                 f'{escape(text)}</text>')
        return "\n".join([*parts, "</svg>", ""])
