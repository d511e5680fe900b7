// The client of the store against everything that its wire allows, and more.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // store

// Open the store, without a disk.
static void
open_store(void)
{
    sim_prepare();
    // a frontend's directory that it may write to
    store_write("/local/domain/7/device/vbd/1", "");
    check_equal(xen_platform_init(), 0);
    check_equal(xen_session_setup(), 0);
    check_equal(xenstore_setup(), 0);
    check_equal(xenstore_open(), 0);
}

static void
close_store(void)
{
    xenstore_close();
    sim_check_clean();
}

// A text of `len` bytes that differs from place to place.
static char *
long_text(u32 len)
{
    static char text[XENSTORE_PAYLOAD_MAX + 100];
    u32 i;
    for (i = 0; i < len; i++)
        text[i] = 'a' + (i * 7 + i / 26) % 26;
    text[len] = 0;
    return text;
}


/****************************************************************
 * Values and the ring
 ****************************************************************/

static void
read_lengths(int n)
{
    static const u32 starts[] = {
        0, 1, 511, 1023, 1024, 0x7ffffff0, 0xfffffff0, 0xfffffc00,
    };
    u32 i;
    store.index = starts[n];
    open_store();
    for (i = 0; i < 600; i++) {
        u32 len = i < 200 ? i : sim_random(XENSTORE_PAYLOAD_MAX + 1);
        store_write("/x/some/node", long_text(len));
        const char *value = xenstore_read("/x/some", "node");
        check_true(value);
        check_string(value, long_text(len));
    }
    store_write("/x/some/node", long_text(XENSTORE_PAYLOAD_MAX));
    check_string(xenstore_read("/x/some", "node")
                 , long_text(XENSTORE_PAYLOAD_MAX));
    close_store();
}

TEST(store_value_of_any_length_is_read_wherever_the_ring_wraps)
{
    check_each(8, read_lengths);
}

static void
write_lengths(int n)
{
    u32 i;
    store.index = n * 333;
    open_store();
    for (i = 0; i < 300; i++) {
        u32 len = i < 40 ? i : sim_random(900);
        struct xenstore_node_s node = { "state", long_text(len) };
        check_equal(xenstore_update("device/vbd/1", &node, 1), 0);
        u32 size = 0;
        check_string(store_get("/local/domain/7/device/vbd/1/state", &size)
                     , long_text(len));
        check_equal(size, len);
    }
    close_store();
}

TEST(store_value_of_any_length_is_written_without_a_byte_more)
{
    check_each(4, write_lengths);
}

static void
read_split(int n)
{
    u32 i;
    store.split = n + 1;
    store.index = n * 41;
    open_store();
    for (i = 0; i < 60; i++) {
        store_write("/x/node", long_text(i));
        check_string(xenstore_read("/x", "node"), long_text(i));
    }
    close_store();
}

TEST(store_reply_may_come_in_pieces_of_any_size)
{
    check_each(40, read_split);
}

TEST(store_node_that_does_not_exist_reads_as_null)
{
    open_store();
    check_true(!xenstore_read("/no", "node"));
    close_store();
}

TEST(store_request_longer_than_the_ring_is_not_sent)
{
    open_store();
    u32 before = store.requests;
    // a request is published whole, so it has to fit the ring
    char *text = long_text(XENSTORE_RING_SIZE - sizeof(struct xsd_sockmsg)
                           - strlen("device/vbd/1/state"));
    struct xenstore_node_s node = { "state", text };
    check_equal(xenstore_update("device/vbd/1", &node, 1), -1);
    check_equal(store.requests, before);
    check_true(sim_logged("too long"));
    // one byte less is all right
    text[strlen(text) - 1] = 0;
    check_equal(xenstore_update("device/vbd/1", &node, 1), 0);
    close_store();
}

TEST(store_that_has_taken_more_than_there_was_gets_no_request)
{
    open_store();
    u32 before = hv.store->req_prod, cons = hv.store->req_cons;
    u64 begin = sim_now;
    hv.store->req_cons = before + 1;
    check_true(!xenstore_read("/no", "node"));
    check_true(sim_logged("ring indices"));
    check_equal(hv.store->req_prod, before);
    check_true(sim_now - begin < SECOND);
    hv.store->req_cons = cons;
    close_store();
}

static void
spoil_replies(void *arg)
{
    store.dead = 1;
    hv.store->rsp_prod = hv.store->rsp_cons + XENSTORE_RING_SIZE + 1;
}

