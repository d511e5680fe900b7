// The text screen of a PVH guest on the PV console.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_MIRROR_H
#define __XEN_MIRROR_H

#include "types.h" // u32

// Allocate what the mirror remembers. POST only. Returns 0 or -1.
int xenmirror_setup(void);

// How xenmirror_update() is to do its work.
#define XENMIRROR_WAIT   1  // all of it, even if the other end has to make room
#define XENMIRROR_CURSOR 2  // somebody else may write from here on: show the cursor

// Send what has changed on the screen since the last time, as far as there is room,
// and with one notification for each filling of the ring.
u32 xenmirror_update(u32 how);

#endif // mirror.h
