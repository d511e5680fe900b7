"""What the layer may take: low memory, no memory after POST, no wait without an end."""

import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import SimpleNamespace

import pytest

from loops import endless, loops
from project import PROJECT, copy_project, must, run

LAYER = PROJECT / "src/xen"

FILE_LIMIT = 450            # lines
STATIC_LIMIT = 368          # emulated drives take 256, what sercon has written takes 64
DRIVE_LIMIT = 64        # bytes of low memory for each disk; SeaBIOS's own drivers take 40 and more

# Loops that neither count nor ask xenwait_step() whether to go on: why they end all the same.
BOUNDED = {
    ("blkcache.c", "blkcache_init",
     "while (BLKRING_SECTOR << (cache->shift + 1) <= size / BLKCACHE_SLOTS_MIN)"):
        "the left side doubles",
    ("blkcache.c", "count_share", "for (; others; others &= others - 1)"):
        "each round clears a bit",
    ("blkio.c", "read_chunks", "while (window.count < end)"):
        "each round fills a place of the window, or leaves",
    ("blkio.c", "write_chunks", "while (todo->count && !ret)"):
        "each round takes a slot and advances, or sets ret",
    ("blkio.c", "xenblk_write_through", "while (todo->count)"):
        "each round advances, or leaves",
    ("blkfront.c", "read_disk", "while (todo->count)"):
        "each round advances, leaves, or has filled the chunk that the next one finds",
    ("blkfront.c", "remember_write", "while (disk->area_shift < least)"):
        "each round adds to area_shift",
    ("blkfront.c", "remember_write", "while (!is_written(disk, sector))"):
        "each round makes room for the sector's area up to AREA_SHIFT_MAX, adds it, or leaves",
    ("blkprobe.c", "xenblk_backend_kind", "for (; *path; path++)"):
        "to the end of a copy of the path",
    ("blkprobe.c", "list_disks", "for (; len > 0 && names < end; names += strlen(names) + 1)"):
        "to the end of a reply that was copied and has a NUL behind it",
    ("blkprobe.c", "list_disks",
     "for (; *digit >= 0 && *digit <= 0 && number < 100000000; digit++)"):
        "to the end of a name",
    ("blkprobe.c", "probe_once", "while (xenblk->probing)"):
        "POST only: each thread counts it down when its waits have ended",
    ("blkring.c", "take_responses", "while (ring->front.rsp_cons != prod)"):
        "prod was read once, and is at most what was asked for away",
    ("blkdev.c", "take_image", "while (*params)"):
        "to the end of a reply that was copied and has a NUL behind it",
    ("blkio.c", "read_chunks", "while (done < end)"):
        "done grows, up to count",
    ("blkio.c", "read_chunks", "while (end > done && end * passed > done * xen_ticks(SLOW_US))"):
        "end goes down to done",
    ("blkring.c", "free_request", "while (numbers--)"):
        "at most INDIRECT_NUMBERS",
    ("blkring.c", "find_numbers",
     "for (id = XENVDEV_MAX; id + numbers <= REQUESTS; id += numbers)"):
        "numbers is 1 or INDIRECT_NUMBERS",
    ("blkring.c", "get_id", "while ((id = find_numbers(ring, numbers)) < 0 && !ring->broken)"):
        "each round ends half of what is under way, with a deadline, or wants less, or breaks",
    ("blktwin.c", "xentwin_publish", "while (i--)"):
        "POST only: as many as the list has",
    ("blkring.c", "blkring_queue", "do while (count)"):
        "each round takes a part of count, or leaves; get_id() waits with a deadline",
    ("blobfiles.c", "xenblobfiles_add",
     "while (end - pos >= (int)sizeof(struct xenblobfile_s))"):
        "each round leaves a header behind, or ends",
    ("gnttab.c", "xengrant_end", "for (;;)"):
        "again only if the flags changed between two instructions; once pinned, it leaves",
    ("monitor.c", "wait_key", "do while (key < 0)"):
        "in the boot menu, as that waits for a key",
    ("monitor.c", "erase", "while (count--)"):
        "counts",
    ("monitor.c", "read_line", "for (;;)"):
        "waits for a key each time, until that is Enter",
    ("monitor.c", "monitor_cut_word", "while (*text && *text != 0)"):
        "to the end of a text",
    ("monitor.c", "monitor_cut_word", "while (*text == 0)"):
        "to the end of a text",
    ("monitor.c", "run_line", "while (*line == 0)"):
        "to the end of a text",
    ("moncmd.c", "monitor_ls",
     "for (; name - monitor->names < len && !monitor->quit; name += strlen(name) + 1)"):
        "to the end of a copy of a reply that has a NUL behind it",
    ("moncmd.c", "monitor_speed",
     "while (done < SPEED_SIZE && done / drive->blksize + blocks <= drive->sectors)"):
        "each round reads more, or leaves",
    ("moncmd.c", "monitor_help", "for (command = monitor_commands; command->name; command++)"):
        "a constant list",
    ("monitor.c", "run_line", "for (command = monitor_commands; command->name; command++)"):
        "a constant list",
    ("moncmd.c", "monitor_ports", "while (++status.port < PORTS_MAX && ret != -XEN_EINVAL)"):
        "counts",
    ("moncmd.c", "monitor_settings", "while ((setting = xensettings_next(setting)))"):
        "SeaBIOS's list of romfiles",
    ("monitor.c", "xen_monitor", "while (!monitor->done)"):
        "until the user goes on",
    ("console.c", "xencons_wait",
     "do while (!is_known && rdtscll() - begin < xen_ticks(WAIT_MS * 1000))"):
        "a deadline, by the TSC: nothing else is to happen meanwhile",
    ("mirror.c", "put_text", "while (*text)"):
        "to the end of a constant text",
    ("mirror.c", "put_cursor", "while (from < col && is_coloured(mirror->sent[row][from]))"):
        "counts",
    ("mirror.c", "put_cursor", "while (mirror->col < col)"):
        "put_cell() counts; col is in the line",
    ("mirror.c", "forget_line", "for (; col < COLS; col++)"):
        "counts",
    ("mirror.c", "is_scrolled", "for (row = 0; row + lines < mirror->rows - 1; row++)"):
        "counts",
    ("mirror.c", "is_blank", "for (; col < COLS; col++)"):
        "counts",
    ("platform.c", "find_window", "foreachpci(pci)"):
        "SeaBIOS's list of devices",
    ("tick.c", "take_due", "for (count = 0; (s64)(now - due) >= 0; count++)"):
        "each round is 55 ms of what has passed since the last call",
    ("tick.c", "take_due", "for (; counter >= TICKS_PER_DAY; counter -= TICKS_PER_DAY)"):
        "each round is a day of what has passed since the last call",
    ("tick.c", "wait_us", "while ((left = end - rdtscll()) > 0)"):
        "int15 86: the caller has asked to wait for so long, by the TSC",
    ("date.c", "clock_seconds", "for (; (s64)(now - at) >= len; at += len)"):
        "each round is a second of what has passed since the last call",
    ("date.c", "clock_read_date", "for (year = 1970; days >= days_of_year(year); year++)"):
        "32 bits of seconds end in 2106",
    ("date.c", "clock_read_date", "for (month = 1; days >= days_of_month(year, month); month++)"):
        "the days are those of one year",
    ("settings.c", "xensettings_next", "while ((file = romfile_findprefix(\"\", file)))"):
        "SeaBIOS's list of romfiles",
    ("settings.c", "take_text", "while (to < len && text[to] != 0)"):
        "to the end of a text of len bytes",
    ("settings.c", "xensettings_from_smbios",
     "while (pos + sizeof(struct smbios_structure_header) <= end)"):
        "each structure is longer than its header",
    ("settings.c", "xensettings_from_smbios", "while (*text)"):
        "each string is longer than nothing, and the last one ends before the table does",
    ("settings.c", "xensettings_from_smbios", "while (text + size < end && text[size])"):
        "to the end of the table",
    ("settings.c", "xensettings_from_cmdline", "while (*line)"):
        "each round takes a byte or more of a text with a NUL behind it",
    ("settings.c", "xensettings_from_cmdline", "while (line[len] && line[len] != 0)"):
        "to the end of the text",
    ("settings.c", "check_names", "for (; len > 0 && names < end; names += strlen(names) + 1)"):
        "to the end of a reply that was copied and has a NUL behind it",
    ("settings.c", "xensettings_from_store",
     "for (; settings.next < ARRAY_SIZE(known); settings.next++)"):
        "through a constant list",
    ("settings.c", "xen_rom_prio", "foreachpci(before)"):
        "SeaBIOS's list of devices",
    ("vdev.c", "xenvdev_name", "while (*prefix)"):
        "a constant text",
    ("blkring.c", "end_request", "for (; request->grants; request->grants--)"):
        "counts",
    ("blkring.c", "blkring_open", "while (!xengrant_is_free(ring->ref) && --tries)"):
        "as often as there are disks",
    ("xenbus.c", "switch_state", "for (; what != NODES_STAY && names[count]; count++)"):
        "a constant list",
    ("xenbus.c", "remove_others", "for (other = bus->class->others; *other; other++)"):
        "a constant list",
    ("xenbus.c", "has_our_ring", "for (i = 0; bus->class->nodes[i]; i++)"):
        "a constant list",
    ("xenbus.c", "xenbus_find_error",
     "while (strlen(backend) > strlen(middle) && memcmp(backend, middle, strlen(middle)))"):
        "to the end of a copy of the path",
    ("xenbus.c", "remove_others", "while (len > 0)"):
        "each round leaves a name behind, or removes one, at most OTHER_NODES_MAX",
    ("xenstore.c", "xenstore_receive", "while (store->slowest < EVENT_MAX_US "
     "&& rdtscll() - start > xen_ticks(store->slowest))"):
        "slowest doubles, six times at most",
}


