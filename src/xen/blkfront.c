// The block frontend: each VBD that is a whole disk becomes a BIOS drive.
//
// A BIOS is never told that the OS has taken over. So outside an int13 no
// device shows that the firmware ever ran: a read that misses the cache
// attaches to the backend, fills a window of the cache, and closes again.
// Caller memory is never granted; the cache's pages are.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_GLOBAL
#include "block.h" // struct drive_s
#include "config.h" // CONFIG_XEN_PV
#include "hw/blockcmd.h" // CDB_CMD_TEST_UNIT_READY
#include "malloc.h" // LegacyRamSize
#include "memmap.h" // PAGE_SIZE
#include "output.h" // dprintf
#include "stacks.h" // run_thread
#include "std/disk.h" // DISK_RET_SUCCESS
#include "string.h" // memset
#include "util.h" // boot_add_hd
#include "xenpv-int.h" // xenbus_connect

// Sizes of the cache in bytes.
#define CACHE_MAX (CONFIG_XEN_PV_CACHE_KIB * 1024)
#define CACHE_MIN (128 * 1024)

// What the first read of a sequence reads ahead, in bytes. An attach costs as
// much as reading many times that; where it is spared, less is right.
#define CLOSED_START (2048 * 1024)
#define STICKY_START (256 * 1024)

// The cache is forgotten after so many microseconds without an int13: somebody
// else may have written to the disk meanwhile.
#define CACHE_AGE_US 2000000

// The geometry that SeaBIOS makes up needs a whole cylinder.
#define CYLINDER_SECTORS (16 * 63)

// Stands for a missing node "sectors".
#define NO_SIZE ((u64)-1)

// What a backend's node "sector-size" may be: 512 << 0..3.
#define SECTOR_SIZE_MAX 4096

// SeaBIOS boots only from the first hard disk, and sorts disks by cntl_id: this
// puts a disk that cannot be booted behind those that can.
#define NOT_BOOTABLE (1 << 24)

// A disk. The part that 16-bit code reads lies in low memory, see xendrive_s.
struct xendisk_s {
    struct xenbus_s bus;
    struct blkring_s ring;
    struct xenvdev_s vdev;
    struct drive_s *drive;
    u64 sectors;        // of 512 bytes
    u32 number;         // the VBD's
    u32 sector_size;    // in bytes
    u8 index;           // in the list of disks
    u8 readonly, cdrom;
    u8 dead;            // never to be used again
    u8 attached;        // it is ours, whatever its state
    u8 lba0_valid;
    char name[XENVDEV_NAMESIZE];
    u8 lba0[DISK_SECTOR_SIZE];
};

struct xendrive_s {
    struct drive_s drive;
    struct xendisk_s *disk;
};

// Everything that changes at run time.
struct xenblk_s {
    struct blkcache_s cache;
    u64 last_use;       // rdtscll() of the last int13, 0: there was none
    u8 count;           // disks
    u8 probing;         // disks whose thread has not ended
    u8 busy;            // an int13 is running
    u8 sticky;          // stay attached between two int13 calls
    u8 attached;        // disks that are
    struct xendisk_s *disks[BUILD_MAX_EXTDRIVE];
};

static struct xenblk_s *xenblk;


/****************************************************************
 * Attach and close
 ****************************************************************/

// Finish a close that xenbus_disconnect() has begun, or begin it.
static int
close_device(struct xendisk_s *disk)
{
    if (xen_platform_moved())
        return -1;
    if (disk->attached) {
        disk->attached = 0;
        xenblk->attached--;
    }
    if (xenbus_disconnect(&disk->bus) || xen_platform_moved()
        || blkring_close(&disk->ring))
        // the next int13 will try again; until then nothing is taken back
        return -1;
    return xenbus_release(&disk->bus);
}

