// The layer with a Xen and backends that behave.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

#define XVDA 51712
#define XVDE 51776

// Boot with one disk.
static struct backend *
boot_one(void)
{
    struct backend *be = sim_disk(XVDE);
    sim_boot();
    check_true(sim_drive(be));
    return be;
}


/****************************************************************
 * POST
 ****************************************************************/

TEST(post_registers_a_disk_and_leaves_no_trace)
{
    struct backend *be = boot_one();
    check_equal(sim_drive_count, 1);
    check_string(sim_drives[0].desc, "Disk [Xen PV xvde (128 MiB)]");
    check_equal(sim_drive(be)->sectors, 262144);
    check_equal(sim_drive(be)->blksize, 512);
    check_equal(sim_drive(be)->type, DTYPE_XEN);
    check_equal(sim_drive(be)->cntl_id, 4);
    check_true(sim_logged("xen: xvde: 51776, 128 MiB, blkback in domain 0,"
                          " read-write\n"));
    check_equal(be->connects, 1);
}

TEST(post_without_xen_does_nothing)
{
    sim_xen = 0;
    sim_start();
    sim_post_setup();
    check_equal(hv.hypercalls, 0);
    check_equal(sim_mallocs, 0);
    check_equal(sim_drive_count, 0);
    check_string(sim_log, "");
}

TEST(post_on_xen_without_a_disk_registers_nothing)
{
    sim_boot();
    check_equal(sim_drive_count, 0);
}

static void
boot_n(int n)
{
    int i;
    for (i = 0; i < n; i++)
        sim_disk(XVDA + i * 16);
    sim_boot();
    check_equal(sim_drive_count, n);
    for (i = 0; i < n; i++) {
        check_true(sim_drive(backends[i]));
        check_equal(sim_drive(backends[i])->cntl_id, i);
        check_equal(sim_read(backends[i], 100 * i, 10), 0);
    }
}

TEST(post_registers_any_number_of_disks_up_to_the_limit_of_the_bios)
{
    check_each(BUILD_MAX_EXTDRIVE + 1, boot_n);
}

TEST(post_leaves_out_disks_beyond_the_limit_and_says_so)
{
    int i;
    for (i = 0; i < XENVDEV_MAX + 2; i++)
        sim_disk(1 << 28 | i << 8);
    sim_boot();
    check_equal(sim_drive_count, BUILD_MAX_EXTDRIVE);
    for (i = BUILD_MAX_EXTDRIVE; i < XENVDEV_MAX + 2; i++) {
        check_true(!sim_drive(backends[i]));
        check_true(backends[i]->connects <= (i < XENVDEV_MAX));
    }
    check_true(sim_logged("xen: xvdq: 268439552, one disk too many\n"));
    check_true(sim_logged("xen: xvdv: 268440832, one disk too many\n"));
}

// A CD takes no disk's place, whichever of them the store lists first.
static void
boot_with_cds(int first)
{
    int i;
    for (i = 0; i < XENVDEV_MAX; i++)
        sim_disk(1 << 28 | i << 8)->type = i >= first && i < first + 4 ? "cdrom" : "disk";
    sim_boot();
    check_equal(sim_drive_count, XENVDEV_MAX);
    for (i = 0; i < XENVDEV_MAX; i++) {
        check_equal(sim_drives[i].cdrom, i >= first && i < first + 4);
        check_equal(sim_drives[i].drive->cntl_id & 0xff, i);
        check_equal(sim_read(backends[i], 40, 8), 0);
    }
    check_true(!sim_logged("too many"));
}

TEST(post_registers_as_many_disks_as_the_bios_can_have_and_four_cds)
{
    check_each(XENVDEV_MAX - 3, boot_with_cds);
}

// SeaBIOS boots from the first hard disk only, in the order of cntl_id.
TEST(post_puts_a_disk_that_cannot_be_booted_behind_the_others)
{
    struct backend *blank = sim_disk(XVDA), *be = sim_disk(XVDE);
    blank->blank = 1;
    sim_boot();
    check_true(sim_drive(blank)->cntl_id > sim_drive(be)->cntl_id);
    check_true(sim_logged("read-write, not bootable"));
    check_equal(sim_read(blank, 0, 1), 0);
}