static void
index_of_replies(int n)
{
    store.split = sizeof(struct xsd_sockmsg);
    open_store();
    store_write("/x/node", long_text(100));
    u64 begin = sim_now;
    sim_at(sim_now + 10 * n * US, spoil_replies, NULL);
    const char *value = xenstore_read("/x", "node");
    if (value)
        check_string(value, long_text(100));
    else
        check_true(sim_logged("ring indices"));
    check_true(sim_now - begin < SECOND);
    xenstore_close();
}

TEST(store_that_has_said_more_than_the_ring_holds_has_said_nothing)
{
    check_each(60, index_of_replies);
}

TEST(store_requests_that_do_not_fit_the_ring_together_are_taken_on_the_way)
{
    open_store();
    u32 ids[5], i;
    const char *text;
    u64 begin = sim_now;
    for (i = 0; i < ARRAY_SIZE(ids); i++)
        check_true(ids[i] = xenstore_send(XS_READ, "/x", long_text(300 + i), NULL));
    for (i = 0; i < ARRAY_SIZE(ids); i++) {
        check_true(xenstore_receive(ids[i], &text) < 0);
        check_string(text, "ENOENT");
    }
    check_true(sim_now - begin < SECOND);
    close_store();
}

TEST(store_writes_of_one_update_are_one_notification)
{
    open_store();
    u32 before = hv.notifications;
    struct xenstore_node_s nodes[4] = {
        { "ring-ref", "1" }, { "event-channel", "2" }, { "protocol", "3" },
        { "state", "4" },
    };
    check_equal(xenstore_update("device/vbd/1", nodes, 4), 0);
    check_equal(hv.notifications - before, 1);
    check_string(store_dump("/local/domain/7/device/vbd/1")
                 , "/local/domain/7/device/vbd/1/event-channel = \"2\"\n"
                   "/local/domain/7/device/vbd/1/protocol = \"3\"\n"
                   "/local/domain/7/device/vbd/1/ring-ref = \"1\"\n"
                   "/local/domain/7/device/vbd/1/state = \"4\"\n");
    close_store();
}

TEST(store_removes_nodes_whether_they_exist_or_not)
{
    open_store();
    store_write("/local/domain/7/device/vbd/1/state", "4");
    struct xenstore_node_s nodes[2] = { { "state" }, { "protocol" } };
    check_equal(xenstore_update("device/vbd/1", nodes, 2), 0);
    check_true(!store_read("/local/domain/7/device/vbd/1/state"));
    close_store();
}

TEST(store_write_that_is_refused_names_node_and_error)
{
    open_store();
    store_write("/x", "");
    store.quota = 1;
    struct xenstore_node_s node = { "state", "1" };
    check_equal(xenstore_update("device/vbd/1", &node, 1), -1);
    check_true(sim_logged("device/vbd/1/state"));
    check_true(sim_logged("EQUOTA"));
    close_store();
}

TEST(store_list_gives_all_names)
{
    open_store();
    store_write("/local/domain/7/device/vbd/51712", "");
    store_write("/local/domain/7/device/vbd/768", "");
    const char *names;
    check_equal(xenstore_list("device/vbd", &names), 12);
    check_string(names, "1");
    check_string(names + 2, "51712");
    check_string(names + 8, "768");
    check_equal(xenstore_list("device/vif", &names), 0);
    close_store();
}


/****************************************************************
 * Numbers
 ****************************************************************/

static int
read_number(u64 *value)
{
    static const char *const name = "number";
    return xenstore_read_numbers("/x", &name, value, 1);
}