################ No wait without an end

def test_every_loop_of_the_layer_ends():
    """A loop that is new here needs a deadline, or a reason in the list."""
    found = {(path.name, loop.function, loop.header)
             for path in LAYER.glob("*.c") for loop in endless(path.read_text())}
    assert found - set(BOUNDED) == set()
    assert set(BOUNDED) - found == set(), "these are no longer there"


def test_all_loops_of_the_layer_are_seen():
    """Each keyword that begins a loop, except in comments and texts, is one that was looked at."""
    for path in LAYER.glob("*.c"):
        code = re.sub(r'//.*|"[^"\n]*"', "", path.read_text())
        words = len(re.findall(r"^\s*(?:\} )?(?:for|while|do|foreach\w+)\b", code, re.M))
        tails = len(re.findall(r"\bdo\b", code))    # each has a `while` as well
        assert len(list(loops(path.read_text()))) == words - tails, path.name


GOOD = """
static int
wait(struct xenwait_s *wait)
{
    for (;;) {
        if (*done)
            return 0;
        if (xenwait_step(wait))
            return -1;
    }
}
"""


@pytest.mark.parametrize("old, new", [
    ("if (xenwait_step(wait))\n            return -1;", ""),
    ("if (xenwait_step(wait))\n            return -1;", "xenwait_step(wait);"),
    ("if (xenwait_step(wait))\n            return -1;", "// xenwait_step(wait)"),
    ("if (xenwait_step(wait))\n            return -1;", 'dprintf(1, "xenwait_step(wait)");'),
    ("for (;;)", "for (i = 0; *more; i++)"),
    ("for (;;) {", "while (!*done)\n        yield();\n    {"),
    ("for (;;) {", "do yield(); while (!*done);\n    {"),
    ("for (;;) {", "foreachpci(pci) continue;\n    {"),
    ("for (;;) {", "again:\n    {\n        goto again;"),
])
def test_loop_without_an_end_is_found(old, new):
    assert endless(GOOD) == []
    assert GOOD.count(old) == 1
    broken = GOOD.replace(old, new)
    if new.startswith("for (i"):
        broken = broken.replace("xenwait_step(wait)", "*other")
    assert [loop.function for loop in endless(broken)] == ["wait"]


