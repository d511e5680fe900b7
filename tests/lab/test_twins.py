"""A disk and its emulated twin are one disk: both ways to it show the same, whoever writes."""

import random
import re
import subprocess

import pytest

from lab import Attaches, xl_disk
from script import Log, Model, Script, problems
from trial import create, ending, layer_lines, start


MIB = 2048                      # sectors
LEAKS = 3                       # qemu-img check: clusters that nobody uses, if QEMU was killed


class Disk:
    """An image of the host as a disk of a guest: its format, its backend, and its model."""

    def __init__(self, lab, raw, kind):
        """raw: a raw image; kind: raw, qcow2, overlay or vhd, and phy or qdisk, as "raw phy"."""
        self.lab = lab
        self.format, self.backend = kind.split()
        self.raw = raw
        self.model = Model(raw)
        self.path = raw.with_suffix("." + self.format)
        convert = {
            "raw": ["cp", "--sparse=always", raw, self.path],
            "qcow2": ["qemu-img", "convert", "-O", "qcow2", raw, self.path],
            "vhd": ["qemu-img", "convert", "-O", "vpc", "-o", "force_size=on", raw, self.path],
        }
        if self.format == "overlay":
            self.base = lab.attach(raw, readonly=True)
            convert["overlay"] = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw",
                                  "-b", self.base, self.path, str(raw.stat().st_size)]
        subprocess.run(convert[self.format], check=True)
        if self.format != "raw":        # room to grow
            with open(self.path, "r+b") as file:
                file.truncate(raw.stat().st_size + (16 << 20) & -(1 << 20))
        self.device = lab.attach(self.path)

    def xl(self, vdev):
        """The disk for xl.cfg."""
        form = "qcow2" if self.format == "overlay" else self.format
        return xl_disk(self.device, vdev, backend=self.backend, format=form)

    def problems(self, out):
        """What is wrong with the image after the guest's end: list of text."""
        found, raw = self.export(out)
        return found + self.model.differences(raw) if raw else found

    def export(self, out, killed=False):
        """The image after the guest's end: what is wrong with its format (list of text), and a raw
        image of its content (or None if there is none), which may be `out`. killed: the guest was."""
        self.lab.run(f"blockdev --flushbufs {self.device}")
        self.lab.detach(self.device)
        found = []
        if self.format == "raw":
            out = self.path
        else:
            name = {"vhd": "vpc"}.get(self.format, "qcow2")
            image = f'json:{{"driver":"{name}","file":{{"driver":"file",' \
                    f'"filename":"{self.path}"}}'
            if self.format == "overlay":
                image += f',"backing":{{"driver":"raw","file":{{"driver":"file",' \
                         f'"filename":"{self.raw}"}}}}'
            if name == "qcow2":
                check = subprocess.run(["qemu-img", "check", image + "}"], capture_output=True,
                                       text=True, check=False)
                if check.returncode not in ((0, LEAKS) if killed else (0,)):
                    found.append(f"qemu-img check: {check.stdout[-300:]}{check.stderr[-300:]}")
            convert = subprocess.run(["qemu-img", "convert", "-O", "raw", image + "}", out],
                                     capture_output=True, text=True, check=False)
            if convert.returncode:
                return [*found, f"qemu-img convert: {convert.stderr}"], None
        return found, out


def is_known(lab, kind):
    """Whether dom0's device model knows a kind of image: that of Debian 13 has no vhd."""
    return not kind.startswith("vhd") or "vpc" in lab.run(
        "/usr/libexec/xen-qemu-system-i386 -drive format=help")


def run(guest, timeout=300):
    """Let a guest carry out its script; returns what it printed, without a guest any more."""
    start(guest)
    log = Log(ending(guest, timeout))
    guest.destroy()
    guest.wait_end()
    return log


