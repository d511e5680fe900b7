// Block requests on a ring, several under way at once.
//
// A request is known by its number. The number decides which grant references
// it uses and where it is remembered, so nothing has to be searched for, and a
// response is believed only if it fits what its number stands for.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkring.h" // BLKRING_SECTOR
#include "evtchn.h" // xenevtchn_open
#include "gnttab.h" // xengrant_begin
#include "memmap.h" // PAGE_SIZE
#include "output.h" // dprintf
#include "platform.h" // xen_alloc
#include "session.h" // xen_platform_moved
#include "string.h" // memset
#include "util.h" // in_post
#include "vdev.h" // XENVDEV_MAX
#include "wait.h" // xenwait_start

_Static_assert(sizeof(union blkif_sring_entry) == 108, "packing");
_Static_assert(__builtin_offsetof(struct blkif_response, status) == 10, "packing");
_Static_assert(__builtin_offsetof(struct blkif_request_indirect, id)
               == __builtin_offsetof(struct blkif_request, id)
               && __builtin_offsetof(struct blkif_request_indirect, sector_number)
                  == __builtin_offsetof(struct blkif_request, sector_number)
               , "places");

// Request numbers: one for each disk, so that none can starve it, and then those that
// all share. A ring page holds a disk's own and all of these.
#define SHARED 24
#define REQUESTS (XENVDEV_MAX + SHARED)
_Static_assert(SHARED + 1 <= 32, "requests of one disk");

#define SECTORS_PER_PAGE (PAGE_SIZE / BLKRING_SECTOR)
#define PLAIN_SECTORS (BLKIF_MAX_SEGMENTS_PER_REQUEST * SECTORS_PER_PAGE)

// An indirect request has its segments in a page of its own, as many as a
// chunk of the cache has pages. It takes several numbers in a row, and with them
// their references: for all its pages, and for the one with the segments.
#define INDIRECT_SEGMENTS 32
#define INDIRECT_NUMBERS 3
#define INDIRECT_PAGES (SHARED / INDIRECT_NUMBERS)
_Static_assert(INDIRECT_SEGMENTS
               < INDIRECT_NUMBERS * BLKIF_MAX_SEGMENTS_PER_REQUEST
               , "references for the segments and their page");

// Grant references, from the top of the table: the ring pages of the disks,
// then the segments of each request.
#define RING_REF(index) (XENGRANT_REFS - 1 - (index))
#define SEGMENT_REF(id, segment) \
    (RING_REF(XENVDEV_MAX) \
     - (id) * BLKIF_MAX_SEGMENTS_PER_REQUEST - (segment))
_Static_assert(SEGMENT_REF(REQUESTS - 1, BLKIF_MAX_SEGMENTS_PER_REQUEST - 1)
               >= GNTTAB_NR_RESERVED_ENTRIES, "references of the toolstack");

struct request_s {
    struct blkring_s *ring; // whose it is until its grants have ended, or null
    s8 *failed;         // where to report a bad status
    u8 operation;
    u8 numbers;         // that it takes, from its own on; 0: part of another one
    u8 grants;          // that it has
};

// What is under way, by request number.
struct requests_s {
    u8 *pages;          // for the segments of indirect requests
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
    u8 *pages = xen_alloc(INDIRECT_PAGES * PAGE_SIZE);
    if (!requests || !pages)
        return -1;
    requests->pages = pages;
    return 0;
}

