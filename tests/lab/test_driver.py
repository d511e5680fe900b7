"""A driver domain serves a guest's disk: a Linux PVH guest with blkback and `xl devd`."""

import pytest

import dom0
from lab import guest_config, xl_disk
from script import Log, Model, Script, problems
from trial import create, ending, layer_lines, start


class Driver:
    """A driver domain, with the kernel and the root disk of the lab's dom0."""

    def __init__(self, lab, device):
        """device: the disk of dom0 that it serves, as its /dev/xvdb."""
        self.lab = lab
        place = dom0.image()
        kernel, ramdisk = (lab.put(f"driver-{name}", (place / name).read_bytes())
                           for name in ("vmlinuz", "initrd"))
        root = lab.attach(place / "root.img", snapshot=True)
        self.path = lab.put("driver.cfg", guest_config(
            [xl_disk(root, "xvda"), xl_disk(device, "xvdb")], name="driver", type="pvh",
            kernel=kernel, ramdisk=ramdisk, extra="console=hvc0", driver_domain=1,
            memory=256).encode())
        self.domid = None

    def start(self):
        """Start it, and wait until it serves."""
        self.lab.run(f"xl create -q {self.path}")
        self.domid = int(self.lab.run("xl domid driver"))
        self.lab.run(f"until xenstore-exists /local/domain/{self.domid}/data/lab; do sleep 0.2; done",
                     120)

    def destroy(self):
        """End it at once."""
        self.lab.run("xl destroy driver")

    @staticmethod
    def disk(vdev):
        """The disk that it serves, for the xl.cfg of another guest."""
        return "backend=driver," + xl_disk("/dev/xvdb", vdev)


@pytest.mark.slow
def test_a_driver_domain_that_comes_back_under_another_number(lab, blob, programs, tmp_path):
    """It is destroyed while the guest waits at a prompt, and the toolstack gives the guest the disk
    anew, from the next one."""
    script = Script()
    script.read(0x80, 4000, 8)
    script.write(0x80, 5000, 3)
    gone = script.key()
    script.wait(3)
    failed = script.read(0x80, 9000, 8)
    back = script.key()
    script.wait(3)
    script.read(0x80, 9000, 8)
    script.read(0x80, 4999, 5)
    script.write(0x80, 6000, 3)
    image = script.image(tmp_path / "disk.raw", programs)
    model = Model(image)
    device = lab.attach(image)
    driver = Driver(lab, device)
    driver.start()
    first = driver.domid
    guest = create(lab, [driver.disk("xvde")], blob)
    start(guest)
    guest.wait_line(f"^KEY {gone:04x}$", 120)
    assert any(f"blkback in domain {first}, read-write" in line for line in layer_lines(guest))
    driver.destroy()
    guest.press("ret")
    guest.wait_line(f"^KEY {back:04x}$", 120)
    assert layer_lines(guest)[-1] == "xvde: there is no backend"
    lab.run(f"xl block-detach --force {guest.domid} xvde || true")
    driver.start()
    assert driver.domid != first
    lab.run(f"xl block-attach {guest.domid} '{driver.disk('xvde')}'", 120)
    guest.press("ret")
    log = Log(ending(guest, 200))
    assert problems(script, log, {0x80: model}, failed=[failed]) == []
    frontend = guest.frontend("xvde")
    assert (frontend["state"], frontend["backend-id"]) == ("1", str(driver.domid))
    assert not {"ring-ref", "event-channel", "protocol"} & frontend.keys()
    driver.destroy()
    assert model.differences(image) == []
