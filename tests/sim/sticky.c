// The sticky mode: disks stay attached between two calls, and every hint that
// an OS may be about to take over closes them.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

#include "bregs.h" // struct bregs

static struct backend *
boot_one(void)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    return be;
}

static void
read_and_stay(struct backend *be)
{
    check_equal(sim_read_unchecked(be, 1000, 100), 0);
    check_equal(be->state, XenbusStateConnected);
}

TEST(post_leaves_no_disk_attached)
{
    struct backend *be = boot_one();
    check_equal(be->state, XenbusStateInitWait);
    // a hint with no disk attached costs no hypercall
    u32 before = hv.hypercalls;
    xen_handover();
    xen_handover_tick();
    check_equal(hv.hypercalls, before);
}

TEST(disk_stays_attached_between_two_reads)
{
    struct backend *be = boot_one();
    u32 i, before = be->connects;
    for (i = 0; i < 200; i++)
        check_equal(sim_read_unchecked(be, sim_random(200000), 128), 0);
    check_equal(be->connects - before, 1);
    xen_handover();
    sim_check_clean();
}

// One for what is wanted, and one or two for what is read ahead.
TEST(miss_is_few_notifications_and_waits)
{
    struct backend *be = boot_one();
    read_and_stay(be);
    u32 notifications = hv.notifications, polls = hv.polls;
    check_equal(sim_read_unchecked(be, 149504, 1), 0);
    check_equal(hv.notifications - notifications, 2);
    check_equal(hv.polls - polls, 2);
    // and a hit is none of both, and no other hypercall
    u32 calls = hv.hypercalls;
    check_equal(sim_read_unchecked(be, 149505, 64), 0);
    check_equal(hv.hypercalls - calls, 0);
    check_equal(hv.polls - polls, 2);
    xen_handover();
    sim_check_clean();
}

static void
hint_15(u32 eax, u32 ebx)
{
    struct bregs regs = { .eax = eax, .ebx = ebx };
    xen_handover_15(&regs);
}

static void
hint_13(u16 ax, u8 dl)
{
    struct bregs regs = { .eax = ax, .edx = dl };
    xen_handover_13(&regs);
}

static void
closing_hint(int n)
{
    struct backend *be = boot_one();
    int i;
    read_and_stay(be);
    switch (n) {
    case 0:
        hint_15(0xe820, 0);
        break;
    case 1:
        hint_15(0xec00, 2);
        break;
    case 2:
        hint_15(0x5555e820, 0);
        break;
    case 3:
        hint_13(0x0000, 0);
        break;
    case 4:
        hint_13(0x4b00, 0x80);
        break;
    case 5:
        xen_handover();
        break;
    case 6:
        for (i = 0; i < 37; i++)
            xen_handover_tick();
        break;
    }
    sim_check_clean();
    sim_pass(SECOND);
    sim_check_clean();
    // a hint more does nothing, a read attaches again
    u32 before = be->connects;
    xen_handover();
    check_equal(be->connects, before);
    check_equal(sim_read_unchecked(be, 1000, 100), 0);
    check_equal(be->connects, before); // from the cache
    check_equal(sim_read_unchecked(be, 90000, 1), 0);
    check_equal(be->connects, before + 1);
    xen_handover();
    sim_check_clean();
}

TEST(hint_closes_the_disk_completely)
{
    check_each(7, closing_hint);
}

TEST(call_that_is_no_hint_closes_nothing)
{
    struct backend *be = boot_one();
    read_and_stay(be);
    hint_15(0xe820, 1);
    hint_15(0x2400, 0);
    hint_15(0x5300, 0);
    hint_13(0x4b01, 0x80);
    hint_13(0x0000, 0x80);
    hint_13(0x4200, 0);
    int i;
    for (i = 0; i < 30; i++)
        xen_handover_tick();
    check_equal(be->state, XenbusStateConnected);
    // each call counts anew
    check_equal(sim_read_unchecked(be, 100000, 1), 0);
    for (i = 0; i < 30; i++)
        xen_handover_tick();
    check_equal(be->state, XenbusStateConnected);
    for (i = 0; i < 10; i++)
        xen_handover_tick();
    sim_check_clean();
}

