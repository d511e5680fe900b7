// The hooks in 16-bit code.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_HANDOVER_H
#define __XEN_HANDOVER_H

#include "types.h" // u8

// Tell the hooks, as an int13 ends, whether a disk is attached, and whether the close of
// one has not come to its end. The next hint goes on with both; what is attached is also
// closed after two seconds without an int13.
void xen_handover_arm(u8 attached, u8 closing);

// Go on with the closes that have not come to their end.
void xen_handover_closes(void);

#endif // handover.h