def test_loop_that_counts_is_left_alone():
    text = GOOD.replace("for (;;)", "for (i = 0; i < count; i++)")
    assert endless(text.replace("xenwait_step(wait)", "*other")) == []


################ Size

def test_files_are_short():
    assert [path.name for path in sorted(LAYER.rglob("*.[ch]"))
            if len(path.read_text().splitlines()) > FILE_LIMIT] == []


################ Memory

@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A build with the default SeaBIOS, and gcc's graph of calls."""
    out = tmp_path_factory.mktemp("budgets") / "out"
    must("make", f"OUT={out}", "CC=cc -fcallgraph-info=su", f"{out}/bios-xenpv.bin")
    return SimpleNamespace(tree=out / "seabios", out=out / "seabios/out")


def drive_size(built):
    """sizeof(struct xendrive_s): what each disk takes of low memory."""
    source = built.out / "size.c"
    source.write_text('#include "xen/blkdev.h"\nchar size_of_drive[sizeof(struct xendrive_s)];\n')
    must("gcc", "-m32", "-march=i386", "-ffreestanding", "-w", "-fno-common", "-DMODE16=0",
         "-DMODESEGMENT=0", f"-I{built.out}", f"-I{built.tree}/src", "-c", source,
         "-o", source.with_suffix(".o"))
    symbols = must("nm", "-S", source.with_suffix(".o"))
    return int(re.search(r"^\w+ (\w+) . size_of_drive$", symbols, re.M)[1], 16)