int
blkring_alloc(struct blkring_s *ring, const char *name, int index)
{
    ring->name = name;
    ring->number = index;
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
    // the reference may be somebody else's: then the next one will do
    int tries = XENVDEV_MAX;
    while (!xengrant_is_free(ring->ref) && --tries)
        ring->ref = ring->ref == RING_REF(0) ? RING_REF(XENVDEV_MAX - 1)
                                             : ring->ref + 1;
    if (xengrant_begin(ring->ref, domid, sring, 0))
        return -1;
    ring->granted = 1;
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

void
blkring_set_indirect(struct blkring_s *ring, u64 segments)
{
    if (segments > INDIRECT_SEGMENTS)
        segments = INDIRECT_SEGMENTS;
    if (ring->refused)
        segments = 0;
    ring->indirect = segments > BLKIF_MAX_SEGMENTS_PER_REQUEST ? segments : 0;
}

static int
is_under_way(struct blkring_s *ring, u32 id)
{
    return requests->list[id].ring == ring && requests->list[id].numbers;
}

static void
free_request(int id)
{
    int numbers = requests->list[id].numbers;
    while (numbers--)
        requests->list[id + numbers].ring = NULL;
}

// End the grants of a request. Returns -1 if one is still mapped: then the
// request keeps its numbers.
static int
end_request(int id)
{
    struct request_s *request = &requests->list[id];
    for (; request->grants; request->grants--)
        if (xengrant_end(SEGMENT_REF(id, request->grants - 1)))
            return -1;
    free_request(id);
    return 0;
}

void
blkring_forget(struct blkring_s *ring)
{
    int id;
    for (id = 0; id < REQUESTS; id++)
        if (is_under_way(ring, id))
            free_request(id);
    ring->port = 0;
    ring->refused = 0; // the next backend may be another one
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
    // first the ring: while the backend has it, it may begin what is there
    int id, ret = ring->granted ? xengrant_end(ring->ref) : 0;
    ring->granted = !!ret;
    for (id = 0; id < REQUESTS && !ring->granted; id++)
        if (is_under_way(ring, id) && end_request(id))
            ret = -1;
    if (ret && !ring->held)
        dprintf(1, "xen: %s: backend has closed, but still maps our pages\n"
                , ring->name);
    ring->held = ret;
    if (ret)
        return -1;
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
    ring->broken |= 1;
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
    // A backend that does not know indirect requests says so with what it was
    // asked for, not with what was meant.
    int refused = request->numbers > 1 && rsp->operation == BLKIF_OP_INDIRECT
                  && rsp->status != BLKIF_RSP_OKAY;
    if (rsp->operation != request->operation && !refused)
        return break_ring(ring, "answers another operation", rsp->operation);
    if (end_request(id))
        return break_ring(ring, "still maps pages of a request it answered"
                          , id);
    ring->refused |= refused;
    if (rsp->status != BLKIF_RSP_OKAY) {
        *request->failed = rsp->status == BLKIF_RSP_EOPNOTSUPP
                           ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
        if (request->numbers > 1)
            ring->indirect = 0; // maybe it does not know them any more
    }
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
    u32 limit = in_post() ? XEN_LIMIT_POST : XEN_LIMIT_IO;
    xenwait_start(&wait, limit, ring->port);
    u32 before = ring->front.req_prod_pvt - ring->front.rsp_cons;
    for (;;) {
        if (take_responses(ring))
            return -1;
        u32 under_way = ring->front.req_prod_pvt - ring->front.rsp_cons;
        if (under_way <= left)
            return 0;
        if (under_way < before)
            // who answers is slow, not dead
            xenwait_start(&wait, limit, ring->port);
        before = under_way;
        if (xenwait_step(&wait)) {
            ring->broken = RING_STALLED;
            return break_ring(ring, "did not answer in time, requests open", under_way);
        }
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

// Say whether some numbers in a row are free, and their references are nobody's:
// another driver of the guest's firmware may have taken some.
static int
are_free(u32 id, u32 numbers)
{
    u32 i;
    for (i = 0; i < numbers; i++)
        if (requests->list[id + i].ring)
            return 0;
    for (i = 0; i < numbers * BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
        if (!xengrant_is_free(SEGMENT_REF(id, i)))
            return 0;
    return 1;
}

// Find free request numbers in a row, or the disk's own one. Returns the first, or -1.
static int
find_numbers(struct blkring_s *ring, u32 numbers)
{
    u32 id;
    for (id = XENVDEV_MAX; id + numbers <= REQUESTS; id += numbers)
        if (are_free(id, numbers))
            return id;
    return numbers == 1 && are_free(ring->number, 1) ? ring->number : -1;
}

// Take request numbers for an indirect request, or one for a plain request,
// waiting until they are free; if too few are left for ever, just one.
// Returns the first, or -1 if the ring is broken.
static int
get_id(struct blkring_s *ring, u32 numbers)
{
    int id;
    while ((id = find_numbers(ring, numbers)) < 0 && !ring->broken) {
        u32 under_way = ring->front.req_prod_pvt - ring->front.rsp_cons;
        if (under_way)
            // half of them at a time: the backend is kept busy meanwhile
            wait_until(ring, under_way / 2);
        else if (numbers > 1)
            numbers = 1;
        else
            break_ring(ring, "finds no free request", 0);
    }
    if (ring->broken)
        return -1;
    u32 i;
    for (i = 0; i < numbers; i++)
        requests->list[id + i] = (struct request_s){ .ring = ring };
    requests->list[id].numbers = numbers;
    return id;
}

// Grant the pages of a request, up to `max`, and list them. Returns how many
// sectors they have.
static u32
fill_segments(struct blkring_s *ring, int id, u32 count, void *buf
              , struct blkif_request_segment *segments, int max)
{
    struct request_s *request = &requests->list[id];
    u32 done = 0;
    int i;
    for (i = 0; i < max && done < count; i++) {
        u32 addr = (u32)buf + done * BLKRING_SECTOR;
        u32 first = addr % PAGE_SIZE / BLKRING_SECTOR;
        u32 last = first + count - done - 1;
        if (last >= SECTORS_PER_PAGE)
            last = SECTORS_PER_PAGE - 1;
        grant_ref_t ref = SEGMENT_REF(id, i);
        if (xengrant_begin(ref, ring->domid, (void*)(addr & ~(PAGE_SIZE - 1))
                           , request->operation != BLKIF_OP_READ))
            break;
        segments[i] = (struct blkif_request_segment){
            .gref = ref, .first_sect = first, .last_sect = last,
        };
        done += last - first + 1;
    }
    request->grants = i;
    return done;
}

// Put a request for as many sectors as it can take on the ring. Returns how
// many.
static u32
fill_request(struct blkring_s *ring, int id, u64 sector, u32 count, void *buf)
{
    struct request_s *request = &requests->list[id];
    union {
        struct blkif_request plain;
        struct blkif_request_indirect indirect;
    } *req = (void*)RING_GET_REQUEST(&ring->front, ring->front.req_prod_pvt);
    u32 done;
    memset(req, 0, sizeof(*req));
    if (request->numbers > 1 && ring->indirect) {
        void *page = requests->pages
                     + (id - XENVDEV_MAX) / INDIRECT_NUMBERS * PAGE_SIZE;
        memset(page, 0, PAGE_SIZE);
        done = fill_segments(ring, id, count, buf, page, ring->indirect);
        grant_ref_t ref = SEGMENT_REF(id, request->grants);
        if (xengrant_begin(ref, ring->domid, page, 1))
            return 0;
        req->indirect.operation = BLKIF_OP_INDIRECT;
        req->indirect.indirect_op = request->operation;
        req->indirect.nr_segments = request->grants++;
        req->indirect.indirect_grefs[0] = ref;
    } else {
        done = fill_segments(ring, id, count, buf, req->plain.seg
                             , BLKIF_MAX_SEGMENTS_PER_REQUEST);
        req->plain.operation = request->operation;
        req->plain.nr_segments = request->grants;
    }
    // the same place in both
    req->plain.id = id;
    req->plain.sector_number = sector;
    return done;
}

int
blkring_queue(struct blkring_s *ring, u8 operation, u64 sector, u32 count
              , void *buf, s8 *failed)
{
    // a flush has no sectors, and is one request all the same
    do {
        int id = get_id(ring, operation == BLKIF_OP_READ && ring->indirect
                              && count > PLAIN_SECTORS ? INDIRECT_NUMBERS : 1);
        if (id < 0)
            return -1;
        requests->list[id].failed = failed;
        requests->list[id].operation = operation;
        u32 done = fill_request(ring, id, sector, count, buf);
        if (!done && count) {
            end_request(id);
            return break_ring(ring, "cannot be given a page", id);
        }
        ring->front.req_prod_pvt++;
        ring->requests++;
        sector += done;
        buf += done * BLKRING_SECTOR;
        count -= done;
    } while (count);
    return 0;
}
