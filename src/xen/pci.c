// The PCI BIOS of a PVH guest (int1a AH=B1, "PCI BIOS Specification" 2.1): one device,
// the Xen platform device. No PVH guest has it, nor any other; but by it iPXE finds the
// hypervisor and the PV network devices, so it is there if the domain has iPXE's ROM. All
// that iPXE takes of it is a range of addresses without memory, where it maps Xen's pages.
// Linux looks for PCI devices by ports, and finds none.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_GLOBAL
#include "bregs.h" // struct bregs
#include "config.h" // CONFIG_XEN_PVH
#include "hw/pci_regs.h" // PCI_COMMAND
#include "output.h" // set_code_invalid
#include "platform.h" // PCI_VENDOR_ID_XENSOURCE
#include "types.h" // u32
#include "xenpv.h" // xenpci_b1

#define DEVICE          0               // bus, device and function
#define ID              (0x0001 << 16 | PCI_VENDOR_ID_XENSOURCE)
#define CLASS           0xff8000

// BAR 1 has our window at its beginning, as in a HVM guest, so that both sides map Xen's
// pages at the same addresses. It is aligned to no more than its 1 MiB: whoever writes
// ones there to learn the size reads the right one, though nothing is stored.
_Static_assert((XEN_GUEST_WINDOW & -XEN_GUEST_WINDOW) == 1 << 20, "size of BAR 1");

#define RET_UNSUPPORTED 0x81
#define RET_NOT_FOUND   0x86

// A doubleword of the configuration space.
static u32
config_read(u16 bdf, u8 reg)
{
    if (bdf != DEVICE || !GET_GLOBAL(XenPciIsThere))
        return -1;
    switch (reg & ~3) {
    case PCI_VENDOR_ID: return ID;
    case PCI_COMMAND: return PCI_COMMAND_MEMORY;
    case PCI_CLASS_REVISION: return CLASS << 8 | 1;
    case PCI_BASE_ADDRESS_1: return XEN_GUEST_WINDOW;
    }
    return 0;
}

static void
installation_check(struct bregs *regs)
{
    regs->al = 0; // no ports for the configuration space
    regs->bx = 0x0210;
    regs->cl = 0; // the last bus
    regs->edx = 0x20494350; // "PCI "
    regs->edi = 0;
    set_code_success(regs);
}

static void
find(struct bregs *regs, int found)
{
    if (!found || regs->si || !GET_GLOBAL(XenPciIsThere)) {
        set_code_invalid(regs, RET_NOT_FOUND);
        return;
    }
    regs->bx = DEVICE;
    set_code_success(regs);
}

void
xenpci_b1(struct bregs *regs)
{
    if (!CONFIG_XEN_PVH)
        return;
    u32 value = config_read(regs->bx, regs->di);
    switch (regs->al) {
    case 0x01: installation_check(regs); return;
    case 0x02: find(regs, ID == (regs->cx << 16 | regs->dx)); return;
    case 0x03: find(regs, CLASS == regs->ecx); return;
    case 0x08: regs->cl = value >> 8 * (regs->di & 3); break;
    case 0x09: regs->cx = value >> 8 * (regs->di & 2); break;
    case 0x0a: regs->ecx = value; break;
    case 0x0b: case 0x0c: case 0x0d: break; // nothing of it changes
    default: set_code_invalid(regs, RET_UNSUPPORTED); return;
    }
    set_code_success(regs);
}
