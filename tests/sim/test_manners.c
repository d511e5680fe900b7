// Backends with other manners than Linux's, that fail to connect, or that are
// taken away: each wait ends as soon as the answer is final, and one line says why.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

static struct backend *odd, *good;

// Two disks, of two domains.
static void
make_two(void)
{
    odd = sim_disk(51776);
    good = sim_disk(51792);
    odd->domid = 1;
    good->domid = 2;
}

static void
check_good(void)
{
    check_equal(sim_read_unchecked(good, 50000, 10), 0);
    check_equal(sim_write_unchecked(good, 50000, 10), 0);
}

static void
check_less(const char *what, u64 begin, u64 limit)
{
    if (sim_now - begin >= limit)
        fail("%s took %llu ms", what, (sim_now - begin) / MS);
}

// Lines of the log with a text.
static int
count_lines(const char *text)
{
    const char *at = sim_log;
    int count = 0;
    while ((at = strstr(at, text))) {
        count++;
        at = strchr(at, '\n') ?: at + strlen(at);
    }
    return count;
}

static int
no_writes(struct store_request *request)
{
    if ((request->msg.type == XS_WRITE || request->msg.type == XS_RM)
        && store_is_below(request->path, odd->frontend))
        fail("the device is touched: %s", request->path);
    return STORE_NORMAL;
}


/****************************************************************
 * Manners
 ****************************************************************/

static void
connected_from_the_start(int n)
{
    make_two();
    odd->manner = NETBSD;
    // its disk is there at once, or opened while the layer waits for it
    odd->hotplug = n * 3 * SECOND;
    store.hook = no_writes;
    sim_boot_unchecked();
    check_less("POST", 0, odd->hotplug + SECOND);
    check_true(!sim_drive(odd));
    check_equal(odd->state, XenbusStateConnected);
    check_equal(count_lines("xen: xvde: "), 1);
    sim_check_clean();
    check_good();
    sim_check_clean();
}

TEST(post_leaves_a_backend_alone_that_is_connected_before_any_frontend)
{
    check_each(2, connected_from_the_start);
}

TEST(backend_that_connects_only_once_costs_its_disk_and_nothing_else)
{
    make_two();
    odd->manner = FREEBSD;
    sim_boot();
    u64 begin = sim_now;
    check_equal(sim_read_unchecked(odd, 50000, 10), DISK_RET_ETIMEOUT);
    check_less("the read", begin, 31 * SECOND);
    check_true(sim_logged("xen: xvde: backend did not connect in "));
    // the OS finds it as it was, and so does another disk's call
    sim_check_clean();
    check_good();
    sim_check_clean();
}

static void
live(int n)
{
    make_two();
    odd->manner = n;
    odd->early = odd->no_indirect = n == QEMU;
    sim_boot();
    int i;
    for (i = 0; i < 5; i++) {
        check_equal(sim_read(odd, 40000 * i, 128), 0);
        check_equal(sim_write(odd, 30000 * i, 40), 0);
        check_good();
    }
    sim_check_image(odd);
}

TEST(backends_of_linux_qemu_and_tapback_are_served)
{
    check_each(TAPBACK + 1, live);
}


/****************************************************************
 * No connection
 ****************************************************************/

static void
refused_in_post(int n)
{
    make_two();
    odd->connect_error = "mapping ring-ref 511 port 4";
    odd->error_state = n ? XenbusStateClosed : XenbusStateClosing;
    sim_boot_unchecked();
    check_less("POST", 0, SECOND);
    check_true(!sim_drive(odd));
    check_true(sim_logged(n ? "(state 6" : "(state 5"));
    sim_check_clean();
    check_good();
}

TEST(backend_that_refuses_a_connection_is_not_waited_for_in_post)
{
    check_each(2, refused_in_post);
}

static void
refused_later(int n)
{
    make_two();
    sim_boot();
    odd->connect_error = "mapping ring-ref 511 port 4";
    odd->error_state = n & 1 ? XenbusStateClosed : XenbusStateClosing;
    if (n & 2)
        store.readable = "/local/domain/1/error";
    store.kind = n & 4 ? CXENSTORED : OXENSTORED;
    u64 begin = sim_now;
    check_equal(sim_read(odd, 50000, 10), DISK_RET_ETIMEOUT);
    check_less("the read", begin, SECOND);
    check_true(sim_logged(n & 1 ? "(state 6" : "(state 5"));
    // its reason, where the guest may see it
    check_equal(sim_logged("22 mapping ring-ref 511 port 4"), !!(n & 2));
    check_good();
    odd->connect_error = NULL;
    check_equal(sim_read(odd, 50000, 10), 0);
}

