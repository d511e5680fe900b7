// A client of the store: bytes on the ring, and requests made of them.
//
// The ring's indices are shared and start anywhere; nothing but what a request
// needs is ever put there, and each reply is taken off whole, so that the next
// user of the ring finds it drained. There are no watches and no transactions.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "evtchn.h" // xenevtchn_set_mask
#include "output.h" // dprintf
#include "platform.h" // xen_alloc
#include "session.h" // xen_platform_moved
#include "string.h" // memcpy
#include "wait.h" // xenwait_start
#include "x86.h" // rdtscll
#include "xenstore.h" // xenstore_read

_Static_assert(sizeof(struct xsd_sockmsg) == 16, "packing");
_Static_assert(__builtin_offsetof(struct xenstore_domain_interface, req_cons) == 2048
               , "packing");

// Everything that changes at run time.
struct xenstore_s {
    evtchn_port_t port;
    u8 was_masked;      // state of the port's mask before xenstore_open()
    u8 unannounced;     // requests were sent since the last notification
    u8 stalled;         // the last request was not answered in time
    u32 slowest;        // reply since xenstore_open(), in us, as far as it counts
    u32 serial;         // of the last request
    u32 rest;           // bytes left of a message that was not taken off whole
    XENSTORE_RING_IDX rest_cons; // where they come next
    char reply[XENSTORE_PAYLOAD_MAX + 1];
};

// How long to wait for the event of the last reply: at least this, doubled until it
// is as long as the slowest reply took, or the most.
#define EVENT_MIN_US   200
#define EVENT_MAX_US 12800

struct xenstore_domain_interface *xen_store;
static struct xenstore_s *store;


/****************************************************************
 * Bytes on the ring
 ****************************************************************/

// Bytes between two indices of the ring. The other side writes one of them.
// Returns -1 with a message if there cannot be so many.
static int
ring_used(XENSTORE_RING_IDX prod, XENSTORE_RING_IDX cons)
{
    u32 used = prod - cons;
    if (used <= XENSTORE_RING_SIZE)
        return used;
    dprintf(1, "xen: xenstore ring indices %x %x are impossible\n", prod, cons);
    return -1;
}

// Wait until `len` bytes can be written, at most as many as the ring holds.
static int
ring_wait_room(struct xenwait_s *wait, u32 len)
{
    for (;;) {
        int used = ring_used(xen_store->req_prod, xen_read_once(xen_store->req_cons));
        if (used < 0)
            return -1;
        if (XENSTORE_RING_SIZE - used >= len)
            return 0;
        xenevtchn_notify(store->port);
        if (xenwait_step(wait)) {
            dprintf(1, "xen: xenstored does not take requests\n");
            return -1;
        }
    }
}

// Copy bytes to the ring, from index `prod` on, where there is room; nobody sees
// them before the index is published. Returns the index behind them.
static XENSTORE_RING_IDX
ring_put(XENSTORE_RING_IDX prod, const void *data, u32 len)
{
    u32 pos = MASK_XENSTORE_IDX(prod), part = XENSTORE_RING_SIZE - pos;
    if (part > len)
        part = len;
    memcpy(&xen_store->req[pos], data, part);
    memcpy(xen_store->req, data + part, len - part);
    return prod + len;
}

// Take bytes off the ring; with a null `data` they are dropped. Whatever comes
// is counted off store->rest.
static int
ring_read(struct xenwait_s *wait, void *data, u32 len)
{
    while (len) {
        u32 cons = xen_store->rsp_cons, pos = MASK_XENSTORE_IDX(cons);
        int used = ring_used(xen_read_once(xen_store->rsp_prod), cons);
        if (used < 0)
            return -1;
        if (!used) {
            if (!xenwait_step(wait))
                continue;
            return -1;
        }
        u32 part = XENSTORE_RING_SIZE - pos;
        if (part > used)
            part = used;
        if (part > len)
            part = len;
        xen_rmb(); // the bytes are read after the index that announced them
        if (data) {
            memcpy(data, &xen_store->rsp[pos], part);
            data += part;
        }
        // the bytes are read before their place is given back
        if (xen_move_index(&xen_store->rsp_cons, cons, cons + part))
            return -1;
        store->rest_cons = cons + part;
        store->rest -= part;
        len -= part;
        if (xen_read_once(xen_store->rsp_prod) - cons >= XENSTORE_RING_SIZE)
            // it was full: there may be more to say
            xenevtchn_notify(store->port);
    }
    return 0;
}

