// The read cache: which part of which disk is where.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_BLKCACHE_H
#define __XEN_BLKCACHE_H

#include "types.h" // u32
#include "vdev.h" // XENVDEV_MAX

// The cache is divided into slots, each for an aligned chunk of a disk. There are
// enough of them for an int13 of 64 KiB, which touches 17 chunks at most, and for
// eight disks that are read in turn.
#define BLKCACHE_SLOTS     32
#define BLKCACHE_SLOTS_MIN 24
// At most so many are filled at once, seven eighths, so that others survive.
#define BLKCACHE_RUN       28

struct blkslot_s {
    u32 chunk;          // which chunk of the disk
    u32 stamp;          // time when it was read, or come back to
    u8 disk;            // number of the disk
    u8 run;             // chunks that were filled together with this one
    u8 valid;           // holds the chunk
    u8 ahead;           // nobody has asked for it yet
    u8 done;            // a disk among several was read on from it
    u8 holder;          // number + 1 of the disk whose backend may use it, or 0
};

struct blkcache_s {
    u8 *mem;            // page aligned
    u32 shift;          // a chunk is 1 << shift sectors of 512 bytes
    u32 count;          // slots
    u32 start;          // chunks in the first run of a sequence
    u32 stamp;          // time of the youngest use
    u32 seen[XENVDEV_MAX]; // masks: disks used since this one's last miss
    u8 share[XENVDEV_MAX]; // disks that were read in turn at its last miss
    struct blkslot_s slots[BLKCACHE_SLOTS];
};

// Use `size` bytes at `mem` (page aligned, at least a page for each slot). The
// first run of a sequence reads about `start` bytes, at most half of the cache.
void blkcache_init(struct blkcache_s *cache, void *mem, u32 size, u32 start);

// Memory of a slot; its size is 512 << shift bytes.
void *blkcache_mem(struct blkcache_s *cache, int slot);

// Find a chunk. Returns its slot, or -1.
int blkcache_find(struct blkcache_s *cache, u8 disk, u32 chunk);

// Take a slot that no backend may use, and forget what it held: one that is empty,
// or that several disks' reads have left behind, or the oldest. Returns it, or -1
// unless there are more than `keep` of them.
int blkcache_take(struct blkcache_s *cache, u32 keep);

// A disk's backend may use no slot any more.
void blkcache_release(struct blkcache_s *cache, u8 disk);

// Decide how many chunks to read at a miss of *chunk: at least `need`, more while
// reads are sequential, the disk's share if several disks are read in turn, none
// that is cached already and none beyond the disk's `chunks`. A gap of one chunk
// behind what is cached is read as well: then *chunk is one less. Returns
// 1..BLKCACHE_RUN.
int blkcache_plan(struct blkcache_s *cache, u8 disk, u32 *chunk, u32 need
                  , u32 chunks);

// A taken slot now holds `chunk`, read in a run of `run` behind `ahead` others.
void blkcache_enter(struct blkcache_s *cache, int slot, u8 disk, u32 chunk
                    , u8 run, u8 ahead);

// Forget one chunk, or everything.
void blkcache_drop(struct blkcache_s *cache, u8 disk, u32 chunk);
void blkcache_drop_all(struct blkcache_s *cache);

#endif // blkcache.h
