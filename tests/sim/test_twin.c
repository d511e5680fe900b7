// Disks that the guest has twice: as a VBD, and emulated.
//
// It is one drive. Reads go by PV, writes by the twin, and what was written is read
// by the twin from then on, in areas around it. Order, size and geometry are the
// twin's, whichever way works.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_twin

#define XVDA 51712
#define AREA (2 << 20 >> 9)     // of a clustered image
#define RAW_AREA (64 << 10 >> 9)

static struct backend *be;
static struct twin *twin;

static void
boot_twinned(int clustered)
{
    be = sim_disk(XVDA);
    be->domid = 1;
    be->clustered = clustered;
    twin = sim_twin(be, DTYPE_ATA, 0);
    sim_boot();
    check_equal(sim_drives_of(be), 1);
}

static void
every_controller(int n)
{
    static const struct {
        u8 type;
        u32 vbd;
    } kinds[] = {
        { DTYPE_ATA, XVDA }, { DTYPE_ATA, 768 }, { DTYPE_AHCI, XVDA },
        { DTYPE_LSI_SCSI, 2048 },
    };
    be = sim_disk(kinds[n].vbd);
    be->clustered = 1;
    twin = sim_twin(be, kinds[n].type, 0);
    sim_boot();
    check_equal(sim_drives_of(be), 1);
    check_equal(sim_read(be, 60000, 100), 0);
    check_equal(sim_write(be, 60000, 100), 0);
    check_equal(be->writes, 0);
    check_true(twin->writes > 0);
    check_equal(sim_read(be, 59990, 120), 0);
    sim_check_image(be);
}

TEST(twin_of_any_controller_is_the_second_path_of_the_disks_drive)
{
    check_each(4, every_controller);
}


/****************************************************************
 * No write is lost
 ****************************************************************/

static void
areas(int clustered)
{
    u64 area = clustered ? AREA : RAW_AREA;
    boot_twinned(clustered);
    check_equal(sim_read(be, 10 * area, 128), 0);
    check_equal(twin->reads, 0);
    check_equal(sim_write(be, 10 * area + 5, 1), 0);
    check_equal(be->writes, 0);
    u32 reads = be->reads;
    check_equal(sim_read(be, 10 * area, 128), 0);
    check_equal(sim_read(be, 11 * area - 1, 1), 0);
    check_equal(be->reads, reads);
    check_true(twin->reads > 0);
    // all else by PV, also with a part in the area
    u32 before = twin->reads;
    sim_pass(3 * SECOND);
    check_equal(sim_read(be, 11 * area, 128), 0);
    check_equal(sim_read(be, 20 * area, 128), 0);
    check_equal(sim_read(be, 9 * area, 128), 0);
    check_equal(twin->reads, before);
    check_true(be->reads > reads);
    check_equal(sim_read(be, 11 * area - 60, 120), 0);
    check_equal(sim_read(be, 10 * area - 60, 120), 0);
    check_true(twin->reads >= before + 2);
    sim_check_image(be);
}

TEST(write_goes_by_the_twin_and_its_area_is_read_there_from_then_on)
{
    check_each(2, areas);
}

// What is behind a write across the end of an area is remembered, too.
static void
two_areas(int clustered)
{
    u64 area = clustered ? AREA : RAW_AREA;
    boot_twinned(clustered);
    check_equal(sim_read(be, 11 * area, 60), 0);
    check_equal(sim_write(be, 11 * area - 1, 128), 0);
    check_equal(sim_read(be, 10 * area, 1), 0);
    check_equal(sim_read(be, 12 * area - 1, 1), 0);
    check_equal(twin->reads, 2);
    check_equal(sim_read(be, 11 * area - 1, 128), 0);
}

TEST(write_across_the_end_of_an_area_is_remembered_as_two)
{
    check_each(2, two_areas);
}

