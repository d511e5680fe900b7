"""The guest programs in plain QEMU, without Xen: a blob boots and serves emulated disks as
Debian's SeaBIOS does. Each program must pass on both, and print the same.

$BIOS names the blob to test (default: out/bios-xenpv.bin, which `make` builds).
"""

import contextlib
import functools
import os
import pathlib
import re
import subprocess
import tempfile
import time

import pytest

import calls
import pattern

HERE = pathlib.Path(__file__).resolve().parent
BIOS = {
    'stock': pathlib.Path('/usr/share/seabios/bios-256k.bin'),
    'xenpv': pathlib.Path(os.environ.get('BIOS') or HERE.parents[1] / 'out/bios-xenpv.bin'),
}
KINDS = {
    'ide': ['-device', 'ide-hd,drive={0}'],
    'virtio-blk': ['-device', 'virtio-blk-pci,drive={0}'],
    'ahci': ['-device', 'ich9-ahci,id=c{0}', '-device', 'ide-hd,drive={0},bus=c{0}.0'],
    'lsi': ['-device', 'lsi53c895a,id=c{0}', '-device', 'scsi-hd,drive={0},bus=c{0}.0'],
}
MIB = 2048          # sectors
LIMIT = 120         # seconds; the slowest run takes 8 on an idle machine

bios = pytest.mark.parametrize('bios', BIOS)
kind = pytest.mark.parametrize('kind', ['ide', 'virtio-blk', 'ahci'])
program = pytest.mark.parametrize('program', ['hello', 'int13', 'disks', 'steps', 'bench', 'a20'])


@pytest.fixture(scope='session', autouse=True)
def blobs():
    """Both BIOSes must be there: a missing one is no reason to skip."""
    for path in BIOS.values():
        assert path.exists(), f'{path} is missing; `make` builds the blob'


@functools.lru_cache(maxsize=None)
def programs():
    """Build the guest programs; returns their directory (the object keeps it alive)."""
    directory = tempfile.TemporaryDirectory(prefix='guests-')
    subprocess.run(['make', '-s', '-C', HERE, f'OUT={directory.name}'], check=True)
    return directory


def image(path, name, sectors=12 * MIB, **settings):
    """Make an image with the program `name`; returns its path."""
    pattern.make(path, f'{programs().name}/{name}.img', sectors, delay_ms=100, **settings)
    return path


@contextlib.contextmanager
def qemu(bios_file, disks, log, options='', extra=()):
    """Run QEMU with the disks [(kind, path)], the guest's lines going to the file `log`."""
    log.touch()
    command = ['qemu-system-i386', '-accel', 'tcg', '-m', '64', '-nodefaults', '-display', 'none',
               '-bios', bios_file, *extra,
               '-debugcon', f'file:{log}', '-global', 'isa-debugcon.iobase=0xe9']
    for number, (kind_name, path) in enumerate(disks):
        name = f'd{number}'
        command += ['-drive', f'if=none,id={name},format=raw,file={path}{options}']
        command += [part.format(name) for part in KINDS[kind_name]]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for(process, log, expression):
    """Wait until a line of the file `log` matches; returns all its lines."""
    deadline = time.monotonic() + LIMIT
    while True:
        lines = log.read_text().splitlines()
        if any(re.search(expression, line) for line in lines):
            return lines
        assert process.poll() is None, f'QEMU has ended with status {process.returncode}'
        assert time.monotonic() < deadline, f'no line {expression!r} in {LIMIT} s: {lines[-5:]}'
        time.sleep(0.05)


def run(bios_name, disks, directory, options=''):
    """Run the disks' first program to its end; returns the lines that it printed."""
    log = directory / f'{bios_name}.log'
    with qemu(BIOS[bios_name], disks, log, options) as process:
        return wait_for(process, log, '^TEST (PASS|FAIL) ')


@functools.lru_cache(maxsize=None)
def result(bios_name, kind_name, name):
    """The lines of a program on a fresh disk, and what is wrong with the disk afterwards."""
    with tempfile.TemporaryDirectory(prefix='guests-') as directory:
        path = pathlib.Path(directory)
        disk = image(path / 'disk.raw', name)
        lines = run(bios_name, [(kind_name, disk)], path)
        return lines, pattern.verify(disk, pattern.writes(lines))


def same(lines):
    """The lines without what differs from run to run."""
    return [re.sub('(tsc|khz|ticks|time)=[0-9a-f]+', r'\1=', line) for line in lines]


@bios
@kind
@program
def test_program_passes(program, kind, bios):
    lines, differences = result(bios, kind, program)
    assert lines[-1] == f'TEST PASS {program}', lines
    assert differences == []


@kind
@program
def test_blob_answers_as_stock_seabios(program, kind):
    assert same(result('xenpv', kind, program)[0]) == same(result('stock', kind, program)[0])


