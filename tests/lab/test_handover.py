"""An OS finds every PV device as if the firmware had never run."""

import pathlib
import re
import sys

import pytest

from lab import HERE, Lab, vbd_number, xl_disk
from pristine import View
from trial import create, ending, layer_lines, start, wait_shutdown

sys.path.append(str(HERE.parent / "build"))
from project import copy_project, must      # noqa: E402

BACKENDS = ["phy", "qdisk"]
# where the backend's own code is not what a test is about
ONLY = ["phy", pytest.param("qdisk", marks=pytest.mark.slow)]
STOCK = pathlib.Path("/usr/share/seabios/bios-256k.bin")
OWNER = (HERE / "owner.py").read_bytes()

# The sticky mode's hints that a program outlives, as takeover.asm calls them.
HINTS = ["e820", "ec00", "1300", "4b00", "idle", "i18", "i19"]


def seen(guest):
    """What the program takeover has seen, in words that fit any guest and any disk."""
    words = (line.replace(f"/{guest.domid}/", "/DOMID/")
             for line in guest.lines() if line.startswith("SEEN "))
    return [re.sub(r"\b5\d{4}\b", "VBD", re.sub("backend/(vbd|qdisk)", "backend", line))
            for line in words]


def failures(guest):
    """The lines of the checks that failed."""
    return [line for line in guest.lines() if line.startswith("FAIL ")]


