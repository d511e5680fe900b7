// The PV console as SeaBIOS's code sees it: in a PVH guest the screen and the
// keyboard, in a HVM guest the other end of sercon's serial line.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_BDA
#include "bregs.h" // struct bregs
#include "config.h" // CONFIG_XEN_PV
#include "console.h" // xencons_put
#include "mirror.h" // xenmirror_update
#include "output.h" // dprintf
#include "platform.h" // xen_tsc_mhz
#include "romfile.h" // romfile_loadint
#include "stacks.h" // call32
#include "terminal.h" // xenterm_poll
#include "tick.h" // XenTickArmed
#include "util.h" // sercon_check_event
#include "x86.h" // rdtscll
#include "xenpv.h" // xenterm_keys

// How often the screen, and the ring of a program that asks for keys all the time,
// are looked at.
#define SCREEN_MS 20
#define KEYS_MS 10
// The rest of a key's sequence comes at once. A single ESC is the key.
#define ESC_MS 50

// TSC ticks of a millisecond; 0 if the console is not in use.
u32 XenTermMs VARFSEG;

// The lower half of the TSC when the screen was sent, when there was no key, and
// when a sequence began that has no end yet (0: there is none).
u32 XenTermSent VARLOW, XenTermNoKey VARLOW, XenTermSequence VARLOW;
// There was an int10 since the screen was sent; an OS may be about to take over.
u8 XenTermInt10 VARLOW, XenTermIsLast VARLOW;
// HVM: what sercon has written.
u8 XenTermOut[64] VARLOW;
u8 XenTermOutLen VARLOW;
// The terminal is not as an OS expects it.
u8 XenTermUsed VARLOW;

// Say whether so much time has passed since then.
static int
is_over(u32 since, u32 ms)
{
    return (u32)rdtscll() - since >= ms * GET_GLOBAL(XenTermMs);
}


/****************************************************************
 * Output
 ****************************************************************/

// There may be no later BIOS call, and there is no tick.
static int
may_be_last(void)
{
    return GET_LOW(XenTermIsLast) && !GET_LOW(XenTickArmed);
}

static void
update_screen(u32 how)
{
    if (may_be_last())
        how |= XENMIRROR_CURSOR;
    SET_LOW(XenTermInt10, 0);
    if (MODESEGMENT)
        call32(xenmirror_update, how, 0);
    else
        xenmirror_update(how);
    SET_LOW(XenTermSent, rdtscll());
}

u32 VISIBLE32FLAT
xenterm_send32(u32 is_last)
{
    static const char reset[] = "\e[0m\e[?7h"; // no colour, lines wrap
    u32 len = XenTermOutLen, sent = 0;
    int tries;
    XenTermOutLen = 0;
    // there may be room for no more than a byte at a time
    for (tries = 0; tries < sizeof(XenTermOut) && sent < len; tries++) {
        if (xencons_wait(1))
            break;
        sent += xencons_put(XenTermOut + sent, len - sent, NULL);
    }
    if (is_last && !xencons_wait(sizeof(reset) - 1)) {
        xencons_put(reset, sizeof(reset) - 1, NULL);
        sercon_attr_last = 0x07;
    }
    return 0;
}

// Send what sercon has written.
static void
send_text(u32 is_last)
{
    if (!GET_LOW(XenTermOutLen) && !is_last)
        return;
    if (MODESEGMENT)
        call32(xenterm_send32, is_last, 0);
    else
        xenterm_send32(is_last);
    SET_LOW(XenTermOutLen, 0);
}

void
xenterm_putchar(u8 chr)
{
    if (!CONFIG_XEN_PV)
        return;
    u8 len = GET_LOW(XenTermOutLen);
    SET_LOW(XenTermUsed, 1);
    SET_LOW(XenTermOut[len], chr);
    SET_LOW(XenTermOutLen, len + 1);
    if (len + 1 == sizeof(XenTermOut))
        send_text(0);
}

void
xenterm_flush(void)
{
    if (!CONFIG_XEN_PV || !GET_GLOBAL(XenTermMs))
        return;
    SET_LOW(XenTermIsLast, 1);
    if (CONFIG_XEN_PVH) {
        update_screen(XENMIRROR_WAIT | XENMIRROR_CURSOR);
        return;
    }
    if (MODE16)
        // sercon keeps the last character until it knows what follows
        sercon_check_event();
    send_text(GET_LOW(XenTermUsed));
    SET_LOW(XenTermUsed, 0);
}

