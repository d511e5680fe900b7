// The block frontend: each VBD that is a whole disk becomes a BIOS drive.
//
// A BIOS is never told that the OS has taken over. So outside an int13 no
// device shows that the firmware ever ran: a read that misses the cache
// attaches to the backend, fills a window of the cache, and closes again.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkio.h" // xenblk_read_miss
#include "blkprobe.h" // xenblk_backend_kind
#include "blktwin.h" // xentwin_disk
#include "config.h" // CONFIG_XEN_PV
#include "handover.h" // xen_handover_arm
#include "hw/blockcmd.h" // CDB_CMD_TEST_UNIT_READY
#include "output.h" // dprintf
#include "session.h" // xen_platform_moved
#include "std/disk.h" // DISK_RET_SUCCESS
#include "string.h" // strcmp
#include "util.h" // default_process_op
#include "wait.h" // xen_ticks
#include "xenpv.h" // xen_process_op
#include "xenstore.h" // xenstore_open

// The cache is forgotten after so many microseconds without an int13: somebody
// else may have written to the disk meanwhile.
#define CACHE_AGE_US 2000000

// A medium may be exchanged at any time: the microseconds until the next look.
#define MEDIUM_US 200000


// Open the store, unless a disk that is attached has left it open.
static int
open_store(void)
{
    xenblk->waited = 1;
    if (xenblk->attached && xen_platform_moved())
        xenblk_forget_all();
    return xenblk->attached ? 0 : xenstore_open();
}

// The domain has moved: forget all that was under way. A part of what was written of
// a disk may be in the new store, where nobody else can have used it yet.
static void
begin_anew(void)
{
    int i, tries, moved = 1;
    u32 used = 0;
    for (i = 0; i < xenblk->count; i++)
        if (xenblk->disks[i]->attached || xenblk->disks[i]->bus.closing)
            used |= 1 << i;
    xenblk_forget_all();
    for (tries = 0; used && moved && tries < MOVES_MAX && !xenstore_open(); tries++) {
        for (i = 0; i < xenblk->count; i++) {
            struct xendisk_s *disk = xenblk->disks[i];
            if (used & 1 << i && !xenbus_probe(&disk->bus, &xenblk_class, disk->number))
                xenbus_reset(&disk->bus);
        }
        moved = xen_platform_moved();
        xenstore_close();
    }
}

// Close the store, unless a disk that is attached will want it open. In a domain that
// has moved meanwhile, begin anew, and return -1.
static int
close_store(void)
{
    if (xen_platform_moved()) {
        begin_anew();
        return -1;
    }
    if (!xenblk->attached)
        xenstore_close();
    return 0;
}

// Look whether another medium is in a CD drive, unless somebody has just done so.
// Returns 0, or -1 if the drive cannot be read.
static int
look_at_medium(struct xendisk_s *disk)
{
    if (rdtscll() - disk->looked_at < xen_ticks(MEDIUM_US))
        return 0;
    if (open_store())
        return -1;
    int ret = xenblk_check_medium(disk);
    // in a domain that has moved the attach will look
    return close_store() ? 0 : ret;
}

// Go on with the closes that have not come to their end, of any disk: each call
// is a chance, and until then an OS would find the device in use.
static void
finish_closes(void)
{
    int i;
    for (i = 0; i < xenblk->count; i++) {
        if (!xenblk->disks[i]->bus.closing)
            continue;
        if (open_store())
            return;
        xenblk_close(xenblk->disks[i]);
        close_store();
    }
}

// Tell the hooks in what state the disks are left.
static void
arm_hooks(void)
{
    int i, closing = 0;
    for (i = 0; i < xenblk->count; i++)
        closing |= xenblk->disks[i]->bus.closing;
    xen_handover_arm(xenblk->attached, closing);
}

