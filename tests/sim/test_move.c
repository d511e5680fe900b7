// The domain is saved and restored, or migrates, at every point of a call: the
// pages, event channels and requests of before are gone, the other end is new.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // hv_move

#include <sys/mman.h>
#include <xen/errno.h>

static int steps_left;
static u32 *steps;

static void
move(void)
{
    if (!steps_left--)
        hv_move(hv.domid + 1);
}

static void
count(void)
{
    ++*steps;
}

static void
alloc_steps(void)
{
    steps = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS
                 , -1, 0);
}

static struct backend *
boot_some(int disks)
{
    int i;
    for (i = 0; i < disks; i++)
        sim_disk(51776 + 16 * i)->domid = i;
    sim_boot();
    return backends[0];
}

// Reads, writes, or both, with a move on the way.
static int reading;

static void
calls(struct backend *be)
{
    if (reading) {
        check_equal(sim_read(be, 1000, 128), 0);
        check_equal(sim_read(be, 100000, 3), 0);
    } else {
        check_equal(sim_write(be, 1000, 128), 0);
    }
    sim_check_image(be);
}

static void
count_calls(int n)
{
    struct backend *be = boot_some(1);
    sim_step = count;
    calls(be);
}

static void
move_in_call(int n)
{
    struct backend *be = boot_some(1);
    steps_left = n;
    sim_step = move;
    calls(be);
    sim_step = NULL;
    calls(be);
    check_equal(sim_read(be, 1000, 128), 0);
    check_equal(hv.domid, 8);
}

TEST(move_in_the_middle_of_a_read_is_not_noticed)
{
    alloc_steps();
    reading = 1;
    check_each(1, count_calls);
    check_true(*steps > 40);
    check_each(*steps, move_in_call);
}

// Xen knows the numbers of event channels only as far as a domain has used them.
static int
knows_few_ports(u32 nr, u32 op, void *arg, int *ret)
{
    if (nr != __HYPERVISOR_event_channel_op || op != EVTCHNOP_status
        || hv.ports[((struct evtchn_status*)arg)->port].state)
        return 0;
    *ret = -XEN_EINVAL;
    return 1;
}

static void
move_to_few_ports(int n)
{
    hv.hook = knows_few_ports;
    move_in_call(n);
}

TEST(move_to_a_domain_with_fewer_event_channels_is_not_noticed)
{
    alloc_steps();
    reading = 1;
    check_each(1, count_calls);
    check_each(*steps, move_to_few_ports);
}

static void
count_slowly(int n)
{
    store.latency = 3 * MS;
    count_calls(n);
}

static void
move_slowly(int n)
{
    store.latency = 3 * MS;
    move_in_call(n);
}

// What was asked of the new xenstored before the move was noticed is answered
// later.
TEST(move_to_a_slow_store_leaves_no_reply_behind)
{
    alloc_steps();
    reading = 1;
    check_each(1, count_slowly);
    check_each(*steps, move_slowly);
}

TEST(move_in_the_middle_of_a_write_is_not_noticed)
{
    alloc_steps();
    check_each(1, count_calls);
    check_true(*steps > 40);
    check_each(*steps, move_in_call);
}

static void
count_post(int n)
{
    sim_step = count;
    boot_some(3);
}

static void
move_in_post(int n)
{
    steps_left = n;
    sim_step = move;
    boot_some(3);
    check_equal(sim_drive_count, 3);
    int i;
    for (i = 0; i < 3; i++)
        check_equal(sim_read(backends[i], 1000, 128), 0);
}

TEST(move_in_the_middle_of_post_is_not_noticed)
{
    alloc_steps();
    check_each(1, count_post);
    check_true(*steps > 40);
    check_each(*steps, move_in_post);
}

static int tsc_back;

static void
move_in_time(void)
{
    if (steps_left--)
        return;
    hv_move(hv.domid + 1);
    sim_tsc_start += tsc_back ? -(sim_tsc_start / 2) : 1ULL << 50;
}

// The other machine's TSC counts from another time.
static void
move_to_other_time(int n)
{
    struct backend *be = boot_some(1);
    tsc_back = n & 1;
    steps_left = n / 2;
    sim_step = move_in_time;
    u64 begin = sim_now;
    calls(be);
    if (sim_now - begin > 10 * SECOND)
        fail("the call took %llu ms", (sim_now - begin) / MS);
}

TEST(move_to_a_machine_with_another_tsc_costs_no_long_wait)
{
    alloc_steps();
    check_each(1, count_calls);
    check_each(*steps * 2, move_to_other_time);
}

TEST(move_between_two_calls_is_not_noticed)
{
    struct backend *be = boot_some(2);
    check_equal(sim_read(be, 1000, 128), 0);
    hv_move(100);
    check_equal(sim_read(be, 1000, 128), 0);
    check_equal(sim_read(be, 50000, 128), 0);
    check_equal(sim_write(backends[1], 50000, 128), 0);
    hv_move(101);
    sim_pass(10 * SECOND);
    check_equal(sim_write(be, 50000, 128), 0);
    check_equal(sim_read(backends[1], 50000, 128), 0);
}

static void
move_to_version_2(void)
{
    if (steps_left--)
        return;
    hv_move(hv.domid + 1);
    hv.grant_version = 2;
}

