// One PV device: its place in the store, and the states of its two ends.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "output.h" // dprintf
#include "session.h" // xen_platform_moved
#include "string.h" // strlen
#include "wait.h" // xenwait_start
#include "x86.h" // __fls
#include "xenbus.h" // xenbus_probe
#include "xenstore.h" // xenstore_read

// A set of states.
#define STATE(s) (1 << XenbusState##s)

// How often a change of state is tried.
#define SWITCH_TRIES 3

static const char state_node[] = "state";


int
xenbus_fail(struct xenbus_s *bus, const char *what, u32 a, u32 b, u32 c)
{
    bus->error = what;
    bus->details[0] = a;
    bus->details[1] = b;
    bus->details[2] = c;
    dprintf(1, "xen: %s: ", bus->name);
    dprintf(1, what, a, b, c);
    dprintf(1, "\n");
    return -1;
}


/****************************************************************
 * States
 ****************************************************************/

// What is read when the node holds no state, or xenstored does not answer.
#define NO_STATE (XenbusStateReconfigured + 1)

// Turn the reply to a read of a state into one: a single digit. A node that is
// not there is XenbusStateUnknown.
static int
receive_state(u32 id)
{
    const char *text;
    int len = xenstore_receive(id, &text);
    if (len == 1 && text[0] >= '0' && text[0] <= '0' + XenbusStateReconfigured)
        return text[0] - '0';
    return len < 0 && xenstore_is_gone(text) ? XenbusStateUnknown : NO_STATE;
}

// Read the states of both ends with one round trip.
static void
read_states(struct xenbus_s *bus, int *frontend, int *backend)
{
    u32 frontend_id = xenstore_send(XS_READ, bus->node, state_node, NULL);
    u32 backend_id = xenstore_send(XS_READ, bus->backend, state_node, NULL);
    *frontend = receive_state(frontend_id);
    *backend = receive_state(backend_id);
}

// Linux's xenbus_dev_error() puts it below its own domain's "error", or the
// frontend's.
const char *
xenbus_find_error(struct xenbus_s *bus)
{
    static const char middle[] = "/backend/";
    char *dir = bus->error_dir;
    const char *text = NULL, *backend = bus->backend;
    while (strlen(backend) > strlen(middle)
           && memcmp(backend, middle, strlen(middle)))
        backend++;
    int len = backend - bus->backend;
    if (strlen(backend) > strlen(middle)) {
        memcpy(dir, bus->backend, len);
        snprintf(dir + len, sizeof(bus->error_dir) - len, "/error%s", backend);
        text = xenstore_read(dir, "error");
    }
    if (!text) {
        snprintf(dir, sizeof(bus->error_dir), "error/%s", bus->node);
        text = xenstore_read(dir, "error");
    }
    return text;
}

// Each look at a state costs the domain of xenstored time, in which the backend may
// want to work: the first one comes when most of the time has passed that it took
// the last time, the next ones after a quarter of what has passed, within these
// limits in us. If the first look is late already, the next wait begins with a
// shorter pause.
#define PAUSE_MIN_US   2000
#define PAUSE_MAX_US 200000

// Wait until the backend is in one of the states `wanted`, which it is not yet,
// or in one of the states `final`, from which it does not get there. After `limit` ms
// xenwait_pause() says so, and one more look is the last.
static int
wait_backend(struct xenbus_s *bus, int wanted, int final, u32 limit
             , const char *what)
{
    u32 *usual = &bus->usual[__fls(wanted)], us = *usual * 3 / 4, passed = 0;
    struct xenwait_s wait;
    xenwait_start(&wait, limit, 0);
    int state, late, looks = 0;
    do {
        if (us < PAUSE_MIN_US)
            us = PAUSE_MIN_US;
        if (us > PAUSE_MAX_US)
            us = PAUSE_MAX_US;
        late = xenwait_pause(&wait, us);
        state = receive_state(xenstore_send(XS_READ, bus->backend, state_node
                                            , NULL));
        passed += us;
        us = passed / 4;
        if (wanted & (1 << state)) {
            *usual = looks ? passed : passed / 2;
            return 0;
        }
        looks++;
    } while (!late && !(final & (1 << state)));
    if (xen_platform_moved() || bus->closing > 1)
        return -1;
    if (final & (1 << state))
        xenbus_fail(bus, "backend does not %s (state %u)", (u32)what, state, 0);
    else
        xenbus_fail(bus, "backend did not %s in %u s (state %u)", (u32)what
                    , limit / 1000, state);
    const char *text = xenbus_find_error(bus);
    if (text)
        dprintf(1, "xen: %s: backend says: %s\n", bus->name, text);
    return -1;
}

// What becomes of the nodes that we publish, with a change of our state.
enum nodes_e { NODES_STAY, NODES_WRITE, NODES_REMOVE };