TEST(store_number_is_decimal_digits_and_nothing_else)
{
    static const struct {
        const char *text;
        int ok;
        u64 value;
    } cases[] = {
        { "0", 1, 0 }, { "1", 1, 1 }, { "007", 1, 7 },
        { "4294967296", 1, 1ULL << 32 },
        { "999999999999999999", 1, 999999999999999999ULL },
        { "1000000000000000000", 0 }, { "18446744073709551616", 0 },
        { "99999999999999999999999999", 0 }, { "", 0 }, { " 1", 0 },
        { "1 ", 0 }, { "1\n", 0 }, { "-1", 0 }, { "+1", 0 }, { "0x10", 0 },
        { "1.5", 0 }, { "one", 0 }, { "/", 0 }, { ":", 0 }, { "\xb1", 0 },
    };
    int i;
    open_store();
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        u64 value = 0x5555;
        store_write("/x/number", cases[i].text);
        int ret = read_number(&value);
        if (ret != !cases[i].ok
            || (cases[i].ok && value != cases[i].value))
            fail("\"%s\" gives %d and %llu", cases[i].text, ret, value);
    }
    u64 value;
    store_write_bytes("/x/number", "1\0", 2);
    check_equal(read_number(&value), 1);
    store_write_bytes("/x/number", "1\0002", 3);
    check_equal(read_number(&value), 1);
    char digits[XENSTORE_PAYLOAD_MAX + 1];
    memset(digits, '1', XENSTORE_PAYLOAD_MAX);
    digits[XENSTORE_PAYLOAD_MAX] = 0;
    store_write("/x/number", digits);
    check_equal(read_number(&value), 1);
    value = 0x5555;
    // what is not there is no error
    store_rm("/x/number");
    check_equal(read_number(&value), 0);
    check_equal(value, 0x5555);
    store_write("/x/number", "17");
    store.fault_at = store.requests + 1;
    store.fault = STORE_ERROR;
    check_equal(read_number(&value), 1);
    store.fault_at = store.requests + 1;
    store.fault = STORE_IGNORE;
    check_equal(read_number(&value), 1);
    check_equal(value, 0x5555);
    close_store();
}


/****************************************************************
 * Replies that are wrong
 ****************************************************************/

// One bad reply: the request fails or not, it takes no longer than the limit,
// and the request after it works.
static void
bad_reply(int n)
{
    static const int faults[] = {
        STORE_ERROR, STORE_IGNORE, STORE_LOSE, STORE_LATE, STORE_BAD_ID,
        STORE_BAD_TYPE, STORE_EMPTY, STORE_TWICE, STORE_NO_NUL, STORE_FULL,
        STORE_SHORT,
    };
    if (n >= ARRAY_SIZE(faults))
        return;
    open_store();
    store_write("/x/a", "first");
    store_write("/x/b", "second");
    store.fault_at = store.requests + 1;
    store.fault = faults[n];
    u64 begin = sim_now;
    const char *value = xenstore_read("/x", "a");
    if (faults[n] == STORE_TWICE)
        check_string(value, "first");
    else if (faults[n] == STORE_SHORT)
        check_string(value, "firs");
    else if (faults[n] == STORE_EMPTY)
        check_string(value, "");
    else if (faults[n] == STORE_NO_NUL)
        check_equal(strlen(value), 100);
    else if (faults[n] == STORE_FULL)
        check_equal(strlen(value), XENSTORE_PAYLOAD_MAX);
    else
        check_true(!value);
    check_true(sim_now - begin < 6 * SECOND);
    check_string(xenstore_read("/x", "b"), "second");
    sim_pass(10 * SECOND);
    check_string(xenstore_read("/x", "a"), "first");
    xenstore_close();
    check_equal(xenstore_open(), 0);
    check_string(xenstore_read("/x", "b"), "second");
    close_store();
}

TEST(store_reply_that_is_wrong_or_missing_harms_no_other)
{
    check_each(11, bad_reply);
}

TEST(store_reply_of_impossible_length_is_refused)
{
    open_store();
    store_write("/x/a", "first");
    store.fault_at = store.requests + 1;
    store.fault = STORE_LONG;
    check_true(!xenstore_read("/x", "a"));
    check_true(sim_logged("xenstore message of 4097 bytes is impossible"));
    // its bytes are dropped, and the next reply is found behind them
    check_string(xenstore_read("/x", "a"), "first");
    close_store();
}

TEST(store_that_sends_4_GiB_is_given_up_within_the_limit)
{
    open_store();
    store_write("/x/a", "first");
    store.fault_at = store.requests + 1;
    store.fault = STORE_HUGE;
    u64 begin = sim_now;
    check_true(!xenstore_read("/x", "a"));
    check_true(!xenstore_read("/x", "a"));
    check_true(sim_now - begin < 12 * SECOND);
}

static void
strays(int n)
{
    u32 i;
    sim_prepare();
    for (i = 0; i <= n; i++) {
        struct xsd_sockmsg msg = { XS_WATCH_EVENT, sim_random(5), 0, i * 7 };
        store_raw(&msg, sizeof(msg));
        store_raw(long_text(i * 7), i * 7);
    }
    sim_pass(MS);
    check_equal(xen_platform_init(), 0);
    check_equal(xen_session_setup(), 0);
    check_equal(xenstore_setup(), 0);
    store_write("/x/a", "first");
    check_equal(xenstore_open(), 0);
    check_string(xenstore_read("/x", "a"), "first");
    close_store();
}

