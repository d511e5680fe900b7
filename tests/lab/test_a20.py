"""The layer leaves the A20 gate's port alone on Xen: this is right only while memory never wraps."""

from lab import xl_disk


def test_closed_a20_gate_does_not_wrap_memory_and_int13_reads(lab, blob, guest_disk):
    disk = lab.attach(guest_disk("a20"))
    guest = lab.create([xl_disk(disk, "xvde")], blob)
    assert guest.wait_line(r"^A20 wraps=(\d\d)").group(1) == "00"
    assert guest.wait_line(r"^TEST (PASS|FAIL)").group(1) == "PASS"
