// The clock of a machine without timer hardware (PVH): the TSC counts, and the
// local APIC's timer ends a `hlt`.
//
// Each BIOS call that lets interrupts in counts what is due, by int 08, so that
// programs' hooks of 08 and 1C run. For programs that look at 40:6C or sleep
// without a BIOS call, the timer is armed: one shot to the next tick, and its
// handler arms it again. It is a matter of the vCPU alone, no Xen state is held,
// and turning the APIC off and on takes it back to its state after power-on, bit by
// bit (Intel SDM 3A, "x2APIC State Transitions").
//
// An OS must find it so. From the jump to a boot sector on the timer is armed; the
// hints of handover.c disarm it; then a program has to wait, for a key or for a
// time, to have it armed again.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_LOW
#include "bregs.h" // struct bregs
#include "config.h" // CONFIG_XEN_PVH
#include "control.h" // xen_control32
#include "date.h" // xendate_setup
#include "output.h" // ASSERT32FLAT
#include "stacks.h" // call16_int
#include "string.h" // memset
#include "terminal.h" // xenterm_poll
#include "util.h" // yield
#include "x86.h" // rdtscll
#include "platform.h" // xen_tsc_khz
#include "tick.h" // xentick_setup
#include "xenpv.h" // xentick_poll

// Registers of the local APIC in x2APIC mode (Intel SDM 3A, table "Local APIC
// Register Address Map Supported by x2APIC").
#define MSR_APIC_BASE     0x01b
#define MSR_APIC_EOI      0x80b
#define MSR_APIC_SPIV     0x80f
#define MSR_APIC_LVTT     0x832
#define MSR_APIC_TMICT    0x838
#define MSR_APIC_TDCR     0x83e

#define APIC_BASE_EXTD    (1 << 10)
#define APIC_BASE_ENABLE  (1 << 11)
#define APIC_SPIV_ENABLE  (1 << 8)
#define APIC_DIVIDE_BY_1  0xb
// Xen's APIC counts in steps of 10 ns.
#define APIC_PER_US       100

// The timer's interrupt: what programs expect to be the interrupt of the real-time
// clock, and no exception in protected mode.
#define TICK_VECTOR       0x70

// Ticks that come late are shown to programs one by one, but no more than this.
#define TICKS_SHOWN       18

// Polls for a key, with nothing but polls between them, before they begin to sleep.
#define POLLS_AWAKE       100

// How long a wait for a key lasts before the console is looked at, in us.
#define WAIT_US           20000

// TSC ticks of a BIOS tick.
u32 XenTickLen VARFSEG;
u16 XenTscMhz VARFSEG;
// There is the timer: the toolstack can take the x2APIC mode away.
u8 XenTickTimer VARFSEG;

// When the next tick is due (TSC).
u64 XenTickDue VARLOW;
// The timer is armed; a program may have it armed; polls for a key so far.
u8 XenTickArmed VARLOW, XenTickFree VARLOW, XenTickPolls VARLOW;
// Why no program's hook is to be called: the store is read; a hook runs.
u8 XenTickHeld VARLOW;
#define HELD_BY_LOOK 1
#define HELD_BY_HOOK 2
// A hook that has held up so many ticks, a minute, was left for good.
#define HOOK_TICKS 1092
// When it is looked again at what dom0 asks for (TSC, in units of 1024).
u32 XenTickLook VARLOW;


/****************************************************************
 * The local APIC's timer
 ****************************************************************/

// Start the timer, for the next tick or `max_us` microseconds. One that is held back is
// no reason for an interrupt at once, and another one behind that.
static void
apic_start(u32 max_us)
{
    s64 left = GET_LOW(XenTickDue) - rdtscll();
    u32 us = left > 0 ? (u32)left / GET_GLOBAL(XenTscMhz) : GET_LOW(XenTickHeld) ? WAIT_US : 0;
    if (us > max_us)
        us = max_us;
    wrmsr(MSR_APIC_TMICT, (us + 1) * APIC_PER_US);
}

// The timer's handler.
static struct segoff_s
tick_entry(void)
{
    extern void entry_70(void);
    return MODE16 ? SEGOFF(SEG_BIOS, (u32)entry_70) : FUNC16(entry_70);
}