// A file of 40 MiB is written, and others elsewhere: the areas become larger.
TEST(raw_image_that_much_is_written_to_is_read_by_pv_elsewhere)
{
    u32 i;
    boot_twinned(0);
    for (i = 0; i < 640; i++)
        check_equal(sim_write(be, 20 * AREA + i * RAW_AREA, 2), 0);
    check_equal(sim_write(be, 60 * AREA - 1, 1), 0);
    check_equal(sim_write(be, 3 * AREA + 7, 1), 0);
    u32 calls = twin->calls;
    check_equal(sim_read(be, 4 * AREA, 128), 0);
    check_equal(sim_read(be, 40 * AREA, 128), 0);
    check_equal(sim_read(be, 60 * AREA, 128), 0);
    check_equal(sim_read(be, 20 * AREA - 128, 128), 0);
    check_equal(twin->calls, calls);
    for (i = 0; i < 640; i++)
        check_equal(sim_read(be, 20 * AREA + i * RAW_AREA, 2), 0);
    check_equal(sim_read(be, 60 * AREA - 1, 1), 0);
    check_equal(sim_read(be, 3 * AREA + 7, 1), 0);
    check_equal(twin->calls, calls + 642);
    sim_check_image(be);
}

// A loader that saves its environment first, and then reads 60 MiB.
TEST(write_of_one_sector_makes_later_reads_elsewhere_no_slower)
{
    u32 i;
    boot_twinned(0);
    check_equal(sim_write(be, 3 * AREA + 7, 2), 0);
    u32 connects = be->connects, calls = twin->calls;
    for (i = 0; i < 960; i++)
        check_equal(sim_read(be, 8 * AREA + i * 120, 120), 0);
    check_true(be->connects - connects <= 30);
    check_equal(twin->calls, calls);
}

static void
too_many_areas(int clustered)
{
    u32 i;
    be = sim_disk(XVDA);
    be->sectors = 100 * AREA;
    be->clustered = clustered;
    twin = sim_twin(be, DTYPE_ATA, 0);
    sim_boot();
    for (i = 0; i < 60; i++)
        check_equal(sim_write(be, i * AREA + i, 1), 0);
    u32 reads = be->reads;
    for (i = 0; i < 100; i++)
        check_equal(sim_read(be, i * AREA, 64), 0);
    check_equal(be->reads, reads);
    check_equal(be->writes, 0);
    sim_check_image(be);
}

TEST(writes_to_more_areas_than_are_remembered_leave_all_to_the_twin)
{
    check_each(2, too_many_areas);
}

// Any order of reads and writes on raw images and on those that each way has its own
// idea of; in half of the cases by ports as well, a while before the next int13.
static void
random_order(int n)
{
    int i;
    boot_twinned(n & 1);
    sim_seed = n * 1234567;
    for (i = 0; i < 150; i++) {
        u32 count = 1 + sim_random(128);
        u64 sector = (n & 2 ? sim_random(6) * AREA * 5 : 0) + sim_random(3 * AREA);
        switch (sim_random(n & 4 ? 4 : 2)) {
        case 0:
            check_equal(sim_write(be, sector, count), 0);
            break;
        case 1:
            check_equal(sim_read(be, sector, count), 0);
            break;
        case 2:
            sim_port_read(be, sector, count);
            break;
        case 3:
            sim_port_write(be, sector, count);
            sim_pass(3 * SECOND);
            break;
        }
    }
    sim_check_image(be);
    check_equal(be->writes, 0);
}

TEST(reads_and_writes_by_both_ways_in_any_order_see_what_was_written_last)
{
    check_each(40, random_order);
}

TEST(write_that_the_twin_refuses_is_reported_and_not_tried_by_pv)
{
    boot_twinned(0);
    twin->fail = DISK_RET_EBADTRACK;
    check_true(sim_write(be, 60000, 10) != 0);
    check_equal(be->writes, 0);
    twin->fail = 0;
    check_equal(sim_read(be, 60000, 10), 0);
    sim_check_image(be);
}


/****************************************************************
 * No disk is lost
 ****************************************************************/

