// Backends and toolstacks that break the rules.
//
// Nothing they do may crash or hang the BIOS, corrupt memory or another disk,
// or give wrong data with success.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

static struct backend *bad, *good;

static void
boot_two(void)
{
    bad = sim_disk(51776);
    good = sim_disk(51792);
    bad->domid = 1;
    good->domid = 2;
    sim_boot();
}

// The other disk works, with all data right.
static void
check_good(void)
{
    u32 i;
    for (i = 0; i < 10; i++) {
        check_equal(sim_read_unchecked(good, 3000 * i, 128), 0);
        check_equal(sim_write_unchecked(good, 100 * i, 20), 0);
    }
    for (i = 0; i < 10; i++)
        check_equal(sim_read_unchecked(good, i * 100, 128), 0);
    sim_check_image(good);
}


/****************************************************************
 * Responses
 ****************************************************************/

static u32 wait_for;        // responses before the bad one

// Bad responses. Each returns 1 if the response is to be pushed.
static int
other_id(struct backend *be, struct blkif_response *rsp)
{
    rsp->id = (rsp->id + 7) % 32;
    return 1;
}

static int
id_out_of_range(struct backend *be, struct blkif_response *rsp)
{
    rsp->id = 32;
    return 1;
}

static int
id_of_64_bits(struct backend *be, struct blkif_response *rsp)
{
    rsp->id |= 1ULL << 32;
    return 1;
}

static int
id_negative(struct backend *be, struct blkif_response *rsp)
{
    rsp->id = -1ULL;
    return 1;
}

static int
id_twice(struct backend *be, struct blkif_response *rsp)
{
    backend_push(be, rsp);
    return 1;
}

static int
other_operation(struct backend *be, struct blkif_response *rsp)
{
    rsp->operation = rsp->operation == BLKIF_OP_READ ? BLKIF_OP_WRITE
                     : BLKIF_OP_READ;
    return 1;
}

static int
unknown_operation(struct backend *be, struct blkif_response *rsp)
{
    rsp->operation = 0xff;
    return 1;
}

static int
no_response(struct backend *be, struct blkif_response *rsp)
{
    return 0;
}

static int
producer_jumps(struct backend *be, struct blkif_response *rsp)
{
    be->rsp_prod += 40;
    return 1;
}

static int
producer_jumps_far(struct backend *be, struct blkif_response *rsp)
{
    be->rsp_prod += 1u << 31;
    return 1;
}

static int
producer_goes_back(struct backend *be, struct blkif_response *rsp)
{
    be->rsp_prod -= 2;
    return 1;
}

static int
garbage(struct backend *be, struct blkif_response *rsp)
{
    memset(be->sring, 0xa5, 4096);
    be->spoilt = 1;
    return 0;
}

static int (*const breaks[])(struct backend *be, struct blkif_response *rsp) = {
    other_id, id_out_of_range, id_of_64_bits, id_negative, id_twice,
    other_operation, unknown_operation, no_response, producer_jumps,
    producer_jumps_far, producer_goes_back, garbage,
};

static int (*bad_response)(struct backend *be, struct blkif_response *rsp);

static int
once(struct backend *be, struct blkif_response *rsp)
{
    if (wait_for--)
        return 1;
    be->hook_response = NULL;
    return bad_response(be, rsp);
}

// A response that is wrong in one of the ways, to a read or a write; the
// backend has done the work, or keeps all pages mapped.
static void
broken_response(int n)
{
    bad_response = breaks[n % ARRAY_SIZE(breaks)];
    n /= ARRAY_SIZE(breaks);
    boot_two();
    wait_for = n & 1 ? 3 : 0;
    bad->keep_mapped = n & 2;
    bad->hook_response = once;
    u64 begin = sim_now;
    // a read ends well if the answer that does not come is to what is read ahead
    int ahead = n == 1 && (bad_response == no_response || bad_response == producer_goes_back);
    check_equal(n & 4 ? sim_write_unchecked(bad, 1000, 128) : sim_read_unchecked(bad, 1000, 128)
                , ahead ? 0 : DISK_RET_ETIMEOUT);
    check_true(sim_now - begin < 60 * SECOND);
    check_true(sim_logged("xen: xvde: backend "));
    if (!bad->keep_mapped && (bad_response == producer_jumps
                              || bad_response == producer_jumps_far))
        check_true(sim_logged("has an impossible response index"));
    check_good();
    // the disk is dead as long as the backend keeps its pages, and no longer
    begin = sim_now;
    int want = bad->keep_mapped ? DISK_RET_ETIMEOUT : 0;
    check_equal(sim_read_unchecked(bad, 5000, 1), want);
    check_equal(sim_write_unchecked(bad, 5000, 1), want);
    check_true(sim_now - begin < 20 * SECOND);
    check_good();
    sim_check_clean_but(bad->keep_mapped ? bad : NULL);
}

