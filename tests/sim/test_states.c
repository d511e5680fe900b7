// States of the two ends of a device, in every combination.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

#define STATES (XenbusStateReconfigured + 1)

// Put a device into a combination of states, as a former owner left it.
static void
set_states(struct backend *be, int frontend, int backend)
{
    char path[128], text[2] = { '0' + frontend, 0 };
    be->state = backend;
    // a driver that wakes up because of the next two lines stays as it is
    u64 latency = be->latency;
    be->latency = 1000 * SECOND;
    snprintf(path, sizeof(path), "%s/state", be->frontend);
    if (frontend)
        store_write(path, text);
    else
        store_rm(path);
    snprintf(path, sizeof(path), "%s/state", be->backend);
    text[0] = '0' + backend;
    if (backend)
        store_write(path, text);
    else
        store_rm(path);
    be->latency = latency;
}

// Everything that a former owner may have written, and the toolstack did not.
static const char *const left[][2] = {
    { "ring-ref", "511" }, { "event-channel", "17" }, { "protocol", "x86_64-abi" },
    { "ring-page-order", "1" }, { "ring-ref0", "511" }, { "ring-ref1", "510" },
    { "feature-persistent", "1" }, { "multi-queue-num-queues", "2" },
    { "queue-0/ring-ref", "9" }, { "queue-0/event-channel", "18" },
    { "queue-1/ring-ref0", "8" }, { "feature-large-sector-size", "1" },
};

static int
no_writes(struct store_request *request)
{
    if ((request->msg.type == XS_WRITE || request->msg.type == XS_RM)
        && store_is_below(request->path, backends[0]->frontend))
        fail("a device of somebody else is written: %s", request->path);
    return STORE_NORMAL;
}

static void
post_with_states(int n)
{
    int used = n / (STATES * STATES), i;
    int frontend = n / STATES % STATES, backend = n % STATES;
    struct backend *stale = sim_disk(51776), *be = sim_disk(51792);
    stale->domid = 1;
    sim_prepare();
    set_states(stale, frontend, backend);
    for (i = 0; i < (used ? ARRAY_SIZE(left) : 0); i++)
        store_printf(left[i][1], "%s/%s", stale->frontend, left[i][0]);
    // somebody was there: then the device is reset, unless nobody is at the
    // other end; and what nobody has used is not touched
    int reset = used || (frontend >= XenbusStateInitWait
                         && frontend <= XenbusStateClosed);
    int fresh = frontend == XenbusStateInitialising;
    if (!reset && !(fresh && backend == XenbusStateInitWait))
        store.hook = no_writes;
    sim_boot_unchecked();
    store.hook = NULL;
    check_true(sim_drive(be));
    check_true(sim_now < 35 * SECOND);
    if (reset ? backend != XenbusStateUnknown
        : fresh && backend == XenbusStateInitWait) {
        if (!sim_drive(stale))
            fail("states %d/%d: no drive", frontend, backend);
        sim_check_clean();
        check_equal(sim_read(stale, 1000, 10), 0);
    } else {
        // it is not ours, or there is no driver, or its hotplug script never ends
        check_true(!sim_drive(stale));
        check_true(sim_logged("xen: xvde: "));
        check_equal(sim_read_unchecked(be, 1000, 10), 0);
        sim_check_clean_but(stale);
    }
}

TEST(post_resets_a_device_that_somebody_has_used_and_touches_no_other)
{
    check_each(2 * STATES * STATES, post_with_states);
}

static void
read_with_states(int n)
{
    int frontend = n / STATES, backend = n % STATES;
    if (frontend == XenbusStateInitialising && backend == XenbusStateInitWait)
        return;
    struct backend *be = sim_disk(51776);
    sim_boot();
    set_states(be, frontend, backend);
    store.hook = no_writes;
    check_true(sim_read_unchecked(be, 1000, 10) != 0);
    check_true(sim_write_unchecked(be, 1000, 10) != 0);
    check_true(sim_logged(backend ? "xen: xvde: somebody else owns it (frontend "
                          : "xen: xvde: there is no backend\n"));
    check_equal(be->connects, 1);
    store.hook = NULL;
    set_states(be, XenbusStateInitialising, XenbusStateInitWait);
    check_equal(sim_read(be, 1000, 10), 0);
}

TEST(int13_attaches_only_to_a_device_that_nobody_owns)
{
    check_each(STATES * STATES, read_with_states);
}


