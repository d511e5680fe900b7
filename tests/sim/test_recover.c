// Disks that are slow, stall, or lose requests, and are used again afterwards.
//
// Slow is not dead: an answer extends the limit. A disk is dead only while its
// close has not ended, and any disk's next call goes on with that.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

static struct backend *bad, *good;

static void
make_two(void)
{
    bad = sim_disk(51776);
    good = sim_disk(51792);
    bad->domid = 1;
    good->domid = 2;
}

static void
check_good(void)
{
    check_equal(sim_read_unchecked(good, 50000 + sim_random(50000), 100), 0);
    check_equal(sim_write_unchecked(good, sim_random(50000), 10), 0);
}


/****************************************************************
 * Storage that stalls
 ****************************************************************/

// The backend may say 6 and keep its pages, wait for them, or let go later.
static void
stall(int n)
{
    make_two();
    bad->manner = n % 3;
    sim_boot();
    u64 begin = sim_now;
    bad->stalled_until = sim_now + 45 * SECOND;
    check_equal(n / 3 ? sim_write_unchecked(bad, 60000, 100)
                : sim_read_unchecked(bad, 60000, 100), DISK_RET_ETIMEOUT);
    // QEMU closes no sooner than its requests end
    if (sim_now - begin > (bad->manner == QEMU ? 61 : 31) * SECOND)
        fail("the call took %llu ms", (sim_now - begin) / MS);
    check_good();
    sim_check_clean_but(bad);
    sim_pass(begin + 50 * SECOND - sim_now);
    // another disk's call is enough to end the close
    check_good();
    sim_check_clean();
    check_equal(sim_read(bad, 60000, 100), 0);
    check_equal(sim_write(bad, 60000, 100), 0);
    check_good();
    sim_check_clean();
}

TEST(disk_that_stalled_is_closed_by_any_disks_next_call_and_used_again)
{
    check_each(6, stall);
}

TEST(disk_that_stalled_is_closed_by_its_own_next_call_and_used_again)
{
    bad = sim_disk(51776);
    sim_boot();
    bad->stalled_until = sim_now + 100 * SECOND;
    check_equal(sim_read_unchecked(bad, 60000, 100), DISK_RET_ETIMEOUT);
    u64 begin = sim_now;
    // while it still keeps our pages, a call fails at once
    check_equal(sim_read_unchecked(bad, 60000, 100), DISK_RET_ETIMEOUT);
    check_true(sim_now - begin < SECOND);
    sim_pass(100 * SECOND);
    check_equal(sim_read(bad, 60000, 100), 0);
}

// Each dead disk keeps the slots that it was to fill.
TEST(read_beside_dead_disks_that_have_most_slots_reads_nothing_twice)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 8 << 20; // chunks of 8 sectors, 32 of them
    make_two();
    struct backend *worse = sim_disk(51808);
    sim_boot();
    worse->stalled_until = bad->stalled_until = sim_now + 200 * SECOND;
    check_equal(sim_read_unchecked(bad, 60000, 128), DISK_RET_ETIMEOUT);
    check_equal(sim_read_unchecked(worse, 60000, 64), DISK_RET_ETIMEOUT);
    u32 size;
    for (size = 8; size <= 48; size += 8) {
        u32 before = good->requests, sector = 1000 * size;
        check_equal(sim_read_unchecked(good, sector, size), 0);
        // one slot stays for the other disks
        check_equal(good->requests - before, 6);
        check_equal(sim_read_unchecked(good, sector, size), 0);
        check_equal(good->requests - before, 6);
    }
}

static void
stall_in_post(int n)
{
    int i;
    make_two();
    for (i = 2; i < n; i++)
        sim_disk(51776 + 16 * i)->domid = i + 1;
    for (i = 0; i < backend_count; i++)
        if (backends[i] != good)
            backends[i]->stalled_until = 15 * SECOND;
    sim_boot();
    if (sim_now > 17 * SECOND)
        fail("POST took %llu ms", sim_now / MS);
    check_equal(sim_drive_count, backend_count);
    for (i = 0; i < backend_count; i++)
        check_equal(sim_read(backends[i], 60000, 100), 0);
}

