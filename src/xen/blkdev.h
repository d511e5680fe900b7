// The life of one disk: attached, closed, what its backend says of it.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_BLKDEV_H
#define __XEN_BLKDEV_H

#include "blkcache.h" // struct blkcache_s
#include "blkring.h" // struct blkring_s
#include "block.h" // struct drive_s
#include "vdev.h" // struct xenvdev_s
#include "xenbus.h" // struct xenbus_s

// A disk. The part that 16-bit code reads lies in low memory, see xendrive_s.
struct xendisk_s {
    struct xenbus_s bus;
    struct blkring_s ring;
    struct xenvdev_s vdev;
    struct drive_s *drive;
    u64 sectors;        // of 512 bytes
    u64 looked_at;      // rdtscll() of the last look at the medium of a CD drive
    u32 number;         // the VBD's
    u32 attaches;       // so far
    u32 image;          // a hash of what the backend calls it, 0: not known yet
    u32 sector_size;    // in bytes
    u32 bad_chunk;      // + 1: it cannot be read whole, 0: none is known
    u8 bad_stalled;     // it was not answered, rather than with an error
    u8 index;           // in the list of disks
    u8 readonly, cdrom;
    u8 dead;            // its backend failed, and has not let go yet
    u8 attached;        // it is ours, whatever its state
    u8 bootable;        // its first sector has a boot signature
    u8 found;           // POST has read it
    u8 area_shift;      // of sectors: the size of the next list's areas
    u8 written;         // areas in it
    u64 areas[32];      // that the emulated twin has written to
    char name[XENVDEV_NAMESIZE];
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
    u8 waited;          // and has let other programs run
    u8 sticky;          // stay attached between two int13 calls
    u8 attached;        // disks that are
    struct xendisk_s *disks[XENVDEV_MAX];
};

extern const struct xenbus_class_s xenblk_class;
extern struct xenblk_s *xenblk;

// Attach to the backend, which has at most `limit` ms, and read its properties:
// they may be others than the last time. The store is open. Returns 0, or -1 with a
// message; either way a disk that is disk->attached then has to be closed.
int xenblk_attach(struct xendisk_s *disk, u32 limit);

// Finish a close that xenbus_disconnect() has begun, or begin it. Returns 0, or
// another number with a message: what the backend may still use has not been taken
// back then, and the next int13 tries again.
int xenblk_close(struct xendisk_s *disk);

// The domain has moved: forget all that was under way.
void xenblk_forget_all(void);

// Look which medium is in a CD drive: what is known of another one is forgotten.
// Returns 0, or -1 with a message if there is none, or not the one that the drive's
// emulated twin had in POST.
int xenblk_check_medium(struct xendisk_s *disk);

// Forget all that was read, of all disks, and what could not be read; where only time
// has passed, not what has stalled: each try would take as long.
void xenblk_drop_all(int same_disks);

// Say what a disk is not: one line for each. Returns -1.
int xenblk_refuse(struct xendisk_s *disk, const char *why);

// The same for a node of its backend that should hold a number. `name` is constant.
int xenblk_refuse_number(struct xendisk_s *disk, const char *name);

#endif // blkdev.h