TEST(response_that_breaks_the_protocol_kills_the_disk_and_nothing_else)
{
    check_each(ARRAY_SIZE(breaks) * 8, broken_response);
}

static int status;

static int
bad_status(struct backend *be, struct blkif_response *rsp)
{
    rsp->status = status;
    return 1;
}

static void
failing_status(int n)
{
    static const s16 values[] = { -1, -2, -3, 1, 77, 32767, -32768 };
    status = values[n % 7];
    boot_two();
    bad->hook_response = bad_status;
    check_equal(n < 7 ? sim_read(bad, 1000, 9) : sim_write(bad, 1000, 9)
                , DISK_RET_EBADTRACK);
    // it is an error of these sectors, not of the disk
    bad->hook_response = NULL;
    check_equal(sim_read(bad, 1000, 9), 0);
    check_good();
}

TEST(response_with_any_bad_status_fails_the_call_only)
{
    check_each(14, failing_status);
}

TEST(response_of_a_disk_cannot_answer_what_another_disk_has_lost)
{
    boot_two();
    bad->hook_response = no_response;
    check_equal(sim_read_unchecked(bad, 1000, 128), DISK_RET_ETIMEOUT);
    bad_response = other_id;
    u32 id;
    for (id = 0; id < 8; id++) {
        check_equal(sim_read_unchecked(good, 10000 * id, 1), 0);
    }
    wait_for = 0;
    good->hook_response = once;
    check_equal(sim_read_unchecked(good, 200000, 1), DISK_RET_ETIMEOUT);
    check_true(sim_logged("xen: xvdf: backend answers a request that is not"));
}

TEST(response_after_the_limit_finds_nobody_and_no_page)
{
    boot_two();
    bad->io_latency = 80 * SECOND;
    u64 begin = sim_now;
    check_equal(sim_read_unchecked(bad, 1000, 128), DISK_RET_ETIMEOUT);
    check_true(sim_now - begin > 29 * SECOND);
    check_true(sim_now - begin < 50 * SECOND);
    check_true(sim_logged("xen: xvde: backend did not answer in time"));
    check_good();
    // its answers come while nobody waits, and then all is as before
    sim_pass(200 * SECOND);
    bad->io_latency = 80 * US;
    check_good();
    sim_check_clean();
    check_equal(sim_read(bad, 1000, 128), 0);
    check_equal(sim_write(bad, 1000, 128), 0);
}

TEST(response_that_takes_20_seconds_is_waited_for)
{
    boot_two();
    bad->io_latency = 20 * SECOND;
    check_equal(sim_read(bad, 1000, 4), 0);
    check_equal(sim_write(bad, 1000, 4), 0);
}

static int spoiled;

static int
spoil_taken(struct backend *be, struct blkif_response *rsp)
{
    // what was pushed longer ago than a nap lasts has been taken
    static u64 last;
    RING_IDX i;
    if (sim_now - last > 22 * MS) {
        for (i = be->rsp_prod - 16; i != be->rsp_prod; i++)
            memset(&be->sring->ring[i % 32], 0xa5, sizeof(be->sring->ring[0]));
        spoiled++;
    }
    last = sim_now;
    return 1;
}

TEST(response_that_is_changed_after_it_was_taken_changes_nothing)
{
    boot_two();
    u32 i;
    bad->hook_response = spoil_taken;
    bad->io_latency = 100 * MS;
    for (i = 0; i < 20; i++) {
        check_equal(sim_read(bad, 5000 + 3000 * i, 1), 0);
        check_equal(sim_write(bad, i * 7, 1), 0);
    }
    check_true(spoiled > 40);
    sim_check_image(bad);
}

static void
take_page(struct backend *be)
{
    be->keep_mapped = 1;
}