TEST(backend_that_refuses_a_connection_fails_the_call_at_once_and_says_why)
{
    check_each(8, refused_later);
}

static struct backend *leaving;
static int leaving_state;

static int
leave(struct backend *be, int state)
{
    if (state != leaving_state)
        return state;
    be->hook_state = NULL;
    backend_vanish(be, VANISH_DETACH);
    return -1;
}

// The backend goes where it should have said a state: a wait for any of them ends.
static void
gone_instead(int n)
{
    static const int states[] = {
        XenbusStateConnected, XenbusStateClosed, XenbusStateInitWait,
    };
    make_two();
    sim_boot();
    store.kind = n / 3 ? CXENSTORED : OXENSTORED;
    leaving = odd;
    leaving_state = states[n % 3];
    odd->hook_state = leave;
    u64 begin = sim_now;
    int ret = sim_read_unchecked(odd, 50000, 10);
    check_less("the read", begin, SECOND);
    // what was read before it went counts
    if (!ret != (n % 3 != 0))
        fail("the read returned %02x", ret);
    check_true(odd->gone);
    begin = sim_now;
    check_equal(sim_read_unchecked(odd, 90000, 10), DISK_RET_ETIMEOUT);
    check_less("the next read", begin, SECOND);
    sim_check_clean();
    check_good();
}

TEST(backend_that_is_gone_ends_every_wait_at_once)
{
    check_each(6, gone_instead);
}


/****************************************************************
 * Taken away
 ****************************************************************/

static int way_to_vanish;

static void
vanish(void *arg)
{
    backend_vanish(arg, way_to_vanish);
}

// At some moment of a read, in one of four ways, with both kinds of xenstored.
static void
vanish_at(int n)
{
    make_two();
    odd->io_latency = 300 * US;
    store.kind = n & 1 ? CXENSTORED : OXENSTORED;
    way_to_vanish = n >> 1 & 3;
    sim_boot();
    sim_at(sim_now + (n >> 3) * 60 * US, vanish, odd);
    u64 begin = sim_now;
    sim_read_unchecked(odd, 50000, 128);
    // who has taken requests and went with them cannot be told from who is slow
    check_less("the read", begin, 31 * SECOND);
    sim_pass(10 * MS);
    check_true(odd->gone);
    check_good();
    begin = sim_now;
    check_true(sim_read_unchecked(odd, 90000, 10) != 0);
    check_true(sim_write_unchecked(odd, 90000, 10) != 0);
    check_less("the next calls", begin, SECOND);
    check_good();
    if (way_to_vanish == VANISH_FRONTEND)
        // nobody says any more whether the backend has let go
        sim_check_clean_but(odd);
    else
        sim_check_clean();
}

TEST(disk_that_is_taken_away_fails_its_calls_and_leaves_nothing)
{
    check_each(40 * 8, vanish_at);
}

static void
take_away_in_post(int n)
{
    make_two();
    odd->io_latency = 300 * US;
    store.kind = n & 1 ? CXENSTORED : OXENSTORED;
    way_to_vanish = n >> 1 & 3;
    sim_prepare();
    sim_at(sim_now + (n >> 3) * 60 * US, vanish, odd);
    sim_boot_unchecked();
    check_less("POST", 0, 32 * SECOND);
    check_true(sim_drive(good));
    check_good();
    sim_check_clean_but(odd);
}

TEST(disk_that_is_taken_away_in_post_harms_no_other)
{
    check_each(40 * 8, take_away_in_post);
}

// Another disk is put in its place: smaller, and read-only.
static void
replace(int n)
{
    make_two();
    sim_boot();
    check_equal(sim_read(odd, 0, 1), 0);
    check_equal(sim_read(odd, 1000, 100), 0);
    backend_vanish(odd, VANISH_DETACH);
    sim_pass(n * 3 * SECOND);
    odd->sectors = 50000;
    odd->mode = "r";
    odd->tags[IMAGE_PV] = odd->tags[IMAGE_TWIN] = 77;
    backend_plug(odd);
    sim_pass(3 * SECOND);
    u32 requests = odd->requests, writes = odd->writes;
    // its own sectors, or an error; sim_read() compares them
    sim_read(odd, 0, 1);
    sim_read(odd, 1000, 100);
    check_true(sim_read(odd, 60000, 10) != 0);
    check_true(sim_read(odd, 49995, 10) != 0);
    check_equal(sim_write(odd, 1000, 1), DISK_RET_EWRITEPROTECT);
    check_equal(odd->writes, writes);
    check_true(odd->requests == requests || sim_read(odd, 2000, 1) == 0);
    check_good();
}

TEST(disk_that_another_one_replaces_gives_nothing_of_the_old_one)
{
    check_each(2, replace);
}