TEST(disks_that_stall_for_15_s_in_post_are_found)
{
    check_each(1, stall_in_post);
    check_each(5, stall_in_post);
}

TEST(disk_that_stalled_in_post_is_left_as_it_was_once_it_has_let_go)
{
    make_two();
    bad->stalled_until = 45 * SECOND;
    sim_boot_unchecked();
    check_true(!sim_drive(bad));
    check_good();
    sim_check_clean_but(bad);
    sim_pass(60 * SECOND);
    check_good();
    sim_check_clean();
}

static int
be_quick_once_connected(struct backend *be, int state)
{
    if (state == XenbusStateConnected)
        be->latency = 0;
    return state;
}

// With so many disks that answer nothing; in the second half of the runs they take long
// to connect, and then answer nothing.
static void
silent(int n)
{
    static const int counts[] = { 1, 4, 15, 16 };
    int i, disks = counts[n % 4];
    for (i = 0; i < disks; i++) {
        struct backend *be = sim_disk(1 << 28 | i << 8);
        be->io_latency = 4000 * SECOND;
        be->domid = i + 1;
        be->indirect = i % 2 ? 256 : 0;
        if (n >= 4) {
            be->latency = 15 * SECOND;
            be->hook_state = be_quick_once_connected;
        }
    }
    good = disks < 16 ? sim_disk(1 << 28 | 99 << 8) : NULL;
    sim_boot_unchecked();
    if (sim_now > 31 * SECOND)
        fail("POST with %d silent disks took %llu ms", disks, sim_now / MS);
    check_equal(sim_drive_count, !!good);
    for (i = 0; i < disks; i++)
        if (!backends[i]->requests)
            fail("disk %d was not even asked", i);
    if (good)
        check_good();
}

TEST(post_with_disks_that_answer_nothing_takes_30_s_in_all)
{
    check_each(8, silent);
}


/****************************************************************
 * Slow, but alive
 ****************************************************************/

static void
slow(int n)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 2048u << 20;
    make_two();
    bad->indirect = 0;
    sim_boot();
    bad->io_latency = 20 * SECOND;
    bad->one_by_one = 1;
    u32 before = bad->requests;
    check_equal(n ? sim_write(bad, 60000, 128) : sim_read(bad, 60000, 128), 0);
    // a window of one request would say nothing
    check_true(bad->requests - before > 2);
    sim_check_image(bad);
}

TEST(wait_for_io_goes_on_as_long_as_answers_come)
{
    check_each(2, slow);
}

static int left;

static int
lose_rest(struct backend *be, struct blkif_response *rsp)
{
    return left-- > 0;
}

TEST(wait_for_io_ends_30_s_after_the_last_answer)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 2048u << 20;
    make_two();
    bad->indirect = 0;
    sim_boot();
    bad->io_latency = 8 * SECOND;
    bad->one_by_one = 1;
    // of three for a chunk
    left = 2;
    bad->hook_response = lose_rest;
    u64 begin = sim_now;
    check_equal(sim_read_unchecked(bad, 60000, 100), DISK_RET_ETIMEOUT);
    if (sim_now - begin < 36 * SECOND || sim_now - begin > 70 * SECOND)
        fail("it took %llu s", (sim_now - begin) / SECOND);
    check_good();
}

// A bad sector, at which storage tries again and again.
static int
lose_errors(struct backend *be, struct blkif_response *rsp)
{
    return rsp->status == BLKIF_RSP_OKAY;
}

static void
make_stalling_sector(u32 sector)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 2048u << 20; // chunks of 256 sectors
    make_two();
    sim_boot();
    bad->bad_from = sector;
    bad->bad_to = sector + 1;
    bad->hook_response = lose_errors;
}

TEST(sectors_that_came_before_the_read_ahead_stalled_are_returned)
{
    make_stalling_sector(61000);
    check_equal(sim_read(bad, 60000, 10), 0);
    check_true(sim_logged("xvde: backend did not answer in time"));
    // also those that were read with them
    u32 connects = bad->connects;
    check_equal(sim_read(bad, 59904, 96), 0);
    check_equal(bad->connects, connects);
    check_good();
}