TEST(backend_that_keeps_pages_mapped_after_it_answered_is_not_used_again)
{
    boot_two();
    bad->hook_io = take_page;
    check_equal(sim_read_unchecked(bad, 1000, 128), DISK_RET_ETIMEOUT);
    check_true(sim_logged("still maps pages of a request it answered"));
    check_good();
    check_equal(sim_read_unchecked(bad, 1000, 128), DISK_RET_ETIMEOUT);
    check_good();
}

static void
many_lost(int n)
{
    extern u32 LegacyRamSize;
    int i;
    if (n & 4)
        LegacyRamSize = 8 << 20;
    for (i = 0; i < 6; i++)
        sim_disk(51712 + 16 * i)->domid = i;
    sim_boot();
    good = backends[5];
    for (i = 0; i < 5; i++) {
        backends[i]->hook_response = no_response;
        backends[i]->keep_mapped = n & 1;
        check_true((n & 2 ? sim_write_unchecked(backends[i], 1000, 128)
                    : sim_read_unchecked(backends[i], 1000, 128)) != 0);
        // requests and pages get scarce: a call may fail, but not lie
        sim_read_unchecked(good, 1000 * i, 128);
        sim_write_unchecked(good, 1000 * i, 128);
        sim_read_unchecked(good, 1000 * i, 128);
        sim_check_image(good);
    }
    check_equal(sim_read_unchecked(good, 0, 1), 0);
}

TEST(backends_that_lose_all_requests_leave_wrong_data_to_nobody)
{
    check_each(8, many_lost);
}


/****************************************************************
 * Events
 ****************************************************************/

static void
storm(void *arg)
{
    int port;
    for (port = 1; port < 64; port++)
        hv_event(port);
    sim_at(sim_now + 3 * US, storm, NULL);
}

TEST(event_storm_harms_nothing)
{
    boot_two();
    storm(NULL);
    check_equal(sim_read_unchecked(bad, 1000, 100), 0);
    check_equal(sim_write_unchecked(bad, 1000, 100), 0);
    check_good();
}

static int
silent(u32 nr, u32 op, void *arg, int *ret)
{
    memset(hv.info->evtchn_pending, 0, sizeof(hv.info->evtchn_pending));
    return 0;
}

TEST(events_that_never_come_are_not_needed)
{
    hv.hook = silent;
    boot_two();
    check_equal(sim_read(bad, 1000, 100), 0);
    check_equal(sim_write(bad, 1000, 100), 0);
}


/****************************************************************
 * Bad sectors
 ****************************************************************/

TEST(bad_sector_fails_only_calls_that_want_it)
{
    struct backend *be = sim_disk(51776);
    be->bad_from = 10010;
    be->bad_to = 10012;
    sim_boot();
    check_equal(sim_read(be, 10005, 5), 0);
    check_equal(sim_read(be, 10012, 100), 0);
    check_equal(sim_read(be, 10010, 1), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, 10005, 6), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, 10011, 9), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, 9900, 110), 0);
    check_equal(sim_write(be, 10000, 10), 0);
    check_equal(sim_write(be, 10009, 2), DISK_RET_EBADTRACK);
    check_equal(sim_write(be, 10012, 3), 0);
    sim_check_image(be);
}

// What follows a chunk with a bad sector is cached once there is none any more: an
// error that was one of a moment, another medium, another disk.
static void
no_longer_bad(int n)
{
    int i;
    struct backend *be = n == 1 ? sim_cd(51776) : sim_disk(51776);
    sim_boot();
    u32 unit = n == 1 ? 4 : 1, sector = 10000 / unit;
    be->bad_from = 10008;
    be->bad_to = 10012;
    check_equal(sim_read(be, 10008 / unit, 1), DISK_RET_EBADTRACK);
    be->bad_from = be->bad_to = 0;
    switch (n) {
    case 0:
        sim_pass(3 * SECOND);
        break;
    case 1:
        backend_insert(be, "/dev/loop1", 99, 1);
        sim_pass(SECOND);
        break;
    case 2:
    case 3:
        backend_vanish(be, VANISH_DETACH);
        if (n == 2)
            be->sectors -= 1000;
        else
            be->params = "/dev/loop1";
        backend_plug(be);
        check_equal(sim_read(be, 200000, 1), 0);
        break;
    }
    u32 connects = be->connects;
    for (i = 0; i < 8; i++)
        check_equal(sim_read(be, sector + i, 1), 0);
    check_equal(be->connects, connects + 1);
}

