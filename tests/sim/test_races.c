// The store's ring while xenstored runs on another CPU, or the domain is saved,
// between any two instructions; what a call leaves open in the store.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_at_ring_access
#include "control.h" // xen_control32

#include <sys/mman.h>


/****************************************************************
 * Between two instructions
 ****************************************************************/

static int accesses_left, *accesses, turns;
static u32 last_prod;
static int moves;

static void
count_accesses(void)
{
    ++*accesses;
}

// xenstored sees to the ring at some accesses in a row, and then as it is woken.
static void
run_store(void)
{
    if (accesses_left-- > 0)
        return;
    store_run();
    if (!--turns)
        sim_at_ring_access(NULL);
}

static void (*at_access)(void);

// It begins with the reply that is larger than the ring.
static int
begin(struct store_request *request)
{
    if (request->msg.type == XS_READ && strstr(request->path, "/params"))
        sim_at_ring_access(at_access);
    return STORE_NORMAL;
}

static void
post_with_long_value(void (*func)(void))
{
    static char text[1300];
    struct backend *be = sim_disk(51776);
    be->type = "cdrom";
    be->info = VDISK_CDROM | VDISK_READONLY;
    be->params = memset(text, 'p', sizeof(text) - 1);
    store.index = 12345;
    store.hook = begin;
    at_access = func;
    sim_boot_unchecked();
    sim_at_ring_access(NULL);
    if (sim_now > SECOND)
        fail("POST took %llu ms", sim_now / MS);
    check_true(sim_drive(be));
    check_true(!sim_logged("no reply of xenstored"));
    sim_check_clean();
}

static void
count_post(int n)
{
    post_with_long_value(count_accesses);
}

static void
refill_once(int n)
{
    accesses_left = n * 9;
    turns = 1;
    post_with_long_value(run_store);
}

static void
refill_often(int n)
{
    accesses_left = n * 40;
    turns = 500;
    post_with_long_value(run_store);
}

// Run a case that counts in *accesses, in a process of its own.
static void
count_in_process(void (*count)(int n))
{
    accesses = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS
                    , -1, 0);
    check_each(1, count);
}

// Most of the accesses are bytes that are copied.
TEST(store_that_refills_the_ring_at_any_instruction_is_not_waited_for)
{
    count_in_process(count_post);
    check_true(*accesses > 20);
    check_each(1500 / 9, refill_once);
    check_each(1500 / 40, refill_often);
}

// The domain is saved right after bytes were announced, which the old xenstored has
// taken: the new one must not get the rest of a request.
static void
move_after_announcement(void)
{
    if (hv.store->req_prod == last_prod)
        return;
    last_prod = hv.store->req_prod;
    store_run();
    if (moves-- == 0) {
        hv_move(hv.domid + 1);
        last_prod = hv.store->req_prod;
    }
}

static void
save_within_a_request(int n)
{
    struct backend *be = sim_disk(51776);
    store.index = 700;
    // nodes of the same update may have gone to the old store
    be->mislabelled = 1;
    sim_boot();
    moves = n;
    last_prod = hv.store->req_prod;
    sim_at_ring_access(move_after_announcement);
    int ret = sim_read_unchecked(be, 60000, 10);
    sim_at_ring_access(NULL);
    check_equal(ret, 0);
    sim_check_clean();
    check_equal(sim_read(be, 100000, 10), 0);
}

TEST(move_after_any_announcement_finds_no_half_of_a_request)
{
    check_each(60, save_within_a_request);
}

// The ring's indices lie behind its bytes.
static int
is_index(void)
{
    return sim_ring_offset >= 2 * XENSTORE_RING_SIZE;
}

static void
count_indices(void)
{
    *accesses += is_index();
}

static void
move_at_index(void)
{
    if (is_index() && moves-- == 0)
        hv_move(hv.domid + 1);
}

static void
read_with_turns(void (*func)(void))
{
    struct backend *be = sim_disk(51776);
    sim_boot();
    // the new ring's indices are others
    store.index = 5000;
    be->mislabelled = 1;
    sim_at_ring_access(func);
    int ret = sim_read_unchecked(be, 60000, 10);
    sim_at_ring_access(NULL);
    check_equal(ret, 0);
    sim_check_clean();
    check_equal(sim_read(be, 100000, 10), 0);
}

static void
count_read(int n)
{
    read_with_turns(count_indices);
}

