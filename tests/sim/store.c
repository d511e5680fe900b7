// The simulated xenstored: docs/misc/xenstore.txt and xenstore-ring.txt.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // store

#define RING XENSTORE_RING_SIZE

struct sim_store store;

// Bytes of requests that are not complete, and of replies not on the ring yet.
static u8 input[8192], output[1 << 20];
static u32 input_len, output_len;


/****************************************************************
 * Replies
 ****************************************************************/

static void flush_output(void *arg);

static void
event(void *arg)
{
    hv_event(hv.store_port);
}

void
store_raw(const void *data, u32 len)
{
    check_true(output_len + len <= sizeof(output));
    memcpy(output + output_len, data, len);
    output_len += len;
    sim_cancel(flush_output, NULL);
    sim_at(sim_now, flush_output, NULL);
}

// Put on the ring what fits there.
static void
flush_output(void *arg)
{
    struct xenstore_domain_interface *ring = hv.store;
    u32 used = ring->rsp_prod - ring->rsp_cons, i;
    if (store.dead)
        return;
    if (sim_now < store.stopped_until) {
        sim_cancel(flush_output, NULL);
        sim_at(store.stopped_until, flush_output, NULL);
        return;
    }
    if (used > RING)
        fail("the guest broke the ring of replies (%x %x)"
             , ring->rsp_prod, ring->rsp_cons);
    u32 len = output_len < RING - used ? output_len : RING - used;
    if (store.split && len > store.split)
        len = store.split;
    if (!len)
        return; // the guest notifies when it has read
    for (i = 0; i < len; i++)
        ring->rsp[(ring->rsp_prod + i) % RING] = output[i];
    ring->rsp_prod += len;
    memmove(output, output + len, output_len - len);
    output_len -= len;
    sim_at(sim_now + store.event_delay, event, NULL);
    if (output_len && used + len < RING)
        sim_at(sim_now + 30 * US, flush_output, NULL);
}

static void
reply_as(u32 type, u32 id, u32 tx, const void *data, u32 len)
{
    struct xsd_sockmsg msg = { type, id, tx, len };
    store_raw(&msg, sizeof(msg));
    store_raw(data, len);
}

// Replies that are sent later.
struct late {
    struct xsd_sockmsg msg;
    char data[XENSTORE_PAYLOAD_MAX];
    struct late *next;
};

static struct late *lates;

static void
send_late(void *arg)
{
    struct late *late = arg;
    store_raw(&late->msg, sizeof(late->msg));
    store_raw(late->data, late->msg.len);
}

// Answer a request, with its fault if it has one.
static void
reply(struct store_request *request, int fault, u32 type, const void *data
      , u32 len)
{
    struct xsd_sockmsg *msg = &request->msg;
    static char full[XENSTORE_PAYLOAD_MAX + 2];
    struct late *late;
    switch (fault) {
    case STORE_LOSE:
        return;
    case STORE_LATE:
        late = malloc(sizeof(*late));
        late->msg = (struct xsd_sockmsg){ type, msg->req_id, msg->tx_id, len };
        memcpy(late->data, data, len);
        late->next = lates;
        lates = late;
        sim_at(sim_now + 8 * SECOND, send_late, late);
        return;
    case STORE_BAD_ID:
        return reply_as(type, msg->req_id ^ 0x10000, msg->tx_id, data, len);
    case STORE_BAD_TYPE:
        return reply_as(type == XS_READ ? XS_WRITE : XS_READ, msg->req_id
                        , msg->tx_id, data, len);
    case STORE_LONG:
    case STORE_HUGE:
        memset(full, '7', sizeof(full));
        *msg = (struct xsd_sockmsg){ type, msg->req_id, msg->tx_id
            , fault == STORE_LONG ? XENSTORE_PAYLOAD_MAX + 1 : 0xfffffff0 };
        store_raw(msg, sizeof(*msg));
        return store_raw(full, XENSTORE_PAYLOAD_MAX + 1);
    case STORE_EMPTY:
        return reply_as(type, msg->req_id, msg->tx_id, "", 0);
    case STORE_SHORT:
        return reply_as(type, msg->req_id, msg->tx_id, data, len ? len - 1 : 0);
    case STORE_TWICE:
        reply_as(type, msg->req_id, msg->tx_id, data, len);
        break;
    case STORE_NO_NUL:
        memset(full, 'x', sizeof(full));
        return reply_as(type, msg->req_id, msg->tx_id, full, 100);
    case STORE_FULL:
        memset(full, '1', sizeof(full));
        return reply_as(type, msg->req_id, msg->tx_id, full
                        , XENSTORE_PAYLOAD_MAX);
    }
    reply_as(type, msg->req_id, msg->tx_id, data, len);
}

