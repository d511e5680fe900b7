// The ROM that waits until it is booted: whose it is, and what it is told then.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_program

#include "bregs.h" // struct bregs
#include "platform.h" // PCI_VENDOR_ID_XENSOURCE
#include "std/optionrom.h" // struct rom_header
#include "util.h" // get_pnp_offset
#include "xenpv.h" // xen_rom_waits

#include <sys/mman.h>

#define DEVICE 0x0010           // bus 0, device 2, function 0

static struct rom {
    struct rom_header header;
    struct pci_data pci;
    struct pnp_data pnp;
} *rom;

// An iPXE ROM for a PCI device of `vendor`, in the segment `seg`.
static void
place(u16 seg, u16 vendor)
{
    rom = mmap((void*)(seg << 4), 4096, PROT_READ | PROT_WRITE
               , MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    check_true(rom == (void*)(seg << 4));
    *rom = (struct rom){
        .header.pcioffset = offsetof(struct rom, pci),
        .header.pnpoffset = offsetof(struct rom, pnp),
        .pci.signature = PCI_ROM_SIGNATURE, .pci.vendor = vendor, .pnp.bev = 0x386,
    };
}

static int runs;
static struct bregs seen;

static void
run(struct bregs *regs)
{
    runs++;
    seen = *regs;
}

static void
boot(void)
{
    sim_prepare();
    sim_program = run;
}

TEST(netrom_is_initialised_once_and_when_it_is_booted)
{
    boot();
    place(0xc800, PCI_VENDOR_ID_XENSOURCE);
    check_equal(xen_rom_waits(&rom->header, DEVICE), 1);
    xen_rom_boot(0xd000);
    check_equal(runs, 0);
    xen_rom_boot(0xc800);
    xen_rom_boot(0xc800);
    check_equal(runs, 1);
    // "BIOS Boot Specification" 1.01, 3.3: the device, no CSN, the installation check
    check_equal(seen.code.segoff, 0xc8000003);
    check_equal(seen.ax, DEVICE);
    check_equal(seen.bx, 0xffff);
    check_equal(seen.dx, 0xffff);
    check_equal(seen.es, SEG_BIOS);
    check_equal(seen.di, get_pnp_offset());
    check_true(seen.flags & F_IF);
}

TEST(netrom_of_another_device_does_not_wait)
{
    boot();
    place(0xc800, 0x8086);
    check_equal(xen_rom_waits(&rom->header, DEVICE), 0);
    rom->pci.vendor = PCI_VENDOR_ID_XENSOURCE;
    rom->pci.signature = 0;
    check_equal(xen_rom_waits(&rom->header, DEVICE), 0);
}

TEST(netrom_without_an_entry_for_a_boot_does_not_wait)
{
    boot();
    place(0xc800, PCI_VENDOR_ID_XENSOURCE);
    rom->pnp.bev = 0;
    check_equal(xen_rom_waits(&rom->header, DEVICE), 0);
}

TEST(netrom_that_is_the_second_does_not_wait)
{
    boot();
    place(0xc800, PCI_VENDOR_ID_XENSOURCE);
    check_equal(xen_rom_waits(&rom->header, DEVICE), 1);
    place(0xd000, PCI_VENDOR_ID_XENSOURCE);
    check_equal(xen_rom_waits(&rom->header, DEVICE), 0);
}

TEST(netrom_does_not_wait_without_xen)
{
    place(0xc800, PCI_VENDOR_ID_XENSOURCE);
    check_equal(xen_rom_waits(&rom->header, DEVICE), 0);
}