// The first disk's PV way fails in POST, in one of several ways.
static void
fail_in_post(int n)
{
    struct backend *other = sim_disk(XVDA + 16);
    be = sim_disk(XVDA);
    be->domid = 1;
    // which of them is bootable does not change their order where both have twins
    be->blank = n & 1;
    twin = sim_twin(be, DTYPE_ATA, 0);
    sim_twin(other, DTYPE_ATA, 1);
    switch (n / 2) {
    case 1:
        be->absent = 1;
        break;
    case 2:
        be->connect_error = "mapping ring-ref";
        break;
    case 3:
        be->manner = NETBSD;
        break;
    case 4:
        be->sectors_text = "100";
        be->sectors = 100;
        break;
    case 5:
        be->sector_size = 4096;
        be->sector_size_text = "8192";
        break;
    }
    sim_boot_unchecked();
    check_equal(sim_drives_of(be), 1);
    check_equal(sim_drives_of(other), 1);
    check_equal(sim_drive_count, 2);
    check_true(sim_hard_disk(0) == sim_drive(be));
    check_true(sim_hard_disk(1) == sim_drive(other));
    if (be->sectors < 200000)
        return;
    check_equal(sim_read_unchecked(be, 60000, 10), 0);
    check_equal(sim_write_unchecked(be, 60000, 10), 0);
    check_equal(sim_read_unchecked(be, 60000, 10), 0);
}

TEST(disk_whose_pv_path_fails_in_post_is_its_twin_in_the_same_place)
{
    check_each(12, fail_in_post);
}

static void
fail_later(int n)
{
    boot_twinned(1);
    check_equal(sim_read(be, 60000, 10), 0);
    check_equal(sim_write(be, 90000, 10), 0);
    if (n < 4)
        backend_vanish(be, n);
    else
        be->connect_error = "mapping ring-ref";
    sim_pass(3 * SECOND);
    check_equal(sim_read_unchecked(be, 60000, 10), 0);
    check_equal(sim_read_unchecked(be, 90000, 10), 0);
    check_equal(sim_write_unchecked(be, 120000, 10), 0);
    check_equal(sim_read_unchecked(be, 120000, 10), 0);
    sim_check_image(be);
}

TEST(disk_whose_pv_path_fails_later_is_read_by_its_twin)
{
    check_each(5, fail_later);
}

// The toolstack puts another VBD in the place of one: QEMU's drive keeps its image.
static void
attach_anew(int n)
{
    boot_twinned(0);
    check_equal(sim_read(be, 60000, 10), 0);
    backend_vanish(be, VANISH_DETACH);
    be->tags[IMAGE_PV] = 77;
    switch (n) {
    case 0:
        be->params = "/dev/loop9";
        break;
    case 1:
        be->sectors /= 2;
        break;
    case 2:
        be->sectors += 8;
        break;
    case 3:
        be->sector_size = 4096;
        break;
    }
    backend_plug(be);
    sim_pass(3 * SECOND);
    check_equal(sim_read(be, 60000, 10), 0);
    check_true(sim_logged("xvda: left to its emulated twin\n"));
    u32 connects = be->connects;
    check_equal(sim_write(be, 60005, 10), 0);
    check_equal(sim_read(be, 60000, 100), 0);
    check_equal(sim_read(be, twin->drive.sectors - 10, 10), 0);
    check_equal(be->connects, connects);
}

TEST(disk_that_is_attached_anew_with_another_image_or_size_is_its_twins)
{
    check_each(4, attach_anew);
}

// What the toolstack does not emulate as that disk is a drive of its own.
static void
wrong_twin(int n)
{
    struct backend *other;
    be = sim_disk(n == 3 ? 2048 : XVDA);
    twin = sim_twin(be, n == 3 ? DTYPE_LSI_SCSI : DTYPE_ATA, 0);
    switch (n) {
    case 0:
        twin->drive.sectors--;
        break;
    case 1:
        twin->drive.sectors += 8;
        break;
    case 2:
        other = sim_disk(XVDA + 16);
        sim_twin(other, DTYPE_ATA, 1);
        // a second one of the first one's number
        other->twin->drive.cntl_id = 0;
        break;
    case 3:
        twin->drive.floppy_type = 0xff; // another LUN
        break;
    }
    sim_boot();
    check_true(n == 3 || sim_logged("not clear which emulated disk"));
    check_equal(sim_drive_count, n > 1 ? 3 - (n == 3) : 1);
    u32 reads = be->reads;
    struct disk_op_s op = {
        .drive_fl = &twin->drive, .command = CMD_READ, .lba = 5000, .count = 1,
        .buf_fl = (u8[512]){ 0 },
    };
    check_equal(process_op(&op), 0);
    check_equal(be->reads, reads);
    check_true(twin->reads);
}