// The domain has moved: nothing of what was under way exists any more, nor can
// what was read meanwhile be believed. But what was asked of the new xenstored
// before that was noticed will be answered.
static void
forget_all(void)
{
    int i;
    for (i = 0; i < xenblk->count; i++) {
        struct xendisk_s *disk = xenblk->disks[i];
        disk->attached = 0;
        disk->bus.closing = 0;
        blkring_forget(&disk->ring);
    }
    xenblk->attached = 0;
    blkcache_drop_all(&xenblk->cache);
    xenstore_close();
    if (xenstore_open())
        return;
    // replies come in order: this one is the last
    xenstore_read("domid", NULL);
    xenstore_close();
}

// Attach to the backend. On success the store is open as well.
static int
attach(struct xendisk_s *disk, u32 limit)
{
    if (disk->bus.closing && close_device(disk))
        return -1;
    if (xenbus_check_free(&disk->bus)
        || blkring_open(&disk->ring, disk->bus.domid))
        return -1;
    disk->attached = 1;
    xenblk->attached++;
    if (!xenbus_connect(&disk->bus, disk->ring.ref, disk->ring.port, limit))
        return 0;
    close_device(disk);
    return -1;
}



/****************************************************************
 * Requests to the backend, through slots of the cache
 ****************************************************************/

// What the caller of int13 still wants, in sectors of 512 bytes.
struct transfer_s {
    u64 sector;
    u32 count;
    u8 *buf;
};

// Slots that are in use for requests under way, and how these ended.
struct window_s {
    u8 count;
    u8 slots[BLKCACHE_RUN];
    s16 failed[BLKCACHE_RUN];
};

// Chunk, and sector within the chunk, where a transfer goes on; the return
// value is the number of sectors until it leaves the chunk.
static u32
locate(struct transfer_s *todo, u32 *chunk, u32 *offset)
{
    u32 shift = xenblk->cache.shift, size = 1 << shift;
    *chunk = todo->sector >> shift;
    *offset = todo->sector & (size - 1);
    return todo->count < size - *offset ? todo->count : size - *offset;
}

static void
advance(struct transfer_s *todo, u32 sectors)
{
    todo->sector += sectors;
    todo->count -= sectors;
    todo->buf += sectors * BLKRING_SECTOR;
}

// Copy sectors, four bytes at a time: the compiler's memcpy of a size that it
// does not know goes byte by byte.
static void
copy_sectors(void *to, const void *from, u32 count)
{
    count *= BLKRING_SECTOR / 4;
    asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void
zero_sectors(void *to, u32 count)
{
    count *= BLKRING_SECTOR / 4;
    asm volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0) : "memory");
}

// Memory of a sector within a slot.
static u8 *
slot_sector(int slot, u32 offset)
{
    return blkcache_mem(&xenblk->cache, slot) + offset * BLKRING_SECTOR;
}

// Put a slot into a window. Returns its place there.
static int
window_put(struct window_s *window, int slot)
{
    window->slots[window->count] = slot;
    window->failed[window->count] = 0;
    return window->count++;
}

// Take a slot for a window, or -1. It is zeroed: nothing of what it held, maybe
// from another disk, may reach this backend.
static int
window_take(struct window_s *window)
{
    struct blkcache_s *cache = &xenblk->cache;
    int slot = blkcache_take(cache, window->count);
    if (slot < 0)
        return -1;
    zero_sectors(blkcache_mem(cache, slot), 1 << cache->shift);
    return window_put(window, slot);
}

// Start what is queued and wait for it. If the ring breaks, the backend may
// still write to the slots, so they are never used again.
static int
window_wait(struct xendisk_s *disk, struct window_s *window)
{
    int i;
    if (!blkring_wait(&disk->ring))
        return 0;
    if (xen_platform_moved())
        return -1;
    for (i = 0; i < window->count; i++) {
        xenblk->cache.slots[window->slots[i]].valid = 0;
        xenblk->cache.slots[window->slots[i]].lost = 1;
    }
    disk->dead = 1;
    return -1;
}


/****************************************************************
 * Reading
 ****************************************************************/