// Attach, work, and close, or stay attached in sticky mode. What was read or
// written counts, even if the close then fails. Returns DISK_RET_*, or -1 if
// the domain has moved meanwhile.
static int
attach_once(struct xendisk_s *disk, struct transfer_s *todo, int write)
{
    if (open_store())
        return DISK_RET_ETIMEOUT;
    int ret = DISK_RET_ETIMEOUT, stay = 0;
    if (disk->attached || !xenblk_attach(disk, XEN_LIMIT_STATE)) {
        ret = 0;
        // a loader that has given its hint may still look at the first sector
        stay = xenblk->sticky && todo->sector;
        if (todo->sector >= disk->sectors
            || todo->count > disk->sectors - todo->sector)
            // it has shrunk
            ret = DISK_RET_EBADTRACK;
        else if (write && disk->readonly)
            ret = DISK_RET_EWRITEPROTECT;
        else if (write ? xenblk_write_through(disk, todo) : xenblk_read_miss(disk, todo))
            ret = disk->dead ? DISK_RET_ETIMEOUT : DISK_RET_EBADTRACK;
    }
    if (disk->attached && (ret || !stay || disk->dead))
        xenblk_close(disk);
    // What looks done in a domain that has moved may not be: a save keeps the ring's
    // page as it was after the answers came, but data pages as they were before.
    return close_store() ? -1 : ret;
}

// The same, and once more in a domain that has moved: reading and writing
// sectors again does no harm.
static int
while_attached(struct xendisk_s *disk, struct transfer_s *todo, int write)
{
    int tries;
    for (tries = 0; tries < MOVES_MAX; tries++) {
        struct transfer_s rest = *todo;
        int ret = attach_once(disk, &rest, write);
        if (ret >= 0) {
            *todo = rest;
            return ret;
        }
        dprintf(1, "xen: %s: the domain has moved, once more\n", disk->name);
    }
    return DISK_RET_ETIMEOUT;
}

static int
read_disk(struct xendisk_s *disk, struct transfer_s *todo)
{
    while (todo->count) {
        u32 chunk;
        u32 offset, part = xenblk_locate(todo, &chunk, &offset);
        int slot = blkcache_find(&xenblk->cache, disk->index, chunk);
        if (slot >= 0 && todo->sector + todo->count <= disk->sectors) {
            xenblk_copy_sectors(todo->buf, xenblk_slot_sector(slot, offset), part);
            xenblk_advance(todo, part);
            continue;
        }
        int ret = while_attached(disk, todo, 0);
        if (ret)
            return ret;
    }
    return DISK_RET_SUCCESS;
}

static int
write_disk(struct xendisk_s *disk, struct transfer_s *todo)
{
    if (disk->cdrom)
        return DISK_RET_EWRITEPROTECT;
    return while_attached(disk, todo, 1);
}

// Carry out a request, after a look whether it can be one of this disk at all.
static int
transfer(struct xendisk_s *disk, struct disk_op_s *op)
{
    u32 unit = disk->drive->blksize / BLKRING_SECTOR;
    if (op->lba >= disk->drive->sectors || op->lba >> 61)
        return DISK_RET_EBADTRACK;
    struct transfer_s todo = {
        .sector = op->lba * unit, .count = op->count * unit, .buf = op->buf_fl,
    };
    dprintf(5, "xen: %s: int13 %u %llx %u\n"
            , disk->name, op->command, todo.sector, todo.count);
    if (!todo.count)
        return DISK_RET_SUCCESS;

    // An interrupt handler may have called while a wait let it run.
    if (xenblk->busy)
        return DISK_RET_ENOTREADY;
    xenblk->busy = 1;
    if (xenblk->last_use
        && rdtscll() - xenblk->last_use > xen_ticks(CACHE_AGE_US))
        xenblk_drop_all(1);
    finish_closes();
    int ret;
    if (disk->cdrom && look_at_medium(disk))
        ret = DISK_RET_ETIMEOUT;
    else if (op->command == CMD_WRITE)
        ret = write_disk(disk, &todo);
    else
        ret = read_disk(disk, &todo);
    xenblk->last_use = rdtscll();
    xenblk->busy = 0;
    arm_hooks();
    return ret;
}