/****************************************************************
 * Backends that skip, go back or never come
 ****************************************************************/

static int wrong_state;

static int
stay_away(struct backend *be, int state)
{
    return state == wrong_state ? -1 : state;
}

// The backend never goes to one of the states.
static void
post_without_state(int n)
{
    struct backend *stuck = sim_disk(51776), *be = sim_disk(51792);
    stuck->hook_state = stay_away;
    wrong_state = n;
    sim_boot_unchecked();
    check_true(sim_drive(be));
    check_true(sim_now < 40 * SECOND);
    check_true(sim_logged("xen: xvde: backend did not "));
    check_equal(sim_read_unchecked(be, 77, 3), 0);
}

static void
post_without_connected(void)
{
    post_without_state(XenbusStateConnected);
}

TEST(post_gives_up_on_a_backend_that_does_not_connect)
{
    post_without_connected();
    check_true(sim_logged("xen: xvde: backend did not connect in 20 s (state 2)"));
    check_true(!sim_drive(backends[0]));
}

TEST(backend_that_does_not_close_keeps_state_6_and_its_grants)
{
    post_without_state(XenbusStateClosed);
    check_true(sim_logged("xen: xvde: backend did not close in 30 s (state 4)"));
    char path[128];
    snprintf(path, sizeof(path), "%s/state", backends[0]->frontend);
    check_string(store_read(path), "6");
    snprintf(path, sizeof(path), "%s/ring-ref", backends[0]->frontend);
    check_true(store_read(path));
}

TEST(post_leaves_a_disk_alone_whose_backend_keeps_a_former_owners_pages)
{
    struct backend *stuck = sim_disk(51776), *be = sim_disk(51792);
    sim_prepare();
    set_states(stuck, XenbusStateConnected, XenbusStateConnected);
    stuck->hook_state = stay_away;
    wrong_state = XenbusStateClosed;
    sim_boot_unchecked();
    check_true(!sim_drive(stuck));
    check_true(sim_drive(be));
    check_true(sim_logged("xen: xvde: backend did not close in 30 s"));
    check_equal(stuck->connects, 0);
}

static int refusals, refusal;
static const char *refused = "1";

static int
refuse_state(struct store_request *request)
{
    if (request->msg.type != XS_WRITE || !strstr(request->path, "/state")
        || strcmp(request->value, refused) || !refusals)
        return STORE_NORMAL;
    refusals--;
    return refusal;
}

// The first or the last step of a close fails as often as it is tried, whether it is
// carried out or not.
static void
close_without_end(int n)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    refusals = 3;
    refusal = n & 1 ? STORE_LOSE : STORE_ERROR;
    refused = n & 2 ? "6" : "1";
    store.hook = refuse_state;
    check_equal(sim_read_unchecked(be, 1000, 10), 0);
    check_equal(refusals, 0);
    check_true(sim_logged(n & 2 ? "xen: xvde: could not switch to state 6"
                                : "xen: xvde: could not switch to state 1"));
    // nothing is taken from a backend that was not told
    check_true(!sim_logged("still maps"));
    sim_pass(SECOND);
    check_equal(sim_read(be, 90000, 10), 0);
    check_equal(sim_write(be, 1000, 10), 0);
}

TEST(close_that_did_not_come_to_its_end_is_finished_by_the_next_int13)
{
    check_each(4, close_without_end);
}

static int
refuse_reads(struct store_request *request)
{
    return request->msg.type == XS_READ ? STORE_ERROR : STORE_NORMAL;
}

TEST(close_that_did_not_come_to_its_end_waits_until_the_states_can_be_read)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    refusals = 3;
    refusal = STORE_ERROR;
    store.hook = refuse_state;
    check_equal(sim_read_unchecked(be, 1000, 10), 0);
    store.hook = refuse_reads;
    check_true(sim_read_unchecked(be, 90000, 10) != 0);
    check_true(sim_logged("xen: xvde: no usable backend path"));
    check_equal(be->connects, 2);
    store.hook = NULL;
    check_equal(sim_read(be, 90000, 10), 0);
}

// Close late: the limit has passed when the backend follows.
static struct backend *late;

static void
close_late(void *arg)
{
    late->hook_state = NULL;
    backend_set_state(late, XenbusStateClosed);
}

static u64 closes_after = 40 * SECOND;