// Read `count` chunks from `chunk` on into the cache, all requests under way
// at once. A chunk that cannot be read is not entered.
static int
read_chunks(struct xendisk_s *disk, u32 chunk, u32 count)
{
    struct blkcache_s *cache = &xenblk->cache;
    struct window_s window;
    window.count = 0;
    int i;
    while (window.count < count) {
        i = window_take(&window);
        if (i < 0)
            break;
        u64 sector = (u64)(chunk + i) << cache->shift;
        u64 left = disk->sectors - sector;
        u32 size = 1 << cache->shift;
        if (blkring_queue(&disk->ring, BLKIF_OP_READ, sector
                          , left < size ? left : size
                          , slot_sector(window.slots[i], 0)
                          , &window.failed[i]))
            break;
    }
    if (window_wait(disk, &window))
        return -1;
    for (i = 0; i < window.count; i++)
        if (!window.failed[i])
            blkcache_enter(cache, window.slots[i], disk->index, chunk + i
                           , window.count);
    return 0;
}

// Read just what is wanted of one chunk, which could not be read whole.
static int
read_part(struct xendisk_s *disk, struct transfer_s *todo)
{
    struct window_s window;
    window.count = 0;
    u32 chunk;
    u32 offset, part = locate(todo, &chunk, &offset);
    u32 unit = disk->sector_size / BLKRING_SECTOR, lead = offset & (unit - 1);
    int i = window_take(&window);
    if (i < 0)
        return -1;
    u8 *mem = slot_sector(window.slots[i], offset);
    blkring_queue(&disk->ring, BLKIF_OP_READ, todo->sector - lead
                  , ALIGN(lead + part, unit), mem - lead * BLKRING_SECTOR
                  , &window.failed[i]);
    if (window_wait(disk, &window))
        return -1;
    if (window.failed[i]) {
        dprintf(1, "xen: %s: reading %u sectors at %llx failed (%d)\n"
                , disk->name, part, todo->sector, window.failed[i]);
        return -1;
    }
    copy_sectors(todo->buf, mem, part);
    advance(todo, part);
    return 0;
}

// The next sector that is wanted is not in the cache: read a window from there
// on, as large as the reads so far suggest. Runs while attached.
static int noinline // its window is not on the stack during an attach
read_miss(struct xendisk_s *disk, struct transfer_s *todo)
{
    struct blkcache_s *cache = &xenblk->cache;
    u32 chunk = todo->sector >> cache->shift;
    u32 last = (todo->sector + todo->count - 1) >> cache->shift;
    u32 chunks = ((disk->sectors - 1) >> cache->shift) + 1;
    u32 count = blkcache_plan(cache, disk->index, chunk, last - chunk + 1
                              , chunks);
    dprintf(3, "xen: %s: reading %u chunks from %u\n"
            , disk->name, count, chunk);
    if (read_chunks(disk, chunk, count))
        return -1;
    if (blkcache_find(cache, disk->index, chunk) >= 0)
        return 0;
    return read_part(disk, todo);
}


/****************************************************************
 * Writing
 ****************************************************************/

// Write one chunk's part of what is wanted: into the cache's copy if there is
// one, else into an empty slot, and from there to the disk. A disk of larger
// sectors gets whole ones: what surrounds the part is read first. Returns 1 if
// there is no slot left.
static int
queue_write(struct xendisk_s *disk, struct transfer_s *todo
            , struct window_s *window)
{
    u32 chunk;
    u32 offset, part = locate(todo, &chunk, &offset);
    u32 unit = disk->sector_size / BLKRING_SECTOR, lead = offset & (unit - 1);
    u32 size = ALIGN(lead + part, unit);
    int slot = blkcache_find(&xenblk->cache, disk->index, chunk);
    int i = slot < 0 ? window_take(window) : window_put(window, slot);
    if (i < 0)
        return 1;
    u8 *mem = slot_sector(window->slots[i], offset - lead);
    if (slot < 0 && size != part) {
        blkring_queue(&disk->ring, BLKIF_OP_READ, todo->sector - lead, size
                      , mem, &window->failed[i]);
        if (window_wait(disk, window) || window->failed[i])
            return -1;
    }
    copy_sectors(mem + lead * BLKRING_SECTOR, todo->buf, part);
    int ret = blkring_queue(&disk->ring, BLKIF_OP_WRITE, todo->sector - lead
                            , size, mem, &window->failed[i]);
    advance(todo, part);
    return ret;
}