// The store lists 268435456 before 51712.
TEST(post_prefers_disks_of_lower_numbers)
{
    int i;
    for (i = 0; i < XENVDEV_MAX; i++)
        sim_disk(1 << 28 | (20 + i) << 8);
    struct backend *first = sim_disk(XVDA);
    sim_boot();
    check_equal(sim_drive_count, BUILD_MAX_EXTDRIVE);
    check_true(sim_drive(first));
    for (i = 0; i < XENVDEV_MAX; i++)
        check_equal(sim_drive(backends[i]) != NULL, i < BUILD_MAX_EXTDRIVE - 1);
    check_true(sim_logged("xen: xvdan: 268445440, one disk too many\n"));
    check_equal(backends[XENVDEV_MAX - 1]->connects, 0);
}

TEST(post_attaches_to_all_disks_at_the_same_time)
{
    int i;
    // so long takes each of three changes of state, and the first read
    for (i = 0; i < 16; i++)
        sim_disk(XVDA + i * 16)->latency = 500 * MS;
    sim_start();
    sim_post_setup();
    check_equal(sim_drive_count, 16);
    // only the reads are one after the other
    if (sim_now > 12 * SECOND)
        fail("it took %llu ms", sim_now / MS);
}

static void
boot_window(int n)
{
    static const u16 ids[] = { 0x0001, 0x0002, 0xc000 };
    sim_window = n < 3 ? WINDOW_BAR : n == 3 ? WINDOW_HVMLOADER : WINDOW_MEMORY;
    sim_platform_id = ids[n % 3];
    struct backend *be = boot_one();
    check_equal(sim_read(be, 5, 5), 0);
    check_true(sim_logged("xen: Xen 4.17, hypercall page 0x"));
}

TEST(post_maps_shared_pages_where_no_os_has_memory)
{
    check_each(5, boot_window);
}

TEST(post_waits_no_shorter_where_xen_does_not_tell_the_frequency_of_the_tsc)
{
    struct backend *be = sim_disk(XVDE), *absent = sim_disk(XVDE + 16);
    absent->absent = 1;
    sim_tsc_mhz = 0;
    sim_boot();
    check_true(sim_drive(be));
    check_equal(sim_read(be, 1000, 10), 0);
    check_true(sim_now > 10 * SECOND);
}

TEST(post_waits_for_a_backend_that_is_plugged_late)
{
    struct backend *be = sim_disk(XVDE);
    be->hotplug = 9 * SECOND;
    sim_boot();
    check_true(sim_drive(be));
    check_true(sim_now < 12 * SECOND);
}

TEST(post_skips_a_backend_without_a_driver_after_its_limit_and_boots_the_rest)
{
    struct backend *absent = sim_disk(XVDE), *be = sim_disk(XVDE + 16);
    absent->absent = 1;
    sim_boot();
    check_true(!sim_drive(absent));
    check_true(sim_drive(be));
    check_true(sim_now < 32 * SECOND);
    check_true(sim_logged("xen: xvde: "));
}

TEST(post_skips_partitions_and_numbers_that_are_no_disk)
{
    sim_disk(XVDA + 1);
    sim_disk(4 << 8);
    sim_disk(832 + 5);
    struct backend *be = sim_disk(2048);
    sim_boot();
    check_equal(sim_drive_count, 1);
    check_true(sim_drive(be));
    check_true(sim_logged("xvda1: 51713, not a whole disk"));
    check_true(sim_logged("VBD 1024: not a number"));
}

TEST(post_knows_the_kind_and_domain_of_a_backend)
{
    struct backend *be = sim_disk(XVDE);
    be->domid = 3;
    be->kind = "qdisk";
    be->early = 1;
    be->sectors = 5ULL << 31; // 5 TiB
    sim_boot();
    check_true(sim_logged("xen: xvde: 51776, 5242880 MiB, qdisk in domain 3,"
                          " read-write\n"));
    check_equal(sim_drive(be)->sectors, 5ULL << 31);
    check_equal(sim_read(be, (5ULL << 31) - 128, 128), 0);
    check_equal(sim_read(be, (5ULL << 31) - 1, 1), 0);
    check_equal(sim_read(be, 5ULL << 31, 1), DISK_RET_EBADTRACK);
}

