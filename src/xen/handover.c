// Hints that an OS is about to take over, for the sticky mode: disks that stay
// attached between two int13 calls are closed at the first of them.
//
// No hint covers every loader, so nothing depends on them in the other mode.
// A wrong one costs an attach.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_LOW
#include "bregs.h" // struct bregs
#include "config.h" // CONFIG_XEN_PV
#include "handover.h" // xen_handover_arm
#include "stacks.h" // call32
#include "terminal.h" // xenterm_flush
#include "util.h" // ticks_from_ms
#include "xenpv.h" // xen_handover

// Without an int13 for so long, the caller has something else to do.
#define IDLE_MS 2000

// While no int13 runs: a disk is attached, and the timer's ticks until it is closed; the
// close of one has not come to its end.
u8 XenAttached VARLOW, XenIdleTicks VARLOW, XenClosing VARLOW;

void
xen_shutdown(u32 reason)
{
    if (!CONFIG_XEN_PV)
        return;
    xenterm_flush();
    if (MODESEGMENT)
        call32(xen_shutdown32, reason, -1);
    else
        xen_shutdown32(reason);
}

static void
close_disks(void)
{
    if (MODESEGMENT)
        call32(xen_close_all, 0, 0);
    else
        xen_close_all();
}

void
xen_handover(void)
{
    if (!CONFIG_XEN_PV)
        return;
    xenterm_flush();
    xentick_handover();
    if (GET_LOW(XenAttached) || GET_LOW(XenClosing))
        close_disks();
    if (!MODESEGMENT)
        xen_control_again();
}

void
xen_handover_closes(void)
{
    if (GET_LOW(XenClosing))
        close_disks();
}

void
xen_handover_arm(u8 attached, u8 closing)
{
    ASSERT32FLAT();
    XenAttached = attached;
    XenClosing = closing;
    XenIdleTicks = ticks_from_ms(IDLE_MS);
}

void
xen_handover_tick(void)
{
    if (!CONFIG_XEN_PV || !GET_LOW(XenAttached))
        return;
    u8 left = GET_LOW(XenIdleTicks) - 1;
    SET_LOW(XenIdleTicks, left);
    if (!left)
        close_disks();
}

// The reset of the floppy drive is what SYSLINUX, GRUB legacy and LILO do last;
// the end of El Torito emulation is what some loaders of CDs do.
void
xen_handover_13(struct bregs *regs)
{
    xentick_13();
    if ((!regs->ah && !regs->dl) || regs->ax == 0x4b00)
        xen_handover();
}

// Every loader of an OS asks for the memory map, most as the last thing they
// do, and 64-bit kernels announce their mode.
void
xen_handover_15(struct bregs *regs)
{
    if ((regs->ax == 0xe820 && !regs->ebx) || regs->ax == 0xec00)
        xen_handover();
}