// Take the header of the next message off the ring. Returns -1 if none comes,
// or if it cannot be one.
static int
ring_read_header(struct xenwait_s *wait, struct xsd_sockmsg *msg)
{
    if (xen_store->rsp_cons != store->rest_cons)
        // somebody else has been reading, or this is another ring
        store->rest = 0;
    if (store->rest && ring_read(wait, NULL, store->rest))
        return -1;
    // a header that comes in two halves is taken off only when it is complete
    for (;;) {
        int used = ring_used(xen_read_once(xen_store->rsp_prod), xen_store->rsp_cons);
        if (used < 0)
            return -1;
        if (used >= sizeof(*msg))
            break;
        if (xenwait_step(wait))
            return -1;
    }
    store->rest = sizeof(*msg);
    if (ring_read(wait, msg, sizeof(*msg)))
        return -1;
    store->rest = msg->len;
    if (msg->len <= XENSTORE_PAYLOAD_MAX)
        return 0;
    dprintf(1, "xen: xenstore message of %u bytes is impossible\n", msg->len);
    return -1;
}


/****************************************************************
 * Use of the store
 ****************************************************************/

int
xenstore_setup(void)
{
    store = xen_alloc(sizeof(*store));
    return store ? 0 : -1;
}

// Drop whatever messages are on the ring: they are replies to somebody else,
// or came after we had given up waiting for them.
static void
drop_strays(void)
{
    // there may be ever more of them
    struct xenwait_s wait, all;
    xenwait_start(&wait, 0, store->port);
    xenwait_start(&all, XEN_LIMIT_STALLED, store->port);
    while (xen_read_once(xen_store->rsp_prod) != xen_store->rsp_cons
           && !xenwait_step(&all)) {
        struct xsd_sockmsg msg;
        if (ring_read_header(&wait, &msg) || ring_read(&wait, NULL, msg.len))
            return;
        dprintf(3, "xen: stray xenstore message (type %u, id %x)\n"
                , msg.type, msg.req_id);
    }
}

static void
end_session(void)
{
    // the port may be the new domain's already, which begins unmasked
    u8 mask = 0;
    if (!xen_platform_moved()) {
        // the event of the last reply comes later than its bytes: not to the OS
        struct xenwait_s wait;
        xenwait_start(&wait, 1 + store->slowest / 1000, store->port);
        xenwait_pause(&wait, store->slowest);
        mask = store->was_masked;
    }
    xenevtchn_clear(store->port);
    xenevtchn_settle();
    xenevtchn_set_mask(store->port, mask);
    xen_platform_unmap();
}

int
xenstore_open(void)
{
    if (xen_platform_map(&store->port))
        return -1;
    store->was_masked = xenevtchn_set_mask(store->port, 1);
    store->stalled = 0;
    store->slowest = EVENT_MIN_US;

    // A server that offers the reconnection feature may be at it.
    struct xenwait_s wait;
    xenwait_start(&wait, XEN_LIMIT_STORE, store->port);
    while (xen_read_once(xen_store->connection) != XENSTORE_CONNECTED
           && (xen_store->server_features
               & XENSTORE_SERVER_FEATURE_RECONNECTION))
        if (xenwait_step(&wait)) {
            dprintf(1, "xen: xenstored does not finish a reconnection\n");
            end_session();
            return -1;
        }
    drop_strays();
    return 0;
}

void
xenstore_close(void)
{
    int tries;
    for (tries = 0; xen_platform_moved() && tries < MOVES_MAX; tries++) {
        end_session();
        // what the new xenstored was asked before that was noticed it answers before this
        if (xenstore_open())
            return;
        xenstore_read("domid", NULL);
    }
    end_session();
}


/****************************************************************
 * Requests and replies
 ****************************************************************/

// How long to wait for xenstored. If it has just let a request wait in vain, the
// next ones are not worth as much time.
static u32
reply_limit(void)
{
    return store->stalled ? XEN_LIMIT_STALLED : XEN_LIMIT_STORE;
}

void
xenstore_persist(void)
{
    store->stalled = 0;
}

u32
xenstore_send(u32 type, const char *dir, const char *name, const char *value)
{
    // The path ends with a NUL, the value behind it does not. The id carries
    // the type, which the reply must repeat; it is never 0.
    int dirlen = strlen(dir), namelen = strlen(name ?: ""), valuelen = strlen(value ?: "");
    struct xsd_sockmsg msg = {
        .type = type, .req_id = ++store->serial << 8 | type,
        .len = dirlen + (name ? 1 + namelen : 0) + 1 + valuelen,
    };
    if (sizeof(msg) + msg.len > XENSTORE_RING_SIZE) {
        dprintf(1, "xen: xenstore request for %s is too long\n", dir);
        return 0;
    }
    struct xenwait_s wait;
    xenwait_start(&wait, reply_limit(), store->port);
    if (ring_wait_room(&wait, sizeof(msg) + msg.len))
        return 0;
    xen_mb(); // the room is there before it is used
    XENSTORE_RING_IDX first = xen_store->req_prod;
    XENSTORE_RING_IDX prod = ring_put(first, &msg, sizeof(msg));
    prod = ring_put(prod, dir, dirlen);
    if (name) {
        prod = ring_put(prod, "/", 1);
        prod = ring_put(prod, name, namelen);
    }
    prod = ring_put(prod, "", 1);
    prod = ring_put(prod, value ?: "", valuelen);
    if (xen_move_index(&xen_store->req_prod, first, prod))
        return 0;
    store->unannounced = 1;
    return msg.req_id;
}