// Read a number that the backend publishes; it is as it was if it does not.
static int
read_property(struct xendisk_s *disk, const char *name, u64 *value)
{
    if (xenstore_read_number(disk->bus.backend, name, value) >= 0)
        return 0;
    dprintf(1, "xen: %s: no usable number in \"%s\" of its backend\n"
            , disk->name, name);
    return -1;
}

// Make the backend bring what it has to the disk. A backend without flush and
// barrier has no volatile cache (blkif.h, "feature-flush-cache").
static int
flush(struct xendisk_s *disk)
{
    u64 flush = 0, barrier = 0;
    if (read_property(disk, "feature-flush-cache", &flush)
        || (!flush && read_property(disk, "feature-barrier", &barrier)))
        return -1;
    if (!flush && !barrier)
        return 0;
    s16 failed = 0;
    struct window_s window;
    window.count = 0;
    blkring_queue(&disk->ring, flush ? BLKIF_OP_FLUSH_DISKCACHE
                                     : BLKIF_OP_WRITE_BARRIER
                  , 0, 0, NULL, &failed);
    if (window_wait(disk, &window))
        return -1;
    if (!failed || failed == BLKIF_RSP_EOPNOTSUPP)
        return 0;
    dprintf(1, "xen: %s: flush failed (%d)\n", disk->name, failed);
    return -1;
}

// Write as many chunks of what is wanted as the cache has slots for.
static int
write_chunks(struct xendisk_s *disk, struct transfer_s *todo)
{
    struct window_s window;
    window.count = 0;
    u32 first = todo->sector >> xenblk->cache.shift;
    int i, ret = 0;
    while (todo->count && !ret)
        ret = queue_write(disk, todo, &window);
    if (ret > 0)
        // the slots are used up: the caller comes again
        ret = 0;
    if (!window.count || window_wait(disk, &window))
        ret = -1;
    for (i = 0; i < window.count; i++) {
        if (!window.failed[i] && !ret)
            continue;
        // the cache may hold what the disk does not
        blkcache_drop(&xenblk->cache, disk->index, first + i);
        dprintf(1, "xen: %s: writing %u KiB at %u failed (%d)\n", disk->name
                , 1 << xenblk->cache.shift >> 1, first + i, window.failed[i]);
        ret = -1;
    }
    return ret;
}

// Write all that is wanted, and bring it to the disk. Runs while attached.
static int noinline // as read_miss()
write_through(struct xendisk_s *disk, struct transfer_s *todo)
{
    while (todo->count)
        if (write_chunks(disk, todo))
            return -1;
    return flush(disk);
}


/****************************************************************
 * int13
 ****************************************************************/

// Open the store, unless a disk that is attached has left it open.
static int
open_store(void)
{
    if (xenblk->attached && xen_platform_moved())
        forget_all();
    return xenblk->attached ? 0 : xenstore_open();
}

// Close the store, unless a disk that is attached will want it open.
static void
close_store(void)
{
    if (!xenblk->attached)
        xenstore_close();
}

// Attach, work, and close, or stay attached in sticky mode. What was read or
// written counts, even if the close then fails. Returns DISK_RET_*, or -1 if
// the domain has moved meanwhile.
static int
attach_once(struct xendisk_s *disk, struct transfer_s *todo, int write)
{
    if (disk->dead || open_store())
        return DISK_RET_ETIMEOUT;
    int ret = DISK_RET_ETIMEOUT;
    if (disk->attached || !attach(disk, XEN_LIMIT_STATE)) {
        ret = 0;
        if (write ? write_through(disk, todo) : read_miss(disk, todo))
            ret = disk->dead ? DISK_RET_ETIMEOUT : DISK_RET_EBADTRACK;
        if (ret || !xenblk->sticky)
            close_device(disk);
    }
    if (xen_platform_moved()) {
        // What looks done may not be: a save keeps the ring's page as it was
        // after the answers came, but data pages as they were before.
        forget_all();
        return -1;
    }
    close_store();
    return ret;
}

