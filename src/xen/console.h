// The PV console: a ring of bytes each way (io/console.h).
//
// The indices in the ring are the only ones, so that an OS goes on where the
// firmware stopped. The event channel is notified and nothing else: its other
// properties are the toolstack's and the OS's.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_CONSOLE_H
#define __XEN_CONSOLE_H

#include "types.h" // u32

// Bytes that fit the output's ring at once.
#define XENCONS_SIZE 2048

// Say whether this domain has a console. POST only, after xen_platform_init().
int xencons_is_there(void);

// The bytes that the output has room for; 0 if its indices are impossible.
u32 xencons_room(void);

// Put bytes into the output, as many as there is room for, and notify the other
// end once. Returns how many that were. *end (if not null) is the index behind them.
u32 xencons_put(const void *data, u32 size, u32 *end);

// Where the next byte of output will be.
u32 xencons_end(void);

// Wait until the output has room for so many bytes (1 to XENCONS_SIZE): for 250 ms, and
// not at all if that was in vain last time and the other end has taken nothing since.
// Returns 0, or -1 if there is no room.
int xencons_wait(u32 room);

// Copy the first bytes of the input, `max` at most, and leave them there. Returns how
// many there are; 0 if the indices are impossible.
u32 xencons_peek(void *data, u32 max);

// Take so many bytes of the input out, and notify the other end, which may wait
// for the room.
void xencons_consume(u32 size);

#endif // console.h