static void
reply_error(struct store_request *request, int fault, const char *error)
{
    reply(request, fault, XS_ERROR, error, strlen(error) + 1);
}


/****************************************************************
 * Requests
 ****************************************************************/

// Nodes that the layer may write in a frontend's directory, and those of the
// toolstack, which it may not remove: all others a former owner has written.
static const char *const own_nodes[] = {
    "ring-ref", "event-channel", "protocol", "state", NULL,
};
static const char *const toolstack_nodes[] = {
    "backend", "backend-id", "virtual-device", "device-type", "trusted", NULL,
};

static int
is_node_of(const char *path, const char *const *names)
{
    char dir[64];
    snprintf(dir, sizeof(dir), "/local/domain/%u/device/vbd/", hv.domid);
    if (strncmp(path, dir, strlen(dir)))
        return 0;
    const char *name = strchr(path + strlen(dir), '/');
    while (name && *names && strcmp(name + 1, *names))
        names++;
    return name && *names;
}

static void
do_directory(struct store_request *request, int fault)
{
    static char list[XENSTORE_PAYLOAD_MAX];
    const char *error = store_refusal(request->path, 0);
    int len = store_list(request->path, list, sizeof(list));
    if (error || len < 0)
        return reply_error(request, fault, error ?: "E2BIG");
    reply(request, fault, XS_DIRECTORY, list, len);
}

static void
do_read(struct store_request *request, int fault)
{
    u32 len;
    const char *error = store_refusal(request->path, 0);
    const char *value = store_get(request->path, &len);
    if (error)
        return reply_error(request, fault, error);
    reply(request, fault, XS_READ, value, len);
}

static void
do_write(struct store_request *request, int fault)
{
    const char *error = store_refusal(request->path, 1);
    if (!is_node_of(request->path, own_nodes) && !store.writable)
        fail("the layer writes %s", request->path);
    if (!error && store.quota && !store_read(request->path)
        && store_nodes() >= store.quota)
        error = "EQUOTA";
    if (error)
        return reply_error(request, fault, error);
    reply(request, fault, XS_WRITE, "OK", 3);
    sim_progress();
    store_write_bytes(request->path, request->value, request->value_len);
}

// To remove what is not there is no error, unless what is above is not there
// either (xenstore.txt, "RM").
static void
do_rm(struct store_request *request, int fault)
{
    const char *error = store_refusal(request->path, 1);
    char parent[sizeof(request->path)];
    if (!store.writable
        && (!strstr(request->path, "/device/vbd/")
            || !strchr(strstr(request->path, "/device/vbd/") + 12, '/')
            || is_node_of(request->path, toolstack_nodes)))
        fail("the layer removes %s", request->path);
    strcpy(parent, request->path);
    *strrchr(parent, '/') = 0;
    if (!error && !store_read(parent))
        error = "ENOENT";
    if (error)
        return reply_error(request, fault, error);
    reply(request, fault, XS_RM, "OK", 3);
    sim_progress();
    if (store_read(request->path))
        store_rm(request->path);
}


/****************************************************************
 * Transactions
 ****************************************************************/

static u32 transactions[64];

// Find an open one; 0 finds a free place.
static u32 *
find_transaction(u32 id)
{
    u32 i;
    for (i = 0; i < ARRAY_SIZE(transactions); i++)
        if (transactions[i] == id)
            return &transactions[i];
    return NULL;
}

static void
do_start(struct store_request *request, int fault)
{
    char text[16];
    u32 *place = find_transaction(0);
    check_equal(request->msg.tx_id, 0);
    // as the C xenstored allows a domain
    if (store.transactions >= 10 || !place)
        return reply_error(request, fault, "ENOSPC");
    store.transactions++;
    *place = 1000 + store.requests;
    snprintf(text, sizeof(text), "%u", *place);
    reply(request, fault, XS_TRANSACTION_START, text, strlen(text) + 1);
}

static void
end_transaction(u32 id)
{
    *find_transaction(id) = 0;
    store.transactions--;
}

static void
do_end(struct store_request *request, int fault)
{
    end_transaction(request->msg.tx_id);
    check_true(!strcmp(request->data, "T") || !strcmp(request->data, "F"));
    if (*request->data == 'T' && store.conflicts) {
        store.conflicts--;
        return reply_error(request, fault, "EAGAIN");
    }
    reply(request, fault, XS_TRANSACTION_END, "OK", 3);
}


/****************************************************************
 * Watches
 ****************************************************************/

// What a guest watches. Events come as they are due, among the replies; the one
// that a new watch begins with tells nothing.
struct watch {
    char path[256];         // as the guest wrote it
    char absolute[256];
    char token[64];
};

static struct watch watches[16];

