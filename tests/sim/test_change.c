// What changes between two calls: the disk from outside, its medium, size, mode and
// features, and who has which grant entry.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

static struct backend *
boot_one(void)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    return be;
}


/****************************************************************
 * What is read once, and what is read again
 ****************************************************************/

// Somebody else writes to the disk.
static void
change(struct backend *be, u64 sector)
{
    u8 data[512];
    image_read(be, IMAGE_PV, sector, data);
    data[20] ^= 0xff;
    image_write(be, IMAGE_PV, sector, data);
}

static void
read_again(int n)
{
    static const u32 sectors[] = { 0, 1, 100, 511, 512 };
    struct backend *be = boot_one();
    if (n % 2)
        check_equal(sim_read(be, sectors[n / 2], 1), 0);
    // a boot menu, or another way to boot that was tried first
    sim_pass(60 * SECOND);
    change(be, sectors[n / 2]);
    check_equal(sim_read(be, sectors[n / 2], 1), 0);
    check_equal(sim_read(be, 0, 128), 0);
}

TEST(read_forgets_what_post_has_read_as_it_forgets_all)
{
    check_each(10, read_again);
}

TEST(write_to_a_disk_that_has_become_read_only_is_refused)
{
    struct backend *be = boot_one();
    check_equal(sim_write(be, 1000, 3), 0);
    u32 before = be->writes;
    store_printf("r", "%s/mode", be->backend);
    sim_pass(3 * SECOND);
    check_equal(sim_read(be, 50000, 3), 0);
    check_equal(sim_write(be, 1000, 3), DISK_RET_EWRITEPROTECT);
    check_equal(be->writes, before);
}

TEST(write_to_a_disk_that_was_read_only_is_carried_out)
{
    struct backend *be = boot_one();
    store_printf("r", "%s/mode", be->backend);
    check_equal(sim_write(be, 1000, 3), DISK_RET_EWRITEPROTECT);
    store_printf("w", "%s/mode", be->backend);
    check_equal(sim_write(be, 1000, 3), 0);
    sim_check_image(be);
}

// Taken away, and another one of its number is there.
static void
exchange(struct backend *be, u64 sectors)
{
    backend_vanish(be, VANISH_DETACH);
    be->sectors = sectors;
    backend_plug(be);
}

TEST(read_beyond_the_end_of_a_smaller_disk_before_is_carried_out)
{
    struct backend *be = boot_one();
    exchange(be, 100000);
    check_equal(sim_read(be, 1000, 3), 0);
    check_equal(sim_read(be, 200000, 3), DISK_RET_EBADTRACK);
    exchange(be, 262144);
    check_equal(sim_read(be, 200000, 3), 0);
    exchange(be, 100000);
    check_equal(sim_read(be, 1000, 3), 0);
    exchange(be, 262144);
    check_equal(sim_write(be, 200000, 3), 0);
    check_equal(sim_read(be, 99990, 20), 0);
}

// backend.c fails at a request beyond the end.
TEST(read_beyond_the_end_of_a_disk_that_has_shrunk_is_refused)
{
    struct backend *be = boot_one();
    be->sectors = 100000;
    sim_pass(3 * SECOND);
    check_equal(sim_read(be, 99900, 100), 0);
    check_true(sim_read(be, 99990, 11) != 0);
    check_true(sim_read(be, 200000, 1) != 0);
    check_true(sim_write(be, 100000, 1) != 0);
    check_equal(sim_write(be, 99999, 1), 0);
    check_equal(sim_read(be, 99900, 100), 0);
}

static int features_before, features_after;

static void
set_features(struct backend *be, int features)
{
    be->indirect = features & 1 ? 256 : 0;
    be->flush = !!(features & 2);
    be->barrier = !!(features & 4);
}

// What is not offered any more is not used: backend.c fails at an indirect request
// that is too large, and guest.c at a write without a flush.
static void
features(int n)
{
    struct backend *be = sim_disk(51776);
    features_before = n / 8;
    features_after = n % 8;
    set_features(be, features_before);
    sim_boot();
    check_equal(sim_read(be, 1000, 128), 0);
    check_equal(sim_write(be, 1000, 10), 0);
    set_features(be, features_after);
    u32 flushes = be->flushes, barriers = be->barriers, indirects = be->indirects;
    check_equal(sim_read(be, 100000, 128), 0);
    check_equal(sim_write(be, 100000, 10), 0);
    check_equal(be->indirects > indirects, features_after & 1);
    check_equal(be->flushes - flushes, !!(features_after & 2));
    check_equal(be->barriers - barriers, (features_after & 6) == 4);
    sim_check_image(be);
}

TEST(features_are_those_that_the_backend_offers_at_this_attach)
{
    check_each(64, features);
}

static int steps_left;

static void
move_to_a_plain_backend(void)
{
    if (steps_left--)
        return;
    backends[0]->indirect = 0;
    hv_move(hv.domid + 1);
}