// Arm the timer, if it can be. Returns 1 if it is armed.
static int
tick_arm(void)
{
    if (!GET_GLOBAL(XenTickTimer)
        || GET_IVT(TICK_VECTOR).segoff != tick_entry().segoff)
        return 0;
    if (GET_LOW(XenTickArmed))
        return 1;
    if (MODE16 && cr0_vm86_read() & CR0_PE)
        return 0;
    u64 base = rdmsr(MSR_APIC_BASE);
    if (base & APIC_BASE_EXTD)
        // somebody else has it
        return 0;
    wrmsr(MSR_APIC_BASE, base | APIC_BASE_EXTD | APIC_BASE_ENABLE);
    wrmsr(MSR_APIC_TDCR, APIC_DIVIDE_BY_1);
    wrmsr(MSR_APIC_SPIV, APIC_SPIV_ENABLE | 0xff);
    wrmsr(MSR_APIC_LVTT, TICK_VECTOR);
    SET_LOW(XenTickArmed, 1);
    apic_start(-1);
    return 1;
}

void
xentick_boot(void)
{
    if (!CONFIG_XEN_PVH)
        return;
    SET_LOW(XenTickFree, 1);
    // a program of an earlier boot may have left its hook for good
    xentick_eoi();
    tick_arm();
}

void
xentick_handover(void)
{
    if (!CONFIG_XEN_PVH)
        return;
    SET_LOW(XenTickFree, 0);
    xentick_eoi();
    if (!GET_LOW(XenTickArmed) || (MODE16 && cr0_vm86_read() & CR0_PE))
        return;
    SET_LOW(XenTickArmed, 0);
    wrmsr(MSR_APIC_TMICT, 0);
    // let in what has come already; a hook that waits for a key changes nothing
    yield();
    SET_LOW(XenTickFree, 0);
    u64 base = rdmsr(MSR_APIC_BASE);
    wrmsr(MSR_APIC_BASE, base & ~(u64)(APIC_BASE_EXTD | APIC_BASE_ENABLE));
    wrmsr(MSR_APIC_BASE, base & ~(u64)APIC_BASE_EXTD);
}


/****************************************************************
 * Ticks
 ****************************************************************/

// Int15 83: a time has passed, of `ticks` ticks.
static void
pass_usertimer(u32 ticks)
{
    if (!(GET_BDA(rtc_wait_flag) & RWS_WAIT_PENDING))
        return;
    u32 us = GET_GLOBAL(XenTickLen) / GET_GLOBAL(XenTscMhz);
    u32 left = GET_BDA(user_wait_timeout);
    if (left / us >= ticks) {
        SET_BDA(user_wait_timeout, left - ticks * us);
        return;
    }
    struct segoff_s flag = GET_BDA(user_wait_complete_flag);
    u8 *ptr = (u8*)(flag.offset + 0);
    SET_FARVAR(flag.seg, *ptr, GET_FARVAR(flag.seg, *ptr) | 0x80);
    SET_BDA(rtc_wait_flag, 0);
}

// Take the ticks that are due. Returns how many programs are to see.
static u32
take_due(void)
{
    u32 len = GET_GLOBAL(XenTickLen), count;
    u64 now = rdtscll(), due = GET_LOW(XenTickDue);
    if (!len || (s64)(now - due) < 0) {
        if (len && due - now > len)
            // the TSC was set back
            SET_LOW(XenTickDue, now + len);
        return 0;
    }
    for (count = 0; (s64)(now - due) >= 0; count++)
        due += len;
    SET_LOW(XenTickDue, due);
    pass_usertimer(count);
    if (count <= TICKS_SHOWN)
        return count;
    u32 counter = GET_BDA(timer_counter) + count - TICKS_SHOWN;
    for (; counter >= TICKS_PER_DAY; counter -= TICKS_PER_DAY)
        SET_BDA(timer_rollover, GET_BDA(timer_rollover) + 1);
    SET_BDA(timer_counter, counter);
    return TICKS_SHOWN;
}

void
xentick_hold(u8 hold)
{
    SET_LOW(XenTickHeld, (GET_LOW(XenTickHeld) & HELD_BY_HOOK) | (hold ? HELD_BY_LOOK : 0));
}

void
xentick_eoi(void)
{
    if (CONFIG_XEN_PVH)
        SET_LOW(XenTickHeld, GET_LOW(XenTickHeld) & ~HELD_BY_HOOK);
}

void
xentick_poll(void)
{
    if (!CONFIG_XEN_PVH)
        return;
    u8 held = GET_LOW(XenTickHeld);
    s64 late = rdtscll() - GET_LOW(XenTickDue);
    if (held & HELD_BY_LOOK || (held && late < (s64)GET_GLOBAL(XenTickLen) * HOOK_TICKS))
        return;
    u32 i, count = take_due();
    for (i = 0; i < count; i++) {
        struct bregs br;
        memset(&br, 0, sizeof(br));
        SET_LOW(XenTickHeld, HELD_BY_HOOK);
        call16_int(0x08, &br);
        // a hook that did not call the BIOS's handler has ended as well
        xentick_eoi();
    }
}