@bios
@pytest.mark.parametrize('caller', ['stack', 'nested', 'int08', 'int1c'])
def test_int13_does_so_for_callers_that_are_no_plain_programs(caller, bios, tmp_path):
    """On AHCI, whose driver is in 32-bit code as that of PV disks is."""
    disk = image(tmp_path / 'disk.raw', 'int13', label=caller)
    lines = run(bios, [('ahci', disk)], tmp_path)
    assert lines[-1] == 'TEST PASS int13', [line for line in lines if line.startswith('FAIL')]
    number, = re.findall(rf'^INFO caller {caller}: (\d+) calls', '\n'.join(lines), re.M)
    assert int(number) > 500
    assert pattern.verify(disk, pattern.writes(lines)) == []


@functools.lru_cache(maxsize=None)
def all_calls(bios_name, kind_name):
    """The lines of `calls` on a kind of disk, and the disk's content afterwards."""
    with tempfile.TemporaryDirectory(prefix='guests-') as directory:
        path = pathlib.Path(directory)
        disk = calls.image(path / 'disk.raw', pathlib.Path(programs().name))
        lines = run(bios_name, [(kind_name, disk)], path)
        assert lines[-1] == 'TEST PASS calls', lines
        return lines, disk.read_bytes()


@bios
@kind
def test_every_call_does_the_same_on_all_kinds_of_disks(bios, kind):
    lines, content = all_calls(bios, kind)
    others, content_of_ide = all_calls('stock', 'ide')
    assert calls.differences(lines, others) == []
    assert content == content_of_ide


def test_every_call_does_the_same_on_a_disk_on_lsi():
    """Stock SeaBIOS has the controller run what is at address 0 after a command that failed."""
    lines, content = all_calls('xenpv', 'lsi')
    others, content_of_ide = all_calls('stock', 'ide')
    assert calls.differences(lines, others, physical=False) == []
    assert content == content_of_ide


def test_int13_writes_are_in_the_image():
    lines, _ = result('stock', 'ide', 'int13')
    assert len(pattern.writes(lines)) > 50


@bios
def test_every_disk_appears_once_and_in_order(bios, tmp_path):
    disks = [(name, image(tmp_path / name, 'disks', (8 + number) * MIB, label=name))
             for number, name in enumerate(['ide', 'ahci', 'virtio-blk'])]
    lines = run(bios, disks, tmp_path)
    found = [re.search('DISK (..) .*label=(.*)', line).groups() for line in lines if 'DISK' in line]
    assert found == [('80', 'ide'), ('81', 'ahci'), ('82', 'virtio-blk')]
    assert lines[-1] == 'TEST PASS disks'


@bios
def test_lbas_above_32_bits(bios, tmp_path):
    disk = image(tmp_path / 'disk.raw', 'int13', (1 << 32) + 12345, patterned=12 * MIB)
    lines = run(bios, [('virtio-blk', disk)], tmp_path)
    assert lines[-1] == 'TEST PASS int13', lines
    assert pattern.verify(disk, pattern.writes(lines)) == []


@bios
def test_not_bootable_disk_is_not_run(bios, tmp_path):
    disk = image(tmp_path / 'disk.raw', 'not-bootable')
    log, bios_log = tmp_path / 'guest.log', tmp_path / 'bios.log'
    bios_log.touch()
    extra = ['-chardev', f'file,id=bios,path={bios_log}',
             '-device', 'isa-debugcon,iobase=0x402,chardev=bios']
    with qemu(BIOS[bios], [('ide', disk)], log, extra=extra) as process:
        lines = wait_for(process, bios_log, 'No bootable device')
    assert 'Boot failed: not a bootable disk' in lines
    assert log.read_text() == ''


def test_int13_finds_a_wrong_sector(tmp_path):
    disk = image(tmp_path / 'disk.raw', 'int13')
    pattern.change(disk, 5000, 1, 7)
    lines = run('stock', [('virtio-blk', disk)], tmp_path)
    failures = [line for line in lines if line.startswith('FAIL read-all:')]
    assert len(failures) == 1 and f'data of lba {5000:016x} ' in failures[0], lines
    assert lines[-1].startswith('TEST FAIL int13')
    differences = pattern.verify(disk, pattern.writes(lines))
    assert differences == ['sector 0x1388: generation 0 expected, '
                           'sector 0x1388 of generation 7 found']


@pytest.mark.parametrize('bios, kind',
                         [('stock', 'virtio-blk'), ('xenpv', 'virtio-blk'), ('xenpv', 'lsi')])
def test_readonly_finds_that_there_is_no_write_protect_status(bios, kind, tmp_path):
    """Stock SeaBIOS refuses these writes with another AH; all else is as it must be."""
    disk = image(tmp_path / 'disk.raw', 'readonly', 12 * MIB + 8)   # 8: see calls.SECTORS
    lines = run(bios, [(kind, disk)], tmp_path, options=',readonly=on')
    failures = [line for line in lines if line.startswith('FAIL')]
    assert len(failures) == 6
    assert all(': AH want=00000003 got=0000000c' in line for line in failures), failures
    assert pattern.verify(disk) == []