static void
send_event(const char *path, const char *token)
{
    char text[512];
    u32 len = snprintf(text, sizeof(text), "%s", path) + 1;
    len += snprintf(text + len, sizeof(text) - len, "%s", token) + 1;
    store.events++;
    reply_as(XS_WATCH_EVENT, 0, 0, text, len);
}

// A watch event that comes later than it should.
static void
send_late_event(void *arg)
{
    struct watch *watch = arg;
    if (*watch->path)
        send_event(watch->path, watch->token);
}

static void
fire(struct watch *watch, const char *path)
{
    // the path as the guest would write it
    u32 prefix = strlen(watch->absolute) - strlen(watch->path);
    if (store.event_at && store.events + 1 == store.event_at) {
        store.event_at = 0;
        sim_at(sim_now + 8 * SECOND, send_late_event, watch);
        return;
    }
    send_event(path + prefix, watch->token);
}

void
store_changed(const char *path, int removed)
{
    struct watch *watch;
    for (watch = watches; watch < watches + ARRAY_SIZE(watches); watch++) {
        if (!*watch->path)
            continue;
        if (store_is_below(path, watch->absolute))
            fire(watch, path);
        else if (removed && store_is_below(watch->absolute, path)
                 && store_read(watch->absolute))
            fire(watch, watch->absolute);
    }
    if (!removed)
        backend_watch(path);
}

void
store_gone(const char *path)
{
    backend_watch(path);
}

static struct watch *
find_watch(const char *path, const char *token)
{
    struct watch *watch;
    for (watch = watches; watch < watches + ARRAY_SIZE(watches); watch++)
        if (!strcmp(watch->absolute, path) && !strcmp(watch->token, token))
            return watch;
    return NULL;
}

static void
do_watch(struct store_request *request, int fault)
{
    struct watch *watch = find_watch("", "");
    if (find_watch(request->path, request->value))
        return reply_error(request, fault, "EEXIST");
    if (!watch)
        return reply_error(request, fault, "ENOSPC");
    strcpy(watch->path, request->data);
    strcpy(watch->absolute, request->path);
    strcpy(watch->token, request->value);
    store.watches++;
    reply(request, fault, XS_WATCH, "OK", 3);
    // at once, also where there is nothing, or nothing to be seen
    send_event(watch->path, watch->token);
}

static void
do_unwatch(struct store_request *request, int fault)
{
    struct watch *watch = find_watch(request->path, request->value);
    if (!watch)
        return reply_error(request, fault, "ENOENT");
    // an event that waits in oxenstored's queue comes behind the reply
    struct watch late = *watch;
    memset(watch, 0, sizeof(*watch));
    sim_cancel(send_late_event, watch);
    store.watches--;
    reply(request, fault, XS_UNWATCH, "OK", 3);
    if (store.event_after_unwatch)
        send_event(late.path, late.token);
}


/****************************************************************
 * Requests as they come
 ****************************************************************/