TEST(run_ends_in_front_of_a_chunk_that_stalled_before)
{
    make_stalling_sector(61000);
    check_equal(sim_read(bad, 60672, 8), 0);
    check_true(sim_logged("xvde: backend did not answer in time"));
    // nothing is cached any more
    sim_pass(3 * SECOND);
    u64 begin = sim_now;
    u32 reads = bad->reads;
    check_equal(sim_read(bad, 60160, 8), 0);
    check_equal(bad->reads - reads, 3);
    check_true(sim_now - begin < SECOND);
}

TEST(disk_with_a_sector_that_stalls_is_read_around_it)
{
    u32 sector;
    make_stalling_sector(61000);
    u64 begin = sim_now;
    for (sector = 59904; sector < 63000; sector += 8)
        // 61000 is the first of one of these
        check_equal(sim_read(bad, sector, 8), sector == 61000 ? DISK_RET_ETIMEOUT : 0);
    // ahead of it at most twice, and the sector itself
    check_true(sim_now - begin < 100 * SECOND);
}

// What lies between what is cached and what is wanted is read as well, but not this.
TEST(chunk_that_stalled_before_is_not_read_with_the_one_behind_it)
{
    make_stalling_sector(61000);
    check_equal(sim_read(bad, 60672, 8), 0);
    check_true(sim_logged("xvde: backend did not answer in time"));
    u64 begin = sim_now;
    check_equal(sim_read(bad, 61184, 8), 0);
    check_equal(sim_read(bad, 61176, 16), 0);
    check_true(sim_now - begin < SECOND);
}

static void
read_later(int n)
{
    make_stalling_sector(60090);
    bad->largest = 0;
    check_equal(sim_read(bad, 60000, 10), DISK_RET_ETIMEOUT);
    // somebody has looked at the message
    sim_pass((n ? 60 : 1) * SECOND);
    check_equal(sim_read(bad, 60000, 10), 0);
    check_equal(sim_read(bad, 60080, 10), 0);
    sim_pass((n ? 60 : 1) * SECOND);
    check_equal(sim_read(bad, 60091, 10), 0);
}

TEST(sector_that_shares_its_chunk_with_one_that_stalls_is_read_at_the_second_try)
{
    check_each(2, read_later);
}


/****************************************************************
 * Nothing is lost for ever
 ****************************************************************/

static int
lose(struct backend *be, struct blkif_response *rsp)
{
    return 0;
}

static u32
requests_of_a_window(struct backend *be, u32 sector)
{
    u32 before = be->requests;
    check_equal(sim_read(be, sector, 128), 0);
    return be->requests - before;
}

// Again and again requests are lost, or answered late: numbers, references and
// slots of the cache are free again once the close has ended.
static void
lose_often(int n)
{
    u32 i;
    make_two();
    sim_boot();
    u32 window = requests_of_a_window(good, 100000);
    for (i = 0; i < 12; i++) {
        if (n)
            bad->stalled_until = sim_now + 40 * SECOND;
        else
            bad->hook_response = lose;
        check_equal(sim_read_unchecked(bad, 10000 + 10000 * i, 128)
                    , DISK_RET_ETIMEOUT);
        bad->hook_response = NULL;
        sim_pass(60 * SECOND);
        check_equal(sim_read(bad, 10000 + 10000 * i, 128), 0);
    }
    // the first read of each takes half of the cache: the other was read as well
    check_true(requests_of_a_window(good, 200000) < window);
    check_equal(requests_of_a_window(good, 100000), window);
    check_true(requests_of_a_window(bad, 200000) < window);
    check_equal(requests_of_a_window(bad, 150000), window);
}

TEST(numbers_and_slots_of_a_dead_disk_are_free_again_after_its_close)
{
    check_each(2, lose_often);
}

static void
keep_pages(struct backend *be)
{
    be->keep_mapped = 1;
}

// What is mapped is nobody's: neither its numbers nor its references are used for
// another disk, which has enough of both all the same.
static void
keep_for_ever(int n)
{
    int i;
    make_two();
    bad->indirect = n ? 0 : 256;
    sim_boot();
    bad->hook_io = keep_pages;
    check_equal(sim_read_unchecked(bad, 60000, 128), DISK_RET_ETIMEOUT);
    // in one line, however often it is looked at again
    check_true(sim_logged("xen: xvde: backend has closed, but still maps our pages\n"));
    sim_clear_log();
    for (i = 0; i < 20; i++)
        check_good();
    check_true(!sim_logged("still maps"));
    check_true(!sim_logged("is in use"));
    sim_check_clean_but(bad);
    sim_check_image(good);
}

