// How the layer waits: asleep, until an event or a deadline.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // hv

static struct backend *
boot_one(void)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    hv.yields = hv.polls = 0;
    return be;
}

TEST(wait_sleeps_until_the_event)
{
    struct backend *be = boot_one();
    be->io_latency = 0;
    sim_tick = 0;
    store.latency = 300 * US;
    u64 begin = sim_now;
    check_equal(sim_read(be, 1000, 10), 0);
    check_equal(hv.yields, 0);
    // 11 requests of the store in four round trips, and the backend's states
    if (hv.polls > 60)
        fail("%u naps in %llu us", hv.polls, (sim_now - begin) / US);
}

// Nobody is woken before all of a window has been read.
TEST(wait_for_many_responses_ends_with_one_event)
{
    struct backend *be = sim_disk(51776);
    be->indirect = 0;
    sim_boot();
    be->io_latency = 900 * US;
    check_equal(sim_read(be, 1000, 10), 0);
    u32 reads = be->reads;
    check_true(reads > 40);
    check_true(be->events < 8);
}

// An answer within a millisecond is not found by looking each millisecond.
TEST(wait_for_responses_ends_with_their_event)
{
    struct backend *be = boot_one();
    be->io_latency = 100 * US;
    sim_tick = 0;
    check_equal(sim_read(be, 1000, 10), 0);
    check_equal(sim_write(be, 5000, 10), 0);
    check_true(be->flushes > 0);
    check_equal(hv.overslept, 0);
}

// It would keep Xen from letting the vCPU sleep.
TEST(wait_lets_a_pending_interrupt_in)
{
    struct backend *be = boot_one();
    be->latency = 3 * SECOND;
    check_equal(sim_read(be, 1000, 10), 0);
    check_true(hv.yields > 0);
    if (hv.yields > sim_now / sim_tick + 10 || hv.polls > sim_now / MS)
        fail("%u yields and %u naps in %llu ms", hv.yields, hv.polls
             , sim_now / MS);
}

// SeaBIOS's own code in POST lets them in where it may.
TEST(wait_in_post_lets_no_interrupt_in_while_the_store_is_in_use)
{
    sim_disk(51776);
    sim_boot();
    check_equal(hv.polls, 0);
}

TEST(wait_goes_on_while_xen_changes_its_time)
{
    struct backend *be = boot_one();
    hv.time_changes = 1;
    sim_pass(2 * SECOND);
    check_equal(sim_read(be, 1000, 10), 0);
    check_equal(hv.polls, 0);
    check_true(hv.yields > 0);
}

static void
tell_time(int n)
{
    hv.tsc_shift = n - 1;
    struct backend *be = boot_one();
    sim_pass(3 * SECOND);
    be->latency = 10 * MS;
    check_equal(sim_read(be, 1000, 10), 0);
    check_true(hv.polls > 0);
    if (hv.yields + hv.polls > 200)
        fail("%u yields and %u naps", hv.yields, hv.polls);
}

TEST(wait_understands_each_way_of_telling_the_time)
{
    check_each(6, tell_time);
}