TEST(post_gives_a_disk_the_geometry_of_the_emulated_one)
{
    struct backend *small = sim_disk(XVDE), *large = sim_disk(XVDE + 16);
    small->sectors = 1008 * 100 + 5;
    large->sectors = 1008 * 20000;
    sim_boot();
    check_equal(sim_drive(small)->pchs.cylinder, 100);
    check_equal(sim_drive(small)->pchs.head, 16);
    check_equal(sim_drive(small)->pchs.sector, 63);
    check_equal(sim_drive(large)->pchs.cylinder, 16383);
}

// QEMU gives a disk two at least. What SeaBIOS tells is `lchs` where there is one.
TEST(post_gives_a_disk_of_one_cylinder_two)
{
    static const u32 sizes[] = { 1008, 1500, 2015, 2016 };
    int i;
    for (i = 0; i < ARRAY_SIZE(sizes); i++)
        sim_disk(XVDE + 16 * i)->sectors = sizes[i];
    sim_boot();
    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct drive_s *drive = sim_drive(backends[i]);
        check_equal(drive->pchs.cylinder, 2);
        check_equal(drive->lchs.cylinder, i < 3 ? 2 : 0);
        check_equal(drive->lchs.head, i < 3 ? 16 : 0);
        check_equal(drive->lchs.sector, i < 3 ? 63 : 0);
        check_equal(sim_read(backends[i], sizes[i] - 1, 1), 0);
    }
}


/****************************************************************
 * Reading
 ****************************************************************/

TEST(read_returns_every_sector_for_any_count_and_alignment)
{
    struct backend *be = boot_one();
    u32 count, i;
    for (count = 1; count <= 128; count++) {
        check_equal(sim_read(be, sim_random(262144 - count), count), 0);
        check_equal(sim_read(be, 262144 - count, count), 0);
    }
    for (i = 0; i < 300; i++)
        check_equal(sim_read(be, i * 37, 1 + i % 128), 0);
}

static void
read_with_memory(int n)
{
    extern u32 LegacyRamSize;
    struct backend *be;
    u32 i;
    LegacyRamSize = (8 << 20) << n;
    u32 space = sim_high_space, cache = LegacyRamSize / 64;
    be = boot_one();
    // the cache, and pages for Xen's data and the ring
    if (cache < 128 << 10)
        cache = 128 << 10;
    if (cache > 4 << 20)
        cache = 4 << 20;
    check_true(space - sim_high_space <= cache + (64 << 10));
    be->sectors = 262144;
    for (i = 0; i < 200; i++) {
        u32 count = 1 + sim_random(128);
        check_equal(sim_read(be, sim_random(262144 - count), count), 0);
    }
    for (i = 0; i < 40; i++)
        check_equal(sim_read(be, 1000 + i * 128, 128), 0);
}

TEST(read_works_with_every_size_of_cache)
{
    check_each(8, read_with_memory);
}

TEST(read_works_where_little_high_memory_is_left)
{
    struct backend *be = sim_disk(XVDE);
    u32 i;
    sim_high_space = 240 << 10;
    sim_boot();
    for (i = 0; i < 50; i++)
        check_equal(sim_read(be, 1000 + i * 77, 100), 0);
}

TEST(read_of_the_end_of_a_disk_of_odd_size_is_right)
{
    struct backend *be = sim_disk(XVDE);
    be->sectors = 1008 * 7 + 3;
    sim_boot();
    u32 count;
    for (count = 1; count <= 128; count++)
        check_equal(sim_read(be, be->sectors - count, count), 0);
    check_equal(sim_read(be, be->sectors - 1, 2), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, be->sectors, 1), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, -1ULL, 1), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, -1ULL << 54, 1), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, 1ULL << 32, 1), DISK_RET_EBADTRACK);
}