TEST(emulated_disk_that_is_not_the_same_disk_is_not_read_by_pv)
{
    check_each(4, wrong_twin);
}

TEST(emulated_disks_are_drives_without_xen)
{
    sim_xen = 0;
    be = sim_disk(XVDA);
    twin = sim_twin(be, DTYPE_ATA, 0);
    sim_start();
    sim_post_setup();
    check_equal(sim_drive_count, 1);
    check_equal(sim_port_accesses, 0);
    sim_xen = 1;
}

// QEMU rounds a size up, a loop device down, and some VBD is smaller.
static void
sizes(int n)
{
    static const int differences[] = { 0, 1, 7, 8, 1000, -1 };
    be = sim_disk(XVDA);
    twin = sim_twin(be, DTYPE_ATA, 0);
    be->sectors -= differences[n];
    twin->drive.pchs.head = 4;
    twin->drive.pchs.sector = 50;
    twin->drive.translation = 1;
    sim_boot();
    check_equal(sim_drives_of(be), 1);
    struct drive_s *drive = sim_drive(be);
    check_equal(drive->sectors, twin->drive.sectors);
    check_equal(drive->translation, twin->drive.translation);
    check_memory(&drive->pchs, &twin->drive.pchs, sizeof(drive->pchs));
    check_memory(&drive->lchs, &twin->drive.lchs, sizeof(drive->lchs));
    check_equal(sim_read(be, twin->drive.sectors - 100, 100), 0);
    check_equal(sim_read(be, twin->drive.sectors - 1, 1), 0);
    check_equal(sim_write(be, twin->drive.sectors - 3, 3), 0);
    check_true(sim_read(be, twin->drive.sectors, 1) != 0);
    // what differs by more is another disk
    check_equal(sim_logged("not clear which emulated disk is the same"), n > 2);
}

TEST(size_and_geometry_are_the_twins)
{
    check_each(6, sizes);
}

// A program that uses the controller by its ports leaves another task file.
TEST(disk_whose_controller_somebody_else_has_used_is_its_twins_for_good)
{
    boot_twinned(1);
    check_equal(sim_write(be, 60000, 10), 0);
    sim_port_write(be, 90000, 10);
    sim_pass(3 * SECOND);
    check_equal(sim_read(be, 90000, 10), 0);
    u32 reads = be->reads;
    check_equal(sim_read(be, 200000, 10), 0);
    check_equal(be->reads, reads);
}


// A look at the controller costs as much as a hit; where nobody had the time to use it,
// there is none.
TEST(controller_is_not_looked_at_between_two_requests_without_a_pause)
{
    int i;
    boot_twinned(1);
    check_equal(sim_read(be, 90000, 10), 0);
    u32 accesses = sim_port_accesses;
    // but one behind a read that has let others in
    for (i = 0; i < 10; i++)
        check_equal(sim_read(be, 90000 + i, 10), 0);
    check_equal(sim_port_accesses, ++accesses);
    sim_pass(3 * SIM_COST_PORT);
    check_equal(sim_read(be, 90000, 10), 0);
    check_equal(sim_port_accesses, accesses + 1);
    // the shortest command of somebody else right behind a request
    for (i = 0; i < 10; i++)
        check_equal(sim_read(be, 90000, 10), 0);
    sim_port_write(be, 90005, 1);
    check_equal(sim_read(be, 90000, 10), 0);
    u32 reads = be->reads;
    check_equal(sim_read(be, 90000, 10), 0);
    check_equal(be->reads, reads);
}

// How long a look takes is not known by one during which the host did something else.
TEST(look_that_the_host_interrupts_hides_no_use_of_the_controller)
{
    sim_port_pause = 50 * MS;
    boot_twinned(0);
    check_equal(sim_read(be, 90000, 10), 0);
    sim_pass(30 * MS);
    check_equal(sim_read(be, 90000, 10), 0);
    check_equal(sim_port_pause, 0);
    sim_pass(MS);
    sim_port_write(be, 90005, 1);
    check_equal(sim_read(be, 90000, 10), 0);
}

