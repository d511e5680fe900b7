"""The patches and the layer on every SeaBIOS that Debian's releases ship."""

import re
import shutil
from collections import Counter, defaultdict
from types import SimpleNamespace

import pytest

from project import PROJECT, VERSION, must, run

SUITES = ("bullseye", "bookworm", "trixie")
# bytes of the blob: disks, settings, the monitor, the console, files of the blob, a ROM that waits
GROWTH_LIMIT = (50 + 7 + 11 + 4 + 4 + 1) * 512
STACK_LIMIT = 720           # bytes of the extra stack, which has 2048

# gcc then writes every function's stack use and calls into a .ci file next to the object
CALLGRAPH = "-fcallgraph-info=su"


@pytest.fixture(scope="module", params=SUITES)
def seabios(request):
    """A release of Debian and its SeaBIOS tarball."""
    result = run("scripts/fetch-source", "seabios", request.param)
    if result.returncode:
        pytest.skip(f"{request.param}: the source is not on the mirror: {result.stdout}")
    return SimpleNamespace(suite=request.param, tarball=result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def stock(seabios, tmp_path_factory):
    """The build of SeaBIOS as it is, with the version string of ours."""
    tree = tmp_path_factory.mktemp("stock") / "seabios"
    must("scripts/copy-seabios", seabios.tarball, tree)
    shutil.copy(PROJECT / "configs/hvm.config", tree / ".config")
    make = ("make", "-j4", "PYTHON=python3 -B", f"CC=cc -Wno-array-bounds {CALLGRAPH}",
            f"EXTRAVERSION=-xenpv-{VERSION}")
    must(*make, "olddefconfig", cwd=tree)
    log = must(*make, cwd=tree)
    return SimpleNamespace(log=log, out=tree / "out", blob=(tree / "out/bios.bin").read_bytes())


def build(seabios, out, **settings):
    """Build with the layer's sources; `settings` are Kconfig options."""
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    log = must("make", f"SEABIOS={seabios.tarball}", f"OUT={out}", f"SETTINGS={words}",
               f"CC=cc {CALLGRAPH}", out / "bios-xenpv.bin")
    return SimpleNamespace(log=log, out=out / "seabios/out",
                           blob=(out / "bios-xenpv.bin").read_bytes())


@pytest.fixture(scope="module")
def off(seabios, tmp_path_factory):
    """The patched build with CONFIG_XEN_PV=n."""
    return build(seabios, tmp_path_factory.mktemp("off"), CONFIG_XEN_PV="n")


@pytest.fixture(scope="module")
def layer(seabios, tmp_path_factory):
    """The build with the layer."""
    return build(seabios, tmp_path_factory.mktemp("layer"))


def warnings(log):
    """The compiler's warnings, without line numbers, with how often each was given."""
    return Counter(re.findall(r"^(\S+):\d+:\d+: (warning: .*)", log, re.M))


def size(log, name):
    """A figure of layoutrom.py or checkrom.py in bytes, such as "Total size"."""
    return int(re.search(rf"{name}: +(\d+)", log)[1])


def plain(name):
    """The name of a function in the source: gcc adds suffixes such as .isra.0."""
    return name.split(".")[0]


def gcc_stack(out, function):
    """Most stack below and with `function`, return addresses and arguments included.

    From gcc's own figures. SeaBIOS's panic never returns and counts nothing.
    """
    graph = (out / "ccode32flat.ci").read_text()
    nodes = {name: (file, int(size), kind) for name, file, size, kind in re.findall(
        r'^node: { title: "(?:[^":]*:)?([^"]+)" '
        r'label: "[^"]*?\\n([^":]*):[^"]*\\n(\d+) bytes \((.*)\)"', graph, re.M)}
    calls = defaultdict(set)
    for caller, called in re.findall(
            r'^edge: { sourcename: "(?:[^":]*:)?([^"]+)" targetname: "(?:[^":]*:)?([^"]+)"',
            graph, re.M):
        calls[caller].add(called)

    def deepest(name, above):
        file, size, kind = nodes.get(name, ("", 0, "static"))
        assert name not in above, f"recursion: {above + [name]}"
        assert kind != "dynamic", f"{name} has no limit"
        assert not ("src/xen/" in file and "__indirect_call" in calls[name]), \
            f"{name} calls through a pointer, which hides the stack used below it"
        below = (deepest(called, above + [name]) for called in calls[name] if called != "panic")
        return size + max(below, default=0)

    entries = [name for name in nodes if plain(name) == function]
    assert entries, f"{function} has been inlined, mark it noinline"
    return max(deepest(name, []) for name in entries)


def checkstack(out):
    """SeaBIOS's scripts/checkstack.py on the linked image: {function: (own, deepest)}."""
    command = "objdump -m i386 -M i386 -M suffix -d out/rom.o | python3 -B scripts/checkstack.py"
    text = must("sh", "-c", command, cwd=out.parent)
    return {plain(name): (int(own), int(deepest)) for name, own, deepest
            in re.findall(r"^(\S+)\[(\d+),(\d+)[^]]*\]:$", text, re.M)}


def test_switched_off_is_the_unpatched_blob(stock, off):
    assert off.blob == stock.blob


def test_no_new_warnings(stock, layer):
    assert list((warnings(layer.log) - warnings(stock.log)).elements()) == []


def test_growth(seabios, stock, layer, figure):
    """layoutrom.py has accepted the layout, or there would be no build."""
    growth, low = (size(layer.log, name) - size(stock.log, name)
                   for name in ("Total size", "Lowmem size"))
    figure(f"{seabios.suite}: blob +{growth} bytes, {size(layer.log, 'Free')} free, "
           f"low memory +{low}")
    assert 0 < growth <= GROWTH_LIMIT


def test_firmware_of_pvh_guests(seabios, layer, figure):
    """One segment in the BIOS's place, entered at its beginning, and no more than that."""
    out = layer.out.parents[1]
    log = must("make", f"SEABIOS={seabios.tarball}", f"OUT={out}", f"CC=cc {CALLGRAPH}")
    assert [name for name, _ in warnings(log) if "vgasrc/" not in name] == []
    elf = out / "seabios-xenpvh.elf"
    assert elf.stat().st_size <= (256 << 10) + 4096
    text = must("readelf", "-lnW", elf)
    assert re.findall(r"^  (LOAD|NOTE) +\S+ +\S+ +(\S+) (\S+) (\S+)", text, re.M) == [
        ("LOAD", "0x000c0000", "0x40000", "0x40000"), ("NOTE", "0x00100000", "0x00014", "0x00014")]
    # XEN_ELFNOTE_PHYS32_ENTRY
    assert re.search(r"Xen +0x00000004.*0x00000012\)\s+description data: 00 00 0c 00", text)
    # a tick in a wait of an int13 may write to the screen: these stand on the same stack
    stacks = {name: gcc_stack(layer.out.with_name("out-pvh"), name)
              for name in ("xen_control32", "xenmirror_update")}
    figure(f"{seabios.suite}: stack in PVH by gcc: {stacks}")
    assert max(stacks.values()) <= STACK_LIMIT


def test_no_page_has_code_and_data_that_is_written(layer):
    """An emulator that translates code looks at each write to a page with code."""
    symbols = {name: int(value, 16) for value, _, name
               in re.findall(r"^(\w+) (\w) (\w+)$", must("nm", "rom.o", cwd=layer.out), re.M)}
    size = symbols["varlow_end"] - symbols["varlow_start"]
    end = symbols["final_varlow_start"] + size
    assert size > 2048 and end <= symbols["final_readonly_start"]
    assert (end - 1) // 4096 < symbols["final_readonly_start"] // 4096


def test_stack(seabios, layer, figure):
    stacks = {name: max(checkstack(layer.out)[name][1], gcc_stack(layer.out, name))
              for name in ("xen_process_op", "xen_twin_op")}
    figure(f"{seabios.suite}: stack by checkstack.py or gcc: {stacks}")
    assert max(stacks.values()) <= STACK_LIMIT


def test_other_drivers_use_no_more_stack(stock, layer):
    """The layer must not be inlined into the dispatch that all drivers stand on."""
    frames = [checkstack(build.out)["process_op_32"][0] for build in (layer, stock)]
    assert frames[0] == frames[1]
