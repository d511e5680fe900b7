// The clock of a PVH guest.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_TICK_H
#define __XEN_TICK_H

#include "types.h" // u8

// TSC ticks of a microsecond.
extern u16 XenTscMhz;

// Start to count ticks, and read Xen's clock. POST only, after
// xen_platform_init(). Does nothing on another machine.
void xentick_setup(void);

// Let programs' hooks of the timer wait (1), or no longer (0): what is due meanwhile
// comes later.
void xentick_hold(u8 hold);

// The timer will interrupt a program.
extern u8 XenTickArmed;

#endif // tick.h