TEST(pages_that_a_backend_keeps_cost_no_other_disk_its_requests)
{
    check_each(2, keep_for_ever);
}

// A call that fails is one all the same: what is cached of other disks stays.
TEST(disk_that_fails_does_not_age_what_is_cached_of_others)
{
    int i;
    make_two();
    bad->mode = "r";
    sim_boot();
    check_equal(sim_read(good, 100000, 10), 0);
    u32 before = good->connects;
    for (i = 0; i < 5; i++) {
        sim_pass(1500 * MS);
        check_equal(sim_write(bad, 60000, 1), DISK_RET_EWRITEPROTECT);
    }
    sim_pass(1500 * MS);
    check_equal(sim_read(good, 100000, 10), 0);
    check_equal(good->connects, before);
}

static char written[64];

static int
note_states(struct store_request *request)
{
    if (request->msg.type == XS_WRITE && strstr(request->path, "/state")
        && strlen(written) < sizeof(written) - 2)
        strcat(written, request->value);
    return STORE_NORMAL;
}

static void
get_ready(void *arg)
{
    struct backend *be = arg;
    be->hook_state = NULL;
    backend_set_state(be, XenbusStateInitWait);
}

static int
get_ready_late(struct backend *be, int state)
{
    if (state != XenbusStateInitWait)
        return state;
    sim_at(sim_now + 40 * SECOND, get_ready, be);
    return -1;
}

// It needs no second close: an OS may have come meanwhile.
TEST(backend_that_is_ready_late_is_attached_to_without_another_close)
{
    make_two();
    sim_boot();
    bad->hook_state = get_ready_late;
    check_equal(sim_read_unchecked(bad, 60000, 10), 0);
    check_true(sim_logged("xen: xvde: backend did not get ready in 30 s (state 6)"));
    sim_pass(20 * SECOND);
    check_equal(bad->state, XenbusStateInitWait);
    store.hook = note_states;
    check_equal(sim_read(bad, 100000, 10), 0);
    check_string(written, "461");
}

// A backend that takes seconds for each change of a state, as where many guests
// start at once: it may cost its disk, but POST waits until it has closed.
static void
slow_states(int n)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    be->domid = 1;
    be->latency = n * 3 * SECOND;
    sim_boot_unchecked();
    // what all disks share, and the two waits of a close
    check_true(sim_now < 81 * SECOND);
    check_true(sim_drive(other));
    sim_pass(60 * SECOND);
    sim_check_clean();
}

TEST(backend_that_is_slow_in_post_is_closed_before_its_end)
{
    check_each(10, slow_states);
}


/****************************************************************
 * What a backend still has
 ****************************************************************/

static void
stall_writes(struct backend *be)
{
    if (be->reads >= 2)
        be->stalled_until = sim_now + 4000 * SECOND;
}

// The sector is read, a part of it changed, and the whole written, out of the same slot.
TEST(slot_of_a_part_of_a_large_sector_is_the_backends_until_the_write_ends)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 8 << 20;
    make_two();
    bad->sector_size = 4096;
    sim_boot();
    bad->hook_io = stall_writes;
    check_equal(sim_write_unchecked(bad, 60001, 1), DISK_RET_ETIMEOUT);
    int i;
    for (i = 0; i < 40; i++)
        check_equal(sim_read_unchecked(good, 1000 + 500 * i, 128), 0);
}

static int
fall_asleep(struct backend *be, int state)
{
    if (state == XenbusStateConnected)
        be->latency = 40 * SECOND;
    return state;
}

static void
lose_frontend(void *arg)
{
    backend_vanish(bad, VANISH_FRONTEND);
}