void VISIBLE32FLAT
xen_close_all(void)
{
    int i;
    if (!CONFIG_XEN_PV || !xenblk || xenblk->busy)
        return;
    // an interrupt must not come back here
    xenblk->busy = 1;
    xen_handover_arm(0, 0);
    finish_closes();
    if (xenblk->attached) {
        for (i = 0; i < xenblk->count; i++)
            if (xenblk->disks[i]->attached)
                xenblk_close(xenblk->disks[i]);
        close_store();
    }
    xenblk->busy = 0;
    arm_hooks();
}

int noinline
xen_process_op(struct disk_op_s *op)
{
    if (!CONFIG_XEN_PV)
        return 0;
    struct xendisk_s *disk = container_of(op->drive_fl, struct xendrive_s
                                          , drive)->disk;
    switch (op->command) {
    case CMD_READ:
    case CMD_WRITE:
        return transfer(disk, op);
    case CMD_SCSI:
        // boot_add_cd() asks whether there is a medium: without one the
        // drive would not have been registered
        if (*(u8*)op->cdbcmd == CDB_CMD_TEST_UNIT_READY)
            return DISK_RET_SUCCESS;
        return DISK_RET_EPARAM;
    default:
        return default_process_op(op);
    }
}


/****************************************************************
 * Disks with an emulated twin
 ****************************************************************/

// What one write of the twin may change for the other path is an area, aligned: of
// a raw image, the only one that blkback knows, a part that dom0 caches as one; else
// 2 MiB, the most that a cluster of qcow2 has, and a block of vhd. No request
// is larger than the smallest area.
#define AREA_SHIFT_RAW (16 - 9)
#define AREA_SHIFT_MAX (21 - 9)

// Say whether the twin has written to the area of a sector.
static int
is_written(struct xendisk_s *disk, u64 sector)
{
    int i;
    for (i = 0; i < disk->written; i++)
        if (disk->areas[i] == sector >> disk->area_shift)
            return 1;
    return 0;
}

// Make the areas twice as large, and the list of them shorter if it can be.
static void
widen_areas(struct xendisk_s *disk)
{
    int i, count = disk->written;
    disk->area_shift++;
    disk->written = 0;
    for (i = 0; i < count; i++) {
        u64 area = disk->areas[i] >> 1;
        if (!is_written(disk, area << disk->area_shift))
            disk->areas[disk->written++] = area;
    }
}

// The twin is asked to write to a sector. Returns -1 if there is no place to remember
// it.
static int
remember_write(struct xendisk_s *disk, u64 sector)
{
    char kind[16];
    xenblk_backend_kind(disk, kind, sizeof(kind));
    u8 least = strcmp(kind, "blkback") ? AREA_SHIFT_MAX : AREA_SHIFT_RAW;
    while (disk->area_shift < least)
        widen_areas(disk);
    while (!is_written(disk, sector)) {
        if (disk->written < ARRAY_SIZE(disk->areas))
            disk->areas[disk->written++] = sector >> disk->area_shift;
        else if (disk->area_shift < AREA_SHIFT_MAX)
            widen_areas(disk);
        else
            return xenblk_refuse(disk, "written all over, left to its emulated twin");
    }
    return 0;
}

int VISIBLE32FLAT
xen_twin_op(struct disk_op_s *op)
{
    if (!CONFIG_XEN_PV)
        return -1;
    u8 index = xentwin_disk(op->drive_fl);
    if (index == XENTWIN_NONE)
        return -1;
    struct xendisk_s *disk = xenblk->disks[index];
    u32 unit = disk->drive->blksize / BLKRING_SECTOR;
    u64 first = op->lba * unit, last = first + op->count * unit - 1;
    if (op->command == CMD_WRITE)
        return remember_write(disk, first) || remember_write(disk, last) ? -1 : 0;
    if (is_written(disk, first) || is_written(disk, last))
        return -1;
    xenblk->waited = 0;
    int ret = transfer(disk, op);
    if (!ret)
        return xenblk->waited;
    // a sector that is bad, or not there, and a call in a call say nothing of the
    // next read
    if (ret != DISK_RET_EBADTRACK && ret != DISK_RET_ENOTREADY) {
        dprintf(1, "xen: %s: left to its emulated twin\n", disk->name);
        xentwin_leave(index);
    }
    return -1;
}