TEST(hint_closes_all_disks_that_are_attached)
{
    int i;
    for (i = 0; i < 4; i++)
        sim_disk(51776 + 16 * i)->domid = i;
    sim_boot();
    for (i = 0; i < 3; i++)
        read_and_stay(backends[i]);
    check_equal(backends[3]->state, XenbusStateInitWait);
    hint_15(0xe820, 0);
    sim_check_clean();
    for (i = 0; i < 4; i++)
        check_equal(sim_read_unchecked(backends[i], 7000, 10), 0);
    hint_15(0xe820, 0);
    sim_check_clean();
}

TEST(write_is_on_the_disk_when_the_call_returns)
{
    struct backend *be = boot_one();
    check_equal(sim_write_unchecked(be, 500, 100), 0);
    check_equal(be->dirty, 0);
    check_equal(be->open, 0);
    sim_check_image(be);
    check_equal(sim_read_unchecked(be, 450, 128), 0);
    xen_handover();
    sim_check_clean();
}

TEST(nothing_is_under_way_and_no_page_but_the_ring_granted_between_calls)
{
    struct backend *be = boot_one();
    int ref, granted = 0;
    read_and_stay(be);
    check_equal(be->open, 0);
    for (ref = 2; ref < XENGRANT_REFS; ref++)
        granted += !!hv.grants[ref].flags;
    check_equal(granted, 1);
    xen_handover();
}

TEST(disk_that_an_error_occurred_on_is_closed)
{
    struct backend *be = sim_disk(51776);
    be->bad_from = 60000;
    be->bad_to = 60001;
    sim_boot();
    read_and_stay(be);
    check_equal(sim_read_unchecked(be, 60000, 1), DISK_RET_EBADTRACK);
    sim_check_clean();
    check_equal(sim_read_unchecked(be, 61000, 1), 0);
    xen_handover();
    sim_check_clean();
}

static int
lose(struct backend *be, struct blkif_response *rsp)
{
    return 0;
}

static int
lose_errors(struct backend *be, struct blkif_response *rsp)
{
    return rsp->status == BLKIF_RSP_OKAY;
}

// What was wanted has come; what stalls is further on.
TEST(disk_whose_read_ahead_stalls_is_closed)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 2048u << 20; // chunks of 256 sectors
    struct backend *be = boot_one();
    be->bad_from = 60160;
    be->bad_to = 60161;
    be->hook_response = lose_errors;
    check_equal(sim_read(be, 60000, 10), 0);
    check_true(sim_logged("xvde: backend did not answer in time"));
}

TEST(disk_whose_backend_dies_while_attached_harms_no_other)
{
    struct backend *bad = sim_disk(51776), *good = sim_disk(51792);
    bad->domid = 1;
    sim_boot();
    read_and_stay(bad);
    read_and_stay(good);
    bad->hook_response = lose;
    check_equal(sim_read_unchecked(bad, 90000, 1), DISK_RET_ETIMEOUT);
    check_equal(sim_read_unchecked(good, 90000, 1), 0);
    check_equal(sim_write_unchecked(good, 90000, 1), 0);
    check_equal(sim_read_unchecked(bad, 90000, 1), DISK_RET_ETIMEOUT);
    xen_handover();
    sim_check_clean();
}

TEST(domain_that_moves_between_calls_attaches_again)
{
    struct backend *a = sim_disk(51776), *b = sim_disk(51792);
    sim_boot();
    read_and_stay(a);
    read_and_stay(b);
    hv_move(100);
    check_equal(sim_read_unchecked(a, 2000, 100), 0);
    check_equal(sim_read_unchecked(a, 92000, 100), 0);
    // it was noticed before anything was sent to nobody
    check_true(!sim_logged("once more"));
    check_equal(sim_write_unchecked(b, 92000, 100), 0);
    xen_handover();
    sim_check_clean();
}

static int moves_left;

static void
move(void)
{
    if (!moves_left--)
        hv_move(hv.domid + 1);
}