// A backend that still has the ring takes its requests later, when the frontend's
// directory is gone: their references must not be another disk's of the same domain.
TEST(references_of_requests_that_are_not_taken_yet_stay_the_rings)
{
    make_two();
    good->domid = bad->domid;
    sim_boot();
    bad->hook_state = fall_asleep;
    bad->io_latency = 60 * SECOND;
    u64 begin = sim_now;
    sim_at(begin + 29 * SECOND, lose_frontend, NULL);
    check_equal(sim_read_unchecked(bad, 60000, 128), DISK_RET_ETIMEOUT);
    check_true(sim_now - begin < 35 * SECOND);
    check_equal(bad->requests, 1);
    sim_pass(begin + 36 * SECOND - sim_now);
    good->io_latency = 10 * SECOND;
    check_equal(sim_read_unchecked(good, 60000, 128), 0);
    check_true(bad->requests > 1);
    check_true(bad->open > 0);
    good->io_latency = 80 * US;
    sim_pass(200 * SECOND);
    check_good();
    sim_check_clean();
}

// The toolstack has put another device in the place of one that still has I/O under way.
TEST(disk_that_is_replaced_while_pages_are_kept_lets_go_of_them)
{
    static const char *const names[] = { "ring-ref", "event-channel", "protocol" };
    make_two();
    sim_boot();
    bad->stalled_until = sim_now + 300 * SECOND;
    check_equal(sim_read_unchecked(bad, 60000, 10), DISK_RET_ETIMEOUT);
    char path[128];
    int i;
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", bad->frontend, names[i]);
        store_rm(path);
    }
    store_printf("2", "%s/state", bad->backend);
    store_printf("1", "%s/state", bad->frontend);
    bad->state = XenbusStateInitWait;
    check_good();
    sim_pass(400 * SECOND);
    backend_free_ring(bad);
    check_good();
    sim_check_clean();
    check_equal(sim_read(bad, 60000, 10), 0);
}

// Indirect requests: their page of segments is given back before the pages of data.
TEST(reference_that_was_given_back_may_be_somebody_elses)
{
    make_two();
    sim_boot();
    bad->stalled_until = sim_now + 300 * SECOND;
    check_equal(sim_read_unchecked(bad, 60000, 128), DISK_RET_ETIMEOUT);
    // a backend may let go of the ring's page before those of data
    hv_unmap_grant(bad->ring_ref, 1);
    sim_read_unchecked(good, 60000, 10);
    // iPXE takes what is free
    static grant_entry_v1_t before[XENGRANT_REFS];
    int i;
    for (i = 8; i < XENGRANT_REFS; i++)
        if (!hv.grants[i].flags && !hv.grants[i].domid && !hv.grants[i].frame)
            hv.grants[i] = (grant_entry_v1_t){ GTF_permit_access, 5, i };
    memcpy(before, hv.grants, sizeof(before));
    sim_read_unchecked(good, 90000, 10);
    for (i = 8; i < XENGRANT_REFS; i++)
        if (before[i].domid == 5)
            check_true(!memcmp(&before[i], &hv.grants[i], sizeof(before[i])));
}


/****************************************************************
 * A disk that was left to its twin
 ****************************************************************/

// The only disk stalls in POST, or when it is read; then nothing but its twin is used.
static void
stall_with_twin(int n)
{
    struct backend *be = sim_disk(51712);
    sim_twin(be, DTYPE_ATA, 0);
    be->domid = 1;
    if (n)
        be->stalled_until = 60 * SECOND;
    sim_boot_unchecked();
    if (!n) {
        be->stalled_until = sim_now + 45 * SECOND;
        check_equal(sim_read_unchecked(be, 60000, 10), 0);
    }
    sim_pass(200 * SECOND);
    check_equal(sim_read_unchecked(be, 70000, 10), 0);
    sim_check_clean();
}

TEST(close_goes_on_at_the_calls_of_a_twin)
{
    check_each(2, stall_with_twin);
}

TEST(close_goes_on_at_a_hint)
{
    bad = sim_disk(51776);
    sim_boot();
    bad->stalled_until = sim_now + 45 * SECOND;
    check_equal(sim_read_unchecked(bad, 60000, 100), DISK_RET_ETIMEOUT);
    // this one comes too early
    xen_handover();
    sim_pass(50 * SECOND);
    xen_handover();
    sim_check_clean();
}
