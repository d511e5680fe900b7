// Interfaces between the files of the Xen PV layer, from the bottom up: a
// function calls only what stands above it here.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XENPV_INT_H
#define __XENPV_INT_H

#include "xenapi.h" // domid_t

struct drive_s;

// Time limits in ms.
#define XEN_LIMIT_POST     10000 // an attach or a block request, in POST
#define XEN_LIMIT_STATE    30000 // an attach later, and a close at any time
#define XEN_LIMIT_IO       30000 // a block request
#define XEN_LIMIT_STORE     5000 // a reply of xenstored
#define XEN_LIMIT_STALLED    500 // the same, after one that did not come


/****************************************************************
 * platform.c - the hypervisor and its shared pages
 ****************************************************************/

extern struct shared_info *xen_info;
extern grant_entry_v1_t *xen_grants;
extern struct xenstore_domain_interface *xen_store;
extern u32 xen_tsc_mhz; // ticks of the TSC in a microsecond

// A window that hvmloader reserves for the guest in every memory map
// (tools/firmware/hvmloader/config.h, "HVM_BELOW_4G"); in PVH a hole, too. Pages
// mapped there: shared_info and one grant frame.
#define XEN_GUEST_WINDOW  0xfe700000
#define XEN_MAPPED_PAGES  2

// Allocate zeroed memory that the OS leaves alone, in whole pages if it is as
// large as one. POST only. Returns null, with a message, if there is none.
void *xen_alloc(u32 size);

// Frequency of the guest's TSC (arch-x86/cpuid.h, "Leaf 4").
u32 xen_tsc_khz(void);

// Xen's wall clock in seconds since 1970, or 0 if it cannot be read. POST only,
// after xen_platform_init().
u32 xen_wall_clock(void);

// Find Xen by CPUID (arch-x86/cpuid.h), set up the hypercall page unless
// SeaBIOS has one, and choose where to map shared pages. POST only.
// Returns 0, or -1 without a message where there is no Xen.
int xen_platform_init(void);

// Map shared_info and the first grant frame, and find the xenstore ring:
// whoever ran since the last call may have moved them. The contents of these
// pages belong to Xen and survive. On success *store_port is the event channel
// of xenstored. Returns 0, or -1 with a message.
int xen_platform_map(evtchn_port_t *store_port);

// Say whether the domain was restored or has migrated since
// xen_platform_map(): then rings, grants and event channels of that time are
// gone, and so is all that was under way. Returns 1 or 0.
int xen_platform_moved(void);

// A port of this domain on which no event ever comes.
evtchn_port_t xen_marker_port(void);

// End what xen_platform_map() began. The pages stay where they are.
void xen_platform_unmap(void);

// Find out which domain an event channel leads to, or is open for. Returns its
// id, or -1 if this domain has no such channel.
int xen_port_domain(evtchn_port_t port);


/****************************************************************
 * evtchn.c - event channels (event_channel.h)
 ****************************************************************/

// Allocate an event channel that domain `remote` may bind. Returns the port, or
// a negative errno.
int xenevtchn_open(domid_t remote);

// Close a port, and clear what is pending on it.
void xenevtchn_close(evtchn_port_t port);

// Notify the other end.
void xenevtchn_notify(evtchn_port_t port);

// Mask or unmask a port: the layer waits for its events in Xen (wait.c), takes no
// interrupt for them, and so masks what it uses.
// Returns 1 if it was masked before, else 0.
int xenevtchn_set_mask(evtchn_port_t port, int masked);

// Clear the pending bit of a port. Returns 1 if it was set.
int xenevtchn_clear(evtchn_port_t port);

// Clear what tells the vCPU that an event is pending, if none is: an event that
// came while its port was not masked has set it.
void xenevtchn_settle(void);


/****************************************************************
 * wait.c - waiting (sched.h)
 ****************************************************************/

// Ticks of the TSC in `us` microseconds.
u64 xen_ticks(u32 us);

// Xen's time in ns (xen.h, "struct vcpu_time_info"), or 0 if it cannot be read
// now: Xen is changing it, or a restore has left a hole in place of the page.
u64 xen_system_time(void);