def both_ways(script, drive, unit):
    """Int13 and the ports on one disk, whose second half is a hole."""
    half = 32 * MIB
    script.read(drive, 0, 8)                            # what is read before is in the cache
    script.read(drive, half + 1000, 8)
    script.write(drive, 1)
    script.write(drive, half + 1000)
    script.port_read(unit, 0, 8)
    script.port_read(unit, half + 999, 3)
    script.write(drive, 5000, 9)
    script.write(drive, 5004, 1, chs=True)
    script.port_read(unit, 4998, 16, dma=True)
    script.read(drive, 4990, 30)
    script.port_write(unit, 2)                          # shares a page with LBA 1
    script.port_write(unit, half + 1001, 2)             # and a cluster with what int13 wrote
    script.port_write(unit, half + 9 * MIB)             # this one has its own
    script.port_write(unit, 5005, 7, dma=True)
    script.port_write(unit, half + 12 * MIB, 16, dma=True)
    script.wait(3)
    script.read(drive, 0, 8)
    script.read(drive, half + 996, 10)
    script.read(drive, half + 9 * MIB - 3, 5)
    script.read(drive, 5000, 15, chs=True)
    script.read(drive, half + 12 * MIB, 17)
    script.write(drive, half + 9 * MIB + 1)
    script.write(drive, half + 20 * MIB, 5)
    script.write(drive, 3)
    script.port_read(unit, half + 20 * MIB - 1, 7)
    script.port_read(unit, half + 9 * MIB, 4, dma=True)
    script.port_read(unit, 0, 8, dma=True)


def make_disks(lab, script, programs, tmp_path, kinds, **settings):
    """Images with a script: {name of the VBD: Disk} of {name: kind of image and backend}."""
    return {vdev: Disk(lab, script.image(tmp_path / f"{vdev}.img", programs, label=vdev, **settings),
                       kind) for vdev, kind in kinds.items()}


def check(script, log, disks, out):
    """What a guest has seen of disks 80, 81, ..., and what they hold at its end, has to be right.

    The first four are the first four IDE disks, if it used ports.
    """
    models = [disk.model for disk in disks.values()]
    found = problems(script, log, {0x80 + n: model for n, model in enumerate(models)},
                     dict(enumerate(models)))
    for vdev, disk in disks.items():
        found += [f"{vdev}: {text}" for text in disk.problems(out)]
    assert not found, "\n".join(found[:40])


def test_int13_and_the_ports_show_one_disk_whatever_its_format(
        lab, either_bios, programs, tmp_path):
    script = Script()
    kinds = {"xvda": "raw phy", "xvdb": "qcow2 qdisk", "xvdc": "overlay qdisk"}
    if is_known(lab, "vhd qdisk"):
        kinds["xvdd"] = "vhd qdisk"
    for number in range(len(kinds)):
        both_ways(script, 0x80 + number, number)
    disks = make_disks(lab, script, programs, tmp_path, kinds, mib=64, patterned=32 * MIB)
    guest = create(lab, [disk.xl(vdev) for vdev, disk in disks.items()], either_bios)
    check(script, run(guest), disks, tmp_path / "out.raw")


def test_what_the_ports_have_written_is_read_at_once(lab, either_bios, programs, tmp_path):
    """Also where int13 has just read the same sectors."""
    script = Script()
    for unit in range(2):
        script.read(0x80 + unit, 20000, 16)
        script.port_write(unit, 20003, 2)
        script.read(0x80 + unit, 20000, 16)
        script.port_write(unit, 20010, dma=True)
        script.read(0x80 + unit, 20000, 16, chs=True)
    disks = make_disks(lab, script, programs, tmp_path,
                       {"xvda": "raw phy", "xvdb": "raw qdisk"})
    guest = create(lab, [disk.xl(vdev) for vdev, disk in disks.items()], either_bios)
    check(script, run(guest), disks, tmp_path / "out.raw")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qcow2 qdisk", "raw phy", "overlay qdisk", "vhd qdisk"])
