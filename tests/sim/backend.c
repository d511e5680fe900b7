// The simulated block backends: states as Linux's blkback has them, requests
// carried out in any order.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // backend

#define RING_SIZE_32 32

struct backend *backends[64];
int backend_count;
struct backend_steps backend_steps;
u32 pages_seen;


/****************************************************************
 * Contents
 ****************************************************************/

struct sector {
    u64 number;
    struct sector *next;
    u8 data[512];
};

// Every 16 bytes of a disk's first contents tell the disk and the place.
static void
pattern(struct backend *be, u64 sector, u8 *data)
{
    u32 i, *word = (void*)data;
    for (i = 0; i < 512 / 16; i++, word += 4) {
        word[0] = 0xd15c0000 | be->index;
        word[1] = sector;
        word[2] = sector >> 32 ^ i << 24;
        word[3] = (u32)sector * 2654435761u + i;
    }
    if (!sector && !be->blank) {
        // a boot sector
        data[510] = 0x55;
        data[511] = 0xaa;
    }
}

static struct sector *
find_sector(struct backend *be, u64 number)
{
    struct sector *sector = be->image[number % ARRAY_SIZE(be->image)];
    while (sector && sector->number != number)
        sector = sector->next;
    return sector;
}

void
backend_sector(struct backend *be, u64 number, u8 *data)
{
    struct sector *sector = find_sector(be, number);
    if (sector)
        memcpy(data, sector->data, 512);
    else
        pattern(be, number, data);
}

static void
write_sector(struct backend *be, u64 number, const u8 *data)
{
    struct sector *sector = find_sector(be, number);
    if (!sector) {
        struct sector **bucket = &be->image[number % ARRAY_SIZE(be->image)];
        sector = malloc(sizeof(*sector));
        sector->number = number;
        sector->next = *bucket;
        *bucket = sector;
    }
    memcpy(sector->data, data, 512);
}

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
        if ((word[0] & 0xff) != be->index)
            fail("vbd %u sees data of disk %u", be->vbd, word[0] & 0xff);
    }
    pages_seen++;
}

// A ring begins with its indices, and nothing behind them.
static void
check_ring(struct backend *be, struct blkif_sring *sring)
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

#define SEGMENTS_MAX 256

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
                backend_sector(be, sector, data);
            else
                write_sector(be, sector, data);
            sector++;
        }
    return BLKIF_RSP_OKAY;
}