def test_low_memory(built, figure):
    """The segments that 16-bit code sees are small, and are taken in one place."""
    symbols = must("objdump", "-t", built.out / "ccode32flat.o")
    linked = set(must("nm", "-j", built.out / "rom.o").split())     # the others are left out
    static = {kind: sum(int(size, 16) for size, name in re.findall(
        rf"\.data\.{kind}\.\S*/src/xen/\S+\s+(\w+) (\w+)$", symbols, re.M) if name in linked)
        for kind in ("varlow", "varfseg")}
    taken = re.findall(r"\b\w*malloc\w*\((?!\))[^;]*|\bmemalign_\w+\([^;]*",
                       "".join(path.read_text() for path in sorted(LAYER.glob("*.c"))))
    low = [call for call in taken if re.search(r"_low|_fseg|ZoneLow|ZoneFSeg|_tmp(?!high)", call)]
    drive = drive_size(built)
    figure(f"low memory: {static['varlow']} bytes and {drive} for each disk, F-segment: "
           f"{static['varfseg']} bytes")
    assert low == ["malloc_low(sizeof(*xdrive))"]
    assert static["varlow"] and static["varfseg"], "the sections have another name now"
    assert static["varlow"] + static["varfseg"] <= STATIC_LIMIT
    assert 40 <= drive <= DRIVE_LIMIT


def reached(graph, entry):
    """All functions that gcc's graph shows below those named `entry`."""
    calls = {}
    for caller, called in re.findall(
            r'^edge: { sourcename: "(?:[^":]*:)?([^"]+)" targetname: "(?:[^":]*:)?([^"]+)"',
            graph, re.M):
        calls.setdefault(caller, set()).add(called)
    seen, todo = set(), [name for name in calls if name.split(".")[0] == entry]
    assert todo, f"{entry} calls nothing"
    while todo:
        name = todo.pop()
        if name not in seen and name != "panic":    # which never returns
            seen.add(name)
            todo += calls.get(name, ())
    return {name.split(".")[0] for name in seen}


def test_no_memory_is_taken_after_post(built):
    graph = (built.out / "ccode32flat.ci").read_text()
    takes = re.compile(r"_*(malloc|memalign|x?alloc|xen_alloc|memremap)")
    assert [name for name in reached(graph, "xen_process_op") if takes.match(name)] == []
    assert "blkring_queue" in reached(graph, "xen_process_op")
    assert any(takes.match(name) for name in reached(graph, "probe_disk")), "nothing is seen"


def test_what_devices_point_to_stays_after_post(built):
    """A constant that only POST's code names goes with that code; a device's class must not."""
    symbols = {name: int(value, 16) for value, name in re.findall(
        r"^(\w+) \w (\w+)$", must("nm", built.out / "rom.o"), re.M)}
    classes = {name: value for name, value in symbols.items() if name.endswith("_class")}
    assert "xenblk_class" in classes
    gone = range(symbols["code32init_start"], symbols["code32init_end"])
    assert [name for name, value in classes.items() if value in gone] == []


def test_seabios_refuses_memory_after_post(tmp_path):
    """The check that SeaBIOS's build makes: an int13 that allocates stops it."""
    project = copy_project(tmp_path / "project")
    source = project / "src/xen/blkfront.c"
    text = source.read_text()
    place = "    // An interrupt handler may have called while a wait let it run.\n"
    assert text.count(place) == 1
    source.write_text('#include "malloc.h"\n'
                      + text.replace(place, place + "    if (!malloc_low(16)) return 0;\n"))
    result = run("make", cwd=project)
    assert result.returncode != 0
    assert re.search(r"ERROR: \S+ is VARVERIFY32INIT but used from .*(xen_process_op|transfer)", result.stdout)


def test_mutations_follow_the_source(monkeypatch):
    """What `make mutate` breaks by hand is there, once; each then has to be noticed."""
    monkeypatch.syspath_prepend(PROJECT / "tests/sim")
    loader = SourceFileLoader("mutate", str(PROJECT / "tests/sim/mutate"))
    mutate = module_from_spec(spec_from_loader("mutate", loader))
    loader.exec_module(mutate)
    found = [mutate.find_file(mutation) for mutation in mutate.MUTATIONS]
    assert [text for text in found if not (LAYER / text).is_file()] == []