// A wait with a deadline. Time in which the domain did not run does not count.
struct xenwait_s {
    u64 last;      // rdtscll() of the last step
    u64 left;      // ticks until the deadline
    u64 breath;    // what was left when rare things were done last
    evtchn_port_t port; // announces what is waited for; 0: nothing does
    u32 nap;       // how long to sleep at most now, in us: the longer a wait,
                   // the rarer its looks
};

// Start a wait of at most `ms` ms for something that is announced on `port`,
// whose pending bit is then the wait's. Without a port (0) there is no event to
// wait for; in POST the steps may then switch to other SeaBIOS threads, so that
// the caller must not hold anything shared.
void xenwait_start(struct xenwait_s *wait, u32 ms, evtchn_port_t port);

// Sleep until an event comes, or for a nap; interrupts are let in where they
// disturb this. Returns 0 as long as it is worth to look again; then -1, as the
// deadline has passed or the domain has moved.
int xenwait_step(struct xenwait_s *wait);

// The same, for `us` microseconds and without a look at what was waited for.
int xenwait_pause(struct xenwait_s *wait, u32 us);


/****************************************************************
 * gnttab.c - grants (grant_table.h, version 1)
 ****************************************************************/

// Number of references in the one grant frame that the layer uses. Takers
// count down from the top: the low ones are the toolstack's and the OS's.
#define XENGRANT_REFS (4096 / sizeof(grant_entry_v1_t))

// Let domain `domid` map the page at `page` (page aligned).
// Returns 0, or -1 with a message if the entry is somebody else's.
int xengrant_begin(grant_ref_t ref, domid_t domid, void *page, int readonly);

// Take a grant back and zero the whole entry. Returns 0, or -1 if the other
// domain still has the page mapped: the page must not be used again.
int xengrant_end(grant_ref_t ref);


/****************************************************************
 * xenstore.c - the store (xs_wire.h, docs/misc/xenstore.txt)
 ****************************************************************/

// A node below a directory; a null value stands for "remove".
struct xenstore_node_s {
    const char *name, *value;
};

// Allocate what the client needs. POST only. Returns 0 or -1.
int xenstore_setup(void);

// Begin and end a use of the store: xenstore_open() maps Xen's pages, masks
// the port and drops stray replies, xenstore_close() leaves ring and port
// as they were found. Returns 0, or -1 with a message.
int xenstore_open(void);
void xenstore_close(void);

// Send a request of type XS_* for `dir`/`name` (or just `dir` if name is null)
// with `value` (may be null) behind it, without waiting for the reply.
// Returns its request id, or 0 with a message. Each request sent must be
// followed by its xenstore_receive(), in order.
u32 xenstore_send(u32 type, const char *dir, const char *name
                  , const char *value);

// After a request that got no reply in time, which is reported, the next ones
// wait for XEN_LIMIT_STALLED only, until one is answered. This makes the next
// one wait for long again.
void xenstore_persist(void);

// Wait for the reply to `id`, at most XEN_LIMIT_STORE. Returns its length in
// bytes and its NUL-terminated payload in *reply, which stays valid until the
// next call; -1 for an error reply (then *reply names the error, as "ENOENT")
// or, with a message and *reply = "", if no proper reply came.
int xenstore_receive(u32 id, const char **reply);

// Read `dir`/`name`, up to XENSTORE_PAYLOAD_MAX bytes. Returns null if there
// is no such node, or no proper reply came.
const char *xenstore_read(const char *dir, const char *name);

// Read a node that holds a decimal number and nothing else. Returns 0, 1 if
// there is no such node, or -1 if it is something else or no proper reply came.
int xenstore_read_number(const char *dir, const char *name, u64 *value);

// List a directory: NUL-terminated names one after the other in *names.
// Returns their length in bytes, 0 if there is no such directory, else -1.
int xenstore_list(const char *dir, const char **names);

// Write or remove several nodes of a directory, with all requests under way
// at once. Removing a node that does not exist is no error.
// Returns 0, or -1 with a message that names the node.
int xenstore_update(const char *dir, const struct xenstore_node_s *nodes
                    , int count);