TEST(chunk_that_could_not_be_read_whole_is_tried_again)
{
    check_each(4, no_longer_bad);
}

TEST(write_that_fails_in_one_chunk_tells_of_that_one)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 8 << 20; // chunks of 8 sectors
    struct backend *be = sim_disk(51776);
    sim_boot();
    be->bad_from = 8010;
    be->bad_to = 8012;
    check_equal(sim_write(be, 8000, 32), DISK_RET_EBADTRACK);
    char *first = strstr(sim_log, "xvde: writing ");
    check_true(sim_logged("xvde: writing 4 KiB at 1001 failed (-1)\n"));
    check_true(!strstr(first + 1, "xvde: writing "));
}

// A ring that stalls has its own line; no request has failed.
TEST(write_that_is_not_answered_tells_of_no_chunk)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 8 << 20;
    struct backend *be = sim_disk(51776);
    sim_boot();
    be->stalled_until = sim_now + 300 * SECOND;
    check_equal(sim_write_unchecked(be, 8000, 32), DISK_RET_ETIMEOUT);
    check_true(sim_logged("xvde: backend did not answer in time"));
    check_true(!sim_logged("xvde: writing "));
}

static int
lose_after_error(struct backend *be, struct blkif_response *rsp)
{
    static int errors;
    if (rsp->status == BLKIF_RSP_ERROR)
        errors++;
    return errors < 2;
}

// The window fails because of the sector, and then the part that is wanted gets
// no answer.
TEST(bad_sector_whose_second_try_is_not_answered_kills_the_disk)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 8 << 20;
    struct backend *be = sim_disk(51776);
    sim_boot();
    be->bad_from = be->sectors - 1;
    be->bad_to = be->sectors;
    be->hook_response = lose_after_error;
    check_equal(sim_read_unchecked(be, be->sectors - 1, 1), DISK_RET_ETIMEOUT);
    check_true(sim_logged("xen: xvde: backend did not answer in time"));
}

TEST(bad_sector_around_a_write_of_a_part_of_a_large_one_fails_the_write)
{
    struct backend *be = sim_disk(51776);
    be->sector_size = 4096;
    be->bad_from = 8000;
    be->bad_to = 8001;
    sim_boot();
    u32 before = be->writes;
    check_equal(sim_write(be, 8001, 1), DISK_RET_EBADTRACK);
    check_equal(be->writes, before);
    check_equal(sim_write(be, 8008, 1), 0);
}

TEST(bad_first_sector_leaves_a_disk_that_can_be_read_elsewhere)
{
    struct backend *be = sim_disk(51776);
    be->bad_from = 0;
    be->bad_to = 1;
    sim_boot();
    check_true(sim_drive(be));
    check_equal(sim_read(be, 0, 1), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, 1, 100), 0);
    check_true(sim_logged("xvde: its first sector cannot be read"));
    be->bad_to = 0;
    check_equal(sim_read(be, 0, 1), 0);
}

TEST(write_that_fails_is_reported_and_leaves_no_lie_in_the_cache)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    check_equal(sim_read(be, 1000, 100), 0);
    be->fail_writes = 1;
    check_equal(sim_write(be, 1010, 5), DISK_RET_EBADTRACK);
    check_equal(sim_write(be, 0, 1), DISK_RET_EBADTRACK);
    be->fail_writes = 0;
    check_equal(sim_read(be, 1000, 100), 0);
    check_equal(sim_read(be, 0, 1), 0);
    sim_check_image(be);
}

TEST(write_of_several_chunks_that_fails_leaves_none_of_them_in_the_cache)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = 8 << 20; // chunks of 8 sectors
    struct backend *be = sim_disk(51776);
    sim_boot();
    check_equal(sim_read(be, 1000, 60), 0);
    be->fail_writes = 1;
    check_equal(sim_write(be, 1003, 50), DISK_RET_EBADTRACK);
    be->fail_writes = 0;
    check_equal(sim_read(be, 1000, 60), 0);
    sim_check_image(be);
}

TEST(flush_that_fails_is_reported)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    be->fail_flush = BLKIF_RSP_ERROR;
    check_true(sim_write_unchecked(be, 1010, 5) != 0);
    check_true(sim_logged("xvde: flush failed"));
    // it may have been written all the same
    check_true(sim_write_unchecked(be, 0, 1) != 0);
    check_equal(sim_read_unchecked(be, 0, 1), 0);
    be->fail_flush = 0;
    check_equal(sim_read(be, 0, 1), 0);
    check_equal(sim_write(be, 1010, 5), 0);
}