// Two disks are attached, used and closed twice, and the domain moves on the
// way.
static void
move_while_attached(int n)
{
    int i;
    sim_disk(51776);
    sim_disk(51792)->domid = 1;
    sim_boot();
    moves_left = n;
    sim_step = move;
    for (i = 0; i < 2; i++) {
        check_equal(sim_read_unchecked(backends[0], 1000 + 20000 * i, 20), 0);
        check_equal(sim_write_unchecked(backends[0], 5000, 20), 0);
        check_equal(sim_read_unchecked(backends[1], 2000 + 20000 * i, 20), 0);
        xen_handover();
        sim_check_clean();
    }
    if (moves_left >= 0)
        fail("it took %d steps", n - moves_left);
    sim_step = NULL;
    sim_check_image(backends[0]);
    check_equal(sim_read_unchecked(backends[0], 80000, 20), 0);
    xen_handover();
    sim_check_clean();
}

TEST(move_at_any_step_while_attached_is_not_noticed)
{
    check_each(160, move_while_attached);
}

TEST(hint_after_a_move_leaves_no_trace)
{
    struct backend *be = boot_one();
    read_and_stay(be);
    hv_move(100);
    xen_handover();
    sim_check_clean();
    check_equal(sim_read_unchecked(be, 92000, 100), 0);
    xen_handover();
    sim_check_clean();
}

// A hint is the last that the OS sees of the BIOS: replies that come after it,
// to what was asked of the new xenstored, would be the OS's.
static void
move_in_hint(int n)
{
    struct backend *be = boot_one();
    read_and_stay(be);
    store.latency = 200 * MS;
    moves_left = n;
    sim_step = move;
    xen_handover();
    sim_step = NULL;
    sim_pass(SECOND);
    sim_check_clean();
}

TEST(move_in_a_hint_leaves_no_reply_behind)
{
    check_each(60, move_in_hint);
}

static struct backend *interrupted;
static int interrupts;

// An interrupt handler that calls the BIOS, and a tick of the timer.
static void
interrupt(void)
{
    interrupts++;
    hint_15(0xe820, 0);
    xen_handover_tick();
    check_equal(sim_read_unchecked(interrupted, 3, 1), DISK_RET_ENOTREADY);
}

static int accesses_left;

static void
move_at_index(void)
{
    if (sim_ring_offset >= 2 * XENSTORE_RING_SIZE && !accesses_left--)
        hv_move(hv.domid + 1);
}

// Of what is written to close, a part may be in the new store.
static void
hint_with_move(int n)
{
    struct backend *be = boot_one();
    read_and_stay(be);
    store.index = 5000;
    be->mislabelled = 1;
    accesses_left = n;
    sim_at_ring_access(move_at_index);
    xen_handover();
    sim_at_ring_access(NULL);
    check_true(accesses_left < 0 || n >= 50);
    sim_check_clean();
    check_equal(sim_read_unchecked(be, 100000, 10), 0);
}

TEST(move_at_any_access_to_an_index_in_a_hint_is_not_noticed)
{
    check_each(120, hint_with_move);
}

TEST(hint_and_call_out_of_an_interrupt_disturb_no_call)
{
    interrupted = boot_one();
    interrupted->io_latency = 400 * MS;
    sim_interrupt = interrupt;
    check_equal(sim_read_unchecked(interrupted, 1000, 100), 0);
    check_true(interrupts > 0);
    // and with a disk attached
    interrupts = 0;
    check_equal(sim_read_unchecked(interrupted, 90000, 100), 0);
    check_true(interrupts > 0);
    sim_interrupt = NULL;
    xen_handover();
    sim_check_clean();
}

// SeaBIOS reads a CD when it gets to know it, less than two seconds before the report
// has a session of its own.
TEST(cd_that_was_read_in_post_is_closed_before_the_report)
{
    struct backend *be = sim_cd(51776);
    store.writable = "/local/domain/7/data";
    sim_prepare();
    store_write(store.writable, "");
    store_write("/local/domain/7/vm-data/seabios/etc/xen-report", "1");
    sim_post_setup();
    xen_prepboot("CD");
    sim_post = 0;
    xen_handover();
    sim_pass(SECOND);
    sim_check_clean();
    sim_pass(3 * SECOND);
    check_equal(sim_read_unchecked(be, 17, 1), 0);
    xen_handover();
    sim_check_clean();
}
