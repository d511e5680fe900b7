// The simulated xenstored: docs/misc/xenstore.txt and xenstore-ring.txt.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // store

#include <stdarg.h>

#define RING XENSTORE_RING_SIZE

struct sim_store store;

struct node {
    char *path, *value;
    u32 len;
};

static struct node nodes[2048];
static int node_count;

// Bytes of requests that are not complete, and of replies not on the ring yet.
static u8 input[8192], output[1 << 20];
static u32 input_len, output_len;


/****************************************************************
 * The tree
 ****************************************************************/

static struct node *
find(const char *path)
{
    // they are in order
    int from = 0, to = node_count;
    while (from < to) {
        int middle = (from + to) / 2, order = strcmp(nodes[middle].path, path);
        if (!order)
            return &nodes[middle];
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static int
is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return !strncmp(path, dir, len) && path[len] == '/';
}

static void
set(const char *path, const char *value, u32 len)
{
    struct node *node = find(path);
    if (!node) {
        // parents come first
        char *parent = strdup(path), *slash = strrchr(parent, '/');
        if (slash && slash != parent) {
            *slash = 0;
            if (!find(parent))
                set(parent, "", 0);
        }
        free(parent);
        if (node_count == ARRAY_SIZE(nodes))
            fail("store: too many nodes");
        for (node = nodes + node_count; node > nodes; node--) {
            if (strcmp(node[-1].path, path) < 0)
                break;
            *node = node[-1];
        }
        node_count++;
        *node = (struct node){ strdup(path) };
    }
    free(node->value);
    node->value = malloc(len + 1);
    memcpy(node->value, value, len);
    node->value[len] = 0;
    node->len = len;
}

void
store_write_bytes(const char *path, const char *value, u32 len)
{
    set(path, value, len);
    backend_watch(path);
}

void
store_write(const char *path, const char *value)
{
    store_write_bytes(path, value, strlen(value));
}

void
store_printf(const char *value, const char *path, ...)
{
    char text[512];
    va_list args;
    va_start(args, path);
    vsnprintf(text, sizeof(text), path, args);
    va_end(args);
    store_write(text, value);
}

const char *
store_read(const char *path)
{
    struct node *node = find(path);
    return node ? node->value : NULL;
}

void
store_rm(const char *path)
{
    int i, to = 0;
    char *copy = strdup(path);
    for (i = 0; i < node_count; i++) {
        if (strcmp(nodes[i].path, copy) && !is_below(nodes[i].path, copy)) {
            nodes[to++] = nodes[i];
            continue;
        }
        free(nodes[i].path);
        free(nodes[i].value);
    }
    node_count = to;
    backend_watch(copy);
    free(copy);
}

char *
store_dump(const char *path)
{
    static char text[16384];
    int i, len = 0;
    text[0] = 0;
    for (i = 0; i < node_count; i++)
        if (is_below(nodes[i].path, path))
            len += snprintf(text + len, sizeof(text) - len, "%s = \"%.200s\"\n"
                            , nodes[i].path, nodes[i].value);
    return text;
}


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

// Names that the layer may write in a frontend's directory.
static int
may_write(const char *path)
{
    static const char *names[] = {
        "ring-ref", "event-channel", "protocol", "state",
    };
    char prefix[64];
    int i;
    snprintf(prefix, sizeof(prefix), "/local/domain/%u/device/vbd/", hv.domid);
    const char *name = strrchr(path, '/') + 1;
    if (strncmp(path, prefix, strlen(prefix)))
        return 0;
    for (i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(name, names[i]))
            return 1;
    return 0;
}

static void
do_directory(struct store_request *request, int fault)
{
    static char list[XENSTORE_PAYLOAD_MAX * 2];
    u32 len = 0;
    int i;
    if (!find(request->path))
        return reply_error(request, fault, "ENOENT");
    for (i = 0; i < node_count; i++) {
        const char *path = nodes[i].path;
        if (!is_below(path, request->path))
            continue;
        path += strlen(request->path) + 1;
        if (strchr(path, '/'))
            continue;
        strcpy(list + len, path);
        len += strlen(path) + 1;
    }
    if (len > XENSTORE_PAYLOAD_MAX)
        return reply_error(request, fault, "E2BIG");
    reply(request, fault, XS_DIRECTORY, list, len);
}

static void
do_request(struct store_request *request, int fault)
{
    struct node *node = find(request->path);
    u32 type = request->msg.type;
    char text[16];
    // only the last one: the layer never has two
    static u32 transaction;
    if (request->msg.tx_id
        && (!store.transactions || request->msg.tx_id != transaction))
        return reply_error(request, fault, "ENOENT");
    switch (type) {
    case XS_DIRECTORY:
        return do_directory(request, fault);
    case XS_READ:
        if (!node)
            return reply_error(request, fault, "ENOENT");
        return reply(request, fault, type, node->value, node->len);
    case XS_WRITE:
        if (!may_write(request->path))
            fail("the layer writes %s", request->path);
        if (store.quota && !node && node_count >= store.quota)
            return reply_error(request, fault, "EQUOTA");
        reply(request, fault, type, "OK", 3);
        sim_progress();
        return store_write_bytes(request->path, request->value
                                 , request->value_len);
    case XS_RM:
        if (!may_write(request->path))
            fail("the layer removes %s", request->path);
        if (!node)
            return reply_error(request, fault, "ENOENT");
        reply(request, fault, type, "OK", 3);
        sim_progress();
        return store_rm(request->path);
    case XS_TRANSACTION_START:
        check_equal(request->msg.tx_id, 0);
        // one whose reply was lost stays open for ever
        if (store.transactions && !store.faults
            && !sim_logged("no reply of xenstored"))
            fail("a second transaction");
        store.transactions = 1;
        transaction = 1000 + store.requests;
        snprintf(text, sizeof(text), "%u", transaction);
        return reply(request, fault, type, text, strlen(text) + 1);
    case XS_TRANSACTION_END:
        store.transactions--;
        check_true(!strcmp(request->data, "T") || !strcmp(request->data, "F"));
        if (*request->data == 'T' && store.conflicts) {
            store.conflicts--;
            return reply_error(request, fault, "EAGAIN");
        }
        return reply(request, fault, type, "OK", 3);
    }
    fail("store request of type %u is not allowed", type);
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
    if (fault == STORE_ERROR && request->msg.type == XS_TRANSACTION_END
        && store.transactions)
        store.transactions--;
    if (fault == STORE_ERROR && request->msg.type == XS_RM
        && !strcmp(store.error ?: "", "ENOENT"))
        store_rm(request->path);
    if (fault == STORE_ERROR)
        reply_error(request, STORE_NORMAL, store.error ?: "EIO");
    else if (fault != STORE_IGNORE)
        do_request(request, fault);
}

// Read what the guest sent, and answer what is complete.
static void
process(void *arg)
{
    static struct store_request request;
    struct xenstore_domain_interface *ring = hv.store;
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

static void
notified(void *arg)
{
    if (store.dead)
        return;
    sim_cancel(process, NULL);
    sim_at(sim_now + store.latency, process, NULL);
}

void
store_reset_ring(void)
{
    struct xenstore_domain_interface *ring = hv.store;
    memset(ring, 0, sizeof(*ring));
    ring->req_prod = ring->req_cons = store.index;
    ring->rsp_prod = ring->rsp_cons = store.index + 77;
    if (store.reconnect_feature)
        ring->server_features = XENSTORE_SERVER_FEATURE_RECONNECTION;
    input_len = output_len = 0;
    sim_cancel(process, NULL);
    sim_cancel(flush_output, NULL);
    hv.ports[hv.store_port] = (struct sim_port){ PORT_BOUND, 0, notified };
    store.transactions = 0;
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
    while (node_count--) {
        free(nodes[node_count].path);
        free(nodes[node_count].value);
    }
    node_count = 0;
    while (lates) {
        struct late *late = lates;
        lates = late->next;
        free(late);
    }
    memset(&store, 0, sizeof(store));
}