// Begin a transaction: the requests that follow see one state of the store, and
// what they write is seen by others at once, at the end. Returns 0, or -1 with
// a message.
int xenstore_begin(void);

// End it. Returns 0 if it took effect (or was not to be committed), 1 if it has
// to be done again from the beginning (EAGAIN), or -1 with a message.
int xenstore_end(int commit);


/****************************************************************
 * xenbus.c - one device: its states (xenbus.h, blkif.h)
 ****************************************************************/

#define XENBUS_PATHSIZE 128

struct xenbus_s {
    const char *name;               // for messages, as "xvde"
    char node[32];                  // "device/vbd/51776"
    char backend[XENBUS_PATHSIZE];  // "/local/domain/0/backend/vbd/1/51776"
    domid_t domid;                  // the backend's domain
    grant_ref_t ring_ref;           // what we published last
    evtchn_port_t port;
    u8 closing;                     // 6 was written, the backend has not followed
    u32 usual[XenbusStateClosed + 1]; // us that it took to get there last
};

// Fill in backend path and domain of device/`class`/`id`. POST only.
// Returns 0, or -1 with a message.
int xenbus_probe(struct xenbus_s *bus, const char *class, u32 id);

// POST only: bring a device that a former owner left in any state to frontend
// Initialising and backend InitWait. Returns 0, or -1 with a message.
int xenbus_reset(struct xenbus_s *bus);

// Say whether nobody owns the device (frontend Initialising, backend InitWait).
// Returns 0 if so, else -1 with a message.
int xenbus_check_free(struct xenbus_s *bus);

// Publish ring and event channel, go to Connected, and wait at most `limit` ms
// for the backend to do so. Returns 0, or -1 with a message.
int xenbus_connect(struct xenbus_s *bus, grant_ref_t ring_ref
                   , evtchn_port_t port, u32 limit);

// First half of a close: go to Closed and wait until the backend has followed,
// which means that it has let go of ring and grants. Returns 0, or -1 with a
// message: then the device stays in Closed, and nothing may be taken back.
int xenbus_disconnect(struct xenbus_s *bus);

// Second half: remove our nodes, go to Initialising, wait for the backend's
// InitWait. Returns 0, or -1 with a message.
int xenbus_release(struct xenbus_s *bus);


/****************************************************************
 * blkring.c - block requests (blkif.h)
 ****************************************************************/

// Sectors of the blkif protocol are 512 bytes, whatever the disk's are.
#define BLKRING_SECTOR 512

struct blkring_s {
    struct blkif_front_ring front;
    const char *name;               // for messages
    grant_ref_t ref;                // of the ring page
    evtchn_port_t port;             // 0: the ring is closed
    u8 was_masked;                  // the port, before it was ours
    domid_t domid;                  // the backend's domain
    u8 broken;                      // the backend broke the protocol or stalled
    u8 indirect;                    // segments of an indirect request, 0: none
};

// Allocate what all rings share. POST only. Returns 0 or -1.
int blkring_setup(void);

// Allocate the ring page of disk number `index` (0..BUILD_MAX_EXTDRIVE-1).
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
// Requests that were still under way keep their numbers and pages for ever.
// Returns 0, or -1 with a message if something is still mapped.
int blkring_close(struct blkring_s *ring);

// Forget all that was under way in another life of the domain.
void blkring_forget(struct blkring_s *ring);

// Queue `operation` (BLKIF_OP_*) for `count` sectors from `sector`; a wait is
// needed only when the ring is full. `buf` is sector aligned; the pages that
// it touches are what the backend can see. A failed request sets *failed.
// Returns 0, or -1 if the ring is broken.
int blkring_queue(struct blkring_s *ring, u8 operation, u64 sector, u32 count
                  , void *buf, s16 *failed);

// Start what is queued and wait until all of it is done.
// Returns 0, or -1 with a message if the ring is broken. A failed request is
// no broken ring: look at its *failed (0 or the last BLKIF_RSP_* status).
int blkring_wait(struct blkring_s *ring);


/****************************************************************
 * blkcache.c - the read cache: which part of which disk is where
 ****************************************************************/

