// The simulated block backends: their nodes in the store, and their states.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // backend

struct backend *backends[64];
int backend_count;


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

static const char *
node_of(const char *dir, const char *name)
{
    char path[192];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return store_read(path);
}

// A feature that is not offered has no node, or is not offered any more.
static void
publish_feature(struct backend *be, const char *name, u32 value)
{
    if (value || node_of(be->backend, name))
        publish_number(be, name, value);
}

// What the backend says of its disk, again at each connection: it may have
// changed since the last one.
static void
publish_properties(struct backend *be)
{
    publish_feature(be, "feature-flush-cache", !!be->flush);
    publish_feature(be, "feature-barrier", !!be->barrier);
    if (be->indirect_text)
        publish(be, "feature-max-indirect-segments", be->indirect_text);
    else
        publish_feature(be, "feature-max-indirect-segments", be->indirect);
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
    // Linux looks whether the node is there before it writes it
    if (!be->gone)
        publish_number(be, "state", state);
}

// What Linux's xenbus_dev_fatal() does: the reason goes where the frontend's
// domain may read it only if the toolstack lets it, and the state is Closing.
static void
fatal(struct backend *be, int error, const char *what)
{
    char text[128];
    snprintf(text, sizeof(text), "%d %s", error, what);
    store_printf(text, "/local/domain/%u/error/backend/%s/%u/%u/error", be->domid
                 , be->kind, hv.domid, be->vbd);
    backend_set_state(be, be->error_state ?: XenbusStateClosing);
}

// Close the ring, unless requests are under way: their pages stay mapped until
// they are done. Returns 0, or -1 if that is so.
static int
disconnect(struct backend *be)
{
    backend_stop_ring(be);
    if (be->open)
        return -1;
    backend_free_ring(be);
    return 0;
}

static void
connect(struct backend *be)
{
    const char *ref = node_of(be->frontend, "ring-ref");
    const char *port = node_of(be->frontend, "event-channel");
    const char *protocol = node_of(be->frontend, "protocol");
    if (be->manner == FREEBSD && be->opened)
        // it has forgotten that its hotplug script ran
        return;
    if (disconnect(be)) {
        fatal(be, 16, "pending I/O");
        return;
    }
    if (be->connect_error) {
        fatal(be, 22, be->connect_error);
        return;
    }
    if ((!ref || !port || !protocol) && (store.faults || be->mislabelled)) {
        fatal(be, 2, "reading ring-ref and event-channel");
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
        fatal(be, 22, "mapping ring-ref");
        return;
    }
    if (!be->sring)
        fail("vbd %u: the ring's grant %u cannot be mapped", be->vbd
             , be->ring_ref);
    // a store that lies may have said that we are connected
    if (!store.faults)
        backend_check_ring(be, be->sring);
    if (hv_bind(be->domid, be->port, backend_ring_notified, be))
        fail("vbd %u: port %u cannot be bound", be->vbd, be->port);
    be->req_cons = 0;
    be->spoilt = be->stopped = be->dead_ring = 0;
    be->rsp_prod = be->sring->rsp_prod;
    be->connects++;
    be->opened = 1;
    publish_properties(be);
    backend_set_state(be, XenbusStateConnected);
    backend_ring_notified(be);
}

// The frontend has closed. Each kind of backend has its own way with requests
// that are still under way.
static void
closed(struct backend *be)
{
    int busy = disconnect(be);
    switch (be->manner) {
    case BLKBACK:
        // it says so all the same, and keeps ring and pages; the ring until
        // the frontend writes a state again
        break;
    case TAPBACK:
        // the same, but nothing is answered, and the ring goes with the pages
        be->dead_ring = busy;
        break;
    case QEMU:
    case FREEBSD:
        // they wait for them
        be->closing = busy;
        if (busy)
            return;
        break;
    case NETBSD:
        // the device is freed, and nobody is there to say 2 ever again
        backend_drop_requests(be, 1);
        backend_free_ring(be);
        backend_set_state(be, XenbusStateClosed);
        be->absent = 1;
        return;
    }
    if (be->state != XenbusStateClosed)
        backend_set_state(be, XenbusStateClosed);
}

void
backend_idle(struct backend *be)
{
    if (be->gone || be->dead_ring)
        backend_free_ring(be);
    if (!be->closing)
        return;
    be->closing = 0;
    backend_free_ring(be);
    backend_set_state(be, XenbusStateClosed);
}

