// Date and time of a PVH guest, against the C library's calendar.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

// seconds that 32 bits hold as unsigned numbers
#define _FILE_OFFSET_BITS 64
#define _TIME_BITS 64
#include "sim.h" // sim_pass

#include <time.h>

#include "bregs.h" // struct bregs
#include "date.h" // xendate_setup

#define DAY 86400
#define DAYS (0xffffffff / DAY)

#define NOW 1795000000  // 2026

extern u32 XenClockSec;
extern u16 XenTscMhz;

static u8
bcd(int value)
{
    return value / 10 * 16 + value % 10;
}

// Carry out an int1A that has an answer.
static struct bregs
int1a(u8 ah, u16 cx, u16 dx)
{
    struct bregs regs;
    memset(&regs, 0, sizeof(regs));
    regs.ah = ah;
    regs.cx = cx;
    regs.dx = dx;
    regs.flags = F_CF;
    check_true(xendate_1a(&regs));
    check_equal(regs.ah, 0);
    check_true(!(regs.flags & F_CF));
    return regs;
}

static struct tm
calendar(u32 sec)
{
    time_t when = sec;
    struct tm tm;
    gmtime_r(&when, &tm);
    tm.tm_year += 1900;
    tm.tm_mon++;
    return tm;
}

static u16
bcd_year(struct tm *tm)
{
    return bcd(tm->tm_year / 100) << 8 | bcd(tm->tm_year % 100);
}

// What int1A tells is this time, in seconds since 1970.
static void
check_now(u32 sec)
{
    struct tm tm = calendar(sec);
    struct bregs time = int1a(2, 0, 0), date = int1a(4, 0, 0);
    if (time.ch != bcd(tm.tm_hour) || time.cl != bcd(tm.tm_min) || time.dh != bcd(tm.tm_sec)
        || time.dl || date.cx != bcd_year(&tm) || date.dh != bcd(tm.tm_mon)
        || date.dl != bcd(tm.tm_mday))
        fail("%u is %04x%04x of %04x-%04x", sec, time.cx, time.dx, date.cx, date.dx);
}

// The machine begins when Xen says that it is `sec`.
static void
boot(u32 sec)
{
    sim_boot();
    XenTscMhz = sim_tsc_mhz;
    hv.info->wc_sec = sec - (hv.time_base + sim_now) / SECOND;
    check_equal(xendate_setup(), sec);
}

TEST(date_is_that_of_xens_wall_clock)
{
    boot(NOW);
    check_now(NOW);
    struct bregs time = int1a(2, 0, 0);
    check_equal(time.al, time.ch);
    sim_check_clean();
}

TEST(date_can_be_told_and_set_for_each_day_of_32_bits)
{
    u32 day;
    boot(NOW);
    for (day = 0; day < DAYS; day++) {
        u32 sec = day * DAY + day % DAY;
        XenClockSec = sec;
        check_now(sec);
        struct tm tm = calendar(sec);
        // which leaves the time as it is
        XenClockSec = day * 7919 % DAYS * DAY + day % DAY;
        int1a(5, bcd_year(&tm), bcd(tm.tm_mon) << 8 | bcd(tm.tm_mday));
        check_equal(XenClockSec, sec);
    }
}

TEST(date_each_second_of_a_day_can_be_told_and_set)
{
    u32 sec;
    boot(NOW);
    for (sec = 0; sec < DAY; sec++) {
        XenClockSec = 20000 * DAY + sec;
        check_now(20000 * DAY + sec);
        struct tm tm = calendar(sec);
        XenClockSec = 20000 * DAY + sec * 7919 % DAY;
        int1a(3, bcd(tm.tm_hour) << 8 | bcd(tm.tm_min), bcd(tm.tm_sec) << 8);
        check_equal(XenClockSec, 20000 * DAY + sec);
    }
}

// However often it is looked at, and what it was set to goes on.
TEST(date_goes_on_by_the_tsc)
{
    u32 i;
    boot(NOW);
    u64 begin = sim_now;
    for (i = 0; i < 5000; i++) {
        sim_pass(i % 7 ? 990 * MS : 3600 * SECOND);
        u32 passed = (sim_now - begin) / SECOND;
        // not within a look of a second's end
        if ((sim_now - begin) % SECOND < SECOND - MS)
            check_now(NOW + passed);
    }
    int1a(3, 0x2359, 0x5900);
    int1a(5, 0x2099, 0x1231);
    sim_pass(2 * SECOND);
    struct bregs date = int1a(4, 0, 0);
    check_equal(date.cx, 0x2100);
    check_equal(date.dx, 0x0101);
}

TEST(date_stands_while_the_tsc_is_behind)
{
    boot(NOW);
    sim_tsc_start -= 50ull * sim_tsc_mhz * 1000000;
    check_now(NOW);
    sim_pass(51 * SECOND);
    check_now(NOW + 1);
}

TEST(date_leaves_other_calls_alone)
{
    int ah;
    boot(NOW);
    for (ah = 0; ah < 256; ah++) {
        struct bregs regs, before;
        memset(&regs, 0x5a, sizeof(regs));
        regs.ah = ah;
        before = regs;
        if (ah >= 2 && ah <= 5)
            continue;
        check_true(!xendate_1a(&regs));
        check_memory(&regs, &before, sizeof(regs));
    }
}
