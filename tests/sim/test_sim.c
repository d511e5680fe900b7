// The simulation itself, where tests rely on it before the layer does: watches and
// permissions of the simulated xenstored, without the layer.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // store_run

// Put a request on the ring as a guest does, and let xenstored run.
static void
send(u32 type, const char *data, u32 len)
{
    struct xenstore_domain_interface *ring = hv.store;
    struct xsd_sockmsg msg = { type, 77, 0, len };
    u32 i;
    for (i = 0; i < sizeof(msg) + len; i++)
        ring->req[MASK_XENSTORE_IDX(ring->req_prod + i)]
            = i < sizeof(msg) ? ((char*)&msg)[i] : data[i - sizeof(msg)];
    ring->req_prod += sizeof(msg) + len;
    store_run();
}

// Take the next message off the ring: its type and its text, NULs shown as `|`.
static const char *
receive(void)
{
    static char text[600], data[512];
    struct xenstore_domain_interface *ring = hv.store;
    struct xsd_sockmsg msg;
    u32 i;
    // what was queued goes to the ring at the next moment
    sim_pass(MS);
    if (ring->rsp_prod == ring->rsp_cons)
        return "nothing";
    for (i = 0; i < sizeof(msg); i++)
        ((char*)&msg)[i] = ring->rsp[MASK_XENSTORE_IDX(ring->rsp_cons++)];
    check_true(msg.len < sizeof(data) - 1);
    for (i = 0; i < msg.len; i++) {
        data[i] = ring->rsp[MASK_XENSTORE_IDX(ring->rsp_cons++)];
        if (!data[i])
            data[i] = '|';
    }
    data[i] = 0;
    snprintf(text, sizeof(text), "%d %s", msg.type == XS_ERROR ? -1
             : msg.type == XS_WATCH_EVENT ? 1 : 0, data);
    return text;
}

#define SEND(type, text) send(type, text, sizeof(text) - 1)

TEST(watch_begins_with_an_event_and_tells_of_each_change)
{
    sim_start();
    SEND(XS_WATCH, "/x/dir\0token\0");
    check_string(receive(), "0 OK|");
    check_string(receive(), "1 /x/dir|token|");
    check_string(receive(), "nothing");
    store_write("/x/dir", "1");
    check_string(receive(), "1 /x/dir|token|");
    store_write("/x/dir/below", "1");
    check_string(receive(), "1 /x/dir/below|token|");
    store_write("/x/directory", "1");
    check_string(receive(), "nothing");
    store_rm("/x/dir/below");
    check_string(receive(), "1 /x/dir/below|token|");
    // what is above goes, and the node with it
    store_rm("/x");
    check_string(receive(), "1 /x/dir|token|");
    SEND(XS_WATCH, "/x/dir\0token\0");
    check_string(receive(), "-1 EEXIST|");
    check_equal(store.watches, 1);
    SEND(XS_UNWATCH, "/x/dir\0token\0");
    check_string(receive(), "0 OK|");
    SEND(XS_UNWATCH, "/x/dir\0token\0");
    check_string(receive(), "-1 ENOENT|");
    store_write("/x/dir", "1");
    check_string(receive(), "nothing");
    check_equal(store.watches, 0);
}

TEST(watch_of_a_path_of_ones_own_tells_it_as_it_was_written)
{
    sim_start();
    SEND(XS_WATCH, "device/vbd\0t\0");
    check_string(receive(), "0 OK|");
    check_string(receive(), "1 device/vbd|t|");
    store_write("/local/domain/7/device/vbd/1/state", "1");
    check_string(receive(), "1 device/vbd/1/state|t|");
    // a new domain has none
    hv_move(8);
    check_equal(store.watches, 0);
}

TEST(watch_tells_of_a_backend_that_is_taken_away)
{
    struct backend *be = sim_disk(51776);
    sim_start();
    sim_remember();
    SEND(XS_WATCH, "/local/domain/0/backend/vbd/7/51776/state\0t\0");
    check_string(receive(), "0 OK|");
    check_string(receive(), "1 /local/domain/0/backend/vbd/7/51776/state|t|");
    backend_set_state(be, XenbusStateClosing);
    check_string(receive(), "1 /local/domain/0/backend/vbd/7/51776/state|t|");
    backend_vanish(be, VANISH_DETACH);
    check_string(receive(), "1 /local/domain/0/backend/vbd/7/51776/state|t|");
    check_string(receive(), "nothing");
    SEND(XS_READ, "/local/domain/0/backend/vbd/7/51776/state\0");
    check_string(receive(), "-1 ENOENT|");
    store.kind = CXENSTORED;
    SEND(XS_READ, "/local/domain/0/backend/vbd/7/51776/state\0");
    check_string(receive(), "-1 EACCES|");
    // above one's own directory anybody may look
    SEND(XS_READ, "device/vbd/51776/state\0");
    check_string(receive(), "-1 ENOENT|");
    send(XS_WRITE, "device/vbd/51776/state\0001", 24);
    check_string(receive(), "-1 EACCES|");
    check_true(!store_read("/local/domain/7/device/vbd/51776"));
    SEND(XS_READ, "/local/domain/0/error/backend/vbd/7/51776/error\0");
    check_string(receive(), "-1 EACCES|");
}

TEST(trace_is_found_in_what_is_left_open_in_the_store)
{
    sim_prepare();
    SEND(XS_WATCH, "/x\0t\0");
    check_string(receive(), "0 OK|");
    check_true(strstr(sim_find_trace() ?: "", "1 watches are set"));
    check_string(receive(), "1 /x|t|");
    SEND(XS_UNWATCH, "/x\0t\0");
    // an event, or a reply, that nobody took
    check_true(strstr(sim_find_trace() ?: "", "replies"));
    check_string(receive(), "0 OK|");
    check_string(receive(), "nothing");
    SEND(XS_TRANSACTION_START, "\0");
    receive();
    check_true(strstr(sim_find_trace() ?: "", "1 transactions are open"));
}