TEST(read_attaches_once_for_a_window_and_not_for_what_it_holds)
{
    struct backend *be = boot_one();
    u32 i, before = be->connects;
    for (i = 0; i < 8; i++)
        check_equal(sim_read(be, 100000 + i * 16, 16), 0);
    check_true(be->connects - before <= 2);
    before = be->connects;
    u32 calls = hv.hypercalls;
    check_equal(sim_read(be, 100000, 128), 0);
    check_equal(be->connects - before, 0);
    check_equal(hv.hypercalls - calls, 0);
}

TEST(read_needs_few_attaches_for_a_boot_of_20_MB)
{
    struct backend *be = boot_one();
    u32 sector, before = be->connects;
    for (sector = 2048; sector < 2048 + 40960; sector += 20)
        check_equal(sim_read(be, sector, 20), 0);
    check_true(be->connects - before <= 30);
}

TEST(read_forgets_what_it_has_after_two_seconds)
{
    struct backend *be = boot_one();
    check_equal(sim_read(be, 5000, 1), 0);
    u32 before = be->connects;
    sim_pass(1900 * MS);
    check_equal(sim_read(be, 5000, 1), 0);
    check_equal(be->connects, before);
    sim_pass(2100 * MS);
    check_equal(sim_read(be, 5000, 1), 0);
    check_equal(be->connects, before + 1);
}

TEST(read_puts_all_requests_of_a_window_on_the_ring_at_once)
{
    struct backend *be = boot_one();
    be->io_latency = 20 * MS; // each
    u64 begin = sim_now;
    check_equal(sim_read(be, 200000, 128), 0);
    check_true(be->requests > 2);
    // what is wanted, as much again, and then the rest
    if (sim_now - begin > 6 * be->io_latency)
        fail("took %llu us", (sim_now - begin) / US);
}

// Reads of one sector here and there, as those of a file system's tables, at some KiB/s.
// One read waits for its chunk, of 128 KiB, and 5 s more at most.
static void
read_slowly(int n)
{
    static const u32 speeds[] = { 20, 100, 400, 4000 };
    extern u32 LegacyRamSize;
    u32 speed = speeds[n];
    LegacyRamSize = 2048u << 20;
    struct backend *be = sim_disk(XVDE);
    sim_boot();
    be->one_by_one = 1;
    be->sector_time = 1000 * MS / 2 / speed;
    u32 i;
    for (i = 1; i < 8; i++) {
        u64 begin = sim_now;
        check_equal(sim_read(be, i * 30000, 1), 0);
        if (sim_now - begin > (5000 + 200000 / speed) * MS)
            fail("%u KiB/s: took %llu ms", speed, (sim_now - begin) / MS);
    }
    // a file of 4 MiB
    u32 before = be->connects, sector;
    for (sector = 0; sector < 8192; sector += 64)
        check_equal(sim_read(be, sector, 64), 0);
    check_true(be->connects - before <= (speed < 1000 ? 32 : 4));
}

TEST(read_of_a_slow_disk_waits_a_few_seconds_for_what_is_read_ahead)
{
    check_each(4, read_slowly);
}

TEST(disks_do_not_see_each_others_data)
{
    struct backend *a = sim_disk(XVDE), *b = sim_disk(XVDE + 16);
    a->domid = 0;
    b->domid = 5;
    sim_boot();
    u32 i;
    // backend_sector() tells the disks apart, and so does every mapped page
    for (i = 0; i < 100; i++) {
        check_equal(sim_read(i & 1 ? a : b, sim_random(200000), 7), 0);
        check_equal(sim_write(i & 2 ? a : b, sim_random(200000), 7), 0);
    }
    sim_check_image(a);
    sim_check_image(b);
}


/****************************************************************
 * Writing
 ****************************************************************/

