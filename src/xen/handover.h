// The hooks in 16-bit code.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_HANDOVER_H
#define __XEN_HANDOVER_H

#include "types.h" // u32

struct drive_s;

// A command of xen_process_op() that int13 does not have: close all disks that
// are attached.
#define CMD_XEN_CLOSE 0x7f

// Tell the hooks, as an int13 ends, a drive that is attached, or null. It gets a
// CMD_XEN_CLOSE at the next hint, or after two seconds without an int13.
void xen_handover_arm(struct drive_s *attached);

#endif // handover.h