void
xentick_irq(void)
{
    if (!CONFIG_XEN_PVH)
        return;
    // somebody may have called the handler where the timer is not in use
    if (rdmsr(MSR_APIC_BASE) & APIC_BASE_EXTD)
        wrmsr(MSR_APIC_EOI, 0);
    xentick_poll();
    xenterm_poll();
    if (GET_LOW(XenTickArmed))
        apic_start(-1);
}


/****************************************************************
 * Waiting programs
 ****************************************************************/

int
xentick_may_sleep(void)
{
    if (!CONFIG_XEN_PVH)
        return 1;
    SET_LOW(XenTickFree, 1);
    return tick_arm();
}

void
xentick_control(void)
{
    if (!CONFIG_XEN_PVH)
        return;
    if (GET_LOW(XenTickArmed) && !(MODE16 && cr0_vm86_read() & CR0_PE))
        apic_start(WAIT_US);
    u32 second = GET_GLOBAL(XenTscMhz) * (1000000 >> 10), now = rdtscll() >> 10;
    u32 left = GET_LOW(XenTickLook) - now;
    // a TSC that was set back is no reason to wait for longer
    if (left && left <= XENCONTROL_LATER_S * second)
        return;
    u32 wait = MODESEGMENT ? call32(xen_control32, 0, XENCONTROL_SOON_S)
                           : xen_control32(0);
    SET_LOW(XenTickLook, now + wait * second);
}

void
xentick_nokey(void)
{
    if (!CONFIG_XEN_PVH)
        return;
    u8 polls = GET_LOW(XenTickPolls);
    if (polls < POLLS_AWAKE)
        SET_LOW(XenTickPolls, polls + 1);
    else
        yield_toirq();
}

void
xentick_13(void)
{
    if (!CONFIG_XEN_PVH)
        return;
    xenterm_poll();
    SET_LOW(XenTickPolls, 0);
    if (GET_LOW(XenTickFree))
        tick_arm();
}

// Int15 86: wait for CX:DX microseconds.
static void
wait_us(struct bregs *regs)
{
    u32 us = regs->cx << 16 | regs->dx;
    u64 end = (u64)us * GET_GLOBAL(XenTscMhz) + rdtscll();
    s64 left;
    while ((left = end - rdtscll()) > 0)
        if (left > GET_GLOBAL(XenTickLen))
            yield_toirq();
        else
            yield();
    set_success(regs);
}

// Int15 83: set a bit of a byte after CX:DX microseconds.
static void
start_usertimer(struct bregs *regs)
{
    if (regs->al == 1) {
        SET_BDA(rtc_wait_flag, 0);
        set_success(regs);
    } else if (regs->al || GET_BDA(rtc_wait_flag) & RWS_WAIT_PENDING) {
        set_code_invalid(regs, RET_EUNSUPPORTED);
    } else {
        SET_BDA(rtc_wait_flag, RWS_WAIT_PENDING);
        SET_BDA(user_wait_complete_flag, SEGOFF(regs->es, regs->bx));
        SET_BDA(user_wait_timeout, regs->cx << 16 | regs->dx);
        xentick_may_sleep();
        set_success(regs);
    }
}

int
xentick_15(struct bregs *regs)
{
    if (!CONFIG_XEN_PVH)
        return 0;
    xenterm_poll();
    if (regs->ah != 0x83 && regs->ah != 0x86)
        return 0;
    if (regs->ah == 0x86)
        wait_us(regs);
    else
        start_usertimer(regs);
    return 1;
}


/****************************************************************
 * Setup
 ****************************************************************/

void
xentick_setup(void)
{
    ASSERT32FLAT();
    if (!CONFIG_XEN_PVH)
        return;
    u32 tsc_khz = xen_tsc_khz(), sec = xendate_setup();
    XenTscMhz = DIV_ROUND_CLOSEST(tsc_khz, 1000);
    // 54.9254 ms
    XenTickLen = tsc_khz * 54 + tsc_khz / 1000 * 9254 / 10;
    XenTickDue = rdtscll() + XenTickLen;
    u32 eax, ebx, ecx, edx;
    cpuid(1, &eax, &ebx, &ecx, &edx);
    XenTickTimer = !!(ecx & CPUID_X2APIC);
    // 1193182 Hz / 65536; ticks_from_ms() knows 21 hours
    SET_BDA(timer_counter, (u32)((u64)(sec % XENDATE_DAY) * 1193182 >> 16));
    SET_IVT(0x08, FUNC16(entry_08));
    SET_IVT(TICK_VECTOR, FUNC16(entry_70));
}