TEST(write_reaches_the_disk_before_int13_returns)
{
    struct backend *be = boot_one();
    u32 count;
    for (count = 1; count <= 128; count++) {
        u64 lba = sim_random(262144 - count);
        check_equal(sim_write(be, lba, count), 0);
        check_equal(sim_read(be, lba, count), 0);
    }
    sim_check_image(be);
}

TEST(write_over_cached_sectors_is_seen_by_reads)
{
    struct backend *be = boot_one();
    u32 i;
    for (i = 0; i < 100; i++) {
        check_equal(sim_read(be, 1000 + sim_random(600), 100), 0);
        check_equal(sim_write(be, 1000 + sim_random(600), 1 + i), 0);
        check_equal(sim_read(be, 1000 + sim_random(600), 100), 0);
    }
    sim_check_image(be);
}

TEST(write_to_the_boot_sector_is_seen_by_reads_at_any_time)
{
    struct backend *be = boot_one();
    check_equal(sim_write(be, 0, 1), 0);
    check_equal(sim_read(be, 0, 1), 0);
    sim_pass(60 * SECOND);
    check_equal(sim_read(be, 0, 1), 0);
    check_equal(sim_write(be, 0, 100), 0);
    sim_pass(60 * SECOND);
    check_equal(sim_read(be, 0, 1), 0);
    check_equal(sim_read(be, 0, 2), 0);
    sim_check_image(be);
}

static void
write_with_memory(int n)
{
    extern u32 LegacyRamSize;
    LegacyRamSize = (8 << 20) << n;
    struct backend *be = boot_one();
    u32 i;
    for (i = 0; i < 100; i++) {
        u32 count = 1 + sim_random(128);
        u64 lba = sim_random(3000);
        if (i & 1)
            check_equal(sim_write(be, lba, count), 0);
        else
            check_equal(sim_read(be, lba, count), 0);
    }
    sim_check_image(be);
}

TEST(write_works_with_every_size_of_cache)
{
    check_each(8, write_with_memory);
}

TEST(write_ends_with_a_flush_where_the_backend_has_one)
{
    struct backend *be = boot_one();
    check_equal(sim_write(be, 77, 3), 0);
    check_equal(be->flushes, 1);
    check_equal(be->barriers, 0);
}

TEST(write_ends_with_a_barrier_where_the_backend_has_no_flush)
{
    struct backend *be = sim_disk(XVDE);
    be->flush = 0;
    be->barrier = 1;
    sim_boot();
    check_equal(sim_write(be, 77, 3), 0);
    check_equal(be->flushes, 0);
    check_equal(be->barriers, 1);
}

TEST(write_needs_no_flush_where_the_backend_offers_none)
{
    struct backend *be = sim_disk(XVDE);
    be->flush = 0;
    sim_boot();
    check_equal(sim_write(be, 77, 3), 0);
    check_equal(be->flushes + be->barriers, 0);
}

TEST(write_needs_no_flush_where_the_backend_says_that_it_has_none)
{
    struct backend *be = sim_disk(XVDE);
    be->flush = 0;
    sim_prepare();
    store_printf("0", "%s/feature-flush-cache", be->backend);
    store_printf("0", "%s/feature-barrier", be->backend);
    sim_boot();
    check_equal(sim_write(be, 77, 3), 0);
    check_equal(be->flushes + be->barriers, 0);
}

TEST(write_to_a_read_only_disk_is_refused_and_touches_nothing)
{
    struct backend *mode = sim_disk(XVDE), *info = sim_disk(XVDE + 16);
    mode->mode = "r";
    info->info = VDISK_READONLY;
    sim_boot();
    check_equal(sim_write(mode, 3, 1), DISK_RET_EWRITEPROTECT);
    check_equal(sim_write(info, 0, 1), DISK_RET_EWRITEPROTECT);
    check_equal(mode->writes + info->writes, 0);
    check_equal(sim_read(info, 0, 1), 0);
    check_true(sim_logged("xvde: 51776, 128 MiB, blkback in domain 0, read-only"));
    check_true(sim_logged("xvdf: 51792, 128 MiB, blkback in domain 0, read-only"));
}

