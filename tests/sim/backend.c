// The simulated block backends: requests, carried out in any order.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // backend

#define RING_SIZE_32 32

struct backend_steps backend_steps;
u32 pages_seen;


/****************************************************************
 * Pages
 ****************************************************************/

// A page that a backend can see holds nothing but zeros and what is this
// disk's: no other disk's contents, no memory that nobody wrote. One that it is
// to fill holds nothing at all.
static void
check_page(struct backend *be, void *page, int fill)
{
    u32 i, *word = page;
    for (i = 0; i < 1024; i += 4, word += 4) {
        u32 tag = word[0] >> 8;
        if (!(word[0] | word[1] | word[2] | word[3]))
            continue;
        if (fill)
            fail("vbd %u is to fill a page that is not empty, at byte %u: %08x"
                 , be->vbd, i * 4, word[0]);
        if (tag != 0xd15c00 && tag != 0xd15d00)
            fail("vbd %u sees memory that is not its own, at byte %u of a page:"
                 " %08x", be->vbd, i * 4, word[0]);
        if ((word[0] & 0xff) != be->tags[IMAGE_PV])
            fail("vbd %u sees data of disk %u", be->vbd, word[0] & 0xff);
    }
    pages_seen++;
}

// A ring begins with its indices, and nothing behind them.
void
backend_check_ring(struct backend *be, struct blkif_sring *sring)
{
    static const struct blkif_sring fresh = { .req_event = 1, .rsp_event = 1 };
    u8 *byte = (u8*)(sring + 1);
    check_memory(sring, &fresh, sizeof(fresh));
    while ((u32)byte % 4096)
        if (*byte++)
            fail("vbd %u: byte %u of a new ring is %02x", be->vbd
                 , (u32)byte % 4096 - 1, byte[-1]);
}


/****************************************************************
 * Requests
 ****************************************************************/



struct job {
    struct backend *be;
    int operation;          // of an indirect request: what it stands for
    int indirect;
    u64 id, sector;
    int count;
    struct blkif_request_segment segments[SEGMENTS_MAX];
    void *pages[SEGMENTS_MAX];
};

static struct job *jobs[1024];

static void take_requests(void *arg);
static void complete(void *arg);

static void
remember_job(struct job *job, struct job *instead)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(jobs); i++)
        if (jobs[i] == instead) {
            jobs[i] = job;
            return;
        }
    fail("too many requests");
}

void
backend_notify(struct backend *be)
{
    if (be->port) {
        be->events++;
        hv_event(be->port);
    }
}

void
backend_push(struct backend *be, struct blkif_response *rsp)
{
    struct blkif_response *slot = (void*)&be->sring->ring[be->rsp_prod
                                                          % RING_SIZE_32];
    *slot = *rsp;
    be->rsp_prod++;
    // a response without a request lies where the next request will be
    be->spoilt |= be->req_cons - be->rsp_prod > RING_SIZE_32;
    be->sring->rsp_prod = be->rsp_prod;
    if (be->sring->rsp_event == be->rsp_prod)
        backend_notify(be);
}

static void
release_pages(struct job *job)
{
    int i, write = job->operation == BLKIF_OP_READ;
    if (!job->be->keep_mapped)
        for (i = 0; i < job->count; i++)
            if (job->pages[i])
                hv_unmap_grant(job->segments[i].gref, write);
    memset(job->pages, 0, sizeof(job->pages));
}

// Move the data of one request. Returns BLKIF_RSP_*.
static int
transfer(struct job *job)
{
    struct backend *be = job->be;
    u64 sector = job->sector;
    int i, s;
    for (i = 0; i < job->count; i++)
        for (s = job->segments[i].first_sect; s <= job->segments[i].last_sect; s++) {
            u8 *data = job->pages[i] + s * 512;
            if ((sector >= be->bad_from && sector < be->bad_to)
                || sector >= be->sectors - be->sectors % (be->sector_size / 512))
                return BLKIF_RSP_ERROR;
            if (job->operation == BLKIF_OP_READ)
                image_read(be, IMAGE_PV, sector, data);
            else
                image_write(be, IMAGE_PV, sector, data);
            sector++;
        }
    return BLKIF_RSP_OKAY;
}

// How a backend without indirect requests refuses one: with the operation that
// it does not know (QEMU, and blkback of old).
static struct blkif_response
refusal(struct job *job)
{
    return (struct blkif_response){
        .id = job->id, .operation = BLKIF_OP_INDIRECT,
        .status = job->be->manner == QEMU ? BLKIF_RSP_ERROR
                  : BLKIF_RSP_EOPNOTSUPP,
    };
}

