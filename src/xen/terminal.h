// The PV console as SeaBIOS's code sees it.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_TERMINAL_H
#define __XEN_TERMINAL_H

#include "types.h" // u32

// An OS may be about to take over: show what is on the screen now. Where the console is
// not used, or cannot be, nothing happens.
void xenterm_flush(void);

// A BIOS call, or a tick: show what has changed, not more often than 50 times in a
// second.
void xenterm_poll(void);

// sercon's decoder works on these bytes.
extern u8 rx_buf[16], rx_bytes;
// The colour that sercon has sent last.
extern u8 sercon_attr_last;

// For 16-bit code.
u32 xenterm_peek32(u32 unused);
u32 xenterm_consume32(u32 size);
u32 xenterm_send32(u32 is_last);

#endif // terminal.h
