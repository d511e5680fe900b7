"""Whatever is wrong with a VBD, the BIOS says so within the deadline, and boots what is left."""

import json
import re

import pytest

import pattern
from lab import HERE, vbd_number, xl_disk
from pristine import View
from trial import create, ending, layer_lines, start

pytestmark = pytest.mark.pvh

FAKEBACK = (HERE / "fakeback.py").read_bytes()

# What is wrong: the nodes that differ from a good VBD's (None: not there), how its backend follows
# (see fakeback.py), and what the BIOS says.
WRONG = {
    "51792": ({"frontend": {"backend": None}, "states": ""}, "xvdf: no usable backend path"),
    "51808": ({"frontend": {"backend": "x"}, "states": ""}, "xvdg: no usable backend path"),
    "51824": ({"frontend": {"backend": "/" + 500 * "x"}, "states": ""},
              "xvdh: no usable backend path"),
    "51840": ({"frontend": {"backend-id": None}}, "xvdi: no usable backend-id"),
    "51856": ({"frontend": {"backend-id": "32752"}}, "xvdj: no usable backend-id"),
    "51872": ({"backend": None, "states": ""}, "xvdk: there is no backend"),
    "51888": ({"backend": {"sectors": None}}, "xvdl: its backend gives no size"),
    "51904": ({"backend": {"sectors": "0"}}, "xvdm: empty"),
    "51920": ({"backend": {"sectors": "-1"}},
              'xvdn: no usable number in "sectors" of its backend'),
    "51936": ({"backend": {"sectors": "18446744073709551615"}},
              'xvdo: no usable number in "sectors" of its backend'),
    "51952": ({"backend": {"sectors": "1007"}}, "xvdp: too small, not even a cylinder"),
    "268439552": ({"backend": {"sector-size": "0"}},
                  "xvdq: sectors of a size that no BIOS can use"),
    "268439808": ({"backend": {"sector-size": "513"}},
                  "xvdr: sectors of a size that no BIOS can use"),
    "268440064": ({"backend": {"sectors": "999999999999999999"}}, "xvds: too large"),
    "268440320": ({"backend": {"info": "text"}},
                  'xvdt: no usable number in "info" of its backend'),
    "268440576": ({"backend": {"sector-size": "512 bytes"}},
                  'xvdu: no usable number in "sector-size" of its backend'),
    "268440832": ({"frontend": {"backend-id": "-1"}}, "xvdv: no usable backend-id"),
    "268441088": ({"frontend": {"backend-id": ""}}, "xvdw: no usable backend-id"),
    "268441344": ({"backend": {"sectors": "0x2800"}},
                  'xvdx: no usable number in "sectors" of its backend'),
    # the twenty before have a place: sixteen disks and four CDs could be among them
    "268441600": ({}, "xvdy: 268441600, one disk too many"),
    "268441856": ({}, "xvdz: 268441856, one disk too many"),
    "51713": ({}, "xvda1: 51713, not a whole disk"),
    "5": ({}, "VBD 5: not a number that stands for a disk"),
    "text": ({}, 'VBD "text": not a number'),
    "536870912": ({}, "VBD 536870912: not a number that stands for a disk"),
}

# The same for backends that stall: what the BIOS says, and the state in which it leaves its end.
STALLED = {
    "51792": ({"backend": {"state": "1"}, "states": ""},
              "xvdf: backend did not get ready in 20 s (state 1)", "1"),
    "51808": ({"states": "2-6"}, "xvdg: backend did not connect in 20 s (state 2)", "1"),
    "51824": ({"states": "256"}, "xvdh: backend does not connect (state 5)", "1"),
    "51840": ({"states": "246"}, "xvdi: backend did not answer in time, requests open", "1"),
    "51904": ({"backend": {"state": "x"}, "states": ""},
              "xvdm: the backend's state cannot be read", "1"),
    # what the backend may still use is not taken back
    "51856": ({"states": "2--"}, "xvdj: backend did not close in 30 s (state 2)", "6"),
    "51872": ({"states": "24-", "backend": {"sectors": "0"}},
              "xvdk: backend did not close in 30 s (state 4)", "6"),
    # nobody was there, so it is not ours to close
    "51888": ({"backend": {"state": "4"}, "states": ""}, "xvdl: ", "1"),
}