// Do what a request asks for.
static struct blkif_response
carry_out(struct job *job)
{
    struct backend *be = job->be;
    int status = BLKIF_RSP_OKAY, op = job->operation;
    if (job->indirect && be->no_indirect)
        return refusal(job);
    switch (op) {
    case BLKIF_OP_READ:
        status = transfer(job);
        break;
    case BLKIF_OP_WRITE:
        status = be->fail_writes ? BLKIF_RSP_ERROR : transfer(job);
        break;
    case BLKIF_OP_FLUSH_DISKCACHE:
    case BLKIF_OP_WRITE_BARRIER:
        if (!(op == BLKIF_OP_WRITE_BARRIER ? be->barrier : be->flush))
            status = BLKIF_RSP_EOPNOTSUPP;
        else
            status = be->fail_flush;
        if (status == BLKIF_RSP_OKAY || be->fail_flush == BLKIF_RSP_EOPNOTSUPP)
            be->dirty = 0;
        break;
    }
    return (struct blkif_response){
        .id = job->id, .operation = op, .status = status,
    };
}

static void
complete(void *arg)
{
    struct job *job = arg;
    struct backend *be = job->be;
    int fault = -1;
    if (++backend_steps.responses == backend_steps.response_at)
        fault = backend_steps.response;
    if (fault == IO_LATE || fault == IO_TOO_LATE) {
        sim_at(sim_now + (fault == IO_LATE ? 8 : 45) * SECOND, complete, job);
        return;
    }
    sim_progress();
    struct blkif_response rsp = {
        .id = job->id, .operation = job->operation, .status = BLKIF_RSP_ERROR,
    };
    if (fault != IO_ERROR)
        rsp = carry_out(job);
    release_pages(job);
    be->open--;
    if (be->sring && !be->dead_ring && fault != IO_LOSE)
        if (!be->hook_response || be->hook_response(be, &rsp))
            if (be->sring)
                backend_push(be, &rsp);
    remember_job(NULL, job);
    free(job);
    if (!be->open)
        backend_idle(be);
}

// Map a page of a request. The backend gets no more than it needs.
static void *
map_page(struct backend *be, grant_ref_t ref, int write)
{
    void *page = hv_map_grant(be->domid, ref, write);
    if (!page)
        fail("vbd %u: grant %u cannot be mapped (flags %x)"
             , be->vbd, ref, hv.grants[ref].flags);
    if (!write && !(hv.grants[ref].flags & GTF_readonly))
        fail("vbd %u could write to what it is given to read", be->vbd);
    return page;
}

// Take an indirect request, as large as the backend said: its segments are on a
// page with nothing else.
static void
take_indirect(struct job *job, struct blkif_request_indirect *req)
{
    struct backend *be = job->be;
    static const struct blkif_request_segment none;
    int i;
    if (req->indirect_op != BLKIF_OP_READ || !req->nr_segments
        || req->nr_segments > be->indirect)
        fail("vbd %u: indirect operation %u with %u segments, of %u"
             , be->vbd, req->indirect_op, req->nr_segments, be->indirect);
    for (i = 1; i < ARRAY_SIZE(req->indirect_grefs); i++)
        check_equal(req->indirect_grefs[i], 0);
    struct blkif_request_segment *segment
        = map_page(be, req->indirect_grefs[0], 0);
    job->indirect = 1;
    job->operation = req->indirect_op;
    job->id = req->id;
    job->sector = req->sector_number;
    job->count = req->nr_segments;
    memcpy(job->segments, segment, job->count * sizeof(*segment));
    for (i = job->count; i < 4096 / sizeof(none); i++)
        check_memory(&segment[i], &none, sizeof(none));
    hv_unmap_grant(req->indirect_grefs[0], 0);
    be->indirects++;
}

static void
take_plain(struct job *job, struct blkif_request *req)
{
    job->operation = req->operation;
    job->id = req->id;
    job->sector = req->sector_number;
    job->count = req->nr_segments;
    if (job->count > BLKIF_MAX_SEGMENTS_PER_REQUEST)
        fail("vbd %u: operation %u with %u segments"
             , job->be->vbd, job->operation, job->count);
    memcpy(job->segments, req->seg, job->count * sizeof(req->seg[0]));
}