def test_a_disk_can_be_written_in_any_number_of_places(lab, either_bios, programs, tmp_path, kind):
    """Each in 2 MiB of its own, and what is around them stays what it was."""
    if not is_known(lab, kind):
        pytest.skip("this device model has no vhd")
    script = Script()
    places = [number * 2 * MIB + 37 * number for number in range(1, 46)]
    random.Random(5).shuffle(places)
    for place in places:
        script.read(0x80, place - 4, 8)
        script.write(0x80, place, 3)
    for place in sorted(places):
        script.read(0x80, place - 4, 10)
    script.read(0x80, 500, 4, repeat=47, step=2 * MIB)
    for place in places[::9]:
        script.port_read(0, place - 4, 10)
        script.write(0x80, place + 1)
        script.port_read(0, place, 3, dma=True)
    disks = make_disks(lab, script, programs, tmp_path, {"xvda": kind}, mib=96,
                       patterned=48 * MIB)
    guest = create(lab, [disks["xvda"].xl("xvda")], either_bios)
    check(script, run(guest), disks, tmp_path / "out.raw")


def random_script(seed):
    """Random operations on disks 80 to 83, of which the first two are IDE disks 0 and 1 as well.

    Int13 alone at first; then the ports are used; and after 3 s both in any order.
    """
    choice = random.Random(seed)
    script = Script()
    places = {drive: [choice.randrange(64, 63 * MIB) for _ in range(6)] for drive in range(4)}

    def extent(drive):
        lba = choice.choice(places[drive]) + choice.randrange(40)
        if choice.random() < 0.1:
            lba = choice.randrange(2, 63 * MIB)
        return lba, choice.choice([1, 1, 2, 3, 7, 8, 16, 33])

    def int13():
        drive = choice.randrange(4)
        what = choice.choice([script.read, script.read, script.write])
        what(0x80 + drive, *extent(drive), chs=choice.random() < 0.3)

    def port():
        unit = choice.randrange(2)
        what = choice.choice([script.port_read, script.port_read, script.port_write])
        what(unit, *extent(unit), dma=choice.random() < 0.3)

    for _ in range(160):
        int13()
    for _ in range(20):
        port()
    for unit in range(2):           # both have been used
        script.port_read(unit, 12345 + unit)
    script.wait(3)
    for _ in range(160):
        choice.choice([int13, port])()
    return script


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow)
                                       for seed in range(2, 7))])
def test_random_operations_leave_what_a_model_of_the_disks_holds(
        lab, either_bios, programs, tmp_path, seed):
    """Two disks with twins, and two without. The stock BIOS has only the first two."""
    script = random_script(seed)
    kinds = {"xvda": "qcow2 qdisk", "xvdb": "raw phy", "xvde": "raw phy", "xvdf": "qcow2 qdisk"}
    if not either_bios:             # it has them as IDE disks
        kinds = {"xvda": "qcow2 qdisk", "xvdb": "raw phy", "xvdc": "raw phy",
                 "xvdd": "qcow2 qdisk"}
    disks = make_disks(lab, script, programs, tmp_path, kinds, mib=64, patterned=32 * MIB)
    guest = create(lab, [disk.xl(vdev) for vdev, disk in disks.items()], either_bios)
    check(script, run(guest), disks, tmp_path / "out.raw")


def twin_bytes(guest):
    """The bytes read from all emulated disks, by the device model's own count."""
    text = guest.lab.run(f"xl qemu-monitor-command {guest.domid} 'info blockstats'")
    return sum(map(int, re.findall(r"^(?:ide|scsi)\S+: rd_bytes=(\d+)", text, re.M)))


