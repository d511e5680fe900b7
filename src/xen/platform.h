// The hypervisor: finding it, and where its pages go.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_PLATFORM_H
#define __XEN_PLATFORM_H

#include "types.h" // u32
#include "xenapi.h" // struct shared_info

// The platform device of a HVM guest: XenSource's.
#define PCI_VENDOR_ID_XENSOURCE 0x5853

extern struct shared_info *xen_info;
extern grant_entry_v1_t *xen_grants;
extern u32 xen_tsc_mhz; // ticks of the TSC in a microsecond

// A window that hvmloader reserves for the guest in every memory map
// (tools/firmware/hvmloader/config.h, "HVM_BELOW_4G"); in PVH a hole, too. Pages
// mapped there: shared_info and one grant frame.
#define XEN_GUEST_WINDOW  0xfe700000
#define XEN_MAPPED_PAGES  2

// Allocate zeroed memory that the OS leaves alone, in whole pages if it is as
// large as one. POST only. Returns null, with a message, if there is none.
void *xen_alloc(u32 size);

// Frequency of the guest's TSC (arch-x86/cpuid.h, "Leaf 4").
u32 xen_tsc_khz(void);

// Find Xen by CPUID (arch-x86/cpuid.h), set up the hypercall page unless
// SeaBIOS has one, and choose where to map shared pages. POST only.
// Returns 0, or -1 without a message where there is no Xen.
int xen_platform_init(void);

// Map a page of Xen (XENMAPSPACE_*, index 0) at a page-aligned address.
// Returns 0, or a negative errno with a message.
int xen_platform_map_page(unsigned int space, void *addr);

// Read a parameter of this guest (hvm/params.h). Returns 0 where it is not set.
u32 xen_hvm_param(u32 index);

#endif // platform.h