static void
write_once(void)
{
    sim_interrupt = NULL;
    sim_port_write(be, 90005, 1);
}

// A hook writes by the ports, behind the backend's back.
TEST(use_of_the_controller_while_a_read_waits_is_seen_by_the_next)
{
    boot_twinned(0);
    be->io_latency = 200 * MS;
    sim_interrupt = write_once;
    check_equal(sim_read(be, 90000, 5), 0);
    check_true(!sim_interrupt);
    check_equal(sim_read(be, 90005, 5), 0);
}

// The same while a hit waits for the close of another disk.
TEST(use_of_the_controller_while_a_close_goes_on_is_seen_by_the_next)
{
    struct backend *other = sim_disk(XVDA + 16);
    boot_twinned(0);
    check_equal(sim_read(be, 90000, 10), 0);
    other->keep_mapped = 1;
    other->latency = 300 * MS;
    sim_read_unchecked(other, 5000, 1);
    sim_interrupt = write_once;
    check_equal(sim_read_unchecked(be, 90000, 5), 0);
    check_true(!sim_interrupt);
    u32 reads = twin->reads;
    check_equal(sim_read_unchecked(be, 90005, 5), 0);
    check_equal(twin->reads, reads + 1);
}

TEST(controller_of_another_drive_is_looked_at_without_a_pause)
{
    be = sim_disk(XVDA);
    struct backend *other = sim_disk(XVDA + 32);    // xvdc
    sim_twin(be, DTYPE_ATA, 0);
    sim_twin(other, DTYPE_ATA, 2);
    sim_boot();
    check_equal(sim_read(other, 90000, 10), 0);
    check_equal(sim_read(be, 90000, 10), 0);
    sim_port_write(other, 90005, 1);
    check_equal(sim_read(be, 90000, 10), 0);
    check_equal(sim_read(other, 90000, 10), 0);
}


/****************************************************************
 * CDs
 ****************************************************************/

static void
boot_cd(const char *params)
{
    be = sim_cd(5632); // hdc
    be->params = params;
    be->absent = !*params;
    twin = sim_twin(be, DTYPE_ATA_ATAPI, 2);
    sim_boot();
    check_equal(sim_drives_of(be), 1);
    check_equal(sim_drives[0].cdrom, 1);
}

static int
command(u8 code)
{
    u8 cdb[16] = { code };
    struct disk_op_s op = {
        .drive_fl = sim_drive(be), .command = CMD_SCSI, .cdbcmd = cdb,
    };
    return process_op(&op);
}

TEST(cd_with_a_twin_is_read_by_pv_and_all_else_is_the_twins)
{
    boot_cd("/dev/loop0");
    u32 reads = twin->reads;
    check_equal(sim_read(be, 16, 8), 0);
    check_equal(sim_read(be, 5000, 8), 0);
    check_equal(twin->reads, reads);
    u32 commands = twin->commands;
    check_equal(command(0), 0);
    check_equal(command(0x1b), 0);
    check_equal(twin->commands - commands, 2);
}

TEST(cd_that_is_exchanged_is_its_twins_for_good)
{
    boot_cd("/dev/loop0");
    check_equal(sim_read(be, 16, 8), 0);
    // the PV backend keeps the old medium
    backend_insert(be, "", 99, 0);
    sim_pass(3 * SECOND);
    check_true(sim_read(be, 16, 8) != 0);
    check_true(command(0) != 0);
    backend_insert(be, "/dev/loop1", 99, 0);
    sim_pass(3 * SECOND);
    check_equal(sim_read(be, 16, 8), 0);
    check_equal(sim_read(be, 20000, 8), 0);
    u32 reads = be->reads;
    backend_insert(be, "/dev/loop0", 98, 0);
    sim_pass(3 * SECOND);
    check_equal(sim_read(be, 16, 8), 0);
    check_equal(be->reads, reads);
}

TEST(cd_without_a_medium_is_its_twins)
{
    boot_cd("");
    check_true(command(0) != 0);
    check_true(sim_read_unchecked(be, 16, 8) != 0);
    be->absent = 0;
    backend_insert(be, "/dev/loop1", 99, 0);
    check_equal(command(0), 0);
    check_equal(sim_read_unchecked(be, 16, 8), 0);
}