// The cache is divided into slots, each for an aligned chunk of a disk. There are
// enough of them for an int13 of 64 KiB, which touches 9 chunks at most.
#define BLKCACHE_SLOTS     16
#define BLKCACHE_SLOTS_MIN 12
// At most so many are filled at once, seven eighths, so that others survive.
#define BLKCACHE_RUN       14

struct blkslot_s {
    u32 chunk;          // which chunk of the disk
    u32 stamp;          // time of last use
    u8 disk;            // number of the disk
    u8 run;             // chunks that were filled together with this one
    u8 valid;           // holds the chunk
    u8 lost;            // a backend may still write to it: never use it again
};

struct blkcache_s {
    u8 *mem;            // page aligned
    u32 shift;          // a chunk is 1 << shift sectors of 512 bytes
    u32 count;          // slots
    u32 start;          // chunks in the first run of a sequence
    u32 stamp;          // time of the youngest use
    struct blkslot_s slots[BLKCACHE_SLOTS];
};

// Use `size` bytes at `mem` (page aligned, at least a page for each slot). The
// first run of a sequence reads about `start` bytes, at most half of the cache.
void blkcache_init(struct blkcache_s *cache, void *mem, u32 size, u32 start);

// Memory of a slot; its size is 512 << shift bytes.
void *blkcache_mem(struct blkcache_s *cache, int slot);

// Find a chunk. Returns its slot, or -1.
int blkcache_find(struct blkcache_s *cache, u8 disk, u32 chunk);

// Take the slot that was not used for longest, and forget what it held. The
// `used` slots that were used last are not taken. Returns it, or -1 if there
// is none.
int blkcache_take(struct blkcache_s *cache, int used);

// Decide how many chunks to read, from a chunk that is not cached on: at least
// `need`, more while reads are sequential, none that is cached already and
// none beyond the disk's `chunks`. Returns 1..BLKCACHE_RUN.
int blkcache_plan(struct blkcache_s *cache, u8 disk, u32 chunk, u32 need
                  , u32 chunks);

// A taken slot now holds `chunk`, read in a run of `run`.
void blkcache_enter(struct blkcache_s *cache, int slot, u8 disk, u32 chunk
                    , u8 run);

// Forget one chunk, or everything.
void blkcache_drop(struct blkcache_s *cache, u8 disk, u32 chunk);
void blkcache_drop_all(struct blkcache_s *cache);


/****************************************************************
 * handover.c - the hooks in 16-bit code
 ****************************************************************/

// A command of xen_process_op() that int13 does not have: close all disks that
// are attached.
#define CMD_XEN_CLOSE 0x7f

// Tell the hooks, as an int13 ends, a drive that is attached, or null. It gets a
// CMD_XEN_CLOSE at the next hint, or after two seconds without an int13.
void xen_handover_arm(struct drive_s *attached);


/****************************************************************
 * tick.c - the clock of a PVH guest
 ****************************************************************/

// Start to count ticks, and set the wall clock (seconds since 1970). POST only.
void xentick_setup(u32 tsc_khz, u32 wall_sec);


/****************************************************************
 * vdev.c - virtual device numbers (xen-vbd-interface(7))
 ****************************************************************/

enum { XENVDEV_XVD, XENVDEV_HD, XENVDEV_SD };

struct xenvdev_s {
    u8 kind;            // XENVDEV_*: which names it goes by
    u32 disk;           // 0 is xvda, hda, sda
    u32 partition;      // 0 is the whole disk
};

#define XENVDEV_NAMESIZE 16

// Take a virtual device number apart. Returns 0, or -1 if the interface does
// not define it.
int xenvdev_decode(u32 number, struct xenvdev_s *vdev);

// Write the name, as "xvde" or "hda1", to a buffer of XENVDEV_NAMESIZE bytes.
void xenvdev_name(const struct xenvdev_s *vdev, char *name);

// Say whether libxl emulates this disk as drive `unit` of an IDE, AHCI or LSI
// SCSI controller (`type`: DTYPE_*). Returns 1 or 0.
int xenvdev_has_twin(const struct xenvdev_s *vdev, u8 type, u32 unit);


#endif // xenpv-int.h
