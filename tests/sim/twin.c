// Emulated twins: the same disk by an emulated controller, as QEMU has it, with the
// driver of SeaBIOS for it.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_twin

#include "hw/blockcmd.h" // CDB_CMD_TEST_UNIT_READY

static struct twin *twins[32];
static int twin_count;

u32 sim_port_accesses;

// The task files of the two IDE channels.
static u8 task_files[2][8];
static const u16 task_file_ports[2] = { 0x1f0, 0x170 };

#define STATUS_READY 0x50

static int
is_atapi(struct twin *twin)
{
    return twin->drive.type == DTYPE_ATA_ATAPI
           || twin->drive.type == DTYPE_AHCI_ATAPI;
}

struct twin *
sim_twin(struct backend *be, u8 type, u32 unit)
{
    struct twin *twin = calloc(1, sizeof(*twin));
    check_true(twin_count < ARRAY_SIZE(twins) && !be->twin);
    twin->be = be;
    twin->drive.type = type;
    twin->drive.cntl_id = unit;
    twin->drive.blksize = is_atapi(twin) ? CDROM_SECTOR_SIZE : DISK_SECTOR_SIZE;
    twin->drive.sectors = is_atapi(twin) ? (u64)-1 : be->sectors;
    twin->drive.removable = is_atapi(twin);
    if (!is_atapi(twin)) {
        twin->drive.pchs.head = 16;
        twin->drive.pchs.sector = 63;
        twin->drive.pchs.cylinder = be->sectors / (16 * 63) > 16383 ? 16383
                                    : be->sectors / (16 * 63);
    }
    be->twin = twin;
    return twins[twin_count++] = twin;
}

void
twins_register(void)
{
    int i;
    for (i = 0; i < twin_count; i++) {
        struct twin *twin = twins[i];
        snprintf(twin->desc, sizeof(twin->desc), "%s of vbd %u, emulated"
                 , is_atapi(twin) ? "DVD/CD" : "Disk", twin->be->vbd);
        if (is_atapi(twin))
            boot_add_cd(&twin->drive, twin->desc, -1);
        else
            boot_add_hd(&twin->drive, twin->desc, -1);
    }
}

void
twins_stop(void)
{
    while (twin_count)
        free(twins[--twin_count]);
    memset(task_files, 0, sizeof(task_files));
    sim_port_accesses = 0;
}


/****************************************************************
 * The controller
 ****************************************************************/

// What stays in the registers of an IDE channel after a command: where it ended.
static void
leave_in_task_file(struct twin *twin, u64 lba)
{
    if (twin->drive.type != DTYPE_ATA && twin->drive.type != DTYPE_ATA_ATAPI)
        return;
    u8 *file = task_files[twin->drive.cntl_id / 2 & 1];
    file[1] = file[2] = 0;
    file[3] = lba;
    file[4] = lba >> 8;
    file[5] = lba >> 16;
    file[6] = 0xe0 | (twin->drive.cntl_id & 1) << 4 | (lba >> 24 & 15);
    file[7] = STATUS_READY;
}

// Move sectors of 512 bytes. Returns -1 at one that is bad.
static int
move(struct twin *twin, int write, u64 sector, u32 count, u8 *buf)
{
    struct backend *be = twin->be;
    for (; count--; sector++, buf += 512) {
        if (sector >= be->bad_from && sector < be->bad_to)
            return -1;
        if (write)
            image_write(be, IMAGE_TWIN, sector, buf);
        else
            image_read(be, IMAGE_TWIN, sector, buf);
    }
    return 0;
}

int
twin_move(struct twin *twin, int write, u64 sector, u32 count, u8 *buf)
{
    leave_in_task_file(twin, sector + count);
    return move(twin, write, sector, count, buf);
}

// One byte of a task file, for `inb` and `outb` of the layer's code.
static u8 *
find_port(u16 port)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(task_file_ports); i++)
        if (port >= task_file_ports[i] && port < task_file_ports[i] + 8)
            return &task_files[i][port - task_file_ports[i]];
    fail("port %x is none of an IDE disk", port);
}

u8
twin_inb(u16 port)
{
    sim_port_accesses++;
    return *find_port(port);
}

void
twin_outb(u16 port, u8 value)
{
    sim_port_accesses++;
    *find_port(port) = value;
}


/****************************************************************
 * SeaBIOS's driver
 ****************************************************************/

static int
transfer(struct twin *twin, struct disk_op_s *op)
{
    u32 unit = twin->drive.blksize / DISK_SECTOR_SIZE;
    int write = op->command == CMD_WRITE;
    struct backend *be = twin->be;
    *(write ? &twin->writes : &twin->reads) += 1;
    if (is_atapi(twin) && !*be->params)
        return DISK_RET_ENOTREADY;
    if (write && (is_atapi(twin) || be->mode[0] == 'r'))
        return DISK_RET_EWRITEPROTECT;
    u64 sectors = is_atapi(twin) ? be->sectors : twin->drive.sectors;
    if ((op->lba + op->count) * unit > sectors)
        return DISK_RET_EBADTRACK;
    if (move(twin, write, op->lba * unit, op->count * unit, op->buf_fl))
        return DISK_RET_EBADTRACK;
    return DISK_RET_SUCCESS;
}

int
twin_process_op(struct disk_op_s *op)
{
    struct twin *twin = container_of(op->drive_fl, struct twin, drive);
    u64 begin = sim_now;
    twin->calls++;
    // it is the same storage that stalls; IDE_TIMEOUT is 32 s
    if (twin->be->stalled_until > sim_now)
        sim_pass(twin->be->stalled_until - sim_now > 32 * SECOND ? 32 * SECOND
                 : twin->be->stalled_until - sim_now);
    if (sim_now - begin == 32 * SECOND)
        return DISK_RET_EBADTRACK;
    if (twin->fail)
        return twin->fail;
    switch (op->command) {
    case CMD_READ:
    case CMD_WRITE:
        leave_in_task_file(twin, op->lba + op->count);
        return transfer(twin, op);
    case CMD_SCSI:
        twin->commands++;
        if (!is_atapi(twin))
            return DISK_RET_EPARAM;
        leave_in_task_file(twin, 0);
        return *twin->be->params ? DISK_RET_SUCCESS : DISK_RET_ENOTREADY;
    default:
        return default_process_op(op);
    }
}