// How often a request is tried again because the domain was saved or migrated
// in the middle of it.
#define MOVES_MAX 8

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
    if (!todo->sector && todo->count == 1 && disk->lba0_valid) {
        copy_sectors(todo->buf, disk->lba0, 1);
        return DISK_RET_SUCCESS;
    }
    while (todo->count) {
        u32 chunk;
        u32 offset, part = locate(todo, &chunk, &offset);
        int slot = blkcache_find(&xenblk->cache, disk->index, chunk);
        if (slot >= 0) {
            copy_sectors(todo->buf, slot_sector(slot, offset), part);
            advance(todo, part);
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
    if (disk->readonly)
        return DISK_RET_EWRITEPROTECT;
    u8 *lba0 = todo->sector ? NULL : todo->buf;
    if (lba0)
        disk->lba0_valid = 0;
    int ret = while_attached(disk, todo, 1);
    if (lba0 && !ret) {
        copy_sectors(disk->lba0, lba0, 1);
        disk->lba0_valid = 1;
    }
    return ret;
}

// Check a request against the disk, and carry it out.
static int
transfer(struct xendisk_s *disk, struct disk_op_s *op)
{
    u32 unit = disk->drive->blksize / BLKRING_SECTOR;
    if (op->lba >= disk->sectors)
        return DISK_RET_EBADTRACK;
    struct transfer_s todo = {
        .sector = op->lba * unit, .count = op->count * unit, .buf = op->buf_fl,
    };
    dprintf(5, "xen: %s: int13 %u %llx %u\n"
            , disk->name, op->command, todo.sector, todo.count);
    if (!todo.count)
        return DISK_RET_SUCCESS;
    if (todo.sector >= disk->sectors || todo.count > disk->sectors - todo.sector)
        return DISK_RET_EBADTRACK;

    // An interrupt handler may have called while a wait let it run.
    if (xenblk->busy)
        return DISK_RET_ENOTREADY;
    xenblk->busy = 1;
    if (xenblk->last_use
        && rdtscll() - xenblk->last_use > xen_ticks(CACHE_AGE_US))
        blkcache_drop_all(&xenblk->cache);
    int ret = op->command == CMD_WRITE ? write_disk(disk, &todo)
                                       : read_disk(disk, &todo);
    xenblk->last_use = rdtscll();
    xenblk->busy = 0;
    xen_handover_arm(xenblk->attached ? disk->drive : NULL);
    return ret;
}

// Close all disks that are attached.
static int
close_all(void)
{
    int i;
    if (xenblk->busy || !xenblk->attached)
        return DISK_RET_SUCCESS;
    // an interrupt must not come back here
    xenblk->busy = 1;
    xen_handover_arm(NULL);
    for (i = 0; i < xenblk->count; i++)
        if (xenblk->disks[i]->attached)
            close_device(xenblk->disks[i]);
    if (xen_platform_moved())
        forget_all();
    else
        xenstore_close();
    xenblk->busy = 0;
    return DISK_RET_SUCCESS;
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
    case CMD_XEN_CLOSE:
        return close_all();
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
 * Finding the disks
 ****************************************************************/

// Say what a disk is not: one line for each.
static int
refuse(struct xendisk_s *disk, const char *why)
{
    dprintf(1, "xen: %s: %s\n", disk->name, why);
    return -1;
}

// Read what the toolstack says before anybody attaches.
static int
read_kind(struct xendisk_s *disk)
{
    if (xenbus_probe(&disk->bus, "vbd", disk->number))
        return -1;
    const char *type = xenstore_read(disk->bus.node, "device-type");
    disk->cdrom = type && !strcmp(type, "cdrom");
    if (!disk->cdrom)
        return 0;
    // a drive without a medium ("" or "aio:") would never connect
    const char *params = xenstore_read(disk->bus.backend, "params");
    if (!params || !*params || params[strlen(params) - 1] == ':')
        return refuse(disk, "no medium");
    return 0;
}

// Read what the backend publishes when it is connected (blkif.h, "Backend
// Device Properties").
static int
read_properties(struct xendisk_s *disk)
{
    u64 sectors = NO_SIZE, size = DISK_SECTOR_SIZE, info = 0;
    if (read_property(disk, "sectors", &sectors)
        || read_property(disk, "sector-size", &size)
        || read_property(disk, "info", &info))
        return -1;
    if (size < DISK_SECTOR_SIZE || size > SECTOR_SIZE_MAX || size & (size - 1))
        return refuse(disk, "sectors of a size that no BIOS can use");
    if (sectors == NO_SIZE)
        return refuse(disk, "its backend gives no size");
    if (!sectors)
        return refuse(disk, "empty");
    if (sectors < CYLINDER_SECTORS)
        return refuse(disk, "too small, not even a cylinder");
    if ((sectors - 1) >> xenblk->cache.shift >= (u32)-1)
        return refuse(disk, "too large");
    disk->sectors = sectors & -(size / DISK_SECTOR_SIZE);
    disk->sector_size = size;
    if (info & VDISK_CDROM)
        disk->cdrom = 1;
    u64 segments = 0;
    xenstore_read_number(disk->bus.backend, "feature-max-indirect-segments"
                         , &segments);
    blkring_set_indirect(&disk->ring, segments);
    const char *mode = xenstore_read(disk->bus.backend, "mode");
    disk->readonly = disk->cdrom || info & VDISK_READONLY
                     || (mode && mode[0] == 'r');
    return 0;
}

// Find out about a disk while attached to it for the first time, and keep its
// first chunk and its first sector, where every boot begins.
static int
read_first(struct xendisk_s *disk)
{
    disk->lba0_valid = 0;
    if (read_properties(disk) || read_chunks(disk, 0, 1))
        return -1;
    int slot = blkcache_find(&xenblk->cache, disk->index, 0);
    if (slot < 0) {
        refuse(disk, "its first sectors cannot be read");
        return 0;
    }
    copy_sectors(disk->lba0, slot_sector(slot, 0), 1);
    disk->lba0_valid = 1;
    return 0;
}

// Say whether a boot could begin with a disk's first sector.
static int
is_bootable(struct xendisk_s *disk)
{
    return disk->lba0_valid && *(u16*)&disk->lba0[510] == MBR_SIGNATURE;
}

// Make the drive that SeaBIOS sees. It lives in low memory, where 16-bit code
// can read it.
static int
make_drive(struct xendisk_s *disk)
{
    struct xendrive_s *xdrive = malloc_low(sizeof(*xdrive));
    if (!xdrive) {
        warn_noalloc();
        return -1;
    }
    memset(xdrive, 0, sizeof(*xdrive));
    xdrive->disk = disk;
    struct drive_s *drive = &xdrive->drive;
    drive->type = DTYPE_XEN;
    drive->cntl_id = disk->vdev.disk;
    if (!disk->cdrom && !is_bootable(disk))
        drive->cntl_id |= NOT_BOOTABLE;
    drive->removable = disk->cdrom;
    if (disk->cdrom) {
        drive->blksize = CDROM_SECTOR_SIZE;
        drive->sectors = (u64)-1;
    } else {
        // the geometry that the emulated disk would have
        u64 cylinders = disk->sectors >> 4;
        drive->blksize = DISK_SECTOR_SIZE;
        drive->sectors = disk->sectors;
        drive->pchs.cylinder = cylinders > 16383 * 63 ? 16383
                               : (u32)cylinders / 63;
        drive->pchs.head = 16;
        drive->pchs.sector = 63;
    }
    disk->drive = drive;
    return 0;
}

// Attach to a disk in POST, from whatever state it is in, and make a drive of
// it. Runs in a thread.
static void
probe_disk(void *data)
{
    struct xendisk_s *disk = data;
    if (!read_kind(disk) && !xenbus_reset(&disk->bus)
        && !blkring_alloc(&disk->ring, disk->name, disk->index)
        && !attach(disk, XEN_LIMIT_POST)) {
        int ret = read_first(disk);
        if (!close_device(disk) && !ret && !disk->drive)
            make_drive(disk);
    }
    xenblk->probing--;
}

// Which driver serves a disk: the part of the backend's path behind "backend".
static void
backend_kind(struct xendisk_s *disk, char *kind, u32 size)
{
    const char *path = disk->bus.backend;
    for (; *path; path++)
        if (!memcmp(path, "/backend/", 9))
            break;
    strtcpy(kind, *path ? path + 9 : "backend", size);
    char *end = strchr(kind, '/');
    if (end)
        *end = 0;
    if (!strcmp(kind, "vbd"))
        strtcpy(kind, "blkback", size);
}

// Register a disk with SeaBIOS, and say so.
static void
register_disk(struct xendisk_s *disk)
{
    u32 size = disk->sectors >> 11;
    char kind[16];
    backend_kind(disk, kind, sizeof(kind));
    dprintf(1, "xen: %s: %u, %u MiB, %s in domain %u, %s%s\n"
            , disk->name, disk->number, size, kind, disk->bus.domid
            , disk->readonly ? "read-only" : "read-write"
            , disk->cdrom ? ", CD" : is_bootable(disk) ? "" : ", not bootable");
    char *desc = znprintf(MAXDESCSIZE, "%s [Xen PV %s (%u MiB)]"
                          , disk->cdrom ? "DVD/CD" : "Disk"
                          , disk->name, size);
    if (disk->cdrom)
        boot_add_cd(disk->drive, desc, -1);
    else
        boot_add_hd(disk->drive, desc, -1);
}

// Find a place in the list for a disk: a new one, or, if the list is full, that
// of the disk with the highest number, if this one's is lower. Returns null if
// there is none.
static struct xendisk_s *
new_disk(const struct xenvdev_s *vdev)
{
    struct xendisk_s *last = NULL;
    int i;
    if (xenblk->count < ARRAY_SIZE(xenblk->disks)) {
        struct xendisk_s *disk = xen_alloc(sizeof(*disk));
        if (!disk)
            return NULL;
        disk->index = xenblk->count;
        disk->bus.name = disk->name;
        xenblk->disks[xenblk->count++] = disk;
        return disk;
    }
    for (i = 0; i < xenblk->count; i++)
        if (!last || xenblk->disks[i]->vdev.disk > last->vdev.disk)
            last = xenblk->disks[i];
    return last->vdev.disk > vdev->disk ? last : NULL;
}

// Add a VBD to the list of disks, if it is a whole disk.
static void
add_disk(u32 number)
{
    struct xenvdev_s vdev;
    char name[XENVDEV_NAMESIZE];
    if (xenvdev_decode(number, &vdev)) {
        dprintf(1, "xen: VBD %u: not a number that stands for a disk\n", number);
        return;
    }
    xenvdev_name(&vdev, name);
    if (vdev.partition) {
        dprintf(1, "xen: %s: %u, not a whole disk\n", name, number);
        return;
    }
    struct xendisk_s *disk = new_disk(&vdev);
    if (!disk) {
        dprintf(1, "xen: %s: %u, one disk too many\n", name, number);
        return;
    }
    if (disk->number)
        dprintf(1, "xen: %s: %u, one disk too many\n"
                , disk->name, disk->number);
    disk->vdev = vdev;
    disk->number = number;
    memcpy(disk->name, name, sizeof(disk->name));
}

// Find all VBDs that are whole disks.
static void
list_disks(void)
{
    const char *names;
    int len = xenstore_list("device/vbd", &names);
    if (len < 0 && *names)
        dprintf(1, "xen: the list of disks cannot be read (%s)\n", names);
    const char *end = names + len;
    for (; len > 0 && names < end; names += strlen(names) + 1) {
        u32 number = 0;
        const char *digit = names;
        for (; *digit >= '0' && *digit <= '9' && number < 100000000; digit++)
            number = number * 10 + *digit - '0';
        if (*digit || digit == names)
            dprintf(1, "xen: VBD \"%s\": not a number\n", names);
        else
            add_disk(number);
    }
}

// Allocate the cache: all that the configuration allows, at most 1/64 of the
// memory, and not so much that other drivers find none.
static int
alloc_cache(void)
{
    u32 size = CACHE_MAX, spare = malloc_getspace(&ZoneHigh) / 2;
    if (size > LegacyRamSize / 64)
        size = LegacyRamSize / 64;
    if (size > spare)
        size = spare;
    if (size < CACHE_MIN)
        size = CACHE_MIN;
    void *mem = memalign_high(PAGE_SIZE, size);
    if (!mem) {
        warn_noalloc();
        return -1;
    }
    dprintf(3, "xen: %u KiB of cache at %p\n", size / 1024, mem);
    blkcache_init(&xenblk->cache, mem, size
                  , xenblk->sticky ? STICKY_START : CLOSED_START);
    return 0;
}

// Find the disks, and attach to all of them at the same time.
static void
probe_once(void)
{
    int i;
    if (!xenblk->count)
        list_disks();
    if (!xenblk->count
        || (!xenblk->cache.mem && (blkring_setup() || alloc_cache())))
        return;
    xenblk->probing = xenblk->count;
    for (i = 0; i < xenblk->count; i++)
        run_thread(probe_disk, xenblk->disks[i]);
    while (xenblk->probing)
        // each thread ends within its deadlines
        yield();
}

// The same, and once more in a domain that has moved meanwhile.
static void
probe_disks(void)
{
    int tries;
    for (tries = 0; tries < MOVES_MAX; tries++) {
        if (xenstore_open())
            return;
        probe_once();
        if (!xen_platform_moved()) {
            xenstore_close();
            return;
        }
        dprintf(1, "xen: the domain has moved, once more\n");
        forget_all();
    }
}

void
xenblk_setup(void)
{
    ASSERT32FLAT();
    if (!CONFIG_XEN_PV || xen_platform_init())
        return;
    if (CONFIG_XEN_PVH)
        xentick_setup(xen_tsc_khz(), xen_wall_clock());
    xenblk = xen_alloc(sizeof(*xenblk));
    if (!xenblk || xenstore_setup())
        return;
    xenblk->sticky = CONFIG_XEN_PV_STICKY;
    probe_disks();
    int i;
    for (i = 0; i < xenblk->count; i++)
        if (xenblk->disks[i]->drive)
            register_disk(xenblk->disks[i]);
}


/****************************************************************
 * Emulated twins
 ****************************************************************/

// Say whether a registered PV disk is the disk `unit` of an emulated
// controller, of `sectors` sectors (0: not known).
static int
covers(u8 type, u32 unit, u64 sectors)
{
    int i, cdrom = type == DTYPE_ATA_ATAPI || type == DTYPE_AHCI_ATAPI;
    for (i = 0; xenblk && i < xenblk->count; i++) {
        struct xendisk_s *disk = xenblk->disks[i];
        if (!disk->drive || !xenvdev_has_twin(&disk->vdev, type, unit)
            || disk->cdrom != cdrom)
            continue;
        if (!cdrom && sectors && sectors != disk->sectors) {
            dprintf(1, "xen: %s: an emulated disk of its number has another"
                    " size\n", disk->name);
            continue;
        }
        dprintf(1, "xen: %s: its emulated twin is left out\n", disk->name);
        return 1;
    }
    return 0;
}

int
xenblk_covers(struct drive_s *drive)
{
    if (!CONFIG_XEN_PV || drive->type == DTYPE_LSI_SCSI)
        return 0;
    return covers(drive->type, drive->cntl_id, drive->sectors);
}

int
xenblk_covers_lsi(u8 target, u8 lun)
{
    if (!CONFIG_XEN_PV || lun)
        return 0;
    return covers(DTYPE_LSI_SCSI, target, 0);
}