static void
complete(void *arg)
{
    struct job *job = arg;
    struct backend *be = job->be;
    int status = BLKIF_RSP_OKAY, op = job->operation, fault = -1;
    if (++backend_steps.responses == backend_steps.response_at)
        fault = backend_steps.response;
    if (fault == IO_LATE || fault == IO_TOO_LATE) {
        sim_at(sim_now + (fault == IO_LATE ? 8 : 45) * SECOND, complete, job);
        return;
    }
    sim_progress();
    if (fault == IO_ERROR)
        status = BLKIF_RSP_ERROR;
    else if (job->indirect && be->no_indirect)
        status = BLKIF_RSP_EOPNOTSUPP;
    else switch (op) {
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
    release_pages(job);
    be->open--;
    if (be->sring && fault != IO_LOSE) {
        struct blkif_response rsp = {
            .id = job->id, .operation = op, .status = status,
        };
        if (!be->hook_response || be->hook_response(be, &rsp))
            if (be->sring)
                backend_push(be, &rsp);
    }
    remember_job(NULL, job);
    free(job);
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
        be->dirty++;
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
    sim_at(sim_now + be->io_latency / 2 + sim_random(be->io_latency), complete
           , job);
}

static void
take_requests(void *arg)
{
    struct backend *be = arg;
    if (!be->sring || be->spoilt)
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

static void
ring_notified(void *arg)
{
    struct backend *be = arg;
    sim_cancel(take_requests, be);
    sim_at(sim_now + be->latency, take_requests, be);
}


/****************************************************************
 * States
 ****************************************************************/

static void
publish(struct backend *be, const char *name, const char *text)
{
    store_printf(text, "%s/%s", be->backend, name);
}

static void
publish_number(struct backend *be, const char *name, u64 number)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", number);
    publish(be, name, text);
}

static void
publish_properties(struct backend *be)
{
    if (be->flush)
        publish(be, "feature-flush-cache", "1");
    if (be->barrier)
        publish(be, "feature-barrier", "1");
    if (be->indirect_text)
        publish(be, "feature-max-indirect-segments", be->indirect_text);
    else if (be->indirect)
        publish_number(be, "feature-max-indirect-segments", be->indirect);
    if (be->sectors_text)
        publish(be, "sectors", be->sectors_text);
    else
        publish_number(be, "sectors", be->sectors);
    if (be->info_text)
        publish(be, "info", be->info_text);
    else
        publish_number(be, "info", be->info);
    if (be->sector_size_text)
        publish(be, "sector-size", be->sector_size_text);
    else
        publish_number(be, "sector-size", be->sector_size);
}

void
backend_set_state(struct backend *be, int state)
{
    if (be->hook_state) {
        state = be->hook_state(be, state);
        if (state < 0)
            return;
    }
    be->state = state;
    sim_progress();
    publish_number(be, "state", state);
}

static void
disconnect(struct backend *be)
{
    int i;
    sim_cancel(take_requests, be);
    for (i = 0; i < ARRAY_SIZE(jobs); i++)
        if (jobs[i] && jobs[i]->be == be) {
            sim_cancel(complete, jobs[i]);
            release_pages(jobs[i]);
            free(jobs[i]);
            jobs[i] = NULL;
        }
    be->open = 0;
    if (!be->sring)
        return;
    if (!be->keep_mapped)
        hv_unmap_grant(be->ring_ref, 1);
    be->sring = NULL;
    hv_unbind(be->port);
    be->port = 0;
}

static const char *
frontend_node(struct backend *be, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", be->frontend, name);
    return store_read(path);
}

static void
connect(struct backend *be)
{
    const char *ref = frontend_node(be, "ring-ref");
    const char *port = frontend_node(be, "event-channel");
    const char *protocol = frontend_node(be, "protocol");
    disconnect(be);
    if ((!ref || !port || !protocol) && (store.faults || be->mislabelled)) {
        // as blkback does when it cannot connect
        backend_set_state(be, XenbusStateClosing);
        return;
    }
    if (!ref || !port || !protocol)
        fail("vbd %u: connected without %s", be->vbd, !ref ? "ring-ref"
             : !port ? "event-channel" : "protocol");
    check_string(protocol, "x86_32-abi");
    be->ring_ref = atoi(ref);
    be->port = atoi(port);
    be->sring = hv_map_grant(be->domid, be->ring_ref, 1);
    if (!be->sring && be->mislabelled) {
        backend_set_state(be, XenbusStateClosing);
        return;
    }
    if (!be->sring)
        fail("vbd %u: the ring's grant %u cannot be mapped", be->vbd
             , be->ring_ref);
    // a store that lies may have said that we are connected
    if (!store.faults)
        check_ring(be, be->sring);
    if (hv_bind(be->domid, be->port, ring_notified, be))
        fail("vbd %u: port %u cannot be bound", be->vbd, be->port);
    be->req_cons = 0;
    be->spoilt = 0;
    be->rsp_prod = be->sring->rsp_prod;
    be->connects++;
    publish_properties(be);
    backend_set_state(be, XenbusStateConnected);
    ring_notified(be);
}

static void
frontend_changed(void *arg)
{
    struct backend *be = arg;
    const char *text = frontend_node(be, "state");
    int state = text ? atoi(text) : XenbusStateUnknown;
    if (be->absent)
        return;
    switch (state) {
    case XenbusStateInitialising:
        if (be->state == XenbusStateClosed && !be->skip_initwait)
            backend_set_state(be, XenbusStateInitWait);
        break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (be->state != XenbusStateConnected)
            connect(be);
        break;
    case XenbusStateClosing:
        backend_set_state(be, XenbusStateClosing);
        break;
    case XenbusStateClosed:
        disconnect(be);
        if (be->state != XenbusStateClosed)
            backend_set_state(be, XenbusStateClosed);
        break;
    case XenbusStateUnknown:
        disconnect(be);
        break;
    }
}

static void
plugged(void *arg)
{
    struct backend *be = arg;
    backend_set_state(be, XenbusStateInitWait);
    frontend_changed(be);
}

void
backend_watch(const char *path)
{
    int i;
    for (i = 0; i < backend_count; i++) {
        struct backend *be = backends[i];
        size_t len = strlen(be->frontend);
        if (!len || strncmp(path, be->frontend, len)
            || (path[len] && strcmp(path + len, "/state")))
            continue;
        int fault = -1;
        if (++backend_steps.watches == backend_steps.watch_at)
            fault = backend_steps.watch;
        if (fault == WATCH_LOSE)
            continue;
        // watches coalesce
        sim_cancel(frontend_changed, be);
        sim_at(sim_now + (fault == WATCH_LATE ? 3 * SECOND : be->latency)
               , frontend_changed, be);
    }
}


/****************************************************************
 * Making disks
 ****************************************************************/

struct backend *
sim_disk(u32 vbd)
{
    struct backend *be = calloc(1, sizeof(*be));
    *be = (struct backend){
        .vbd = vbd, .kind = "vbd", .type = "disk", .params = "/dev/loop0",
        .mode = "w", .sectors = 262144, .sector_size = 512, .flush = 1,
        .indirect = SEGMENTS_MAX,
        .latency = 60 * US, .io_latency = 80 * US, .index = backend_count,
    };
    backends[backend_count++] = be;
    return be;
}

static void
make_nodes(struct backend *be)
{
    char text[64];
    be->frontend[0] = 0;
    snprintf(text, sizeof(text), "/local/domain/%u/device/vbd/%u", hv.domid
             , be->vbd);
    snprintf(be->backend, sizeof(be->backend), "/local/domain/%u/backend/%s/%u/%u"
             , be->domid, be->kind, hv.domid, be->vbd);
    publish(be, "frontend", text);
    publish(be, "params", be->params);
    publish(be, "mode", be->mode);
    publish(be, "online", "1");
    publish(be, "removable", "0");
    publish_number(be, "frontend-id", hv.domid);
    store_printf(be->backend, "%s/backend", text);
    char number[16];
    snprintf(number, sizeof(number), "%u", be->domid);
    store_printf(number, "%s/backend-id", text);
    store_printf("1", "%s/state", text);
    snprintf(number, sizeof(number), "%u", be->vbd);
    store_printf(number, "%s/virtual-device", text);
    store_printf(be->type, "%s/device-type", text);
    store_printf("0", "%s/trusted", text);
    strcpy(be->frontend, text);
    be->sring = NULL;
    be->port = 0;
    be->open = 0;
    if (be->early)
        publish_properties(be);
    publish(be, "state", "1");
    be->state = XenbusStateInitialising;
    if (be->absent)
        return;
    if (be->hotplug)
        sim_at(sim_now + be->hotplug, plugged, be);
    else
        backend_set_state(be, XenbusStateInitWait);
}

void
backends_start(void)
{
    int i;
    for (i = 0; i < backend_count; i++)
        make_nodes(backends[i]);
}

void
backends_move(void)
{
    int i;
    for (i = 0; i < backend_count; i++) {
        struct backend *be = backends[i];
        int j;
        sim_cancel(take_requests, be);
        sim_cancel(frontend_changed, be);
        sim_cancel(plugged, be);
        for (j = 0; j < ARRAY_SIZE(jobs); j++)
            if (jobs[j] && jobs[j]->be == be) {
                sim_cancel(complete, jobs[j]);
                free(jobs[j]);
                jobs[j] = NULL;
            }
        be->sring = NULL;
        be->dirty = 0;
    }
    store_rm("/local");
    backends_start();
}

// Walk over the sectors of a bucket that were written.
u64
backend_written(struct backend *be, int bucket, struct sector **sector)
{
    *sector = *sector ? (*sector)->next : be->image[bucket];
    return *sector ? (*sector)->number : -1ULL;
}

void
backends_stop(void)
{
    int i;
    memset(&backend_steps, 0, sizeof(backend_steps));
    for (i = 0; i < ARRAY_SIZE(jobs); i++) {
        free(jobs[i]);
        jobs[i] = NULL;
    }
    while (backend_count) {
        struct backend *be = backends[--backend_count];
        for (i = 0; i < ARRAY_SIZE(be->image); i++)
            while (be->image[i]) {
                struct sector *sector = be->image[i];
                be->image[i] = sector->next;
                free(sector);
            }
        free(be);
    }
}