TEST(store_replies_to_somebody_else_are_dropped)
{
    check_each(20, strays);
}

// Of the last stray only a part has come, or it cannot be a message.
static void
broken_stray(int n)
{
    struct xsd_sockmsg msg = { XS_WATCH_EVENT, 0, 0, n == 2 ? 5000 : 100 };
    u32 first = n ? sizeof(msg) + 20 : 5;
    char stray[sizeof(msg) + 100] = "";
    memcpy(stray, &msg, sizeof(msg));
    sim_prepare();
    store_raw(stray, first);
    sim_pass(MS);
    check_equal(xen_platform_init(), 0);
    check_equal(xen_session_setup(), 0);
    check_equal(xenstore_setup(), 0);
    store_write("/x/a", "first");
    check_equal(xenstore_open(), 0);
    if (n == 2)
        check_true(sim_logged("message of 5000 bytes is impossible"));
    else
        store_raw(stray + first, sizeof(stray) - first);
    const char *text = xenstore_read("/x", "a");
    if (n == 2)
        check_true(!text);
    else
        check_string(text, "first");
    check_true(sim_now < 12 * SECOND);
    if (n != 2)
        close_store();
}

TEST(stray_reply_that_comes_in_parts_is_dropped_when_all_of_it_is_there)
{
    check_each(3, broken_stray);
}

static void
send_another(void *arg)
{
    struct xsd_sockmsg msg = { XS_WATCH_EVENT, 0, 0, 0 };
    store_raw(&msg, sizeof(msg));
    sim_at(sim_now + MS / 10, send_another, NULL);
}

static int
flood(struct store_request *request)
{
    send_another(NULL);
    return STORE_IGNORE;
}

TEST(flood_of_messages_without_the_reply_is_given_up_at_the_limit)
{
    open_store();
    store.hook = flood;
    u64 begin = sim_now;
    check_true(!xenstore_read("/x", "a"));
    check_true(sim_now - begin > 4 * SECOND);
    check_true(sim_now - begin < 6 * SECOND);
    check_true(sim_logged("no reply of xenstored"));
}

// Indices that no ring can have.
static void
bad_index(int n)
{
    open_store();
    store_write("/x/a", "first");
    XENSTORE_RING_IDX *index = n & 1 ? &hv.store->rsp_prod : &hv.store->req_cons;
    u32 wrong[] = { 1025, 1 << 20, 1u << 31, -1u - 1024 };
    *index += n & 1 ? wrong[n / 2 % 4] : -wrong[n / 2 % 4];
    store.dead = 1;
    u64 begin = sim_now;
    check_true(!xenstore_read("/x", "a"));
    check_true(sim_now - begin < 6 * SECOND);
    check_true(sim_logged("xen: xenstore ring indices"));
}

TEST(store_ring_with_impossible_indices_is_not_used)
{
    check_each(8, bad_index);
}

static void
spoil(void *arg)
{
    *(XENSTORE_RING_IDX*)arg += 1 << 20;
    store.dead = 1;
}

// The same in the middle of a request, and of a reply that comes in pieces.
static void
bad_index_later(int n)
{
    static char text[3000];
    memset(text, 'v', sizeof(text) - 1);
    open_store();
    store_write("/x/a", text);
    store.split = 100;
    store.latency = 2 * MS;
    sim_at(sim_now + n * 100 * US, spoil, n & 1 ? &hv.store->rsp_prod
           : &hv.store->req_cons);
    u64 begin = sim_now;
    struct xenstore_node_s node = { "state", text };
    if (n & 2)
        xenstore_update("device/vbd/1", &node, 1);
    else
        xenstore_read("/x", "a");
    store.dead = 1;
    check_true(!xenstore_read("/x", "a"));
    check_true(sim_now - begin < 20 * SECOND);
}

TEST(store_ring_that_breaks_in_the_middle_of_a_message_is_not_used)
{
    check_each(80, bad_index_later);
}

static void
stop_store(void *arg)
{
    store.dead = 1;
}

TEST(store_that_dies_in_the_middle_of_a_reply_is_given_up)
{
    static char text[3000];
    memset(text, 'v', sizeof(text) - 1);
    open_store();
    store_write("/x/a", text);
    store.split = 10;
    sim_at(sim_now + MS, stop_store, NULL);
    u64 begin = sim_now;
    check_true(!xenstore_read("/x", "a"));
    check_true(sim_now - begin < 6 * SECOND);
}

