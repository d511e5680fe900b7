// What dom0 asks of a domain.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_CONTROL_H
#define __XEN_CONTROL_H

#include "types.h" // u32

// Seconds between two looks, and after one that xenstored has not answered: keys have
// to wait for each of them.
#define XENCONTROL_SOON_S   1
#define XENCONTROL_LATER_S 60

// Look whether dom0 asks for something, and do it. Returns after how many seconds to
// look again.
u32 xen_control32(u32 unused);

#endif // control.h
