// The ROM of Xen's platform device, iPXE: it is initialised when it is booted, so that a
// guest that boots from a disk does not wait for it in POST. Its header alone makes it an
// entry of the boot menu. ("BIOS Boot Specification" 1.01, 3.3, has all ROMs initialised
// in POST; one that hooks int13 or int19 there has no boot entry vector.)
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // SEG_BIOS
#include "bregs.h" // struct bregs
#include "farptr.h" // FLATPTR_TO_SEG
#include "fw/paravirt.h" // runningOnXen
#include "output.h" // dprintf
#include "platform.h" // PCI_VENDOR_ID_XENSOURCE
#include "stacks.h" // farcall16
#include "std/optionrom.h" // struct rom_header
#include "string.h" // memset
#include "util.h" // get_pnp_offset
#include "xenpv.h" // xen_rom_waits

// Where the ROM is that waits, and of which device, a bus, device and function
struct segoff_s XenNetRom VARLOW;

int
xen_rom_waits(struct rom_header *rom, u16 bdf)
{
    struct pci_data *pci = (void*)rom + rom->pcioffset;
    struct pnp_data *pnp = (void*)rom + rom->pnpoffset;
    if (!runningOnXen() || XenNetRom.seg || pci->signature != PCI_ROM_SIGNATURE
        || pci->vendor != PCI_VENDOR_ID_XENSOURCE || !pnp->bev)
        return 0;
    XenNetRom = SEGOFF(FLATPTR_TO_SEG(rom), bdf);
    return 1;
}

void
xen_rom_boot(u16 seg)
{
    struct segoff_s rom = XenNetRom;
    if (rom.seg != seg)
        return;
    XenNetRom.seg = 0;
    dprintf(1, "xen: running the option ROM at %04x:%04x\n", seg, OPTION_ROM_INITVECTOR);
    // callrom() is for POST: it lets SeaBIOS's threads run by the RTC
    struct bregs br;
    memset(&br, 0, sizeof(br));
    br.flags = F_IF;
    br.ax = rom.offset;
    br.bx = br.dx = 0xffff;
    br.es = SEG_BIOS;
    br.di = get_pnp_offset();
    br.code = SEGOFF(seg, OPTION_ROM_INITVECTOR);
    if (CONFIG_XEN_PVH)
        xentick_boot();
    farcall16(&br);
}