TEST(store_that_is_dead_costs_no_more_than_the_limit_and_says_so)
{
    open_store();
    store.dead = 1;
    u64 begin = sim_now;
    check_true(!xenstore_read("/x", "a"));
    check_true(sim_now - begin > 4 * SECOND);
    check_true(sim_now - begin < 6 * SECOND);
    check_true(sim_logged("no reply of xenstored"));
    // the ring gets full
    int i;
    for (i = 0; i < 30; i++)
        check_true(!xenstore_read("/x", long_text(80)));
    check_true(sim_logged("xenstored does not take requests"));
    check_true(sim_now - begin < 200 * SECOND);
}

TEST(store_that_was_stopped_for_a_while_is_used_again)
{
    open_store();
    store_write("/x/a", "first");
    store.stopped_until = sim_now + 60 * SECOND;
    check_true(!xenstore_read("/x", "a"));
    check_true(!xenstore_read("/x", "a"));
    xenstore_close();
    sim_pass(60 * SECOND);
    check_equal(xenstore_open(), 0);
    check_string(xenstore_read("/x", "a"), "first");
    close_store();
}

// Requests pile up in the ring until one finds no room: nothing of it is there for
// xenstored when it goes on.
static void
no_room(int n)
{
    int i;
    store.index = n * 37;
    open_store();
    store_write("/x/a", "first");
    store.stopped_until = sim_now + 300 * SECOND;
    for (i = 0; i < 30; i++)
        check_true(!xenstore_read("/x", long_text(80 + n)));
    check_true(sim_logged("xenstored does not take requests"));
    check_true(sim_now < store.stopped_until);
    sim_pass(300 * SECOND);
    xenstore_close();
    check_equal(xenstore_open(), 0);
    check_string(xenstore_read("/x", "a"), "first");
    close_store();
}

TEST(store_request_that_finds_no_room_leaves_nothing_of_itself)
{
    check_each(30, no_room);
}

TEST(store_that_answers_after_four_seconds_is_waited_for)
{
    open_store();
    store_write("/x/a", "first");
    store.stopped_until = sim_now + 4 * SECOND;
    check_string(xenstore_read("/x", "a"), "first");
    close_store();
}


/****************************************************************
 * Reconnection, events
 ****************************************************************/

static void
connected(void *arg)
{
    hv.store->connection = XENSTORE_CONNECTED;
}

TEST(store_that_reconnects_is_waited_for)
{
    store.reconnect_feature = 1;
    sim_prepare();
    hv.store->connection = XENSTORE_RECONNECT;
    check_equal(xen_platform_init(), 0);
    check_equal(xen_session_setup(), 0);
    check_equal(xenstore_setup(), 0);
    sim_at(sim_now + 3 * SECOND, connected, NULL);
    check_equal(xenstore_open(), 0);
    check_true(sim_now > 3 * SECOND);
    store_write("/x/a", "first");
    check_string(xenstore_read("/x", "a"), "first");
    close_store();
}

TEST(store_that_reconnects_for_ever_is_given_up)
{
    store.reconnect_feature = 1;
    sim_prepare();
    hv.store->connection = XENSTORE_RECONNECT;
    check_equal(xen_platform_init(), 0);
    check_equal(xen_session_setup(), 0);
    check_equal(xenstore_setup(), 0);
    check_equal(xenstore_open(), -1);
    check_true(sim_now < 6 * SECOND);
    check_true(sim_logged("xenstored does not finish a reconnection"));
    sim_check_clean();
}

TEST(store_without_the_feature_is_not_asked_about_a_reconnection)
{
    sim_prepare();
    hv.store->connection = 0x12345678;
    check_equal(xen_platform_init(), 0);
    check_equal(xen_session_setup(), 0);
    check_equal(xenstore_setup(), 0);
    check_equal(xenstore_open(), 0);
    close_store();
}

static void
event_delay(int n)
{
    store.event_delay = n * 5 * US;
    open_store();
    store_write("/x/a", "first");
    check_string(xenstore_read("/x", "a"), "first");
    close_store();
    sim_pass(SECOND);
    sim_check_clean();
}

TEST(store_event_that_comes_after_its_reply_is_not_left_for_the_os)
{
    check_each(5, event_delay);
}