TEST(write_beyond_the_end_is_refused_and_touches_nothing)
{
    struct backend *be = boot_one();
    check_equal(sim_write(be, 262143, 2), DISK_RET_EBADTRACK);
    check_equal(sim_write(be, 262144, 1), DISK_RET_EBADTRACK);
    check_equal(sim_write(be, -2ULL, 1), DISK_RET_EBADTRACK);
    check_equal(be->writes, 0);
}


/****************************************************************
 * Other kinds of disks
 ****************************************************************/

static struct backend *
boot_cd(void)
{
    struct backend *be = sim_cd(XVDE);
    sim_boot();
    return be;
}

TEST(cd_is_registered_as_one_with_blocks_of_2048_bytes)
{
    struct backend *be = boot_cd();
    check_equal(sim_drive_count, 1);
    check_equal(sim_drives[0].cdrom, 1);
    check_equal(sim_drive(be)->blksize, 2048);
    check_equal(sim_drive(be)->sectors, -1ULL);
    check_string(sim_drives[0].desc, "DVD/CD [Xen PV xvde (128 MiB)]");
    u32 count;
    for (count = 1; count <= 32; count++) {
        check_equal(sim_read(be, sim_random(65536 - count), count), 0);
        check_equal(sim_read(be, 65536 - count, count), 0);
    }
    check_equal(sim_read(be, 65536, 1), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, 65535, 2), DISK_RET_EBADTRACK);
    check_equal(sim_read(be, 1ULL << 62, 1), DISK_RET_EBADTRACK);
}

TEST(cd_without_a_medium_is_skipped_without_a_wait)
{
    struct backend *empty = sim_disk(XVDE), *aio = sim_disk(XVDE + 16);
    struct backend *be = sim_disk(XVDE + 32);
    empty->type = aio->type = "cdrom";
    empty->params = "";
    aio->params = "aio:";
    empty->absent = aio->absent = 1;
    sim_start();
    sim_post_setup();
    check_true(sim_now < 1 * SECOND);
    check_equal(sim_drive_count, 1);
    check_true(sim_drive(be));
    check_true(sim_logged("xvde: no medium"));
    check_true(sim_logged("xvdf: no medium"));
}

TEST(cd_answers_no_scsi_command_but_test_unit_ready)
{
    struct backend *be = boot_cd();
    u8 cdb[16] = { 0x25 };
    struct disk_op_s op = {
        .drive_fl = sim_drive(be), .command = CMD_SCSI, .cdbcmd = cdb,
    };
    check_equal(process_op(&op), DISK_RET_EPARAM);
}

TEST(disk_with_sectors_of_4096_bytes_gets_whole_ones)
{
    // start() in backend.c checks every request
    struct backend *be = sim_disk(XVDE);
    be->sector_size = 4096;
    sim_boot();
    check_equal(sim_drive(be)->sectors, 262144);
    check_equal(sim_drive(be)->blksize, 512);
    u32 i;
    for (i = 0; i < 100; i++) {
        u32 count = 1 + sim_random(128);
        check_equal(sim_read(be, sim_random(262144 - count), count), 0);
        count = 1 + sim_random(128);
        check_equal(sim_write(be, sim_random(5000), count), 0);
    }
    check_equal(sim_write(be, 262143, 1), 0);
    sim_check_image(be);
}

TEST(disk_commands_without_data_succeed)
{
    struct backend *be = boot_one();
    static const u8 commands[] = { CMD_RESET, CMD_VERIFY, CMD_SEEK, CMD_ISREADY };
    int i;
    for (i = 0; i < ARRAY_SIZE(commands); i++) {
        struct disk_op_s op = {
            .drive_fl = sim_drive(be), .command = commands[i], .count = 1,
        };
        check_equal(process_op(&op), DISK_RET_SUCCESS);
        sim_check_clean();
    }
    check_equal(be->connects, 1);
}

TEST(count_of_zero_is_a_success_that_does_nothing)
{
    struct backend *be = boot_one();
    check_equal(sim_read(be, 0, 0), 0);
    check_equal(sim_write(be, 0, 0), 0);
    check_equal(be->connects, 1);
}