// The store does not say whether there is something to flush: the write may be
// lost, and is not reported as done.
static const char *mute_node;
static int mute;

static int
keep_silent(struct store_request *request)
{
    return mute_node && strstr(request->path, mute_node) ? mute : STORE_NORMAL;
}

static void
unknown_flush(int n)
{
    struct backend *be = sim_disk(51776);
    be->flush = n % 2;
    be->barrier = 1;
    sim_boot();
    mute_node = n % 2 ? "feature-flush-cache" : "feature-barrier";
    mute = n / 2 ? STORE_ERROR : STORE_IGNORE;
    store.hook = keep_silent;
    check_true(sim_write_unchecked(be, 1010, 5) != 0);
    check_true(sim_logged(mute_node));
    mute_node = NULL;
    check_equal(sim_write(be, 1010, 5), 0);
    check_equal(be->dirty, 0);
}

TEST(write_fails_if_nobody_says_whether_it_needs_a_flush)
{
    check_each(4, unknown_flush);
}

static void
not_supported(int n)
{
    struct backend *be = sim_disk(51776);
    be->flush = !n;
    be->barrier = n;
    sim_boot();
    be->fail_flush = BLKIF_RSP_EOPNOTSUPP;
    check_equal(sim_write_unchecked(be, 1010, 5), 0);
    check_equal(n ? be->barriers : be->flushes, 1);
}

TEST(flush_that_is_offered_but_not_supported_is_no_error)
{
    check_each(2, not_supported);
}


/****************************************************************
 * Pages that a backend gets
 ****************************************************************/

// backend.c looks through every page that is mapped: what is to be filled is
// zero, what is to be written is this disk's or zero.
static void
grant_all_kinds(int n)
{
    extern u32 LegacyRamSize;
    struct backend *a = sim_disk(51776), *b = sim_disk(51792);
    u32 i;
    LegacyRamSize = n & 1 ? 8 << 20 : 64 << 20;
    a->domid = 1;
    b->domid = 2;
    a->sector_size = b->sector_size = n & 2 ? 4096 : 512;
    a->indirect = n & 4 ? 0 : 256;
    b->indirect = 20;
    // whole windows of it fail, and the parts are read one by one
    a->bad_from = 30000;
    a->bad_to = 30001;
    sim_boot();
    u32 before = pages_seen;
    for (i = 0; i < 128; i++) {
        struct backend *be = i & 1 ? a : b;
        u64 lba = sim_random(40000);
        sim_read_unchecked(be, lba, 1 + i);
        sim_write_unchecked(be, lba + sim_random(200), 1 + sim_random(128));
        sim_read_unchecked(a, 29900 + i, 1 + sim_random(20));
        sim_write_unchecked(be, sim_random(40000), 1);
    }
    sim_check_image(a);
    sim_check_image(b);
    if (pages_seen - before < 2000)
        fail("only %u pages were granted", pages_seen - before);
}

TEST(granted_pages_are_empty_or_hold_what_is_written_to_this_disk)
{
    check_each(8, grant_all_kinds);
}


/****************************************************************
 * Values of the store
 ****************************************************************/

// Boot with one odd disk: it becomes a drive or not, with a reason, and the
// other disk works.
static void
boot_odd(struct backend *odd, int drive, const char *reason)
{
    good = sim_disk(51792);
    good->domid = 2;
    sim_boot_unchecked();
    if (!!sim_drive(odd) != drive)
        fail("it is %s drive", drive ? "no" : "a");
    if (reason && !sim_logged(reason))
        fail("nobody says \"%s\"", reason);
    check_true(sim_logged(drive ? "xen: xvde: 51776, " : "xen: xvde: "));
    sim_check_clean();
    check_good();
}

static char digits[4097];

static void
odd_sectors(int n)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        { "0", "xvde: empty" }, { "1", "xvde: too small" },
        { "1007", "xvde: too small" }, { "1008", NULL },
        { "-1", "\"sectors\"" }, { "many", "\"sectors\"" },
        { "", "\"sectors\"" }, { "12345678901234567890", "\"sectors\"" },
        { "18446744073709551615", "\"sectors\"" },
        { "999999999999999999", "too large" }, { digits, "\"sectors\"" },
        { "5000\n", "\"sectors\"" }, { "0x5000", "\"sectors\"" },
    };
    memset(digits, '9', 4000);
    struct backend *be = sim_disk(51776);
    be->sectors_text = cases[n].text;
    be->sectors = 1008;
    boot_odd(be, !cases[n].reason, cases[n].reason);
}