// Write our own state, after the nodes. It may be written again: a state that is not
// announced leaves the device in nobody's hands. Returns 0, -1 or XENSTORE_GONE.
static int
switch_state(struct xenbus_s *bus, enum nodes_e what, int state)
{
    char value[2] = { '0' + state, 0 };
    struct xenstore_node_s nodes[XENBUS_NODES + 1];
    const char *const *names = bus->class->nodes;
    int tries, count = 0;
    for (; what != NODES_STAY && names[count]; count++)
        nodes[count] = (struct xenstore_node_s){
            names[count], what == NODES_WRITE ? bus->values[count] : NULL,
        };
    nodes[count++] = (struct xenstore_node_s){ state_node, value };
    for (tries = 0; tries < SWITCH_TRIES && !xen_platform_moved(); tries++) {
        if (bus->closing)
            xenstore_persist();
        int ret = xenstore_update(bus->node, nodes, count);
        if (!ret)
            return 0;
        if (ret == XENSTORE_GONE
            && !receive_state(xenstore_send(XS_READ, bus->node, state_node, NULL))) {
            xenbus_fail(bus, "the device is gone", 0, 0, 0);
            return ret;
        }
    }
    return xenbus_fail(bus, "could not switch to state %u", state, 0, 0);
}


/****************************************************************
 * Life of a device
 ****************************************************************/

// How often it is tried to read what the toolstack writes.
#define FIND_TRIES 10

// Find the backend: its path and its domain. The path is read once more behind
// the domain, so that they belong together; a transaction would stay open where
// xenstored does not answer.
static int
find_backend(struct xenbus_s *bus)
{
    int tries;
    for (tries = 0; tries < FIND_TRIES; tries++) {
        const char *path = xenstore_read(bus->node, "backend");
        if (!path || *path != '/' || strlen(path) >= sizeof(bus->backend))
            return xenbus_fail(bus, "no usable backend path", 0, 0, 0);
        strtcpy(bus->backend, path, sizeof(bus->backend));
        static const char *const id_node = "backend-id";
        u64 domid = DOMID_FIRST_RESERVED;
        if (xenstore_read_numbers(bus->node, &id_node, &domid, 1)
            || domid >= DOMID_FIRST_RESERVED)
            return xenbus_fail(bus, "no usable backend-id", 0, 0, 0);
        bus->domid = domid;
        path = xenstore_read(bus->node, "backend");
        if (path && !strcmp(path, bus->backend))
            return 0;
    }
    return xenbus_fail(bus, "its place in xenstore keeps changing", 0, 0, 0);
}

int
xenbus_probe(struct xenbus_s *bus, const struct xenbus_class_s *class, u32 id)
{
    bus->class = class;
    snprintf(bus->node, sizeof(bus->node), "device/%s/%u", class->name, id);
    return find_backend(bus);
}

// Say why the device is not for us to use.
static int
not_ours(struct xenbus_s *bus, int frontend, int backend)
{
    if (bus->closing > 1)
        return -1;
    if (backend == XenbusStateUnknown)
        return xenbus_fail(bus, "there is no backend", 0, 0, 0);
    return xenbus_fail(bus, "somebody else owns it (frontend %u, backend %u)"
                       , frontend, backend, 0);
}

// The states have been read. After a restore or a migration the backend has another
// path: then read them there.
static int
find_states(struct xenbus_s *bus, int *frontend, int *backend)
{
    if (*backend != XenbusStateUnknown && *backend != NO_STATE)
        return 0;
    if (find_backend(bus))
        return -1;
    read_states(bus, frontend, backend);
    return 0;
}

int
xenbus_check_free(struct xenbus_s *bus)
{
    int frontend, backend;
    read_states(bus, &frontend, &backend);
    if (find_states(bus, &frontend, &backend))
        return -1;
    if (frontend == XenbusStateInitialising && backend == XenbusStateInitWait)
        return 0;
    return not_ours(bus, frontend, backend);
}

// How many nodes of others are removed at most: of queues there may be some.
#define OTHER_NODES_MAX 64

// Remove what a former owner has published besides the nodes that we do: a backend
// would believe it of us as well.
static void noinline // its name is not on the stack during a disconnect
remove_others(struct xenbus_s *bus)
{
    const char *names, *const *other;
    int len = xenstore_list(bus->node, &names), left = OTHER_NODES_MAX;
    char name[32];
    while (len > 0) {
        int size = strlen(names) + 1;
        for (other = bus->class->others; *other; other++)
            if (size > strlen(*other) && !memcmp(names, *other, strlen(*other)))
                break;
        if (!*other || size > sizeof(name) || !left--) {
            names += size;
            len -= size;
            continue;
        }
        memcpy(name, names, size);
        struct xenstore_node_s node = { name };
        if (xenstore_update(bus->node, &node, 1))
            return;
        // the reply has taken the place of the list
        len = xenstore_list(bus->node, &names);
    }
}

