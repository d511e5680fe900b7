// Xen's public headers, and the little that they need from their user.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XENAPI_H
#define __XENAPI_H

#include <stdint.h> // uint8_t
#include "string.h" // memset
#include "x86.h" // barrier

// SCHEDOP_* and EVTCHNOP_* by their own hypercalls, sched_poll with a handle.
#define __XEN_INTERFACE_VERSION__ 0x00040900

// A store must be seen before a later load: x86 needs a locked instruction.
#define xen_mb() asm volatile("lock ; addl $0, (%%esp)" : : : "memory", "cc")
#define xen_rmb() barrier()
#define xen_wmb() barrier()

// std/LegacyBios.h leaves "#pragma pack(1)" behind, and SeaBIOS is compiled as
// one unit: without this every structure below shrinks.
#pragma pack(push)
#pragma pack()
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/blkif.h>
#include <xen/io/console.h>
#include <xen/io/protocols.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/version.h>
#pragma pack(pop)

// Move an index of ours in a shared ring from `from` on, if it is there. In a domain that
// has moved the ring is another one, with other indices. Orders memory as xen_mb().
// Returns 0 or -1.
static inline int
xen_move_index(u32 *index, u32 from, u32 to)
{
    u32 seen = from;
    asm volatile("lock ; cmpxchgl %2, %1"
                 : "+a"(seen), "+m"(*index) : "r"(to) : "memory", "cc");
    return seen == from ? 0 : -1;
}

// Read memory that another domain can write: exactly one fetch.
#define xen_read_once(x) (*(volatile __typeof__(x) *)&(x))

#endif // xenapi.h