TEST(backend_with_odd_sectors_is_refused_with_the_reason)
{
    check_each(13, odd_sectors);
}

static void
odd_sector_size(int n)
{
    static const struct {
        const char *text;
        int ok;
    } cases[] = {
        { "0", 0 }, { "1", 0 }, { "256", 0 }, { "511", 0 }, { "512", 1 },
        { "513", 0 }, { "1024", 1 }, { "1536", 0 }, { "2048", 1 },
        { "4096", 1 }, { "8192", 0 }, { "65536", 0 }, { "2147483648", 0 },
        { "4294967808", 0 }, { "big", 0 }, { "-512", 0 },
    };
    struct backend *be = sim_disk(51776);
    be->sector_size_text = cases[n].text;
    be->sector_size = cases[n].ok ? atoi(cases[n].text) : 512;
    boot_odd(be, cases[n].ok, cases[n].ok ? NULL : "sector");
    if (cases[n].ok) {
        check_equal(sim_read(be, 1001, 77), 0);
        check_equal(sim_write(be, 1001, 77), 0);
        check_equal(sim_drive(be)->blksize, 512);
    }
}

TEST(backend_with_sectors_of_odd_size_is_refused)
{
    check_each(16, odd_sector_size);
}

// What the layer can do without hides nothing that it needs.
TEST(backend_with_two_odd_numbers_is_refused_for_the_one_that_matters)
{
    struct backend *be = sim_disk(51776);
    be->sector_size_text = "big";
    be->indirect_text = "many";
    boot_odd(be, 0, "\"sector-size\"");
}

static void
table_units(int n)
{
    struct backend *be = sim_disk(51776);
    const u32 all = be->sectors / 8;
    const struct {
        u32 sector_size;
        u8 type;
        u32 lba, count, is_said;
    } cases[] = {
        { 4096, 0xee, 1, all - 1, 1 },
        { 4096, 0xee, 1, all / 2, 1 },          // the disk was enlarged
        { 4096, 0x83, 256, all - 256, 1 },
        { 4096, 0x83, 2048, all, 0 },           // copied from a disk with sectors of 512
        { 4096, 0x83, 0xffffffff, 0xffffffff, 0 },
        { 4096, 0, 256, 256, 0 },
        { 512, 0xee, 1, all - 1, 1 },           // copied from one with sectors of 4096
        { 512, 0xee, 1, all * 8 - 1, 0 },
        { 512, 0xee, 1, 0xffffffff, 0 },
        { 512, 0x83, 256, all - 256, 0 },
    };
    static struct partition_s table[4];
    int i = n & 3;
    table[i].type = cases[n].type;
    table[i].lba = cases[n].lba;
    table[i].count = cases[n].count;
    be->table = table;
    be->sector_size = cases[n].sector_size;
    sim_boot();
    check_equal(sim_logged("xvde: its partition table seems to count in sectors of 4096 bytes")
                , cases[n].is_said);
}

TEST(partition_table_in_sectors_of_4096_bytes_is_said)
{
    check_each(10, table_units);
}

static void
unknown_property(int n)
{
    static const char *const nodes[] = { "/sectors", "/sector-size", "/info" };
    struct backend *be = sim_disk(51776);
    be->sector_size = 4096;
    mute_node = nodes[n % 3];
    mute = n / 3 ? STORE_ERROR : STORE_LATE;
    store.hook = keep_silent;
    sim_boot_unchecked();
    check_true(!sim_drive(be));
    check_true(sim_logged(mute_node + 1));
}

// What is not known is not guessed: reads of 512 bytes fail where sectors are
// larger.
TEST(disk_whose_properties_cannot_be_read_is_left_out)
{
    check_each(6, unknown_property);
}

static void
odd_sectors_of_4096(int n)
{
    struct backend *be = sim_disk(51776);
    be->sector_size = 4096;
    be->sectors = 8 * 1000 + n;
    boot_odd(be, 1, NULL);
    sim_read(be, be->sectors - 1, 1);
    sim_write(be, be->sectors - 1, 1);
    check_equal(sim_read(be, 7900, 90), 0);
}

