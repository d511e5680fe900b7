// How the layer waits: asleep, until an event or a deadline.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // hv

#include <sys/mman.h>

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

// Only the main thread can let them in, when it has its turn: until then they are
// kept from waking the vCPU.
TEST(wait_in_post_sleeps_while_an_interrupt_is_pending)
{
    struct backend *be = sim_disk(51776);
    be->latency = SECOND;
    store.latency = 300 * MS;
    sim_boot();
    check_true(sim_drive(be));
    check_equal(sim_irq_mask, SIM_IRQ_MASK);
    if (hv.yields > 10 || hv.polls > sim_now / MS / 4)
        fail("%u yields and %u naps in %llu ms", hv.yields, hv.polls, sim_now / MS);
}

static u64 last_turn, longest_turn;

static void
take_turn(void)
{
    if (last_turn && sim_now - last_turn > longest_turn)
        longest_turn = sim_now - last_turn;
    last_turn = sim_now;
}

TEST(wait_for_a_state_in_post_gives_others_a_turn_each_few_milliseconds)
{
    struct backend *be = sim_disk(51776);
    be->absent = 1;
    sim_interrupt = take_turn;
    sim_boot();
    check_true(!sim_drive(be));
    // the simulation's own steps are 20 ms, one of them in a look
    if (longest_turn > 32 * MS)
        fail("a thread waited %llu ms for its turn", longest_turn / MS);
}

static u32 turns;

// As short as they are when nobody else has anything to do.
static void
take_short_turn(void)
{
    sim_progress();
    turns++;
}

TEST(wait_for_a_state_in_post_leaves_the_cpu_to_other_domains)
{
    struct backend *be = sim_disk(51776);
    be->absent = 1;
    sim_interrupt = take_short_turn;
    sim_boot();
    check_true(!sim_drive(be));
    if (turns > sim_now / MS)
        fail("%u turns in %llu ms", turns, sim_now / MS);
}

// An event may be lost, but not so often that a wait of seconds looks for it each
// few milliseconds.
TEST(wait_for_an_event_wakes_up_more_rarely_after_a_while)
{
    struct backend *be = boot_one();
    be->io_latency = 3 * SECOND;
    sim_tick = 0;
    u64 begin = sim_now;
    check_equal(sim_read(be, 1000, 10), 0);
    check_true(sim_now - begin >= 3 * SECOND);
    if (hv.polls > (sim_now - begin) / (12 * MS))
        fail("%u naps in %llu ms", hv.polls, (sim_now - begin) / MS);
}

TEST(wait_looks_the_rarer_the_longer_it_lasts)
{
    struct backend *be = boot_one();
    be->latency = 8 * SECOND;
    sim_tick = 0;
    u32 requests = store.requests;
    check_equal(sim_read(be, 1000, 10), 0);
    if (store.requests - requests > sim_now / MS / 100)
        fail("%u requests in %llu ms", store.requests - requests, sim_now / MS);
}

static u32
count_requests(struct backend *be, u32 chunk)
{
    u32 before = store.requests;
    check_equal(sim_read(be, chunk * 20000, 10), 0);
    return store.requests - before;
}

TEST(wait_looks_when_the_backend_is_usually_ready)
{
    struct backend *be = boot_one();
    be->latency = 100 * MS;
    sim_tick = 0;
    u32 first = count_requests(be, 1), next = count_requests(be, 2);
    // three waits: to connect, to close, to get ready
    if (next > first - 3 * 5 || next > 11 + 3 * 4)
        fail("%u requests, then %u", first, next);
    // one wait that was long costs little
    be->latency = 4 * SECOND;
    count_requests(be, 3);
    be->latency = 2 * MS;
    u64 begin = sim_now;
    u32 i;
    for (i = 4; i < 12; i++)
        count_requests(be, i);
    if (sim_now - begin > 2 * SECOND)
        fail("8 reads took %llu ms", (sim_now - begin) / MS);
}

static u64
time_read(int mute)
{
    struct backend *be = boot_one();
    hv.mute = mute;
    be->io_latency = 100 * MS;
    u64 begin = sim_now;
    check_equal(sim_read(be, 1000, 10), 0);
    return sim_now - begin;
}

static u64 *with_events;

static void
compare(int n)
{
    u64 time = time_read(n);
    if (!n)
        *with_events = time;
    else if (time > *with_events * 3 / 2)
        fail("%llu ms instead of %llu", time / MS, *with_events / MS);
}

TEST(wait_without_events_is_not_much_longer)
{
    with_events = mmap(NULL, sizeof(u64), PROT_READ | PROT_WRITE
                       , MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check_each(1, compare);
    check_each(2, compare);
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
