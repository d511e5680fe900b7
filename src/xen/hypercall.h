// Hypercalls of a 32-bit guest: number and arguments in registers, by a call
// into the hypercall page (xen/arch-x86/xen-x86_32.h, "Hypercall interface").
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XENHYPERCALL_H
#define __XENHYPERCALL_H

#include "fw/xen.h" // xen_hypercall_page
#include "types.h" // u32

// Size of one entry of the hypercall page, in bytes.
#define XEN_HYPERCALL_SIZE 32

// Call Xen. Returns what the hypercall returns: negative is -errno.
static inline int
xen_hypercall2(u32 nr, u32 a1, u32 a2)
{
    u32 ret = xen_hypercall_page + nr * XEN_HYPERCALL_SIZE;
    asm volatile("calll *%%eax" : "+a"(ret), "+b"(a1), "+c"(a2) : : "memory");
    return ret;
}

static inline int
xen_hypercall3(u32 nr, u32 a1, u32 a2, u32 a3)
{
    u32 ret = xen_hypercall_page + nr * XEN_HYPERCALL_SIZE;
    asm volatile("calll *%%eax" : "+a"(ret), "+b"(a1), "+c"(a2), "+d"(a3)
                 : : "memory");
    return ret;
}

#endif // hypercall.h
