// The hooks in 16-bit code.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_HANDOVER_H
#define __XEN_HANDOVER_H

#include "types.h" // u8

// Tell the hooks, as an int13 ends, whether a disk is attached. Then it is closed at
// the next hint, or after two seconds without an int13.
void xen_handover_arm(u8 attached);

#endif // handover.h