void
xenterm_poll(void)
{
    if (!CONFIG_XEN_PVH || !GET_GLOBAL(XenTermMs))
        return;
    if (is_over(GET_LOW(XenTermSent), SCREEN_MS)
        || (GET_LOW(XenTermInt10) && may_be_last()))
        update_screen(0);
}

// Say whether an int10 will take something off the screen: another mode, scrolling,
// a character behind the last one. A line's end is a good time to send it, too.
static int
is_lost_by(struct bregs *regs)
{
    u16 pos = GET_BDA(cursor_pos[GET_BDA(video_page) & 7]);
    switch (regs->ah) {
    case 0x00: case 0x06: case 0x07: case 0x13:
        return 1;
    case 0x0e:
        if (regs->al == '\n' && may_be_last())
            return 1;
        return pos >> 8 >= GET_BDA(video_rows)
            && (regs->al == '\n' || (pos & 0xff) + 1 >= GET_BDA(video_cols));
    }
    return 0;
}

void
xenterm_int10(struct bregs *regs)
{
    if (!CONFIG_XEN_PVH)
        return;
    if (is_lost_by(regs))
        update_screen(XENMIRROR_WAIT);
    else if (is_over(GET_LOW(XenTermSent), SCREEN_MS))
        update_screen(0);
    SET_LOW(XenTermInt10, 1);
}


/****************************************************************
 * Keys
 ****************************************************************/

// Show sercon's decoder what there is of the input, and leave it there.
u32 VISIBLE32FLAT
xenterm_peek32(u32 unused)
{
    return xencons_peek(rx_buf, sizeof(rx_buf));
}

u32 VISIBLE32FLAT
xenterm_consume32(u32 size)
{
    xencons_consume(size);
    return 0;
}

void
xenterm_keys(void)
{
    if (!CONFIG_XEN_PV || !MODE16 || !GET_GLOBAL(XenTermMs))
        return;
    xenterm_poll();
    if (GET_BDA(kbd_buf_head) != GET_BDA(kbd_buf_tail)
        || !is_over(GET_LOW(XenTermNoKey), KEYS_MS))
        return;
    u32 len = call32(xenterm_peek32, 0, 0);
    SET_LOW(rx_bytes, len);
    if (len)
        sercon_check_event();
    if (!len || GET_LOW(rx_bytes))
        // none, or not all of it
        SET_LOW(XenTermNoKey, rdtscll());
    if (GET_LOW(rx_bytes) && !GET_LOW(XenTermSequence))
        SET_LOW(XenTermSequence, (u32)rdtscll() | 1);
    SET_LOW(rx_bytes, 0);
}

int
xenterm_event(void)
{
    if (!CONFIG_XEN_PV)
        return 0;
    if (!CONFIG_XEN_PVH)
        send_text(0);
    u32 begun = GET_LOW(XenTermSequence);
    return !begun || !is_over(begun, ESC_MS);
}

void
xenterm_take(u8 size)
{
    if (!CONFIG_XEN_PV)
        return;
    if (MODE16)
        call32(xenterm_consume32, size, 0);
    SET_LOW(XenTermSequence, 0);
    SET_LOW(rx_bytes, 0);
}


/****************************************************************
 * Setup
 ****************************************************************/

u16
xenterm_setup(u16 port)
{
    ASSERT32FLAT();
    if (!CONFIG_XEN_PV)
        return port;
    if (port == XENTERM_PORT)
        port = 0;
    if (!romfile_loadint("etc/xen-console", CONFIG_XEN_PVH)
        || !xencons_is_there() || (CONFIG_XEN_PVH && xenmirror_setup()))
        return CONFIG_XEN_PVH ? 0 : port;
    if (port)
        dprintf(1, "xen: etc/sercon-port is not used, the PV console is\n");
    dprintf(1, "xen: the PV console is in use\n");
    XenTermMs = xen_tsc_mhz * 1000;
    return XENTERM_PORT;
}
