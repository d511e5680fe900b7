// Block requests (blkif.h).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_BLKRING_H
#define __XEN_BLKRING_H

#include "types.h" // u32
#include "xenapi.h" // struct blkif_front_ring

// Sectors of the blkif protocol are 512 bytes, whatever the disk's are.
#define BLKRING_SECTOR 512

struct blkring_s {
    struct blkif_front_ring front;
    const char *name;               // for messages
    u8 number;                      // the disk's
    grant_ref_t ref;                // of the ring page
    evtchn_port_t port;             // 0: the ring is closed
    u8 was_masked;                  // the port, before it was ours
    domid_t domid;                  // the backend's domain
    u32 requests;                   // so far
    u8 granted;                     // the ring page is
    u8 held;                        // the backend has closed, but has not let go
    u8 broken;                      // it cannot be used; RING_STALLED or others
    u8 refused;                     // the backend does not know indirect requests
    u8 indirect;                    // segments of an indirect request, 0: none
};

// blkring_s.broken: the backend is late, it has not broken the protocol.
#define RING_STALLED 2

// Allocate what all rings share. POST only. Returns 0 or -1.
int blkring_setup(void);

// Allocate the ring page of disk number `index` (0..XENVDEV_MAX-1).
// POST only. Returns 0 or -1.
int blkring_alloc(struct blkring_s *ring, const char *name, int index);

// Tell how many segments an indirect request may have, by what the backend says
// (blkif.h, "feature-max-indirect-segments"); 0 if it knows none. They are for
// large reads. A ring that does not know it works as well.
void blkring_set_indirect(struct blkring_s *ring, u64 segments);

// Make an empty ring, grant it to `domid` and open an event channel.
// Returns 0, or -1 with a message.
int blkring_open(struct blkring_s *ring, domid_t domid);

// Take ring, grants and event channel back, after the backend has let go, or do
// nothing if that has been done, or if the domain has moved since.
// Requests that were still under way keep their numbers and pages until then.
// Returns 0, or -1 with a message if something is still mapped: to be called
// again.
int blkring_close(struct blkring_s *ring);

// Forget all that was under way in another life of the domain.
void blkring_forget(struct blkring_s *ring);

// Queue `operation` (BLKIF_OP_*) for `count` sectors from `sector`; a wait is
// needed only when the ring is full. `buf` is sector aligned; the pages that
// it touches are what the backend can see. A failed request sets *failed.
// Returns 0, or -1 if the ring is broken.
int blkring_queue(struct blkring_s *ring, u8 operation, u64 sector, u32 count
                  , void *buf, s8 *failed);

// Start what is queued and wait until all of it is done.
// Returns 0, or -1 with a message if the ring is broken. A failed request is
// no broken ring: look at its *failed (0 or the last BLKIF_RSP_* status).
int blkring_wait(struct blkring_s *ring);

#endif // blkring.h