static void
frontend_changed(void *arg)
{
    struct backend *be = arg;
    const char *text = node_of(be->frontend, "state");
    int state = text ? atoi(text) : XenbusStateUnknown;
    if (be->absent || be->gone)
        return;
    switch (state) {
    case XenbusStateInitialising:
        if (be->state == XenbusStateClosed && !be->skip_initwait)
            backend_set_state(be, XenbusStateInitWait);
        break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (be->state != XenbusStateConnected
            || (be->manner == NETBSD && !be->sring))
            connect(be);
        break;
    case XenbusStateClosing:
        backend_set_state(be, XenbusStateClosing);
        break;
    case XenbusStateClosed:
        closed(be);
        break;
    case XenbusStateUnknown:
        // the device goes, as soon as nothing is under way
        be->gone = 1;
        disconnect(be);
        break;
    }
}

static void
plugged(void *arg)
{
    struct backend *be = arg;
    backend_set_state(be, XenbusStateInitWait);
    if (be->manner == NETBSD)
        // its disk is open, whether there is a frontend or not
        backend_set_state(be, XenbusStateConnected);
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
        .tags = { backend_count, backend_count },
    };
    backends[backend_count++] = be;
    return be;
}

struct backend *
sim_cd(u32 vbd)
{
    struct backend *be = sim_disk(vbd);
    be->type = "cdrom";
    be->info = VDISK_CDROM | VDISK_READONLY;
    be->mode = "r";
    return be;
}

static void
make_nodes(struct backend *be)
{
    char text[64];
    be->frontend[0] = 0;
    // blkback knows raw images only
    if (be->clustered)
        be->kind = "qdisk";
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
    be->open = be->opened = be->closing = be->dead_ring = be->gone = 0;
    if (be->early)
        publish_properties(be);
    publish(be, "state", "1");
    be->state = XenbusStateInitialising;
    if (be->absent)
        return;
    if (be->hotplug)
        sim_at(sim_now + be->hotplug, plugged, be);
    else
        plugged(be);
}

void
backends_start(void)
{
    int i;
    for (i = 0; i < backend_count; i++)
        make_nodes(backends[i]);
}

// Forget what was to be done.
static void
forget_events(struct backend *be)
{
    sim_cancel(frontend_changed, be);
    sim_cancel(plugged, be);
}

void
backends_move(void)
{
    int i;
    for (i = 0; i < backend_count; i++) {
        struct backend *be = backends[i];
        forget_events(be);
        backend_drop_requests(be, 0);
        be->sring = NULL;
        be->dirty = 0;
    }
    store_rm("/local");
    backends_start();
}

void
backends_stop(void)
{
    memset(&backend_steps, 0, sizeof(backend_steps));
    while (backend_count) {
        struct backend *be = backends[--backend_count];
        backend_drop_requests(be, 0);
        image_stop(be);
        free(be);
    }
}


/****************************************************************
 * What dom0 does to a disk
 ****************************************************************/

// The driver domain of a backend is destroyed: whatever it had mapped is not
// mapped any more, and its ports are closed.
static void
destroy_domain(domid_t domid)
{
    char path[64];
    int i;
    for (i = 0; i < backend_count; i++) {
        struct backend *be = backends[i];
        if (be->domid != domid)
            continue;
        forget_events(be);
        be->gone = 1;
        backend_drop_requests(be, 1);
        backend_free_ring(be);
    }
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    store_rm(path);
}

void
backend_vanish(struct backend *be, int what)
{
    if (what == VANISH_DOMAIN)
        return destroy_domain(be->domid);
    if (what != VANISH_FRONTEND) {
        // the driver is unbound, and lets go when nothing is under way
        be->gone = 1;
        forget_events(be);
        disconnect(be);
    }
    if (what != VANISH_FRONTEND)
        store_rm(be->backend);
    if (what != VANISH_BACKEND)
        store_rm(be->frontend);
}

void
backend_plug(struct backend *be)
{
    check_true(be->gone && !be->sring);
    make_nodes(be);
    sim_remember();
}

void
backend_insert(struct backend *be, const char *params, u32 tag, int followed)
{
    be->params = params;
    publish(be, "params", params);
    be->tags[IMAGE_TWIN] = tag;
    if (followed)
        be->tags[IMAGE_PV] = tag;
}
