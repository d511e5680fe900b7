// Indirect requests: large reads of which each has its segments on a page of
// its own, if the backend takes them.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

static struct backend *
boot_with(u32 segments)
{
    struct backend *be = sim_disk(51776);
    be->indirect = segments;
    sim_boot();
    return be;
}

// Read a window, and say how many requests that were.
static u32
read_window(struct backend *be, u32 *indirects)
{
    u32 requests = be->requests;
    *indirects = be->indirects;
    check_equal(sim_read(be, 100000, 128), 0);
    *indirects = be->indirects - *indirects;
    return be->requests - requests;
}

// Chunks have 32 pages here.
static void
as_offered(int n)
{
    static const struct {
        u32 offer, requests_a_chunk, indirects_a_chunk;
    } offers[] = {
        { 0, 3, 0 }, { 1, 3, 0 }, { 11, 3, 0 },
        { 12, 3, 2 },       // and the last eight pages by a plain one
        { 16, 2, 2 }, { 31, 2, 1 }, { 32, 1, 1 }, { 256, 1, 1 },
    };
    extern u32 LegacyRamSize;
    LegacyRamSize = 2048u << 20;
    u32 indirects, requests;
    requests = read_window(boot_with(offers[n].offer), &indirects);
    // 2 MiB are read first
    check_equal(requests, 16 * offers[n].requests_a_chunk);
    check_equal(indirects, 16 * offers[n].indirects_a_chunk);
}

TEST(indirect_requests_are_as_large_as_offered_and_no_larger_than_a_chunk)
{
    check_each(8, as_offered);
}

static void
bad_offer(int n)
{
    static const char *texts[] = {
        "", "abc", "-1", "64x", "4294967360", "99999999999999999999999",
    };
    struct backend *be = sim_disk(51776);
    be->indirect_text = texts[n];
    be->indirect = !strcmp(texts[n], "4294967360") ? 256 : 0;
    sim_boot();
    u32 indirects;
    read_window(be, &indirects);
    check_true(be->indirect ? indirects : !indirects);
}

TEST(indirect_requests_are_not_made_if_the_offer_is_no_number)
{
    check_each(6, bad_offer);
}

TEST(indirect_requests_of_chunks_of_any_size_bring_the_right_sectors)
{
    extern u32 LegacyRamSize;
    struct backend *be = sim_disk(51776);
    be->indirect = 20;
    be->sectors = 262144 - 3;
    LegacyRamSize = 128 << 20;
    sim_boot();
    u32 i;
    for (i = 0; i < 262144 - 128; i += 5000)
        check_equal(sim_read(be, i, 128), 0);
    check_equal(sim_read(be, 262144 - 3 - 128, 128), 0);
    check_true(be->indirects > 50);
}

TEST(indirect_requests_are_for_reads_only)
{
    struct backend *be = boot_with(256);
    u32 before = be->indirects, i;
    for (i = 0; i < 20; i++)
        check_equal(sim_write(be, 1000 * i, 128), 0);
    check_equal(be->indirects, before);
    sim_check_image(be);
}

// A backend after a migration may take none; it need not say so.
TEST(indirect_requests_that_fail_are_made_plain)
{
    struct backend *be = boot_with(256);
    be->no_indirect = 1;
    check_equal(sim_read(be, 1000, 128), 0);
    u32 before = be->indirects;
    check_equal(sim_read(be, 60000, 128), 0);
    check_equal(sim_read(be, 120000, 128), 0);
    check_equal(be->indirects, before);
}

static int steps_left;

// The next backend does not know them; a move between two calls is not noticed.
static void
move(void)
{
    if (steps_left--)
        return;
    hv_move(hv.domid + 1);
    backends[0]->no_indirect = 1;
}

static void
moves_in_a_read(int n)
{
    struct backend *be = boot_with(256);
    steps_left = 3 * n;
    sim_step = move;
    check_equal(sim_read(be, 1000, 128), 0);
    check_equal(sim_read(be, 60000, 128), 0);
    check_true(steps_left < 0);
}

TEST(indirect_requests_are_not_needed_after_a_move)
{
    check_each(25, moves_in_a_read);
}

static int
inner_number(struct backend *be, struct blkif_response *rsp)
{
    be->hook_response = NULL;
    rsp->id++;
    return 1;
}

// Its three numbers are one request's: only the first can be answered. A plain
// request of the same disk has had that number before.
TEST(indirect_request_is_answered_by_its_first_number_only)
{
    struct backend *be = boot_with(256);
    u32 before = be->requests;
    check_equal(sim_write(be, 5112, 16), 0); // parts of two chunks
    check_equal(be->requests - before, 3);
    be->hook_response = inner_number;
    check_equal(sim_read_unchecked(be, 100000, 1), DISK_RET_ETIMEOUT);
    check_true(sim_logged("answers a request that is not under way ("));
}

// Plain and indirect requests of several disks, all under way at once.
TEST(indirect_requests_share_the_numbers_with_plain_ones)
{
    int i;
    for (i = 0; i < 16; i++) {
        struct backend *be = sim_disk(1 << 28 | i << 8);
        be->indirect = i % 3 ? 64 : 0;
        be->io_latency = i * MS;
    }
    sim_boot();
    for (i = 0; i < 16; i++)
        check_equal(sim_read(backends[i], 40000, 128), 0);
}