// Check what no frontend may get wrong, and begin with a request.
static void
start(struct backend *be, union blkif_sring_entry *entry)
{
    struct job *job = calloc(1, sizeof(*job));
    int i;
    u32 sectors = 0;
    job->be = be;
    if (entry->req.operation == BLKIF_OP_INDIRECT)
        take_indirect(job, (void*)&entry->req);
    else
        take_plain(job, &entry->req);
    be->requests++;
    be->ids |= 1u << job->id;
    switch (job->operation) {
    case BLKIF_OP_READ:
        be->reads++;
        break;
    case BLKIF_OP_WRITE:
        be->writes++;
        be->dirty += be->flush || be->barrier; // else it has no volatile cache
        break;
    case BLKIF_OP_FLUSH_DISKCACHE:
        be->flushes++;
        break;
    case BLKIF_OP_WRITE_BARRIER:
        be->barriers++;
        break;
    default:
        fail("vbd %u: operation %u", be->vbd, job->operation);
    }
    int moves = job->operation == BLKIF_OP_READ
                || job->operation == BLKIF_OP_WRITE;
    if (moves != !!job->count)
        fail("vbd %u: operation %u with %u segments"
             , be->vbd, job->operation, job->count);
    for (i = 0; i < job->count; i++) {
        struct blkif_request_segment *seg = &job->segments[i];
        if (seg->first_sect > seg->last_sect || seg->last_sect > 7)
            fail("vbd %u: segment of sectors %u to %u"
                 , be->vbd, seg->first_sect, seg->last_sect);
        sectors += seg->last_sect - seg->first_sect + 1;
        int write = job->operation == BLKIF_OP_READ;
        job->pages[i] = map_page(be, seg->gref, write);
        check_page(be, job->pages[i], write);
    }
    if (moves && (job->sector + sectors > be->sectors
                  || job->sector + sectors < sectors))
        fail("vbd %u: %u sectors from %llu are beyond the end at %llu", be->vbd
             , sectors, job->sector, be->sectors);
    u32 unit = be->sector_size / 512;
    if (unit > 1 && !(be->sectors % unit) && (job->sector % unit || sectors % unit))
        fail("vbd %u: %u sectors from %llu are no whole sectors of %u bytes"
             , be->vbd, sectors, job->sector, be->sector_size);
    if (sectors > be->largest)
        be->largest = sectors;
    be->open++;
    remember_job(job, NULL);
    // storage that stalls goes on with everything at once, later
    u64 from = sim_now < be->stalled_until ? be->stalled_until : sim_now;
    // one that is slow serves one after the other
    if (be->one_by_one && from < be->busy_until)
        from = be->busy_until;
    u64 until = from + be->io_latency / 2 + sim_random(be->io_latency);
    // a limit lets a first one through, and its time begins then
    be->busy_until = until + sectors * be->sector_time;
    sim_at(until, complete, job);
}

static void
take_requests(void *arg)
{
    struct backend *be = arg;
    if (!be->sring || be->stopped || be->spoilt)
        return;
    if (be->hook_io)
        be->hook_io(be);
    sim_progress();
    RING_IDX prod = be->sring->req_prod;
    if (prod - be->req_cons > RING_SIZE_32
        || prod - be->rsp_prod > RING_SIZE_32)
        fail("vbd %u: %u requests are on the ring", be->vbd
             , prod - be->rsp_prod);
    while (be->req_cons != prod) {
        union blkif_sring_entry entry = be->sring->ring[be->req_cons++
                                                        % RING_SIZE_32];
        start(be, &entry);
    }
    be->sring->req_event = be->req_cons + 1;
    if (be->sring->req_prod != be->req_cons)
        take_requests(be);
}

void
backend_ring_notified(void *arg)
{
    struct backend *be = arg;
    sim_cancel(take_requests, be);
    sim_at(sim_now + be->latency, take_requests, be);
}

void
backend_stop_ring(struct backend *be)
{
    sim_cancel(take_requests, be);
    be->stopped = 1;
}

void
backend_free_ring(struct backend *be)
{
    backend_stop_ring(be);
    if (!be->sring)
        return;
    if (!be->keep_mapped)
        hv_unmap_grant(be->ring_ref, 1);
    be->sring = NULL;
    hv_unbind(be->port);
    be->port = 0;
}

void
backend_drop_requests(struct backend *be, int mapped)
{
    int i;
    sim_cancel(take_requests, be);
    for (i = 0; i < ARRAY_SIZE(jobs); i++)
        if (jobs[i] && jobs[i]->be == be) {
            sim_cancel(complete, jobs[i]);
            if (mapped)
                release_pages(jobs[i]);
            free(jobs[i]);
            jobs[i] = NULL;
        }
    be->open = 0;
    be->busy_until = be->stalled_until = 0;
}