static void
move_in_a_read(int n)
{
    struct backend *be = boot_one();
    steps_left = n;
    sim_step = move_to_a_plain_backend;
    check_equal(sim_read(be, 1000, 128), 0);
    check_equal(sim_read(be, 60000, 128), 0);
    check_true(steps_left < 0);
    u32 before = be->indirects;
    check_equal(sim_read(be, 120000, 128), 0);
    check_equal(be->indirects, before);
}

TEST(indirect_requests_are_not_made_of_a_new_backend_that_offers_none)
{
    check_each(60, move_in_a_read);
}

// A barrier that is not supported is no reason to ask for it each time, and
// none to fail.
TEST(flush_that_is_refused_is_asked_for_again_at_the_next_attach_only)
{
    struct backend *be = boot_one();
    be->fail_flush = BLKIF_RSP_EOPNOTSUPP;
    check_equal(sim_write_unchecked(be, 1000, 128), 0);
    check_true(be->flushes <= 1);
    be->fail_flush = 0;
    u32 before = be->flushes;
    check_equal(sim_write(be, 1000, 128), 0);
    check_equal(be->flushes, before + 1);
}


/****************************************************************
 * CDs
 ****************************************************************/

static struct backend *
boot_cd(void)
{
    struct backend *be = sim_cd(51776);
    sim_boot();
    return be;
}

static void
insert(int n)
{
    struct backend *be = boot_cd();
    check_equal(sim_read(be, 16, 4), 0);
    if (n)
        sim_pass(3 * SECOND);
    backend_insert(be, "/dev/loop1", 99, 1);
    be->sectors = n ? 300000 : 100000;
    sim_pass(3 * SECOND);
    // sim_read() compares with the new medium
    check_equal(sim_read(be, 16, 4), 0);
    check_equal(sim_read(be, be->sectors / 4 - 1, 1), 0);
    check_equal(sim_read(be, be->sectors / 4, 1), DISK_RET_EBADTRACK);
}

TEST(cd_that_is_exchanged_gives_what_is_on_the_new_one)
{
    check_each(2, insert);
}

// A file of the second disc, by its block.
TEST(cd_that_is_exchanged_is_read_beyond_the_end_of_the_one_before)
{
    struct backend *be = boot_cd();
    backend_insert(be, "/dev/loop1", 99, 1);
    be->sectors = 100000;
    sim_pass(SECOND);
    check_equal(sim_read(be, 16, 4), 0);
    backend_insert(be, "/dev/loop2", 98, 1);
    be->sectors = 300000;
    sim_pass(SECOND);
    check_equal(sim_read(be, 70000, 4), 0);
}

TEST(cd_that_is_ejected_fails_at_once_until_there_is_another)
{
    struct backend *be = boot_cd();
    check_equal(sim_read(be, 16, 4), 0);
    backend_insert(be, "", 99, 1);
    sim_pass(3 * SECOND);
    u64 begin = sim_now;
    u32 before = be->connects;
    check_true(sim_read(be, 16, 4) != 0);
    check_true(sim_now - begin < SECOND);
    check_equal(be->connects, before);
    backend_insert(be, "/dev/loop1", 99, 1);
    check_equal(sim_read(be, 16, 4), 0);
}

// The attach looks itself: to wait for a backend without a medium would take its time.
TEST(cd_that_is_ejected_just_after_a_look_fails_at_once)
{
    struct backend *be = boot_cd();
    be->sectors = 100000;
    sim_pass(SECOND);
    check_equal(sim_read(be, 16, 4), 0);
    backend_insert(be, "", 99, 1);
    u64 begin = sim_now;
    u32 before = be->connects;
    check_true(sim_read(be, 20000, 4) != 0);
    check_true(sim_now - begin < SECOND);
    check_equal(be->connects, before);
}

// Whoever says it, toolstack or backend.
static void
what_is_a_cd(int n)
{
    struct backend *be = sim_disk(51776);
    if (n & 1)
        be->type = "cdrom";
    if (n & 2)
        be->info = VDISK_CDROM | VDISK_READONLY;
    sim_boot();
    check_equal(sim_drives[0].cdrom, !!n);
    check_equal(sim_drive(be)->blksize, n ? 2048 : 512);
    check_equal(sim_write(be, 40, 1), n ? DISK_RET_EWRITEPROTECT : 0);
}

TEST(cd_is_what_the_toolstack_or_the_backend_calls_one)
{
    check_each(4, what_is_a_cd);
}

static void
small_cd(int n)
{
    struct backend *be = sim_disk(51776);
    be->type = "cdrom";
    be->info = VDISK_CDROM | VDISK_READONLY;
    be->sectors = n ? 1007 - n : 120;
    sim_boot();
    check_equal(sim_drive_count, 1);
    check_equal(sim_read(be, 17, 10), 0);
}

TEST(cd_needs_no_cylinder)
{
    check_each(4, small_cd);
}


/****************************************************************
 * Grant entries of others
 ****************************************************************/