static void
save_at_index(int n)
{
    moves = n;
    read_with_turns(move_at_index);
}

// Between the read and the write of one, too.
TEST(move_at_any_access_to_an_index_leaves_the_new_ring_whole)
{
    count_in_process(count_read);
    check_true(*accesses > 200);
    check_each(*accesses, save_at_index);
}

// A session behind which nobody opens another, and a new xenstored that is slower.
static void
look_with_turns(void (*func)(void))
{
    sim_prepare();
    sim_post_setup();
    sim_post = 0;
    sim_remember();
    sim_at_ring_access(func);
    xen_control32(0);
    sim_at_ring_access(NULL);
    sim_pass(100 * MS);
    sim_check_clean();
}

static void
move_to_slow(void)
{
    move_at_index();
    if (moves < 0)
        store.latency = 30 * MS;
}

static void
count_look(int n)
{
    look_with_turns(count_indices);
}

static void
move_in_look(int n)
{
    moves = n;
    look_with_turns(move_to_slow);
}

TEST(move_to_a_slower_store_leaves_no_reply_behind_a_session)
{
    count_in_process(count_look);
    check_true(*accesses > 10);
    check_each(*accesses, move_in_look);
}


/****************************************************************
 * All or nothing
 ****************************************************************/

// xenstored takes nothing for a while, and requests pile up until one finds no
// room. What it gets later is whole.
static void
no_room(int n)
{
    struct backend *be = sim_disk(51776);
    store.index = n * 17;
    sim_boot();
    int i;
    store.stopped_until = sim_now + 300 * SECOND;
    for (i = 0; i < 40 && sim_now < store.stopped_until - 60 * SECOND; i++)
        check_true(sim_read_unchecked(be, 60000, 10) != 0);
    sim_pass(300 * SECOND);
    // what was left in the ring is answered now, and dropped
    check_equal(sim_read(be, 60000, 10), 0);
    check_equal(sim_read(be, 100000, 10), 0);
}

TEST(store_request_without_room_is_not_sent_by_half)
{
    check_each(16, no_room);
}


/****************************************************************
 * What a call leaves open
 ****************************************************************/

static u32 stop_at;

static int
stop(struct store_request *request)
{
    if (request->number != stop_at)
        return STORE_NORMAL;
    store.stopped_until = sim_now + 60 * SECOND;
    return STORE_NORMAL;
}

// xenstored stands still for a minute from some request on, and answers then.
static void
stop_for_a_minute(int n)
{
    struct backend *be = sim_disk(51776), *other = sim_disk(51792);
    store.kind = n & 1 ? CXENSTORED : OXENSTORED;
    be->domid = 1;
    sim_boot();
    stop_at = store.requests + 1 + n / 2;
    store.hook = stop;
    int i;
    for (i = 0; i < 4; i++) {
        sim_read_unchecked(be, 30000 * i, 10);
        sim_read_unchecked(other, 30000 * i, 10);
        sim_pass(SECOND);
    }
    sim_pass(100 * SECOND);
    // the replies that were late are dropped by the next call
    check_equal(sim_read_unchecked(be, 200000, 10), 0);
    check_equal(sim_read_unchecked(other, 200000, 10), 0);
    sim_check_clean();
}

TEST(store_that_stands_still_for_a_minute_keeps_nothing_open)
{
    check_each(60, stop_for_a_minute);
}

static void
late_event(int n)
{
    struct backend *be = sim_disk(51776);
    store.kind = n & 1 ? CXENSTORED : OXENSTORED;
    store.event_after_unwatch = n & 2;
    sim_boot();
    int i;
    for (i = 0; i < 5; i++) {
        check_equal(sim_read(be, 30000 * i, 10), 0);
        check_equal(sim_write(be, 30000 * i, 10), 0);
    }
}

TEST(event_that_comes_after_its_watch_was_removed_is_drained)
{
    check_each(4, late_event);
}


/****************************************************************
 * A ring that xenstored has given up
 ****************************************************************/

TEST(store_that_has_given_up_the_ring_and_offers_nothing_costs_its_limit)
{
    struct backend *be = sim_disk(51776);
    sim_prepare();
    store_give_up();
    sim_boot_unchecked();
    check_true(!sim_drive(be));
    check_true(sim_now < 12 * SECOND);
    check_true(sim_logged("xenstored"));
}