TEST(disk_of_4096_byte_sectors_that_ends_within_one_is_not_read_beyond)
{
    check_each(8, odd_sectors_of_4096);
}

// Nodes of the frontend that the toolstack writes.
static void
odd_frontend(int n)
{
    static char path[300];
    memset(path, 'p', 299);
    path[0] = '/';
    static const struct {
        const char *node, *value;
    } cases[] = {
        { "backend", "" }, { "backend", NULL }, { "backend", "relative/path" },
        { "backend", path }, { "backend", "/nowhere" }, { "backend-id", NULL },
        { "backend-id", "" }, { "backend-id", "-1" }, { "backend-id", "dom0" },
        { "backend-id", "32752" }, { "backend-id", "65536" },
        { "backend-id", "4294967296" },
    };
    struct backend *be = sim_disk(51776);
    sim_prepare();
    char node[128];
    snprintf(node, sizeof(node), "%s/%s", be->frontend, cases[n].node);
    if (cases[n].value)
        store_write(node, cases[n].value);
    else
        store_rm(node);
    u64 begin = sim_now;
    sim_post_setup();
    sim_post = 0;
    check_true(!sim_drive(be));
    check_true(sim_now - begin < 12 * SECOND);
    check_true(sim_logged("xen: xvde: "));
    if (n == 3)
        // the beginning of a path is another path
        check_true(sim_logged("xen: xvde: no usable backend path"));
    check_equal(be->connects, 0);
}

TEST(frontend_with_odd_nodes_is_refused_with_a_reason)
{
    check_each(12, odd_frontend);
}

TEST(frontend_that_names_another_domain_gives_its_pages_to_nobody_else)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    be->domid = 3;
    be->mislabelled = 1;
    sim_prepare();
    store_printf("4", "%s/backend-id", be->frontend);
    sim_remember();
    sim_boot_unchecked();
    check_true(!sim_drive(be));
    check_true(sim_drive(other));
    check_true(sim_logged("xen: xvde: backend does not connect"));
    sim_check_clean();
}

TEST(list_with_names_that_are_no_disks_is_read_all_the_same)
{
    static const char *names[] = {
        "abc", "51712x", "-1", "4294967296", "99999999999999999999", "0",
        "268435456268435456", "51 712", "suspend",
    };
    int i;
    struct backend *be = sim_disk(51776);
    sim_prepare();
    for (i = 0; i < ARRAY_SIZE(names); i++)
        store_printf("1", "/local/domain/7/device/vbd/%s/state", names[i]);
    sim_post_setup();
    check_equal(sim_drive_count, 1);
    check_true(sim_drive(be));
}

TEST(list_that_fills_a_whole_message_is_read)
{
    int i;
    sim_disk(51776);
    sim_prepare();
    // names of 16 bytes with their NUL, and "51776"
    for (i = 0; i < 255; i++)
        store_printf("", "/local/domain/7/device/vbd/disk%011u", i);
    store_printf("", "/local/domain/7/device/vbd/123456789");
    sim_post_setup();
    check_equal(sim_drive_count, 1);
}

TEST(properties_that_appear_only_when_connected_are_found)
{
    struct backend *early = sim_disk(51776), *late = sim_disk(51792);
    early->early = 1;
    early->kind = "qdisk";
    late->early = 0;
    sim_boot();
    check_true(sim_drive(early));
    check_true(sim_drive(late));
}

static u32 wait_full;
static int left, keep;

static int
none_after_these(struct backend *be, struct blkif_response *rsp)
{
    if (left-- > 0)
        return 1;
    be->keep_mapped = keep;
    return 0;
}

// What is wanted is answered, a chunk of 128 KiB in so many requests, and as much again.
// The rest that is read ahead is not.
static void
answer_two_chunks(struct backend *be)
{
    left = 2 * (be->indirect ? 1 : 3);
    be->hook_response = none_after_these;
}