@pytest.fixture(name="take_over")
def taker(lab, guest_disk):
    """Runs the program takeover to its end on disks of some backends, returns the guest."""
    def run(bios, backends=("phy",), label="none", first="xvde"):
        names = [first[:-1] + chr(ord(first[-1]) + number) for number in range(len(backends))]
        disks = [xl_disk(lab.attach(guest_disk("takeover", mib=5, name=name, label=label)),
                         name, backend=backend) for name, backend in zip(names, backends)]
        guest = create(lab, disks, bios, memory=64)
        start(guest)
        ending(guest)
        return guest
    return run


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, to build other blobs in."""
    return copy_project(tmp_path_factory.mktemp("handover") / "project")


STICKY = "CONFIG_XEN_PV_STICKY=y"


@pytest.fixture(scope="module")
def sticky(project):
    """A blob in sticky mode."""
    out = project.parent / "sticky"
    must("make", f"OUT={out}", f"SETTINGS={STICKY}", cwd=project)
    return out / "bios-xenpv.bin"


def read_once(source, wanted):
    """Read a file that has to have a text once."""
    text = source.read_text()
    assert text.count(wanted) == 1, f"{source.name}: this is not there once: {wanted}"
    return text


def build(project, name, old, new, settings=""):
    """Build a blob with a text of one file changed, which has to be there once."""
    source = project / name
    text = read_once(source, old)
    source.write_text(text.replace(old, new))
    try:
        must("make", f"SETTINGS={settings}", cwd=project)
    finally:
        source.write_text(text)
    return project / "out/bios-xenpv.bin"


# The devices after the last int13

@pytest.mark.pvh
@pytest.mark.parametrize("backends", [
    pytest.param(BACKENDS, marks=pytest.mark.release),
    pytest.param(BACKENDS[::-1], marks=pytest.mark.slow)])
def test_strict_os_takes_the_disks_without_a_hint(take_over, blob, backends):
    guest = take_over(blob, backends)
    assert failures(guest) == []
    assert len([line for line in guest.lines() if line.startswith("TEST ok drive")]) == 2


def test_os_sees_what_it_would_see_under_a_bios_without_the_layer(take_over, blob):
    stock = take_over(STOCK, first="xvda")
    assert failures(stock) == []
    assert seen(take_over(blob)) == seen(stock)


@pytest.mark.pvh
def test_c_xenstored_is_left_clean_too(blob, guest_disk):
    with Lab.start("handover-xenstored", store="xenstored") as lab:
        disks = [xl_disk(lab.attach(guest_disk("takeover", mib=5, name=name, label="none")),
                         name, backend=backend)
                 for name, backend in zip(["xvde", "xvdf"], BACKENDS)]
        guest = create(lab, disks, blob, memory=64)
        start(guest)
        ending(guest)
        assert failures(guest) == []
        steps = xl_disk(lab.attach(guest_disk("steps", mib=5, label="keys")), "xvde")
        guest = create(lab, [steps], blob, memory=64)
        before = View(guest)
        start(guest)
        for step in range(8):
            guest.wait_line(f"^STEP {step} ")
            assert View(guest).traces(before) == [], step
            guest.press("ret")
        assert ending(guest)[-1] == "TEST PASS steps"


# The sticky mode

@pytest.mark.parametrize("hint", [
    "e820", *(pytest.param(hint, marks=pytest.mark.slow) for hint in HINTS if hint != "e820")])
def test_sticky_mode_closes_at_each_hint_alone(take_over, sticky, hint):
    guest = take_over(sticky, BACKENDS, hint)
    assert failures(guest) == []


def test_sticky_mode_without_a_hint_leaves_what_the_os_must_not_find(take_over, sticky):
    guest = take_over(sticky)
    text = "\n".join(failures(guest))
    assert "device/vbd/51776 is not free: frontend 4, backend 4" in text
    assert "grant 511: flags" in text
    assert "SEEN device/vbd/VBD/ring-ref = 511" in seen(guest)
    assert len([line for line in seen(guest) if "SEEN port" in line]) > 2


def reset_by_bios(lab, bios, guest_disk):
    """Let a guest that has read its disk reset the machine by way of the BIOS; returns the traces.

    The domain is kept as it was at the reset.
    """
    disk = xl_disk(lab.attach(guest_disk("takeover", mib=5, label="reset")), "xvde")
    guest = create(lab, [disk], bios, memory=64, on_reboot="preserve")
    before = View(guest)
    start(guest)
    guest.wait_line("^TEST ok load")
    wait_shutdown(guest)
    return View(guest).traces(before)


@pytest.mark.slow
def test_sticky_mode_closes_before_a_reset(lab, sticky, guest_disk):
    assert reset_by_bios(lab, sticky, guest_disk) == []


# States that a former owner has left

# What the frontend has written (owner.py) -> the layer's refusal, or None where it gets the disk
STALE = {
    "phy": {"4": None, "3": None, "45": None, "46": None, "41": None, "2": None,
            "40": "backend did not close in 30 s (state 4)",
            "4-": "backend did not close in 30 s (state 4)"},
    "qdisk": {"4": None, "3": None, "45": None, "46": None, "41": None, "2": None,
              "40": None, "4-": None},
}


@pytest.mark.slow
@pytest.mark.pvh
@pytest.mark.parametrize("backend", ONLY)
def test_post_gets_a_disk_out_of_each_state_or_says_why_not(lab, blob, guest_disk, backend):
    stale = dict(zip(["xvde", "xvdf", "xvdg", "xvdh", "xvdi", "xvdj", "xvdk", "xvdl"],
                     STALE[backend].items()))
    disks = [xl_disk(lab.attach(guest_disk("disks", mib=5, name=name, label=name)), name,
                     backend=backend) for name in stale]
    guest = create(lab, disks, blob, memory=64)
    words = " ".join(f"{vbd_number(name)}={states}" for name, (states, _) in stale.items())
    lab.run(f"python3 - {guest.domid} {words}", stdin=OWNER)
    start(guest)
    ending(guest)
    got = {name: None for line in guest.lines() if line.startswith("DISK ")
           for name in re.findall("label=(.*)", line)}
    for name in stale.keys() - got.keys():
        got[name], = [line.removeprefix(f"{name}: ") for line in layer_lines(guest)
                      if line.startswith(f"{name}: ") and "resetting" not in line]
    assert got == {name: refusal for name, (_, refusal) in stale.items()}
    for number, states in View(guest).states().items():
        name, = [name for name in stale if vbd_number(name) == number]
        assert states == (("6", "4") if got[name] else ("1", "2")), name


@pytest.mark.pvh
@pytest.mark.parametrize("backend", ONLY)
def test_int13_leaves_a_device_alone_that_somebody_else_owns(lab, blob, guest_disk, backend):
    image = guest_disk("steps", mib=5, label="keys")
    guest = create(lab, [xl_disk(lab.attach(image), "xvde", backend=backend)], blob, memory=64)
    start(guest)
    guest.wait_line("^STEP 0 ")
    guest.press("ret")
    guest.wait_line("^STEP 1 ")
    lab.run(f"python3 - {guest.domid} {vbd_number('xvde')}=4", stdin=OWNER)
    owned = View(guest)
    guest.press("ret")
    guest.wait_line("^STEP 2 ")
    after = View(guest)
    assert (after.entries, after.ring["requests put"]) == (owned.entries,
                                                           after.ring["requests taken"])
    assert layer_lines(guest)[-1] == "xvde: somebody else owns it (frontend 4, backend 4)"
    assert any("FAIL steps: AH want=00000000 got=00000080" in line for line in failures(guest))
    failed = len(failures(guest))

    lab.run(f"python3 - {guest.domid} {vbd_number('xvde')}=61", stdin=OWNER)
    for step in range(3, 8):
        guest.press("ret")
        guest.wait_line(f"^STEP {step} ")
    guest.press("ret")
    ending(guest)
    assert len(failures(guest)) == failed


# The checks above can fail

# A close that leaves something out: the file in src/xen, the text there, what takes its place,
# and what takeover and the view from dom0 find (regular expressions).
LEFT_OUT = {
    "ring grant": ("blkring.c", "ring->granted ? xengrant_end(ring->ref) : 0;", "0;",
                   "FAIL takeover: grant 511: flags 1", "grant 511: flags"),
    "rest of a grant entry": ("gnttab.c", "    entry->frame = 0;\n", "",
                              "FAIL takeover: grant 511: flags 0", "grant 511: flags"),
    "request grants": ("blkring.c", "if (xengrant_end(SEGMENT_REF(id, request->grants - 1)))",
                       "if (0)",
                       "FAIL takeover: grant 495: flags 1", "grant 495: flags"),
    "port": ("blkring.c", "    xenevtchn_close(ring->port);\n", "",
             r"SEEN port [3-9]: unbound", r"event channel [3-9] of domain \d+: \["),
    "marker port": ("session.c", ("xen_hypercall2(__HYPERVISOR_event_channel_op, EVTCHNOP_close, "
                                   "(u32)&close);"), "",
                    r"SEEN port [3-9]: unbound", r"event channel [3-9] of domain \d+: \["),
    "ring-ref": ("xenbus.c", "what == NODES_WRITE ? bus->values[count] : NULL",
                 "what == NODES_WRITE || !count ? bus->values[count] : NULL",
                 "SEEN device/vbd/VBD/ring-ref = 511", "ring-ref"),
    "last two states": ("blkdev.c", "return xenbus_release(&disk->bus);", "return 0;",
                        "is not free: frontend 6, backend 6", r'/51776/state: "6"'),
    "pending bit": ("evtchn.c", "return change_bit(xen_info->evtchn_pending, port, 0);",
                    "return 0;", "FAIL takeover: pending ports: word 0", None),
    "mask": ("xenstore.c", "    xenevtchn_set_mask(store->port, mask);\n", "",
             "SEEN masked ports: word 0 is 2", None),
    "reply": ("xenstore.c", "    xenevtchn_settle();\n",
              "    xenstore_send(XS_READ, \"device\", NULL, NULL);\n"
              "    xenevtchn_notify(store->port);\n",
              "FAIL takeover: re", "store ring"),
}


def test_parts_of_the_close_follow_the_source():
    for name, old, *_ in LEFT_OUT.values():
        read_once(HERE.parents[1] / "src/xen" / name, old)


@pytest.mark.slow
@pytest.mark.parametrize("part", LEFT_OUT)
def test_part_of_the_close_that_is_left_out_is_found(lab, project, guest_disk, part):
    name, old, new, inside, outside = LEFT_OUT[part]
    disk = xl_disk(lab.attach(guest_disk("takeover", mib=5, label="idle")), "xvde")
    guest = create(lab, [disk], build(project, f"src/xen/{name}", old, new), memory=64)
    before = View(guest)
    start(guest)
    guest.wait_line("^TEST .* load ")
    guest.pause()
    traces = View(guest).traces(before)
    guest.unpause()
    ending(guest)
    assert re.search(inside, "\n".join(failures(guest) + seen(guest)))
    assert outside is None or re.search(outside, "\n".join(traces))


# The hooks in SeaBIOS's own code: the last line before each in its patch
HOOKS = {"i18": "debug_enter(NULL, DEBUG_HDL_18);", "i19": "debug_enter(NULL, DEBUG_HDL_19);",
         "reset": 'dprintf(1, "Attempting a hard reboot\\n");'}


@pytest.mark.slow
@pytest.mark.parametrize("hint", HOOKS)
def test_hook_that_is_left_out_is_found(lab, project, guest_disk, take_over, hint):
    patch = f"    {HOOKS[hint]}\n+    if (CONFIG_XEN_PV)\n"
    name, = [file.relative_to(project) for file in project.glob("patches/*-OS-may-be-*")]
    bios = build(project, name, patch, patch.replace("CONFIG_XEN_PV", "0"), STICKY)
    if hint == "reset":
        text = "\n".join(reset_by_bios(lab, bios, guest_disk))
        assert '/51776/state: "4"' in text
        assert "grant 511: flags" in text
    else:
        text = "\n".join(failures(take_over(bios, label=hint)))
        assert "device/vbd/51776 is not free: frontend 4, backend 4" in text
