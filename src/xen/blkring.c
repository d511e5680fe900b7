// Block requests on a ring, several under way at once.
//
// A request is known by its number. The number decides which grant references
// it uses and where it is remembered, so nothing has to be searched for, and a
// response is believed only if it fits what its number stands for.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "config.h" // BUILD_MAX_EXTDRIVE
#include "memmap.h" // PAGE_SIZE
#include "output.h" // dprintf
#include "string.h" // memset
#include "util.h" // in_post
#include "xenpv-int.h" // blkring_queue

_Static_assert(sizeof(union blkif_sring_entry) == 108, "packing");
_Static_assert(__builtin_offsetof(struct blkif_response, status) == 10, "packing");

// Requests that can be under way, of all disks together: a ring page full.
#define REQUESTS 32

#define SECTORS_PER_PAGE (PAGE_SIZE / BLKRING_SECTOR)

// Grant references, from the top of the table: the ring pages of the disks,
// then the segments of each request.
#define RING_REF(index) (XENGRANT_REFS - 1 - (index))
#define SEGMENT_REF(id, segment) \
    (RING_REF(BUILD_MAX_EXTDRIVE) \
     - (id) * BLKIF_MAX_SEGMENTS_PER_REQUEST - (segment))
_Static_assert(SEGMENT_REF(REQUESTS - 1, BLKIF_MAX_SEGMENTS_PER_REQUEST) > 32
               , "references of the toolstack and of the OS");

struct request_s {
    struct blkring_s *ring; // whose it is
    s16 *failed;        // where to report a bad status
    u8 operation;
    u8 segments;
};

// What is under way, by request number.
struct requests_s {
    u32 queued;         // bit set: the request is on the ring
    u32 lost;           // bit set: never answered, the number is not used again
    u32 usable;         // numbers that are not lost
    struct request_s list[REQUESTS];
};

static struct requests_s *requests;


/****************************************************************
 * Life of a ring
 ****************************************************************/

int
blkring_setup(void)
{
    requests = xen_alloc(sizeof(*requests));
    if (!requests)
        return -1;
    requests->usable = REQUESTS;
    return 0;
}

int
blkring_alloc(struct blkring_s *ring, const char *name, int index)
{
    ring->name = name;
    ring->ref = RING_REF(index);
    if (!ring->front.sring)
        ring->front.sring = xen_alloc(PAGE_SIZE);
    return ring->front.sring ? 0 : -1;
}

int
blkring_open(struct blkring_s *ring, domid_t domid)
{
    struct blkif_sring *sring = ring->front.sring;
    memset(sring, 0, PAGE_SIZE);
    XEN_FRONT_RING_INIT(&ring->front, sring, PAGE_SIZE);
    ring->broken = 0;
    ring->domid = domid;
    if (xengrant_begin(ring->ref, domid, sring, 0))
        return -1;
    int port = xenevtchn_open(domid);
    if (port < 0) {
        dprintf(1, "xen: %s: no event channel to domain %u (%d)\n"
                , ring->name, domid, port);
        xengrant_end(ring->ref);
        return -1;
    }
    ring->port = port;
    ring->was_masked = xenevtchn_set_mask(port, 1);
    return 0;
}

static int
is_under_way(struct blkring_s *ring, u32 id)
{
    return requests->queued & (1u << id) && requests->list[id].ring == ring;
}

// A request will never be answered, or cannot be believed.
static void
lose_request(u32 id)
{
    if (!(requests->lost & (1u << id)))
        requests->usable--;
    requests->lost |= 1u << id;
}

// End the grants of a request. Returns -1 if one is still mapped: then the
// request stays under way.
static int
end_request(int id)
{
    int segment, ret = 0;
    for (segment = 0; segment < requests->list[id].segments; segment++)
        if (xengrant_end(SEGMENT_REF(id, segment)))
            ret = -1;
    if (!ret)
        requests->queued &= ~(1u << id);
    return ret;
}

void
blkring_forget(struct blkring_s *ring)
{
    int id;
    for (id = 0; id < REQUESTS; id++)
        if (is_under_way(ring, id))
            requests->queued &= ~(1u << id);
    ring->port = 0;
}

int
blkring_close(struct blkring_s *ring)
{
    if (!ring->port)
        return 0;
    if (xen_port_domain(ring->port) != ring->domid) {
        // a close was interrupted, and the domain has moved meanwhile
        blkring_forget(ring);
        return 0;
    }
    int id, ret = xengrant_end(ring->ref);
    for (id = 0; id < REQUESTS; id++)
        if (is_under_way(ring, id)) {
            lose_request(id);
            if (end_request(id))
                ret = -1;
        }
    if (ret) {
        dprintf(1, "xen: %s: backend has closed, but still maps our pages\n"
                , ring->name);
        return -1;
    }
    xenevtchn_close(ring->port);
    xenevtchn_set_mask(ring->port, ring->was_masked);
    ring->port = 0;
    return 0;
}


/****************************************************************
 * Responses
 ****************************************************************/

// The backend cannot be believed any more.
static int
break_ring(struct blkring_s *ring, const char *why, u32 value)
{
    if (!xen_platform_moved())
        dprintf(1, "xen: %s: backend %s (%x)\n", ring->name, why, value);
    ring->broken = 1;
    return -1;
}

