// One thing fails, once: each hypercall, notification, store request, response,
// watch event and allocation.
//
// After the fault nothing may hang, no wrong data be returned, no page be taken
// back that is still mapped, and no device be left as if somebody owned it; what
// failed is explained, the next calls work, and leave no trace (faults.c).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "faults.h" // faults_each

#include <xen/errno.h>

// POST, a read, a write, and a read of what is partly in the cache.
static void
whole_life(void)
{
    faults_boot();
    for_each_drive(be) {
        faults_read(be, 5000, 100);
        sim_pass(10 * SECOND);
        faults_check_closed("a read");
        faults_write(be, 777, 9);
        sim_pass(10 * SECOND);
        faults_check_closed("a write");
        faults_read(be, 770, 50);
        sim_pass(10 * SECOND);
        faults_check_closed("a second read");
    }
}

// With 16 disks, POST is what takes most of the steps.
static void
post_of_many(void)
{
    faults_boot();
    int without = faults_disks - sim_drive_count;
    // no list, no disks; and a store that stops does so for all
    if (without > 1 && without < faults_disks && !store.stopped_until)
        fail("one fault cost %d disks", without);
}

// The fault at every step, without a disk, with one, with three and with 16.
static void
everywhere(const struct fault *fault)
{
    faults_each(fault, whole_life, 0);
    faults_each(fault, whole_life, 1);
    faults_each(fault, whole_life, 3);
    faults_each(fault, post_of_many, 16);
}

#define FAULT(rule, what...)                            \
    TEST(fault_of_##rule##_is_survived)                 \
    {                                                   \
        static const struct fault fault = { #rule, what }; \
        everywhere(&fault);                             \
    }

FAULT(a_hypercall_that_is_refused, FAULT_HYPERCALL, XEN_EINVAL)
FAULT(a_hypercall_without_space, FAULT_HYPERCALL, XEN_ENOSPC)
FAULT(a_notification_that_is_lost, FAULT_NOTIFICATION)
FAULT(any_allocation, FAULT_ALLOCATION)

FAULT(a_store_request_that_fails, FAULT_REQUEST, STORE_ERROR, "EIO")
FAULT(a_store_request_that_is_too_big, FAULT_REQUEST, STORE_ERROR, "E2BIG")
FAULT(a_store_request_without_space, FAULT_REQUEST, STORE_ERROR, "ENOSPC")
FAULT(a_store_request_beyond_the_quota, FAULT_REQUEST, STORE_ERROR, "EQUOTA")
FAULT(a_store_request_that_is_to_be_repeated, FAULT_REQUEST, STORE_ERROR
      , "EAGAIN")
// A node that is there is not found; what is to be removed is gone.
FAULT(a_store_request_that_finds_nothing, FAULT_REQUEST, STORE_ERROR, "ENOENT")
FAULT(a_store_request_that_is_not_carried_out, FAULT_REQUEST, STORE_IGNORE)
FAULT(a_store_reply_that_is_lost, FAULT_REQUEST, STORE_LOSE)
FAULT(a_store_reply_that_is_late, FAULT_REQUEST, STORE_LATE)
FAULT(a_store_reply_with_a_wrong_id, FAULT_REQUEST, STORE_BAD_ID)
FAULT(a_store_reply_of_a_wrong_type, FAULT_REQUEST, STORE_BAD_TYPE)
FAULT(a_store_reply_without_its_end, FAULT_REQUEST, STORE_SHORT)
FAULT(a_store_reply_that_is_empty, FAULT_REQUEST, STORE_EMPTY)
FAULT(a_store_reply_that_comes_twice, FAULT_REQUEST, STORE_TWICE)
FAULT(a_store_reply_without_a_nul, FAULT_REQUEST, STORE_NO_NUL)
FAULT(a_store_reply_of_4096_bytes, FAULT_REQUEST, STORE_FULL)
FAULT(a_store_reply_that_is_too_long, FAULT_REQUEST, STORE_LONG)
// xenstored stops for 7 seconds at any request.
FAULT(a_store_that_stops_for_a_while, FAULT_REQUEST, STORE_STOP)

FAULT(a_block_request_that_fails, FAULT_RESPONSE, IO_ERROR)
FAULT(a_response_that_is_lost, FAULT_RESPONSE, IO_LOSE)
FAULT(a_response_that_is_late, FAULT_RESPONSE, IO_LATE)
FAULT(a_response_that_is_too_late, FAULT_RESPONSE, IO_TOO_LATE)

// The backend does not see, or sees late, that the frontend's state changed.
FAULT(a_watch_event_that_is_lost, FAULT_WATCH, WATCH_LOSE)
FAULT(a_watch_event_that_is_late, FAULT_WATCH, WATCH_LATE)
// xenstored is slow to tell the layer of a change that it watches.
FAULT(an_event_of_the_layers_own_watch_that_is_late, FAULT_EVENT)

TEST(fault_of_any_allocation_without_hvmloader_is_survived)
{
    static const struct fault fault = { "allocation", FAULT_ALLOCATION };
    sim_window = WINDOW_MEMORY;
    everywhere(&fault);
}