static int
closes_late(struct backend *be, int state)
{
    if (state != XenbusStateClosed)
        return state;
    late = be;
    sim_cancel(close_late, NULL);
    sim_at(sim_now + closes_after, close_late, NULL);
    return -1;
}

TEST(backend_that_closes_late_is_taken_up_again_by_the_next_int13)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    be->hook_state = closes_late;
    // what was read counts, though the close failed
    check_equal(sim_read_unchecked(be, 1000, 10), 0);
    check_true(sim_logged("backend did not close in 30 s"));
    check_true(sim_read_unchecked(be, 50000, 10) == 0
               || sim_logged("backend did not close in 30 s"));
    sim_pass(50 * SECOND);
    check_equal(sim_read(be, 60000, 10), 0);
}

// Many guests that start at the same time leave dom0 little: a close that takes
// long there is no reason to lose a disk.
TEST(backend_of_a_busy_domain_is_waited_for)
{
    struct backend *be = sim_disk(51776);
    closes_after = 20 * SECOND;
    be->hook_state = closes_late;
    sim_boot();
    check_true(sim_drive(be));
    be->hook_state = closes_late;
    check_equal(sim_read(be, 50000, 10), 0);
}

// An OS has the device, or is about to: each step of its attach and close, but for those that
// are the firmware's own close as well.
static const struct {
    u8 frontend, backend;
} owned[] = {
    { XenbusStateInitialising, XenbusStateInitialising },
    { XenbusStateInitialising, XenbusStateConnected },
    { XenbusStateInitialising, XenbusStateClosing },
    { XenbusStateInitialised, XenbusStateInitWait },
    { XenbusStateInitialised, XenbusStateInitialised },
    { XenbusStateInitialised, XenbusStateClosed },
    { XenbusStateConnected, XenbusStateInitWait },
    { XenbusStateConnected, XenbusStateConnected },
    { XenbusStateConnected, XenbusStateClosed },
    { XenbusStateClosing, XenbusStateConnected },
    { XenbusStateClosing, XenbusStateClosed },
};

static void
be_taken(int n)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    be->hook_state = closes_late;
    check_equal(sim_read_unchecked(be, 1000, 10), 0);
    sim_pass(10 * SECOND);
    set_states(be, owned[n].frontend, owned[n].backend);
    store_printf("8", "%s/ring-ref", be->frontend);
    store.hook = no_writes;
    check_true(sim_read_unchecked(be, 70000, 10) != 0);
}

TEST(device_whose_close_failed_is_left_alone_once_an_os_has_taken_it)
{
    check_each(ARRAY_SIZE(owned), be_taken);
}

// States that flicker: another state for a moment each time.
static int
flicker(struct backend *be, int state)
{
    store_printf("5", "%s/state", be->backend);
    store_printf("1", "%s/state", be->backend);
    return state;
}

TEST(backend_whose_states_flicker_is_waited_for)
{
    struct backend *be = sim_disk(51776);
    be->hook_state = flicker;
    sim_boot();
    check_equal(sim_read(be, 1000, 10), 0);
}

// One of the states is left out.
static void
leave_out(int n)
{
    struct backend *stuck = sim_disk(51776), *be = sim_disk(51792);
    stuck->hook_state = stay_away;
    wrong_state = 1 + n;
    sim_boot_unchecked();
    check_true(sim_drive(be));
    check_true(sim_now < 40 * SECOND);
    if (!sim_drive(stuck))
        check_true(sim_logged("xen: xvde: backend did not "));
    else
        check_equal(sim_read_unchecked(stuck, 77, 3), 0);
    check_equal(sim_read_unchecked(be, 77, 3), 0);
    check_equal(sim_write_unchecked(be, 77, 3), 0);
}

TEST(backend_that_leaves_out_a_state_harms_no_other_disk)
{
    check_each(XenbusStateReconfigured, leave_out);
}

static struct backend *jumping;
static int jump_to;

static void
jump(void *arg)
{
    backend_set_state(jumping, jump_to);
}

