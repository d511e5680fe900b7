// Date and time of a machine without a real-time clock (PVH): int1A 02 to 05, from
// Xen's wall clock at POST and the TSC. What a program sets lasts until a suspend.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_LOW
#include "bregs.h" // struct bregs
#include "config.h" // CONFIG_XEN_PVH
#include "date.h" // xendate_setup
#include "platform.h" // xen_platform_map_page
#include "terminal.h" // xenterm_poll
#include "tick.h" // XenTscMhz
#include "wait.h" // xen_system_time
#include "x86.h" // rdtscll
#include "xenapi.h" // XENMAPSPACE_shared_info
#include "xenpv.h" // xendate_1a

// Seconds since 1970 at the time XenClockTsc.
u32 XenClockSec VARLOW;
u64 XenClockTsc VARLOW;


/****************************************************************
 * Int1A
 ****************************************************************/

static u8
to_bcd(u32 value)
{
    return value / 10 << 4 | value % 10;
}

static u32
from_bcd(u8 value)
{
    return (value >> 4) * 10 + (value & 15);
}

static u32
days_of_year(u32 year)
{
    return year % 4 || (!(year % 100) && year % 400) ? 365 : 366;
}

static u32
days_of_month(u32 year, u32 month)
{
    if (month == 2)
        return days_of_year(year) - 337;
    return 30 + ((month + month / 8) & 1);
}

// Seconds since 1970.
static u32
clock_seconds(void)
{
    u64 now = rdtscll(), at = GET_LOW(XenClockTsc);
    s64 len = (u64)GET_GLOBAL(XenTscMhz) * 1000000;
    u32 sec = GET_LOW(XenClockSec);
    for (; (s64)(now - at) >= len; at += len)
        sec++;
    SET_LOW(XenClockTsc, at);
    SET_LOW(XenClockSec, sec);
    return sec;
}

static void
clock_read_time(struct bregs *regs)
{
    u32 sec = clock_seconds() % XENDATE_DAY;
    regs->ch = regs->al = to_bcd(sec / 3600);
    regs->cl = to_bcd(sec / 60 % 60);
    regs->dh = to_bcd(sec % 60);
    regs->dl = 0;
}

static void
clock_set_time(struct bregs *regs)
{
    u32 sec = clock_seconds();
    SET_LOW(XenClockSec, sec - sec % XENDATE_DAY + from_bcd(regs->ch) * 3600
            + from_bcd(regs->cl) * 60 + from_bcd(regs->dh));
}

static void
clock_read_date(struct bregs *regs)
{
    u32 days = clock_seconds() / XENDATE_DAY, year, month;
    for (year = 1970; days >= days_of_year(year); year++)
        days -= days_of_year(year);
    for (month = 1; days >= days_of_month(year, month); month++)
        days -= days_of_month(year, month);
    regs->ch = regs->al = to_bcd(year / 100);
    regs->cl = to_bcd(year % 100);
    regs->dh = to_bcd(month);
    regs->dl = to_bcd(days + 1);
}

static void
clock_set_date(struct bregs *regs)
{
    u32 year, month, days = from_bcd(regs->dl) - 1;
    u32 to = from_bcd(regs->ch) * 100 + from_bcd(regs->cl);
    for (year = 1970; year < to; year++)
        days += days_of_year(year);
    for (month = 1; month < from_bcd(regs->dh); month++)
        days += days_of_month(to, month);
    SET_LOW(XenClockSec, days * XENDATE_DAY + clock_seconds() % XENDATE_DAY);
}

int
xendate_1a(struct bregs *regs)
{
    if (!CONFIG_XEN_PVH)
        return 0;
    xenterm_poll();
    if (regs->ah < 2 || regs->ah > 5)
        return 0;
    switch (regs->ah) {
    case 2: clock_read_time(regs); break;
    case 3: clock_set_time(regs); break;
    case 4: clock_read_date(regs); break;
    case 5: clock_set_date(regs); break;
    }
    regs->ah = 0;
    set_success(regs);
    return 1;
}


/****************************************************************
 * Setup
 ****************************************************************/

// Xen changes its time in a moment.
#define CLOCK_TRIES 100

// Xen's wall clock in seconds since 1970, or 0 if it cannot be read.
static u32
wall_clock(void)
{
    if (xen_platform_map_page(XENMAPSPACE_shared_info, xen_info))
        return 0;
    // the time when Xen's own clock was 0, and that clock
    u64 ns = 0;
    int tries;
    for (tries = 0; tries < CLOCK_TRIES && !ns; tries++)
        ns = xen_system_time();
    u32 sec, rest;
    asm("divl %4" : "=a"(sec), "=d"(rest)
        : "0"((u32)ns), "1"((u32)(ns >> 32)), "r"(1000000000));
    return xen_read_once(xen_info->wc_sec) + sec;
}

u32
xendate_setup(void)
{
    XenClockTsc = rdtscll();
    XenClockSec = wall_clock();
    return XenClockSec;
}