// Say whether somebody has used the device: its frontend is past Initialising, or
// has published a ring. A backend may be connected before any frontend is
// there (blkif.h, "State diagram"), so its state tells nothing.
static int
was_used(struct xenbus_s *bus, int frontend)
{
    return (frontend >= XenbusStateInitWait && frontend <= XenbusStateClosed)
           || xenstore_read(bus->node, bus->class->nodes[0]);
}

int
xenbus_reset(struct xenbus_s *bus)
{
    int frontend, backend;
    read_states(bus, &frontend, &backend);
    if (backend == NO_STATE)
        return xenbus_fail(bus, "the backend's state cannot be read", 0, 0, 0);
    if (!was_used(bus, frontend)) {
        if (frontend != XenbusStateInitialising)
            return not_ours(bus, frontend, backend);
        if (backend == XenbusStateInitWait)
            return 0;
        if (backend == XenbusStateInitialising)
            // new: the backend may still wait for its hotplug script
            return wait_backend(bus, STATE(InitWait), ~STATE(Initialising)
                                , XEN_LIMIT_POST, "get ready");
        if (backend == XenbusStateUnknown)
            return not_ours(bus, frontend, backend);
        return xenbus_fail(bus, "left alone, its backend does not wait for a frontend"
                           " (state %u)", backend, 0, 0);
    }
    dprintf(1, "xen: %s: resetting (frontend %d, backend %d)\n"
            , bus->name, frontend, backend);
    remove_others(bus);
    if (backend == XenbusStateUnknown || backend == XenbusStateClosed)
        // it has nothing to let go of, and would not answer
        bus->closing = 1;
    else if (xenbus_disconnect(bus))
        // at any other, it may just be looking at what the former owner wrote
        return -1;
    return xenbus_release(bus);
}

int
xenbus_connect(struct xenbus_s *bus, u32 limit)
{
    if (switch_state(bus, NODES_WRITE, XenbusStateConnected))
        return -1;
    return wait_backend(bus, STATE(Connected), STATE(Unknown) | STATE(Closing)
                        | STATE(Closed), limit, "connect");
}

// xenbus_s.closing: the backend was told once more that it may get ready.
#define TOLD 4

// Say whether the device is attached with what we have published.
static int
has_our_ring(struct xenbus_s *bus)
{
    int i;
    for (i = 0; bus->class->nodes[i]; i++) {
        const char *value = xenstore_read(bus->node, bus->class->nodes[i]);
        if (!value || strcmp(value, bus->values[i]))
            return 0;
    }
    return 1;
}

// Go on with a close that did not come to its end. What was written without an
// answer may have been carried out, or not. Returns how long to wait for the backend
// once it has been told again, in ms, or -1 if the device is not ours any more.
//
// One that is not on its way gets a look at each int13, and costs other disks no
// more; one that was may just have to be told that it is time to let go.
static int
look_again(struct xenbus_s *bus)
{
    int frontend, backend;
    bus->closing |= 2;
    read_states(bus, &frontend, &backend);
    if (frontend == XenbusStateUnknown)
        // the device is gone
        return 0;
    if (find_states(bus, &frontend, &backend))
        return -1;
    if (frontend == XenbusStateClosed && backend != XenbusStateClosed)
        return 0;
    if (frontend == XenbusStateInitialising) {
        // nothing is left to give back: a backend that has not followed is told once more
        if (backend == XenbusStateInitWait || backend == XenbusStateUnknown
            || (backend == XenbusStateClosed && bus->closing & TOLD)) {
            bus->closing = 0;
            return 0;
        }
        if (backend == XenbusStateClosed)
            bus->closing |= TOLD;
    }
    if (frontend == XenbusStateClosed
        || (frontend == XenbusStateInitialising && backend == XenbusStateClosed)
        || (frontend == XenbusStateConnected && has_our_ring(bus)))
        return XEN_LIMIT_AGAIN;
    return not_ours(bus, frontend, backend);
}

int
xenbus_disconnect(struct xenbus_s *bus)
{
    int limit = XEN_LIMIT_STATE;
    if (bus->closing) {
        limit = look_again(bus);
        if (limit < 0 || !bus->closing)
            return limit;
    }
    bus->closing |= 1;
    int ret = switch_state(bus, NODES_STAY, XenbusStateClosed);
    if (ret)
        // where the device is gone, its backend is too
        return ret == XENSTORE_GONE ? 0 : -1;
    // a backend that is gone has let go as well
    return wait_backend(bus, STATE(Closed) | STATE(Unknown), 0, limit, "close");
}

int
xenbus_release(struct xenbus_s *bus)
{
    if (!bus->closing)
        // it was only late
        return 0;
    int ret = switch_state(bus, NODES_REMOVE, XenbusStateInitialising);
    if (!ret)
        ret = wait_backend(bus, STATE(InitWait), STATE(Unknown)
                           , bus->closing > 1 ? XEN_LIMIT_AGAIN : XEN_LIMIT_STATE
                           , "get ready");
    if (!ret || ret == XENSTORE_GONE)
        bus->closing = 0;
    return ret;
}
