// Transfers between the caller of int13, the cache and the ring.
//
// Caller memory is never granted; the cache's pages are.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkio.h" // xenblk_read_miss
#include "output.h" // dprintf
#include "std/disk.h" // struct mbr_s
#include "wait.h" // xenwait_start
#include "xenstore.h" // xenstore_read_numbers

// How long a read may take if it has more than what was asked for, as far as the
// time of its beginning tells.
#define SLOW_US 5000000

/****************************************************************
 * Requests to the backend, through slots of the cache
 ****************************************************************/

// What is under way: slots, of which each becomes the status (below 0) of a request
// for it that fails.
struct window_s {
    u8 count;
    s8 slots[BLKCACHE_RUN];
};

// Chunk, and sector within the chunk, where a transfer goes on; the return
// value is the number of sectors until it leaves the chunk.
u32
xenblk_locate(struct transfer_s *todo, u32 *chunk, u32 *offset)
{
    u32 shift = xenblk->cache.shift, size = 1 << shift;
    *chunk = todo->sector >> shift;
    *offset = todo->sector & (size - 1);
    return todo->count < size - *offset ? todo->count : size - *offset;
}

void
xenblk_advance(struct transfer_s *todo, u32 sectors)
{
    todo->sector += sectors;
    todo->count -= sectors;
    todo->buf += sectors * BLKRING_SECTOR;
}

// Copy sectors, four bytes at a time: the compiler's memcpy of a size that it
// does not know goes byte by byte.
void
xenblk_copy_sectors(void *to, const void *from, u32 count)
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
u8 *
xenblk_slot_sector(int slot, u32 offset)
{
    return blkcache_mem(&xenblk->cache, slot) + offset * BLKRING_SECTOR;
}

// Put a slot into a window: from here on the backend may use it. Returns its
// place there.
static int
window_put(struct xendisk_s *disk, struct window_s *window, int slot)
{
    xenblk->cache.slots[slot].holder = disk->index + 1;
    window->slots[window->count] = slot;
    return window->count++;
}

// Take a slot for a window, or -1. It is zeroed: nothing of what it held, maybe
// from another disk, may reach this backend.
static int
window_take(struct xendisk_s *disk, struct window_s *window)
{
    struct blkcache_s *cache = &xenblk->cache;
    // more than one only as long as each other disk has one
    int slot = blkcache_take(cache, window->count ? xenblk->count - 1 : 0);
    if (slot < 0)
        return -1;
    zero_sectors(blkcache_mem(cache, slot), 1 << cache->shift);
    return window_put(disk, window, slot);
}

// What has been waited for stays the window's.
static void
window_keep(struct xendisk_s *disk, struct window_s *window)
{
    int i;
    for (i = 0; i < window->count; i++)
        if (window->slots[i] >= 0)
            xenblk->cache.slots[window->slots[i]].holder = disk->index + 1;
}

// Start what is queued and wait for it. If the ring breaks, the backend may use
// the slots until the disk is closed.
static int
window_wait(struct xendisk_s *disk)
{
    int i;
    if (!blkring_wait(&disk->ring)) {
        blkcache_release(&xenblk->cache, disk->index);
        return 0;
    }
    for (i = 0; i < BLKCACHE_SLOTS; i++)
        if (xenblk->cache.slots[i].holder == disk->index + 1)
            xenblk->cache.slots[i].valid = 0;
    disk->dead = 1;
    return -1;
}


/****************************************************************
 * Reading
 ****************************************************************/