TEST(move_to_where_nothing_can_be_mapped_fails_the_call)
{
    struct backend *be = boot_some(1);
    steps_left = 30;
    sim_step = move_to_version_2;
    u64 begin = sim_now;
    check_equal(sim_read_unchecked(be, 1000, 10), DISK_RET_ETIMEOUT);
    check_true(sim_now - begin < 60 * SECOND);
    check_true(sim_logged("xen: grant table is version 2"));
    sim_step = NULL;
    hv.grant_version = 1;
    check_equal(sim_read(be, 1000, 10), 0);
}

TEST(move_of_which_there_are_many_ends)
{
    struct backend *be = boot_some(1);
    int i;
    for (i = 0; i < 30; i++) {
        steps_left = 20 + i;
        sim_step = move;
        check_equal(sim_read(be, 3000 * i, 10), 0);
    }
}

// It moves on and on, from some step of the first attach on.
static int first, every, so_far;

static void
move_often(void)
{
    if (++so_far >= first && (so_far - first) % every == 0)
        hv_move(hv.domid % 1000 + 1);
}

static void
keep_moving(int n)
{
    first = n * 5;
    every = n < 9 ? 25 : 5;
    struct backend *be = boot_some(2);
    sim_step = move_often;
    u64 begin = sim_now;
    check_true(sim_read_unchecked(be, 1000, 10) != 0);
    check_true(sim_now - begin < 120 * SECOND);
    begin = sim_now;
    sim_write_unchecked(be, 1000, 10);
    check_true(sim_now - begin < 120 * SECOND);
    sim_step = NULL;
    check_equal(sim_read(be, 1000, 10), 0);
    check_equal(sim_read(backends[1], 1000, 10), 0);
}

TEST(move_again_and_again_does_not_hang_the_call)
{
    check_each(10, keep_moving);
}

TEST(pause_of_an_hour_in_the_middle_of_a_call_is_no_timeout)
{
    struct backend *be = boot_some(1);
    int n;
    for (n = 0; n < 40; n++) {
        // the guest does not run, the others do
        void pause_at(int n);
        pause_at(n);
        check_equal(sim_read(be, 2000 * n, 10), 0);
        sim_step = NULL;
    }
}

static int pause_left;

static void
pause(void)
{
    if (!pause_left--)
        sim_pass(3600 * SECOND);
}

static void
freeze(void)
{
    sim_freeze(3600 * SECOND);
}

TEST(pause_of_the_whole_machine_at_every_step_is_no_timeout)
{
    struct backend *be = boot_some(1);
    sim_step = freeze;
    check_equal(sim_read(be, 2000, 100), 0);
    check_equal(sim_write(be, 2000, 100), 0);
}

void
pause_at(int n)
{
    pause_left = n;
    sim_step = pause;
}


/****************************************************************
 * A CD: its medium is looked for where its backend is now
 ****************************************************************/

static void
read_cd(int n)
{
    struct backend *be = sim_cd(51776);
    sim_boot();
    steps_left = n;
    sim_step = move;
    check_equal(sim_read(be, 1600, 4), 0);
    sim_step = NULL;
    check_equal(sim_read(be, 3200, 4), 0);
}

TEST(move_in_a_read_of_a_cd_leaves_it_with_its_medium)
{
    check_each(60, read_cd);
}

static void
count_cd(int n)
{
    struct backend *be = sim_cd(51776);
    store.latency = 60 * MS;
    sim_boot();
    sim_step = count;
    check_equal(sim_read(be, 1600, 4), 0);
}

// The new xenstored answers later than it is noticed that the domain has moved.
static void
read_cd_slowly(int n)
{
    store.latency = 60 * MS;
    read_cd(n);
    check_true(!sim_logged("no medium"));
}

TEST(move_to_a_slow_store_leaves_a_cd_with_its_medium)
{
    alloc_steps();
    check_each(1, count_cd);
    check_each(*steps, read_cd_slowly);
}

TEST(move_between_two_reads_leaves_a_cd_with_its_medium)
{
    struct backend *be = sim_cd(51776);
    sim_boot();
    hv_move(hv.domid + 1);
    sim_pass(3 * SECOND);
    check_equal(sim_read(be, 16, 4), 0);
}


/****************************************************************
 * A move while a close waits to be gone on with
 ****************************************************************/

// A backend that does not close.
static int
never_close(struct backend *be, int state)
{
    return state == XenbusStateClosed ? -1 : state;
}

// Nothing that has the number of what was lost is touched.
TEST(close_that_was_interrupted_by_a_move_leaves_others_alone)
{
    struct backend *be = boot_some(1);
    be->hook_state = never_close;
    check_equal(sim_read_unchecked(be, 1000, 10), 0);
    check_true(sim_logged("xen: xvde: backend did not close in 30 s (state 4)"));
    be->hook_state = NULL;
    hv_move(hv.domid + 1);
    sim_remember();
    sim_clear_log();
    check_equal(sim_read(be, 100000, 10), 0);
    check_true(!sim_logged("closing event channel"));
    sim_check_clean();
}

// Nor by a call of another disk, or after that.
TEST(move_leaves_nothing_of_a_disk_that_is_not_read_again)
{
    struct backend *be = boot_some(2), *other = backends[1];
    be->hook_state = never_close;
    check_equal(sim_read_unchecked(be, 1000, 10), 0);
    be->hook_state = NULL;
    hv_move(hv.domid + 1);
    sim_remember();
    check_equal(sim_read(other, 100000, 10), 0);
    check_equal(sim_read(be, 100000, 10), 0);
}