// Say whether a path can be one (docs/misc/xenstore.txt of Xen).
static int
is_path(const char *path)
{
    size_t len = strlen(path);
    return !strstr(path, "//") && (len == 1 || path[len - 1] != '/')
           && strspn(path, "-/_@0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "abcdefghijklmnopqrstuvwxyz") == len;
}

static void
do_request(struct store_request *request, int fault)
{
    if (*request->data && !is_path(request->path))
        return reply_error(request, fault, "EINVAL");
    if (request->msg.tx_id && !find_transaction(request->msg.tx_id))
        return reply_error(request, fault, "ENOENT");
    switch (request->msg.type) {
    case XS_DIRECTORY:
        return do_directory(request, fault);
    case XS_READ:
        return do_read(request, fault);
    case XS_WRITE:
        return do_write(request, fault);
    case XS_RM:
        return do_rm(request, fault);
    case XS_TRANSACTION_START:
        return do_start(request, fault);
    case XS_TRANSACTION_END:
        return do_end(request, fault);
    case XS_WATCH:
        return do_watch(request, fault);
    case XS_UNWATCH:
        return do_unwatch(request, fault);
    }
    fail("store request of type %u is not allowed", request->msg.type);
}

static void
take_request(struct store_request *request)
{
    int fault = STORE_NORMAL;
    u32 len = request->msg.len;
    request->number = ++store.requests;
    request->data[len] = 0;
    request->value = NULL;
    size_t path_len = strlen(request->data);
    if (len == path_len && request->msg.type != XS_TRANSACTION_START)
        fail("store request of type %u without a NUL: %s"
             , request->msg.type, request->data);
    if (request->msg.type == XS_WRITE) {
        request->value = request->data + path_len + 1;
        request->value_len = len - path_len - 1;
    } else if (request->msg.type == XS_WATCH || request->msg.type == XS_UNWATCH) {
        // the token, which ends with a NUL as well
        request->value = request->data + path_len + 1;
        request->value_len = len - path_len - 2;
        if (len < path_len + 2 || strlen(request->value) != request->value_len)
            fail("watch of %s without a token", request->data);
    } else if (len > path_len + 1) {
        fail("store request of type %u with %zu bytes too many"
             , request->msg.type, len - path_len - 1);
    }
    if (request->data[0] == '/')
        snprintf(request->path, sizeof(request->path), "%s", request->data);
    else
        snprintf(request->path, sizeof(request->path), "/local/domain/%u/%s"
                 , hv.domid, request->data);
    if (store.hook)
        fault = store.hook(request);
    if (request->number == store.fault_at)
        fault = store.fault;
    if (fault != STORE_NORMAL)
        store.faults++;
    if (fault == STORE_DEAD)
        store.dead = 1;
    if (fault == STORE_STOP)
        store.stopped_until = sim_now + 7 * SECOND;
    if (fault == STORE_DEAD)
        return;
    // it has ended, whatever the answer is
    if (fault == STORE_ERROR && request->msg.type == XS_TRANSACTION_END
        && find_transaction(request->msg.tx_id))
        end_transaction(request->msg.tx_id);
    if (fault == STORE_ERROR && request->msg.type == XS_RM
        && !strcmp(store.error ?: "", "ENOENT"))
        store_rm(request->path);
    if (fault == STORE_ERROR)
        reply_error(request, STORE_NORMAL, store.error ?: "EIO");
    else if (fault != STORE_IGNORE)
        do_request(request, fault);
}

// A ring that xenstored has given up: nothing is served until the guest asks for a
// reconnection, where that is offered (xenstore-ring.txt).
static void
reconnect(void)
{
    struct xenstore_domain_interface *ring = hv.store;
    if (ring->connection != XENSTORE_RECONNECT || !store.reconnect_feature)
        return;
    store.given_up = 0;
    store_reset_ring();
    hv_event(hv.store_port);
}

// Read what the guest sent, and answer what is complete.
static void
process(void *arg)
{
    static struct store_request request;
    struct xenstore_domain_interface *ring = hv.store;
    if (store.given_up)
        return reconnect();
    if (store.dead || sim_now < store.stopped_until) {
        if (!store.dead)
            sim_at(store.stopped_until, process, NULL);
        return;
    }
    u32 len = ring->req_prod - ring->req_cons;
    if (len > RING)
        fail("the guest broke the ring of requests (%x %x)"
             , ring->req_prod, ring->req_cons);
    while (len--)
        input[input_len++] = ring->req[ring->req_cons++ % RING];
    hv_event(hv.store_port);
    while (input_len >= sizeof(request.msg) && !store.dead) {
        memcpy(&request.msg, input, sizeof(request.msg));
        if (request.msg.len > XENSTORE_PAYLOAD_MAX)
            fail("store request of %u bytes", request.msg.len);
        u32 size = sizeof(request.msg) + request.msg.len;
        if (input_len < size)
            break;
        memcpy(request.data, input + sizeof(request.msg), request.msg.len);
        memmove(input, input + size, input_len - size);
        input_len -= size;
        take_request(&request);
    }
    flush_output(NULL);
}

void
store_run(void)
{
    sim_cancel(process, NULL);
    sim_cancel(flush_output, NULL);
    process(NULL);
}

static void
notified(void *arg)
{
    if (store.dead)
        return;
    sim_cancel(process, NULL);
    sim_at(sim_now + store.latency, process, NULL);
}

void
store_give_up(void)
{
    store.given_up = 1;
    hv.store->error = XENSTORE_ERROR_RINGIDX;
}

void
store_reset_ring(void)
{
    struct xenstore_domain_interface *ring = hv.store;
    memset(ring, 0, sizeof(*ring));
    ring->req_prod = ring->req_cons = store.index;
    ring->rsp_prod = ring->rsp_cons = store.index + 77;
    if (store.reconnect_feature)
        ring->server_features = XENSTORE_SERVER_FEATURE_RECONNECTION
                                | XENSTORE_SERVER_FEATURE_ERROR;
    input_len = output_len = 0;
    sim_cancel(process, NULL);
    sim_cancel(flush_output, NULL);
    hv.ports[hv.store_port] = (struct sim_port){ PORT_BOUND, 0, notified };
    memset(transactions, 0, sizeof(transactions));
    memset(watches, 0, sizeof(watches));
    store.transactions = store.watches = 0;
}

u32
store_unsent(void)
{
    return output_len + input_len;
}

void
store_start(void)
{
    if (!store.latency)
        store.latency = 40 * US;
    store_reset_ring();
}

void
store_stop(void)
{
    tree_stop();
    while (lates) {
        struct late *late = lates;
        lates = late->next;
        free(late);
    }
    memset(&store, 0, sizeof(store));
}