// Check one response, read once, against the request that it claims to answer.
static int
take_response(struct blkring_s *ring, struct blkif_response *rsp)
{
    u32 id = rsp->id;
    if (rsp->id >= REQUESTS || !is_under_way(ring, id))
        return break_ring(ring, "answers a request that is not under way", id);
    struct request_s *request = &requests->list[id];
    if (rsp->operation != request->operation)
        return break_ring(ring, "answers another operation", rsp->operation);
    if (end_request(id)) {
        lose_request(id);
        return break_ring(ring, "still maps pages of a request it answered"
                          , id);
    }
    if (rsp->status != BLKIF_RSP_OKAY)
        *request->failed = rsp->status;
    return 0;
}

// Take all responses that are there.
static int
take_responses(struct blkring_s *ring)
{
    RING_IDX prod = xen_read_once(ring->front.sring->rsp_prod);
    if (prod - ring->front.rsp_cons
        > ring->front.req_prod_pvt - ring->front.rsp_cons)
        return break_ring(ring, "has an impossible response index", prod);
    xen_rmb(); // responses are read after the index that announced them
    while (ring->front.rsp_cons != prod) {
        struct blkif_response rsp;
        RING_COPY_RESPONSE(&ring->front, ring->front.rsp_cons, &rsp);
        ring->front.rsp_cons++;
        if (take_response(ring, &rsp))
            return -1;
    }
    return 0;
}

// Start what is queued, and wait until at most `left` requests are under way.
static int
wait_until(struct blkring_s *ring, u32 left)
{
    if (ring->broken)
        return -1;
    int notify;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&ring->front, notify);
    if (notify)
        xenevtchn_notify(ring->port);
    // one event, when enough has been answered
    ring->front.sring->rsp_event = ring->front.req_prod_pvt - left;
    xen_mb(); // it is asked for before the responses are looked at
    struct xenwait_s wait;
    xenwait_start(&wait, in_post() ? XEN_LIMIT_POST : XEN_LIMIT_IO, ring->port);
    for (;;) {
        if (take_responses(ring))
            return -1;
        u32 under_way = ring->front.req_prod_pvt - ring->front.rsp_cons;
        if (under_way <= left)
            return 0;
        if (xenwait_step(&wait))
            return break_ring(ring, "did not answer in time, requests open"
                              , under_way);
    }
}

int
blkring_wait(struct blkring_s *ring)
{
    return wait_until(ring, 0);
}


/****************************************************************
 * Requests
 ****************************************************************/

// Find a free request number, waiting until there is one. A disk has at most
// three quarters of them, so that one that answers nothing does not take all.
static int
get_id(struct blkring_s *ring)
{
    u32 under_way = ring->front.req_prod_pvt - ring->front.rsp_cons;
    u32 taken = requests->queued | requests->lost;
    if (under_way >= requests->usable * 3 / 4 + 1 || taken == (u32)-1) {
        if (!under_way)
            return break_ring(ring, "finds no free request", taken);
        // half of them at a time: the backend is kept busy meanwhile
        if (wait_until(ring, under_way / 2))
            return -1;
        taken = requests->queued | requests->lost;
    }
    return __ffs(~taken);
}

// Fill in one request for as many sectors as it can take. Returns how many.
static u32
fill_request(struct blkring_s *ring, int id, u8 operation, u64 sector
             , u32 count, void *buf)
{
    struct blkif_request *req = RING_GET_REQUEST(&ring->front
                                                 , ring->front.req_prod_pvt);
    u32 done = 0;
    int segment = 0;
    memset(req, 0, sizeof(*req));
    while (done < count && segment < BLKIF_MAX_SEGMENTS_PER_REQUEST) {
        u32 addr = (u32)buf + done * BLKRING_SECTOR;
        u32 first = addr % PAGE_SIZE / BLKRING_SECTOR;
        u32 last = first + count - done - 1;
        if (last >= SECTORS_PER_PAGE)
            last = SECTORS_PER_PAGE - 1;
        grant_ref_t ref = SEGMENT_REF(id, segment);
        if (xengrant_begin(ref, ring->domid, (void*)(addr & ~(PAGE_SIZE - 1))
                           , operation != BLKIF_OP_READ))
            break;
        req->seg[segment++] = (struct blkif_request_segment){
            .gref = ref, .first_sect = first, .last_sect = last,
        };
        done += last - first + 1;
    }
    req->operation = operation;
    req->nr_segments = segment;
    req->id = id;
    req->sector_number = sector;
    requests->list[id].segments = segment;
    return done;
}

int
blkring_queue(struct blkring_s *ring, u8 operation, u64 sector, u32 count
              , void *buf, s16 *failed)
{
    // a flush has no sectors, and is one request all the same
    do {
        int id = ring->broken ? -1 : get_id(ring);
        if (id < 0)
            return -1;
        requests->list[id].ring = ring;
        requests->list[id].failed = failed;
        requests->list[id].operation = operation;
        requests->queued |= 1u << id;
        u32 done = fill_request(ring, id, operation, sector, count, buf);
        if (!done && count) {
            end_request(id);
            return break_ring(ring, "cannot be given a page", id);
        }
        ring->front.req_prod_pvt++;
        sector += done;
        buf += done * BLKRING_SECTOR;
        count -= done;
    } while (count);
    return 0;
}