def test_a_loader_that_saves_its_environment_reads_the_rest_as_fast(lab, blob, programs, tmp_path):
    """By the PV backend, with as many attaches."""
    script = Script()
    environment = 4 * MIB           # the next file: only a raw image has such small areas
    kernel = 0x80, environment + 256, 127
    script.key()
    script.read(*kernel, repeat=60 * MIB // 127, quiet=True)
    script.key()
    script.wait(3)
    script.read(0x80, environment, 2)
    saved = script.write(0x80, environment, 2)
    script.key()
    script.read(*kernel, repeat=60 * MIB // 127, quiet=True)
    script.key()
    script.read(0x80, environment - 10, 20)
    disks = make_disks(lab, script, programs, tmp_path, {"xvda": "raw phy"}, mib=65)
    guest = create(lab, [disks["xvda"].xl("xvda")], blob)
    start(guest)
    counts = []
    for begin, end in (0, 2), (saved + 1, saved + 3):
        guest.wait_line(f"^KEY {begin:04x}$", 120)
        attaches, before = Attaches(guest, ["xvda"]), twin_bytes(guest)
        guest.press("ret")
        guest.wait_line(f"^KEY {end:04x}$", 120)
        counts.append((attaches.end(), twin_bytes(guest) - before))
        guest.press("ret")
    log = Log(ending(guest))
    after = twin_bytes(guest)
    guest.destroy()
    check(script, log, disks, tmp_path / "out.raw")
    assert counts[0][0] > 10
    assert abs(counts[1][0] - counts[0][0]) <= 1, counts
    assert [count for _, count in counts] == [0, 0], counts
    assert 20 << 9 <= after - sum(size for _, size in counts) <= 4 << 20, "area read by the twin"


# Disks whose PV way is gone while the guest runs

def test_a_disk_is_its_twins_when_the_backend_is_gone(lab, blob, programs, tmp_path):
    """Each call succeeds; a disk without a twin fails, and the BIOS says why."""
    script = Script()
    script.read(0x80, 20000, 8)
    script.write(0x81, 9000, 2)
    gone = script.key()
    failed = []
    for drive in 0x80, 0x81, 0x82:
        numbers = [script.read(drive, 16000, 8), script.read(drive, 8999, 4),
                   script.write(drive, 16003, 2), script.read(drive, 16000, 8),
                   script.read(drive, 9000, 8, chs=True)]
        failed += numbers if drive == 0x82 else []
    disks = make_disks(lab, script, programs, tmp_path, {
        "xvda": "raw phy", "xvdb": "qcow2 qdisk", "xvde": "raw phy"})
    guest = create(lab, [disk.xl(vdev) for vdev, disk in disks.items()], blob)
    start(guest)
    guest.wait_line(f"^KEY {gone:04x}$", 120)
    said = len(layer_lines(guest))
    lab.run("".join(f"xenstore-rm {guest.frontend(vdev)['backend']}; " for vdev in disks))
    guest.press("ret")
    log = Log(ending(guest, 300))
    lines = layer_lines(guest)[said:]
    guest.destroy()
    for vdev in disks:
        assert [line for line in lines if line.startswith(f"{vdev}: ")], lines
    models = {0x80 + n: disk.model for n, disk in enumerate(disks.values())}
    found = problems(script, log, models, failed=failed)
    assert not found, "\n".join(found[:40])


@pytest.mark.parametrize("mib", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_another_disk_in_the_place_of_one_with_a_twin(lab, blob, programs, tmp_path, mib):
    """The emulated disk stays what it was: so does the drive."""
    script = Script()
    script.read(0x81, 4000, 4)
    key = script.key()
    script.wait(3)                              # the cache may be used for 2 s
    script.read(0x81, 4000, 4)
    script.write(0x81, 4001, 2)
    script.read(0x81, 3990, 20)
    images = [script.image(tmp_path / f"{name}.raw", programs, mib=size, label=name)
              for name, size in (("program", 8), ("first", 32), ("second", mib))]
    with open(images[2], "r+b") as file:
        file.seek(4000 * 512)
        file.write(b"second".ljust(512) * 4)
    devices = [lab.attach(image) for image in images]
    models = [Model(image) for image in images]
    guest = create(lab, [xl_disk(devices[0], "xvda"), xl_disk(devices[1], "xvdb")], blob)
    start(guest)
    guest.wait_line(f"^KEY {key:04x}$", 120)
    lab.run(f"xl block-detach --force {guest.domid} xvdb; "
            f"xl block-attach {guest.domid} '{xl_disk(devices[2], 'xvdb')}'", 120)
    guest.press("ret")
    log = Log(ending(guest, 240))
    assert problems(script, log, {0x80 + number: model for number, model in enumerate(models)}) == []
    guest.destroy()
    guest.wait_end()
    for image, model, device in zip(images, models, devices):
        lab.read_back(device)
        assert model.differences(image) == []
