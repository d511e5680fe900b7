// Hints that an OS is about to take over, for the sticky mode: disks that stay
// attached between two int13 calls are closed at the first of them.
//
// No hint covers every loader, so nothing depends on them in the other mode.
// A wrong one costs an attach.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_LOW
#include "block.h" // process_op
#include "bregs.h" // struct bregs
#include "config.h" // CONFIG_XEN_PV
#include "handover.h" // CMD_XEN_CLOSE
#include "util.h" // ticks_from_ms
#include "xenpv.h" // xen_handover

// Without an int13 for so long, the caller has something else to do.
#define IDLE_MS 2000

// A drive that is attached while no int13 runs, or null, and the timer's ticks
// until it is closed.
struct drive_s *XenAttached VARLOW;
u8 XenIdleTicks VARLOW;

void
xen_handover(void)
{
    if (!CONFIG_XEN_PV)
        return;
    struct disk_op_s op;
    op.drive_fl = GET_LOW(XenAttached);
    if (!op.drive_fl)
        return;
    op.command = CMD_XEN_CLOSE;
    op.count = 0;
    process_op(&op);
}

void
xen_handover_arm(struct drive_s *attached)
{
    ASSERT32FLAT();
    XenAttached = attached;
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
        xen_handover();
}

// The reset of the floppy drive is what SYSLINUX, GRUB legacy and LILO do last;
// the end of El Torito emulation is what some loaders of CDs do.
void
xen_handover_13(struct bregs *regs)
{
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