def changed(nodes, changes):
    """Nodes with some of them changed, or taken away (None)."""
    return {name: value for name, value in {**nodes, **changes}.items() if value is not None}


def vbd(domid, number, frontend=(), backend=(), states="246", image=None):
    """A VBD for fakeback.py: a good one with some nodes changed, which serves no request."""
    place = f"/local/domain/0/backend/fake/{domid}/{number}"
    return {
        "frontend": changed({"backend": place, "backend-id": "0", "state": "1",
                             "device-type": "disk", "virtual-device": number}, dict(frontend)),
        "backend": backend if backend is None else changed({
            "frontend": f"/local/domain/{domid}/device/vbd/{number}", "frontend-id": str(domid),
            "state": "2", "sectors": "10240", "sector-size": "512", "info": "0",
            "mode": "w", "params": "/dev/none"}, dict(backend)),
        "states": states, "image": image,
    }


def add(guest, vbds):
    """Give a paused guest VBDs that no real backend serves: {number: differences}."""
    lab = guest.lab
    script, log = lab.put("fakeback.py", FAKEBACK), "/root/fakeback.log"
    data = lab.put("vbds.json", json.dumps({
        number: vbd(guest.domid, number, **changes) for number, changes in vbds.items()}).encode())
    lab.run(f"rm -f {log}")
    lab.spawn(f"exec python3 {script} {guest.domid} <{data} >{log} 2>&1")
    lab.run(f"until [ -s {log} ]; do sleep 0.05; done; grep -x ready {log}")


@pytest.fixture(scope="module")
def boot(module_lab, blob, programs, tmp_path_factory):
    """Boots a guest with one good disk and other VBDs {number: differences}.

    Returns what the BIOS said, the VBDs' states, and the traces that are left of all VBDs.
    """
    image = tmp_path_factory.mktemp("failures") / "disk.raw"
    pattern.make(image, programs / "hello.img", 5 << 11)
    disk = module_lab.attach(image)

    def run(vbds):
        guest = create(module_lab, [xl_disk(disk, "xvde")], blob)
        add(guest, vbds)
        before = View(guest)
        start(guest)
        assert ending(guest)[-1] == "TEST PASS hello"
        after = View(guest)
        guest.destroy()
        return layer_lines(guest), after.states(), after.traces(before)
    return run


@pytest.fixture(scope="module")
def wrong(boot):
    """The course of a guest with all of WRONG."""
    return boot({number: changes for number, (changes, _) in WRONG.items()})


@pytest.fixture(scope="module")
def stalled(boot):
    """The course of a guest with all of STALLED."""
    return boot({number: changes for number, (changes, _, _) in STALLED.items()})


@pytest.mark.parametrize("number", WRONG)
def test_wrong_vbd_is_named_with_the_reason(wrong, number):
    said, _, _ = wrong
    assert WRONG[number][1] in said


def test_wrong_vbds_are_left_as_they_were(wrong):
    _, _, traces = wrong
    assert traces == []


@pytest.mark.parametrize("number", STALLED)
def test_stalled_backend_is_named_with_what_it_did_not_do(stalled, number):
    said, _, _ = stalled
    assert any(line.startswith(STALLED[number][1]) for line in said), "\n".join(said)


@pytest.mark.parametrize("number", STALLED)
def test_only_a_backend_that_does_not_close_keeps_its_frontend_closed(stalled, number):
    _, states, _ = stalled
    assert states[int(number)][0] == STALLED[number][2]


def test_only_backends_that_do_not_close_keep_what_they_may_use(stalled):
    _, _, traces = stalled
    kept = {number for number, (_, _, state) in STALLED.items() if state == "6"}
    assert {number for line in traces for number in re.findall(r"/(\d+)/[a-z-]+:", line)} == kept
    grants = [line for line in traces if line.startswith("grant ")]
    ports = [line for line in traces if line.startswith("event channel ")]
    assert len(grants) == len(ports) == len(kept), traces