int
xenstore_receive(u32 id, const char **reply)
{
    store->reply[0] = 0;
    *reply = store->reply;
    if (!id)
        return -1;
    if (store->unannounced)
        xenevtchn_notify(store->port);
    store->unannounced = 0;
    struct xenwait_s wait;
    xenwait_start(&wait, reply_limit(), store->port);
    u64 start = rdtscll();
    for (;;) {
        struct xsd_sockmsg msg;
        if (ring_read_header(&wait, &msg))
            break;
        int ours = msg.req_id == id && (msg.type == (u8)id
                                        || msg.type == XS_ERROR);
        if (ring_read(&wait, ours ? store->reply : NULL, msg.len))
            break;
        if (!ours) {
            if (xenwait_step(&wait))
                break;
            continue;
        }
        store->reply[msg.len] = 0;
        store->stalled = 0;
        while (store->slowest < EVENT_MAX_US
               && rdtscll() - start > xen_ticks(store->slowest))
            store->slowest *= 2;
        return msg.type == XS_ERROR ? -1 : msg.len;
    }
    store->reply[0] = 0;
    if (!store->stalled && !xen_platform_moved())
        dprintf(1, "xen: no reply of xenstored\n");
    store->stalled = 1;
    return -1;
}

// Send one request and wait for its reply.
static int
request(u32 type, const char *dir, const char *name, const char *value, const char **reply)
{
    return xenstore_receive(xenstore_send(type, dir, name, value), reply);
}

const char *
xenstore_read(const char *dir, const char *name)
{
    const char *reply;
    return request(XS_READ, dir, name, NULL, &reply) < 0 ? NULL : reply;
}

int
xenstore_is_gone(const char *error)
{
    return !strcmp(error, "ENOENT") || !strcmp(error, "EACCES");
}

int
xenstore_parse_number(const char *text, int len, u32 base, u64 *value)
{
    u64 number = 0;
    int i;
    if (len < 1 || len > 18)
        return -1;
    for (i = 0; i < len; i++) {
        u8 digit = text[i] - '0', letter = (text[i] | 0x20) - 'a';
        if (letter < 6)
            digit = 10 + letter;
        if (digit >= base || number >> 60)
            return -1;
        number = number * base + digit;
    }
    *value = number;
    return 0;
}

void
xenstore_send_reads(const char *dir, const char *const *names, u32 *ids, int count)
{
    int i;
    for (i = 0; i < count; i++)
        ids[i] = xenstore_send(XS_READ, dir, names[i], NULL);
}

int
xenstore_receive_numbers(const u32 *ids, u64 *values, int count)
{
    int i, bad = 0;
    for (i = 0; i < count; i++) {
        const char *text;
        int len = xenstore_receive(ids[i], &text);
        if (len < 0 && xenstore_is_gone(text))
            continue;
        if (xenstore_parse_number(text, len, 10, &values[i]) && !bad)
            bad = i + 1;
        if (len < 0 && !*text)
            // no reply: later ones, if they come, are strays
            break;
    }
    return bad;
}

int
xenstore_read_numbers(const char *dir, const char *const *names, u64 *values, int count)
{
    u32 ids[XENSTORE_NUMBERS_MAX];
    xenstore_send_reads(dir, names, ids, count);
    return xenstore_receive_numbers(ids, values, count);
}

int
xenstore_list(const char *dir, const char **names)
{
    int len = request(XS_DIRECTORY, dir, NULL, NULL, names);
    if (len < 0 && xenstore_is_gone(*names))
        return 0;
    return len;
}

// Most requests of one update, all of which must fit into the ring.
#define UPDATE_MAX 4

int
xenstore_update(const char *dir, const struct xenstore_node_s *nodes, int count)
{
    u32 ids[UPDATE_MAX];
    int i, ret = 0, gone = 0;
    for (i = 0; i < count; i++)
        ids[i] = xenstore_send(nodes[i].value ? XS_WRITE : XS_RM, dir
                               , nodes[i].name, nodes[i].value);
    for (i = 0; i < count; i++) {
        const char *error;
        if (xenstore_receive(ids[i], &error) >= 0
            || (!nodes[i].value && xenstore_is_gone(error)))
            continue;
        ret = -1;
        if (!*error)
            // no reply: later ones, if they come, are strays
            break;
        if (xenstore_is_gone(error)) {
            // the requests behind this one say the same
            gone = 1;
            continue;
        }
        dprintf(1, "xen: writing %s/%s failed (%s)\n"
                , dir, nodes[i].name, error);
    }
    return ret && gone ? XENSTORE_GONE : ret;
}