// A ring full of requests that are never answered; the backend lets go of the
// pages when the frontend closes. The other disk has plain requests then.
static void
answers_nothing(int indirect)
{
    extern u32 LegacyRamSize;
    u32 i;
    LegacyRamSize = 2048u << 20;
    bad = sim_disk(51776);
    good = sim_disk(51792);
    bad->domid = 1;
    good->domid = 2;
    bad->indirect = indirect ? 256 : 0;
    sim_boot();
    for (i = 0; i < 80; i++)
        check_equal(sim_read_unchecked(bad, i * 128, 128), 0);
    wait_full = bad->requests;
    answer_two_chunks(bad);
    for (; !sim_logged("did not answer in time"); i++)
        check_equal(sim_read(bad, i * 128, 128), 0);
    // all numbers that are shared, three at a time, or one, and then its own
    check_equal(bad->requests - wait_full, indirect ? 2 + 8 : 6 + 25);
    check_good();
    sim_check_clean();
    for (i = 0; i < 80; i++)
        check_equal(sim_read_unchecked(good, 10000 + i * 128, 128), 0);
}

// A backend keeps the pages of what it has not answered: most slots of the cache stay the
// bad disk's, and what is read ahead of the good one finds few.
static void
few_slots(int n)
{
    extern u32 LegacyRamSize;
    u32 i;
    // slots of a page
    LegacyRamSize = 8 << 20;
    bad = sim_disk(51776);
    good = sim_disk(51792);
    bad->domid = 1;
    good->domid = 2;
    keep = 1;
    sim_boot();
    // what is wanted is answered, and n more
    for (i = 0; i < 40; i++)
        check_equal(sim_read_unchecked(bad, i * 8, 8), 0);
    left = n + 1;
    bad->hook_response = none_after_these;
    while (!sim_read_unchecked(bad, i * 8, 8))
        i++;
    for (i = 0; i < 200; i++)
        check_equal(sim_read_unchecked(good, 10000 + i * 3, 3), 0);
    for (i = 0; i < 40; i++)
        check_equal(sim_read_unchecked(good, i * 5000 + 200, 1), 0);
}

TEST(disk_with_few_slots_for_it_is_read_all_the_same)
{
    check_each(26, few_slots);
}

// All shared numbers are lost with the first disk.
TEST(backends_that_answer_nothing_leave_a_number_for_others)
{
    extern u32 LegacyRamSize;
    u32 i;
    LegacyRamSize = 2048u << 20;
    for (i = 0; i < 3; i++) {
        sim_disk(51776 + 16 * i);
        backends[i]->domid = i;
        backends[i]->indirect = 0;
    }
    sim_boot();
    for (i = 0; i < 2; i++) {
        answer_two_chunks(backends[i]);
        check_equal(sim_read(backends[i], 100000, 1), 0);
    }
    for (i = 0; i < 40; i++)
        check_equal(sim_read(backends[2], 5000 * i, 128), 0);
}

TEST(backend_that_answers_nothing_costs_other_disks_nothing)
{
    check_each(2, answers_nothing);
}


/****************************************************************
 * Others in the guest
 ****************************************************************/

TEST(page_that_somebody_has_mapped_elsewhere_is_mapped_again)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    hv_steal_pages();
    check_equal(sim_read(be, 1000, 10), 0);
    hv_steal_pages();
    check_equal(sim_write(be, 1000, 10), 0);
}

// Each grant reference of the layer is somebody else's.
static void
used_grant(int n)
{
    grant_entry_v1_t theirs = { GTF_permit_access, 5, 0x1234 };
    struct backend *be = sim_disk(51776);
    sim_boot();
    hv.grants[511 - n] = theirs;
    int ret = sim_read_unchecked(be, 1000, 128);
    check_memory(&hv.grants[511 - n], &theirs, sizeof(theirs));
    if (ret)
        check_true(sim_logged("is in use"));
    memset(&hv.grants[511 - n], 0, sizeof(theirs));
    sim_check_clean();
}

TEST(grant_reference_that_somebody_else_uses_is_left_alone)
{
    check_each(120, used_grant);
}

TEST(event_channels_that_run_out_fail_the_call_with_the_reason)
{
    struct backend *be = sim_disk(51776);
    int port;
    sim_boot();
    for (port = 4; port < SIM_PORTS; port++)
        hv.ports[port] = (struct sim_port){ PORT_UNBOUND, 9 };
    check_equal(sim_read_unchecked(be, 1000, 10), DISK_RET_ETIMEOUT);
    check_true(sim_logged("xen: xvde: no event channel to domain 0"));
    for (port = 4; port < SIM_PORTS; port++)
        hv.ports[port] = (struct sim_port){ PORT_FREE };
    check_equal(sim_read(be, 1000, 10), 0);
}
