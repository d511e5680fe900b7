// Transfers between the caller of int13, the cache and the ring.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_BLKIO_H
#define __XEN_BLKIO_H

#include "blkdev.h" // struct xendisk_s

// What the caller of int13 still wants, in sectors of 512 bytes.
struct transfer_s {
    u64 sector;
    u32 count;
    u8 *buf;
};

// Chunk, and sector within the chunk, where a transfer goes on; the return
// value is the number of sectors until it leaves the chunk.
u32 xenblk_locate(struct transfer_s *todo, u32 *chunk, u32 *offset);

void xenblk_advance(struct transfer_s *todo, u32 sectors);

// Copy sectors, of 512 bytes.
void xenblk_copy_sectors(void *to, const void *from, u32 count);

// Memory of a sector within a slot.
u8 *xenblk_slot_sector(int slot, u32 offset);

// Read the first sector, while attached for the first time, and find out whether
// a boot could begin there. POST only. Returns 0, or -1 if the ring is broken.
int xenblk_read_signature(struct xendisk_s *disk);

// The next sector that is wanted is not in the cache: read what is wanted, and
// as much ahead as the reads so far suggest and the disk can do in 5 s. Runs
// while attached. Returns 0 or -1.
int xenblk_read_miss(struct xendisk_s *disk, struct transfer_s *todo);

// Write all that is wanted, and bring it to the disk. Runs while attached.
// Returns 0, or -1 with a message.
int xenblk_write_through(struct xendisk_s *disk, struct transfer_s *todo);

#endif // blkio.h