// The backend says that it is in some state, and goes on as before.
static void
jump_in_read(int n)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    sim_boot();
    jumping = be;
    jump_to = n % STATES;
    be->io_latency = 2 * MS;
    sim_at(sim_now + n / STATES * 150 * US, jump, NULL);
    u32 before = be->connects;
    u64 begin = sim_now;
    int ret = sim_read_unchecked(be, 1000, 100);
    check_true(sim_now - begin < 60 * SECOND);
    check_true(be->connects <= before + 1);
    if (ret && !sim_logged("xen: xvde: "))
        fail("the read failed with %02x, and nobody says why", ret);
    sim_pass(SECOND);
    check_equal(sim_read_unchecked(other, 1000, 100), 0);
    check_equal(sim_write_unchecked(other, 1000, 100), 0);
    // the backend's word counts again
    if (ret || sim_logged("backend did not"))
        return;
    sim_read_unchecked(be, 70000, 100);
    sim_read_unchecked(other, 70000, 100);
}

TEST(backend_that_jumps_to_any_state_during_a_read_harms_no_other_disk)
{
    check_each(STATES * 20, jump_in_read);
}

// A backend whose disk was resized says that it is connected once more.
static void
say_connected_again(int n)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    jumping = be;
    jump_to = XenbusStateConnected;
    be->io_latency = 2 * MS;
    be->sectors = 300000;
    sim_at(sim_now + 600 * US + n * 100 * US, jump, NULL);
    check_equal(sim_read_unchecked(be, 1000, 100), 0);
    check_equal(be->connects, 2);
    // its size is what int13 and the partition table were told
    check_equal(sim_read_unchecked(be, 262144, 1), DISK_RET_EBADTRACK);
}

TEST(backend_that_says_connected_again_is_not_attached_to_again)
{
    check_each(10, say_connected_again);
}

TEST(backend_that_cannot_be_opened_again_costs_its_disk_and_no_other)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    be->domid = 1;
    be->skip_initwait = 1;
    sim_boot_unchecked();
    check_true(sim_now < 35 * SECOND);
    check_true(!sim_drive(be));
    check_equal(sim_read_unchecked(other, 50000, 10), 0);
    check_true(sim_logged("xvde: backend did not get ready in "));
    sim_check_clean_but(be);
}

// Calls of another disk, that find all in the cache, cost nothing.
static void
check_hits(struct backend *be)
{
    int i;
    for (i = 0; i < 2; i++)
        check_equal(sim_read_unchecked(be, 50000, 10), 0);
    u64 begin = sim_now;
    u32 requests = store.requests;
    for (i = 0; i < 20; i++)
        check_equal(sim_read_unchecked(be, 50000, 10), 0);
    check_equal(store.requests, requests);
    check_true(sim_now - begin < MS);
}

static void
destroy(void *arg)
{
    backend_vanish(arg, VANISH_DOMAIN);
}

// What is left open is closed: the backend cannot be opened again, or dies with requests
// under way.
static void
nothing_left(int n)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    be->domid = 1;
    be->skip_initwait = n == 0;
    sim_boot_unchecked();
    if (n) {
        be->io_latency = 10 * SECOND;
        be->skip_initwait = n == 1;
        if (n == 2)
            sim_at(sim_now + SECOND, destroy, be);
        check_equal(sim_read_unchecked(be, 60000, 10), n == 1 ? 0 : DISK_RET_ETIMEOUT);
    }
    check_hits(other);
    sim_check_clean_but(be);
    check_true(!sim_drive(be) || sim_read_unchecked(be, 100000, 10) != 0);
    check_hits(other);
}

TEST(close_that_has_nothing_left_to_give_back_costs_other_disks_nothing)
{
    check_each(3, nothing_left);
}

static int unreadable;

// The backend's state cannot be read for a while when the frontend has closed.
static int
hide_state(struct store_request *request)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/state", backends[0]->frontend);
    if (request->msg.type != XS_READ || !strstr(request->path, "/backend/")
        || strcmp(store_read(path), "6") || !unreadable)
        return STORE_NORMAL;
    unreadable--;
    store.error = "EIO";
    return STORE_ERROR;
}

TEST(backend_whose_state_cannot_be_read_has_not_let_go)
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    be->latency = 300 * MS;
    unreadable = 5;
    store.hook = hide_state;
    check_equal(sim_read(be, 1000, 10), 0);
    check_equal(unreadable, 0);
    check_true(!sim_logged("still maps our pages"));
}

static void
slow_backend(int n)
{
    struct backend *be = sim_disk(51776);
    be->latency = n * 400 * MS;
    sim_boot();
    check_true(sim_drive(be));
    check_equal(sim_read(be, 1000, 10), 0);
    check_equal(sim_write(be, 1000, 10), 0);
}

TEST(backend_that_is_slow_to_see_each_state_is_waited_for)
{
    check_each(12, slow_backend);
}