// Read `count` chunks from `chunk` on into the cache: first those that are
// wanted, as much again, as storage with a limit lets the first through, and
// then the rest. If the disk is slow, it is less. A chunk that cannot be read is
// not entered. Returns 0 if what is wanted has been answered, or -1 if the ring is
// broken.
static int noinline // its window is not on the stack when a part is read
read_chunks(struct xendisk_s *disk, u32 chunk, u32 count, u32 wanted)
{
    struct blkcache_s *cache = &xenblk->cache;
    struct window_s window;
    window.count = 0;
    int i;
    u32 done = 0, end = wanted < count ? wanted : count;
    u64 begin = rdtscll();
    while (done < end) {
        while (window.count < end) {
            i = window_take(disk, &window);
            if (i < 0)
                break;
            u64 sector = (u64)(chunk + i) << cache->shift;
            u64 left = disk->sectors - sector;
            u32 size = 1 << cache->shift;
            if (blkring_queue(&disk->ring, BLKIF_OP_READ, sector
                              , left < size ? left : size
                              , xenblk_slot_sector(window.slots[i], 0)
                              , &window.slots[i]))
                break;
        }
        if (window_wait(disk)) {
            // the next run ends in front of it
            disk->bad_chunk = chunk + done + 1;
            disk->bad_stalled = disk->ring.broken & RING_STALLED;
            if (!done || !(disk->ring.broken & RING_STALLED))
                return -1;
            window.count = done;
            break;
        }
        if (window.count < end)
            break;
        window_keep(disk, &window);
        done = end;
        end = done == wanted && done < count / 2 ? 2 * done : count;
        u64 passed = rdtscll() - begin;
        while (end > done && end * passed > done * xen_ticks(SLOW_US))
            end -= (end - done + 1) / 2;
    }
    for (i = 0; i < window.count; i++)
        if (window.slots[i] >= 0)
            blkcache_enter(cache, window.slots[i], disk->index, chunk + i
                           , window.count, i);
    return 0;
}

// Read just what is wanted of one chunk, which could not be read whole.
static int
read_part(struct xendisk_s *disk, struct transfer_s *todo)
{
    struct window_s window;
    window.count = 0;
    u32 chunk;
    u32 offset, part = xenblk_locate(todo, &chunk, &offset);
    u32 unit = disk->sector_size / BLKRING_SECTOR, lead = offset & (unit - 1);
    int i = window_take(disk, &window);
    if (i < 0)
        return -1;
    u8 *mem = xenblk_slot_sector(window.slots[i], offset);
    blkring_queue(&disk->ring, BLKIF_OP_READ, todo->sector - lead
                  , ALIGN(lead + part, unit), mem - lead * BLKRING_SECTOR
                  , &window.slots[i]);
    if (window_wait(disk))
        return -1;
    if (window.slots[i] < 0) {
        dprintf(1, "xen: %s: reading %u sectors at %llx failed (%d)\n"
                , disk->name, part, todo->sector, window.slots[i]);
        return -1;
    }
    xenblk_copy_sectors(todo->buf, mem, part);
    xenblk_advance(todo, part);
    return 0;
}

// Say whether a partition table seems to count in sectors of 4096 bytes, as the OS has
// made it that saw the disk with such: what ends where the disk does in that unit.
static int
has_large_units(struct xendisk_s *disk, struct mbr_s *mbr)
{
    u64 end = 0, size = disk->sectors / (4096 / BLKRING_SECTOR);
    int protective = 0, i;
    for (i = 0; i < ARRAY_SIZE(mbr->partitions); i++) {
        struct partition_s *partition = &mbr->partitions[i];
        if (!partition->type)
            continue;
        protective |= partition->type == 0xee;
        u64 this = (u64)partition->lba + partition->count;
        if (this > end)
            end = this;
    }
    return (protective && end == size)
           || (disk->sector_size == 4096 && end && end <= size);
}

int
xenblk_read_signature(struct xendisk_s *disk)
{
    struct window_s window;
    window.count = 0;
    int i;
    struct xenwait_s wait;
    xenwait_start(&wait, XEN_LIMIT_POST, 0);
    while ((i = window_take(disk, &window)) < 0)
        // other disks have all slots, until their backends have answered
        if (xenwait_step(&wait))
            return xenblk_refuse(disk, "no place in the cache to read it");
    u8 *mem = xenblk_slot_sector(window.slots[i], 0);
    blkring_queue(&disk->ring, BLKIF_OP_READ, 0
                  , disk->sector_size / BLKRING_SECTOR, mem, &window.slots[i]);
    if (window_wait(disk))
        return -1;
    if (window.slots[i] < 0) {
        xenblk_refuse(disk, "its first sector cannot be read");
        return 0;
    }
    struct mbr_s *mbr = (void*)mem;
    disk->bootable = mbr->signature == MBR_SIGNATURE;
    if (disk->bootable && has_large_units(disk, mbr))
        dprintf(1, "xen: %s: its partition table seems to count in sectors of"
                " 4096 bytes\n", disk->name);
    return 0;
}