// iPXE takes 50 entries each time that it opens an interface, from a cursor that
// moves on; some are live, others only reserved. guest.c sees that none changes.
static void
others(int n)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    other->domid = 3;
    if (n & 1)
        be->indirect = other->indirect = 0;
    if (n & 2)
        // also before POST
        sim_prepare();
    u32 from = 8 + n / 4 * 25, i;
    if (n & 2)
        hv_hold_grants(from, from + 49, n & 1 ? DOMID_SELF : 5);
    sim_boot();
    hv_hold_grants(from, from + 49, n & 1 ? DOMID_SELF : 5);
    for (i = 0; i < 4; i++) {
        check_equal(sim_read(be, 60000 * i, 128), 0);
        check_equal(sim_write(other, 50000 * i, 128), 0);
        check_equal(sim_read(other, 60000 * i, 128), 0);
    }
}

TEST(grant_entries_that_others_have_are_left_to_them_and_not_needed)
{
    check_each(19 * 4, others);
}

// All but a few of them, or all: a call may fail, but no disk is lost.
static void
few_left(int n)
{
    static const int few[] = { 0, 1, 2, 5, 12, 200 };
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    int kept = few[n % ARRAY_SIZE(few)], i;
    domid_t holder = n / ARRAY_SIZE(few) ? DOMID_SELF : 5;
    other->domid = 3;
    sim_boot();
    hv_hold_grants(8, 300, holder);
    hv_hold_grants(301 + kept, XENGRANT_REFS - 1, holder);
    u64 begin = sim_now;
    int failed = sim_read(be, 60000, 128) + sim_write(other, 60000, 128);
    if (kept == 200)
        check_equal(failed, 0);
    if (!kept)
        check_true(failed);
    check_true(sim_now - begin < 2 * SECOND);
    // they are given back
    for (i = 8; i < XENGRANT_REFS; i++)
        hv.grants[i] = (grant_entry_v1_t){ 0 };
    sim_remember();
    check_equal(sim_read(be, 60000, 128), 0);
    check_equal(sim_write(other, 60000, 128), 0);
    check_equal(sim_read(other, 100000, 128), 0);
}

TEST(grant_entries_that_are_few_fail_a_call_and_no_disk)
{
    check_each(12, few_left);
}


/****************************************************************
 * A move in POST
 ****************************************************************/

static int refuse_state;

static int
never(struct backend *be, int state)
{
    return state == refuse_state ? -1 : state;
}

static void
move_and_change(void)
{
    if (steps_left--)
        return;
    // what the first life found out may be true of the second, or not
    if (refuse_state)
        backends[0]->hook_state = never;
    else
        backends[0]->bad_to = 1;
    hv_move(hv.domid + 1);
}

// The disk's first life was fine. In the second its backend does not connect, or its
// first sector cannot be read: then what the first life read there does not count.
static void
move_in_post(int n)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    be->domid = 1;
    refuse_state = n & 1 ? XenbusStateConnected : 0;
    steps_left = n / 2 * 2;
    sim_step = move_and_change;
    sim_boot_unchecked();
    sim_step = NULL;
    check_true(sim_drive(other));
    if (steps_left >= 0)
        return;
    if (n & 1 && sim_logged("the domain has moved, once more"))
        check_true(!sim_drive(be));
    else if (sim_drive(be))
        // a move when all is done is for the first int13 to notice
        check_true(sim_read_unchecked(be, 0, 1) != 0);
    // one drive for each, and no memory for another
    check_equal(sim_drive_count, !!sim_drive(be) + 1);
    if (sim_low_mallocs > 2)
        fail("%u allocations of low memory", sim_low_mallocs);
    check_equal(sim_read_unchecked(other, 60000, 10), 0);
}

TEST(move_in_post_leaves_nothing_of_the_first_life)
{
    check_each(160, move_in_post);
}


/****************************************************************
 * Memory that SeaBIOS makes read-only
 ****************************************************************/

// Variables of 32-bit code lie in the F-segment: after POST they must not change
// (layer.mk gives their sections these names).
extern u8 __start_layer_data[] __attribute__((weak))
          , __stop_layer_data[] __attribute__((weak))
          , __start_layer_bss[] __attribute__((weak))
          , __stop_layer_bss[] __attribute__((weak));

// Between them are bytes that AddressSanitizer keeps everybody away from.
static u32 __attribute__((no_sanitize("address")))
sum_up(u8 *from, u8 *to)
{
    u32 sum = 0;
    while (from < to)
        sum = sum * 16777619 + *from++;
    return sum;
}

TEST(variables_of_the_layer_do_not_change_after_post)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    other->domid = 2;
    sim_boot();
    u32 data = sum_up(__start_layer_data, __stop_layer_data);
    u32 bss = sum_up(__start_layer_bss, __stop_layer_bss), i;
    check_true(__stop_layer_bss - __start_layer_bss > 16);
    for (i = 0; i < 3; i++) {
        check_equal(sim_read(be, 60000 * i, 128), 0);
        check_equal(sim_write(other, 60000 * i, 128), 0);
        hv_move(hv.domid + 1);
        sim_pass(3 * SECOND);
    }
    check_equal(sum_up(__start_layer_data, __stop_layer_data), data);
    check_equal(sum_up(__start_layer_bss, __stop_layer_bss), bss);
}
