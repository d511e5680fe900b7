// One thing fails: each hypercall, notification, store request, allocation.
//
// After the fault nothing may hang, no wrong data be returned, no page be taken
// back that is still mapped, and no device be left as if somebody owned it; the
// next calls work, and leave no trace.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

#include <sys/mman.h>
#include <xen/errno.h>

static int disks;

// How many steps the run without a fault takes.
static struct steps {
    u32 hypercalls, notifications, requests, mallocs;
} *steps;

// Say what is wrong with a device after a fault, or null.
static const char *
find_danger(struct backend *be)
{
    static char text[256];
    char path[128];
    snprintf(path, sizeof(path), "%s/state", be->frontend);
    int state = atoi(store_read(path) ?: "0"), i;
    snprintf(path, sizeof(path), "%s/ring-ref", be->frontend);
    if (state == XenbusStateClosed)
        // an OS resets it
        return NULL;
    snprintf(text, sizeof(text), "vbd %u: states %d/%d, %s", be->vbd, state
             , be->state, store_read(path) ? "with a ring-ref" : "no ring-ref");
    if (state != XenbusStateInitialising || be->state != XenbusStateInitWait
        || store_read(path))
        return text;
    for (i = 0; i < XENGRANT_REFS; i++)
        if (i > 1 && hv.grants[i].flags && hv.grants[i].domid == be->domid) {
            snprintf(text, sizeof(text), "vbd %u: grant %d", be->vbd, i);
            return text;
        }
    return NULL;
}

static void
check_danger(const char *when)
{
    int i;
    for (i = 0; i < disks; i++) {
        const char *text = find_danger(backends[i]);
        if (text)
            fail("after %s: %s", when, text);
    }
}

// POST, reads and writes.
static void
run(void)
{
    int i;
    for (i = 0; i < disks; i++)
        sim_disk(51776 + 16 * i)->domid = i;
    sim_boot_unchecked();
    check_true(sim_now < 60 * SECOND);
    sim_pass(10 * SECOND);
    check_danger("POST");
    for (i = 0; i < disks; i++) {
        if (!sim_drive(backends[i]))
            continue;
        u64 begin = sim_now;
        sim_read_unchecked(backends[i], 5000, 100);
        sim_pass(10 * SECOND);
        check_danger("a read");
        sim_write_unchecked(backends[i], 777, 9);
        sim_pass(10 * SECOND);
        check_danger("a write");
        sim_read_unchecked(backends[i], 770, 50);
        sim_pass(10 * SECOND);
        check_danger("a second read");
        if (sim_now - begin > 200 * SECOND)
            fail("calls took %llu s", (sim_now - begin) / SECOND);
    }
}

// The fault is over: everything works again, and leaves no trace.
static void
recover(void)
{
    int i, registered = 0, dead = 0;
    for (i = 0; i < disks; i++) {
        struct backend *be = backends[i];
        if (!sim_drive(be)) {
            if (!sim_logged("xen: ") && !sim_logged("Unable to allocate"))
                fail("vbd %u is no drive, and nobody says why", be->vbd);
            continue;
        }
        registered++;
        int ret = sim_read_unchecked(be, 9000, 3);
        if (ret == DISK_RET_ETIMEOUT
            && (sim_logged("did not answer in time")
                || sim_logged("still maps our pages"))) {
            // its pages may still be written to: it is not used any more
            dead++;
            continue;
        }
        if (ret)
            fail("vbd %u: reads after the fault fail with %02x", be->vbd, ret);
        ret = sim_write_unchecked(be, 9000, 3);
        if (ret)
            fail("vbd %u: writes after the fault fail with %02x", be->vbd, ret);
        sim_check_image(be);
    }
    if (registered == disks && !dead)
        sim_check_clean();
}

static void
count_run(int n)
{
    run();
    sim_check_clean();
    steps->hypercalls = hv.hypercalls;
    steps->notifications = hv.notifications;
    steps->requests = store.requests;
    steps->mallocs = sim_mallocs;
}