// The next sector that is wanted is not in the cache: read what is wanted, and
// ahead of that as much as the reads so far suggest. Runs while attached.
int noinline // its window is not on the stack during an attach
xenblk_read_miss(struct xendisk_s *disk, struct transfer_s *todo)
{
    struct blkcache_s *cache = &xenblk->cache;
    u32 chunk = todo->sector >> cache->shift;
    u32 last = (todo->sector + todo->count - 1) >> cache->shift;
    u32 chunks = ((disk->sectors - 1) >> cache->shift) + 1;
    if (disk->bad_chunk == chunk + 1)
        return read_part(disk, todo);
    u32 first = chunk;
    u32 count = blkcache_plan(cache, disk->index, &first, last - chunk + 1
                              , chunks);
    if (disk->bad_chunk == first + 1) {
        // what lies in front of what is wanted
        count -= chunk - first;
        first = chunk;
    }
    if (disk->bad_chunk > chunk + 1 && disk->bad_chunk - 1 - first < count)
        count = disk->bad_chunk - 1 - first;
    dprintf(3, "xen: %s: reading %u chunks from %u\n"
            , disk->name, count, first);
    if (read_chunks(disk, first, count, last - first + 1)) {
        disk->bad_chunk = chunk + 1;
        return -1;
    }
    if (blkcache_find(cache, disk->index, chunk) >= 0)
        return 0;
    disk->bad_chunk = chunk + 1;
    disk->bad_stalled = 0;
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
    u32 offset, part = xenblk_locate(todo, &chunk, &offset);
    u32 unit = disk->sector_size / BLKRING_SECTOR, lead = offset & (unit - 1);
    u32 size = ALIGN(lead + part, unit);
    int slot = blkcache_find(&xenblk->cache, disk->index, chunk);
    int i = slot < 0 ? window_take(disk, window) : window_put(disk, window, slot);
    if (i < 0)
        return 1;
    u8 *mem = xenblk_slot_sector(window->slots[i], offset - lead);
    if (slot < 0 && size != part) {
        blkring_queue(&disk->ring, BLKIF_OP_READ, todo->sector - lead, size
                      , mem, &window->slots[i]);
        if (window_wait(disk) || window->slots[i] < 0)
            return -1;
        window_keep(disk, window);
    }
    xenblk_copy_sectors(mem + lead * BLKRING_SECTOR, todo->buf, part);
    int ret = blkring_queue(&disk->ring, BLKIF_OP_WRITE, todo->sector - lead
                            , size, mem, &window->slots[i]);
    xenblk_advance(todo, part);
    return ret;
}

// Make the backend bring what it has to the disk, by what it offers and does not
// refuse. One without flush and barrier has no volatile cache (blkif.h,
// "feature-flush-cache").
static int
flush(struct xendisk_s *disk)
{
    static const char *const names[] = { "feature-flush-cache", "feature-barrier" };
    u64 offered[] = { 0, 0 };
    int i, bad = xenstore_read_numbers(disk->bus.backend, names, offered
                                       , ARRAY_SIZE(names));
    if (bad)
        return xenblk_refuse_number(disk, names[bad - 1]);
    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (!offered[i])
            continue;
        s8 failed = 0;
        blkring_queue(&disk->ring, i ? BLKIF_OP_WRITE_BARRIER
                                     : BLKIF_OP_FLUSH_DISKCACHE
                      , 0, 0, NULL, &failed);
        if (window_wait(disk))
            return -1;
        if (!failed)
            return 0;
        if (failed != BLKIF_RSP_EOPNOTSUPP) {
            dprintf(1, "xen: %s: flush failed (%d)\n", disk->name, failed);
            return -1;
        }
    }
    return 0;
}

// Write as many chunks of what is wanted as the cache has slots for.
static int noinline // its window is not on the stack during a flush
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
    if (!window.count)
        return xenblk_refuse(disk, "no place in the cache to write through");
    if (window_wait(disk))
        ret = -1;
    for (i = 0; i < window.count; i++) {
        if (window.slots[i] < 0) {
            dprintf(1, "xen: %s: writing %u KiB at %u failed (%d)\n", disk->name
                    , 1 << xenblk->cache.shift >> 1, first + i, window.slots[i]);
            ret = -1;
        }
    }
    for (i = 0; i < window.count && ret; i++)
        // the cache may hold what the disk does not
        blkcache_drop(&xenblk->cache, disk->index, first + i);
    return ret;
}

// Write all that is wanted, and bring it to the disk. Runs while attached.
int noinline // as xenblk_read_miss()
xenblk_write_through(struct xendisk_s *disk, struct transfer_s *todo)
{
    while (todo->count)
        if (write_chunks(disk, todo))
            return -1;
    return flush(disk);
}