// xenstored waits for a CPU, between a reply and its event too.
static void
busy_store(int n)
{
    store.latency = n * 500 * US;
    store.event_delay = store.latency - 10 * US;
    open_store();
    store_write("/x/a", "first");
    check_string(xenstore_read("/x", "a"), "first");
    // a quick one does not make the next one quick
    store.latency = 40 * US;
    store_write("/x/a", "second");
    check_string(xenstore_read("/x", "a"), "second");
    close_store();
    sim_pass(SECOND);
    sim_check_clean();
}

TEST(store_event_of_a_busy_xenstored_is_not_left_for_the_os)
{
    check_each(25, busy_store);
}

static u64 event_time;

static void
late_event(void *arg)
{
    event_time = sim_now;
    hv_event(hv.store_port);
}

// An event at any moment of the close, but for the last one, in which nobody
// looks any more.
static void
event_in_close(int n)
{
    open_store();
    sim_at(sim_now + n * US, late_event, NULL);
    xenstore_close();
    if (event_time && event_time < sim_now - 3 * US) {
        check_equal(hv.info->evtchn_pending[0], 0);
        check_equal(hv.info->vcpu_info[0].evtchn_upcall_pending, 0);
    }
}

TEST(store_event_at_any_moment_of_a_close_is_not_left_for_the_os)
{
    check_each(120, event_in_close);
}

TEST(store_port_keeps_the_mask_that_it_had)
{
    sim_start();
    hv.info->evtchn_mask[0] |= 1 << hv.store_port;
    sim_prepare();
    check_equal(xen_platform_init(), 0);
    check_equal(xen_session_setup(), 0);
    check_equal(xenstore_setup(), 0);
    check_equal(xenstore_open(), 0);
    check_true(hv.info->evtchn_mask[0] & 1 << hv.store_port);
    close_store();
    check_true(hv.info->evtchn_mask[0] & 1 << hv.store_port);
}

TEST(domain_without_a_store_gets_no_disk)
{
    sim_disk(51776);
    sim_prepare();
    hv.store_pfn = 0;
    sim_post_setup();
    check_equal(sim_drive_count, 0);
    check_true(sim_logged("xen: no xenstore"));
}

TEST(grant_table_of_version_2_is_not_touched)
{
    sim_disk(51776);
    sim_prepare();
    hv.grant_version = 2;
    sim_post_setup();
    check_equal(sim_drive_count, 0);
    check_true(sim_logged("xen: grant table is version 2"));
    check_true(!hv.guest_grants);
}

// Each session begins with a look for what is left of others.
TEST(store_in_which_nothing_is_left_is_not_waited_for)
{
    sim_disk(51776);
    sim_boot();
    u32 polls = hv.polls;
    check_equal(xenstore_open(), 0);
    check_equal(hv.polls, polls);
    xenstore_close();
    sim_check_clean();
}

// An event that somebody else has not masked, on any port, is still to be told.
TEST(store_session_hides_no_event_of_others)
{
    int i;
    sim_disk(51776);
    sim_boot();
    for (i = 0; i < ARRAY_SIZE(hv.info->evtchn_pending); i++) {
        xen_ulong_t mask = hv.info->evtchn_mask[i];
        hv.info->evtchn_mask[i] &= ~(1ul << 31);
        hv.info->evtchn_pending[i] = 1ul << 31;
        hv.info->vcpu_info[0].evtchn_pending_sel = 1ul << i;
        hv.info->vcpu_info[0].evtchn_upcall_pending = 1;
        check_equal(xenstore_open(), 0);
        xenstore_close();
        check_equal(hv.info->vcpu_info[0].evtchn_upcall_pending, 1);
        check_true(hv.info->vcpu_info[0].evtchn_pending_sel & 1ul << i);
        hv.info->evtchn_pending[i] = 0;
        hv.info->evtchn_mask[i] = mask;
    }
    check_equal(xenstore_open(), 0);
    xenstore_close();
    sim_check_clean();
}

// What a backend says of itself is asked for all at once.
static u64 asked_first, asked_last;

static int
note_time(struct store_request *request)
{
    if (strstr(request->path, "backend/vbd/")) {
        if (strstr(request->path, "/mode"))
            asked_first = sim_now;
        if (strstr(request->path, "/feature-max-indirect-segments"))
            asked_last = sim_now;
    }
    return STORE_NORMAL;
}

TEST(store_is_asked_for_all_properties_in_one_round_trip)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    store.latency = 20 * MS;
    store.hook = note_time;
    check_equal(sim_read(be, 1000, 10), 0);
    check_true(asked_first && asked_last && asked_last - asked_first < store.latency);
}