static void
count_steps(void)
{
    if (!steps)
        steps = mmap(NULL, sizeof(*steps), PROT_READ | PROT_WRITE
                     , MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check_each(1, count_run);
}

static int hypercall_error;

static void
failing_hypercall(int n)
{
    hv.fail_at = n + 1;
    hv.fail_with = hypercall_error;
    run();
    recover();
}

TEST(fault_in_any_hypercall_is_survived)
{
    disks = 2;
    count_steps();
    check_true(steps->hypercalls > 50);
    hypercall_error = XEN_EINVAL;
    check_each(steps->hypercalls, failing_hypercall);
    hypercall_error = XEN_ENOSPC;
    check_each(steps->hypercalls, failing_hypercall);
}

static void
lost_notification(int n)
{
    hv.lose_at = n + 1;
    run();
    recover();
}

TEST(fault_of_a_notification_that_is_lost_is_survived)
{
    disks = 2;
    count_steps();
    check_each(steps->notifications, lost_notification);
}

static void
failing_malloc(int n)
{
    sim_fail_malloc = n + 1;
    run();
    recover();
    check_true(sim_logged("Unable to allocate") || sim_drive_count == disks);
}

TEST(fault_of_any_allocation_without_hvmloader_is_survived)
{
    sim_window = WINDOW_MEMORY;
    disks = 1;
    count_steps();
    check_each(steps->mallocs, failing_malloc);
}

TEST(fault_of_any_allocation_is_survived)
{
    disks = 3;
    count_steps();
    check_each(steps->mallocs, failing_malloc);
}

static int store_fault;

static void
failing_request(int n)
{
    store.fault_at = n + 1;
    store.fault = store_fault;
    run();
    recover();
}

static void
each_request(int fault, const char *error)
{
    disks = 1;
    count_steps();
    check_true(steps->requests > 40);
    store_fault = fault;
    store.error = error;
    check_each(steps->requests, failing_request);
}

TEST(fault_of_a_store_request_that_fails_is_survived)
{
    each_request(STORE_ERROR, "EIO");
}

TEST(fault_of_a_store_request_that_is_to_be_repeated_is_survived)
{
    each_request(STORE_ERROR, "EAGAIN");
}

// A node that is there is not found; what is to be removed is gone.
TEST(fault_of_a_store_request_that_finds_nothing_is_survived)
{
    each_request(STORE_ERROR, "ENOENT");
}

TEST(fault_of_a_store_request_that_is_not_carried_out_is_survived)
{
    each_request(STORE_IGNORE, NULL);
}

TEST(fault_of_a_store_reply_that_is_lost_is_survived)
{
    each_request(STORE_LOSE, NULL);
}

TEST(fault_of_a_store_reply_that_is_late_is_survived)
{
    each_request(STORE_LATE, NULL);
}

TEST(fault_of_a_store_reply_with_a_wrong_id_is_survived)
{
    each_request(STORE_BAD_ID, NULL);
}

TEST(fault_of_a_store_reply_of_a_wrong_type_is_survived)
{
    each_request(STORE_BAD_TYPE, NULL);
}

TEST(fault_of_a_store_reply_without_its_end_is_survived)
{
    each_request(STORE_SHORT, NULL);
}

TEST(fault_of_a_store_reply_of_4096_bytes_is_survived)
{
    each_request(STORE_FULL, NULL);
}

TEST(fault_of_a_store_reply_that_is_too_long_is_survived)
{
    each_request(STORE_LONG, NULL);
}

// xenstored stops for 7 seconds at any request.
static void
stopped(int n)
{
    hv.lose_at = 0;
    store.fault_at = n + 1;
    store.fault = STORE_STOP;
    run();
    recover();
}

TEST(fault_of_a_store_that_stops_for_a_while_is_survived)
{
    disks = 1;
    count_steps();
    check_each(steps->requests, stopped);
}

// Many disks, and a fault in each request of POST.
static void
failing_post(int n)
{
    int i;
    store.fault_at = n * 7 + 1;
    store.fault = store_fault;
    for (i = 0; i < 16; i++)
        sim_disk(51712 + 16 * i);
    sim_boot_unchecked();
    if (sim_now > 100 * SECOND)
        fail("POST took %llu s", sim_now / SECOND);
    sim_pass(10 * SECOND);
    disks = 16;
    check_danger("POST");
    int without = 0;
    for (i = 0; i < 16; i++)
        if (sim_drive(backends[i]))
            check_equal(sim_read_unchecked(backends[i], 100, 10), 0);
        else
            without++;
    if (without > 1 && n * 7 > 0)
        fail("one fault cost %d disks", without);
}

TEST(fault_in_post_costs_no_more_than_one_of_16_disks)
{
    store_fault = STORE_ERROR;
    store.error = "EIO";
    check_each(50, failing_post);
    store_fault = STORE_LOSE;
    check_each(50, failing_post);
}
