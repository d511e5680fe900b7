// The read cache: which chunk of which disk is in which slot, and how much to
// read at a miss. It only keeps the books: filling is the caller's.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkcache.h" // blkcache_init
#include "blkring.h" // BLKRING_SECTOR
#include "string.h" // memset

void
blkcache_init(struct blkcache_s *cache, void *mem, u32 size, u32 start)
{
    memset(cache, 0, sizeof(*cache));
    cache->mem = mem;
    while (BLKRING_SECTOR << (cache->shift + 1) <= size / BLKCACHE_SLOTS_MIN)
        cache->shift++;
    cache->count = size / (BLKRING_SECTOR << cache->shift);
    if (cache->count > BLKCACHE_SLOTS)
        cache->count = BLKCACHE_SLOTS;
    cache->start = start / (BLKRING_SECTOR << cache->shift) ?: 1;
    if (cache->start > cache->count / 2)
        cache->start = cache->count / 2;
}

void *
blkcache_mem(struct blkcache_s *cache, int slot)
{
    return cache->mem + (slot * BLKRING_SECTOR << cache->shift);
}

// Find a chunk without counting that as a use.
static int
find(struct blkcache_s *cache, u8 disk, u32 chunk)
{
    int i;
    for (i = 0; i < cache->count; i++) {
        struct blkslot_s *slot = &cache->slots[i];
        if (slot->valid && slot->disk == disk && slot->chunk == chunk)
            return i;
    }
    return -1;
}

int
blkcache_find(struct blkcache_s *cache, u8 disk, u32 chunk)
{
    int i, n;
    cache->stamp++;
    for (n = 0; n < XENVDEV_MAX; n++)
        cache->seen[n] |= 1 << disk;
    i = find(cache, disk, chunk);
    if (i < 0)
        return -1;
    struct blkslot_s *slot = &cache->slots[i];
    slot->done = 0;
    if (!slot->ahead) {
        slot->stamp = cache->stamp;
        return i;
    }
    slot->ahead = 0;
    n = find(cache, disk, chunk - 1);
    if (n >= 0 && cache->share[disk] > 1)
        // what the other disks have read ahead is of more use
        cache->slots[n].done = 1;
    return i;
}

int
blkcache_take(struct blkcache_s *cache, u32 keep)
{
    int i, oldest = -1;
    u32 age = 0, left = 0;
    for (i = 0; i < cache->count; i++) {
        struct blkslot_s *slot = &cache->slots[i];
        u32 this = cache->stamp - slot->stamp;
        if (slot->holder)
            continue;
        if (slot->done)
            this |= 1u << 31;
        left++;
        if (oldest >= 0 && this <= age)
            continue;
        oldest = i;
        age = this;
    }
    if (left <= keep)
        return -1;
    cache->slots[oldest].valid = cache->slots[oldest].done = 0;
    cache->slots[oldest].stamp = ++cache->stamp;
    return oldest;
}

void
blkcache_release(struct blkcache_s *cache, u8 disk)
{
    int i;
    for (i = 0; i < cache->count; i++)
        if (cache->slots[i].holder == disk + 1)
            cache->slots[i].holder = 0;
}

// Count the disks that are read in turn with one that misses. It forgets one of them,
// not all: a stripe may be longer than a run.
static u32
count_share(struct blkcache_s *cache, u8 disk)
{
    u32 others = cache->seen[disk] & ~(1 << disk), share = 1;
    cache->seen[disk] = others & (others - 1);
    for (; others; others &= others - 1)
        share++;
    return cache->share[disk] = share;
}

int
blkcache_plan(struct blkcache_s *cache, u8 disk, u32 *chunk, u32 need
              , u32 chunks)
{
    u32 run = cache->start, most = cache->count * 7 / 8, n;
    u32 share = count_share(cache, disk);
    // what lies just before stays: a file's next block may be there
    int gap = 0;
    for (n = 0; n < 2; n++) {
        int i = find(cache, disk, *chunk - 2 + n);
        if (i < 0)
            continue;
        struct blkslot_s *slot = &cache->slots[i];
        slot->stamp = ++cache->stamp;
        if (run < slot->run * 2)
            run = slot->run * 2;
        gap = 1 - n;
    }
    *chunk -= gap;
    need += gap;
    if (run > (most + share - 1) / share)
        run = (most + share - 1) / share;
    if (run < need)
        run = need;
    if (run > most)
        run = most;
    for (n = 1; n < run; n++)
        if (*chunk + n >= chunks || find(cache, disk, *chunk + n) >= 0)
            break;
    return n;
}

void
blkcache_enter(struct blkcache_s *cache, int slot, u8 disk, u32 chunk, u8 run
               , u8 ahead)
{
    // a run's last chunk goes first: of several disks', all runs' last ones
    u32 age = cache->share[disk] > 1 ? ahead * 6 : ahead * 2;
    cache->slots[slot] = (struct blkslot_s){
        .chunk = chunk, .stamp = ++cache->stamp - age, .disk = disk, .run = run,
        .valid = 1, .ahead = 1,
    };
}

// Forget what a slot holds, and make it the first to be taken.
static void
empty(struct blkslot_s *slot)
{
    slot->valid = 0;
    slot->stamp = 0;
}

void
blkcache_drop(struct blkcache_s *cache, u8 disk, u32 chunk)
{
    int i = find(cache, disk, chunk);
    if (i >= 0)
        empty(&cache->slots[i]);
}

void
blkcache_drop_all(struct blkcache_s *cache)
{
    int i;
    for (i = 0; i < cache->count; i++)
        empty(&cache->slots[i]);
}