# The states that a former owner may have left: frontend, then backend.
OWNED = [(frontend, backend) for backend in range(1, 7) for frontend in range(7)]


# tests/sim/test_states.c has all of them, too
@pytest.mark.parametrize("first", [
    pytest.param(0, marks=pytest.mark.slow), 14, pytest.param(28, marks=pytest.mark.slow)])
def test_post_gets_a_disk_out_of_each_two_states_where_somebody_was(lab, blob, guest_disk, first):
    """Fourteen of them at a time; backends that never get ready, or that nobody used, give none."""
    device = lab.attach(guest_disk("disks", mib=5, label="good"))
    guest = create(lab, [xl_disk(device, "xvde")], blob)
    owned = dict(zip((f"xvd{letter}" for letter in "fghijklmnopqrs"), OWNED[first:first + 14]))
    vbds = {}
    for name, (frontend, backend) in owned.items():
        nodes = {"state": str(frontend) if frontend else None}
        if frontend != 1:
            nodes.update({"ring-ref": "511", "event-channel": "17", "protocol": "x86_64-abi"})
        vbds[str(vbd_number(name))] = {
            "frontend": nodes, "backend": {"state": str(backend)}, "image": device,
            "states": "-46" if backend == 1 else "246"}
    add(guest, vbds)
    start(guest)
    text = ending(guest, 150)
    assert text[-1] == "TEST PASS disks"
    said, after = layer_lines(guest), View(guest)
    # without a ring nobody was there: such a backend has to get ready by itself
    alone = {name for name, (frontend, backend) in owned.items() if frontend == 1 and backend > 2}
    never = {name for name, (_, backend) in owned.items() if backend == 1}
    good = [f"{name}: {vbd_number(name)}, 5 MiB, fake in domain 0, read-write"
            for name in owned.keys() - never - alone]
    assert sorted(good) == sorted(line for line in said if " fake " in line)
    for name in never | alone:
        assert [line for line in said if line.startswith(f"{name}: ")], name
    # the real one and those: both sectors of each were read
    labels = re.findall("^DISK .* signature=aa55 label=(.*)$", "\n".join(text), re.M)
    assert labels == ["good"] * (1 + len(good))
    states = after.states()
    assert states.pop(51776) == ("1", "2")
    assert states == {vbd_number(name): (
        "1", str(backend) if name in alone else "2" if name not in never else
        "1" if frontend == 1 else "6") for name, (frontend, backend) in owned.items()}
    assert not [path for path in after.store
                if re.search(r"/vbd/\d+/(ring-ref|event-channel|protocol)$", path)]


def test_backend_that_must_not_be_read_is_left_alone(lab, blob, guest_disk):
    names = ["xvde", "xvdf"]
    guest = create(lab, [xl_disk(lab.attach(guest_disk("hello", mib=5, name=name)), name)
                         for name in names], blob)
    lab.run(f"xenstore-chmod -r /local/domain/0/backend/vbd/{guest.domid}/51792 n0")
    before = View(guest)
    start(guest)
    assert ending(guest)[-1] == "TEST PASS hello"
    assert "xvdf: there is no backend" in layer_lines(guest)
    assert View(guest).traces(before) == []


def test_cd_drive_without_a_medium_is_passed_over(lab, blob, guest_disk):
    """One with an emulated twin and one without."""
    empty = "format=empty,devtype=cdrom,access=ro,vdev="
    guest = create(lab, [empty + "hdc", xl_disk(lab.attach(guest_disk("hello", mib=5)), "xvde"),
                         empty + "xvdf"], blob)
    before = View(guest)
    start(guest)
    assert ending(guest)[-1] == "TEST PASS hello"
    assert "xvdf: no medium" in layer_lines(guest)
    assert "hdc: no medium" in layer_lines(guest)
    assert View(guest).traces(before) == []


def test_guest_without_a_vbd_finds_nothing_to_boot(lab, blob):
    guest = create(lab, [], blob)
    before = View(guest)
    start(guest)
    guest.wait_line("^No bootable device")
    assert View(guest).traces(before) == []
