// One thing fails, once, while disks stay attached between two calls: see
// test_fault.c.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "faults.h" // faults_each

#include "bregs.h" // struct bregs
#include <xen/errno.h>

// Attach by a read, read while attached, close by a hint, attach again, close
// by the timer, attach by a write, close by another hint.
static void
sticky_life(void)
{
    int i;
    faults_boot();
    for_each_drive(be) {
        faults_read(be, 5000, 100);
        faults_read(be, 90000, 50);
    }
    xen_handover();
    sim_pass(10 * SECOND);
    faults_check_closed("a hint");
    for_each_drive(be)
        faults_read(be, 50000, 10);
    for (i = 0; i < 40; i++)
        xen_handover_tick();
    sim_pass(10 * SECOND);
    faults_check_closed("two idle seconds");
    for_each_drive(be) {
        faults_write(be, 777, 9);
        faults_read(be, 770, 50);
        faults_write(be, 300, 100);
    }
    struct bregs regs = { .eax = 0xe820 };
    xen_handover_15(&regs);
    sim_pass(10 * SECOND);
    faults_check_closed("the question for the memory map");
}

static void
everywhere(const struct fault *fault)
{
    faults_each(fault, sticky_life, 1);
    faults_each(fault, sticky_life, 3);
}

#define FAULT(rule, what...)                            \
    TEST(fault_of_##rule##_is_survived_while_attached)  \
    {                                                   \
        static const struct fault fault = { #rule, what }; \
        everywhere(&fault);                             \
    }

FAULT(a_hypercall_that_is_refused, FAULT_HYPERCALL, XEN_EINVAL)
FAULT(a_notification_that_is_lost, FAULT_NOTIFICATION)
FAULT(a_store_request_that_fails, FAULT_REQUEST, STORE_ERROR, "EIO")
FAULT(a_store_request_that_is_too_big, FAULT_REQUEST, STORE_ERROR, "E2BIG")
FAULT(a_store_request_without_space, FAULT_REQUEST, STORE_ERROR, "ENOSPC")
FAULT(a_store_request_that_finds_nothing, FAULT_REQUEST, STORE_ERROR, "ENOENT")
FAULT(a_store_request_that_is_not_carried_out, FAULT_REQUEST, STORE_IGNORE)
FAULT(a_store_reply_that_is_lost, FAULT_REQUEST, STORE_LOSE)
FAULT(a_store_reply_that_is_late, FAULT_REQUEST, STORE_LATE)
FAULT(a_store_that_stops_for_a_while, FAULT_REQUEST, STORE_STOP)
FAULT(a_block_request_that_fails, FAULT_RESPONSE, IO_ERROR)
FAULT(a_response_that_is_lost, FAULT_RESPONSE, IO_LOSE)
FAULT(a_response_that_is_late, FAULT_RESPONSE, IO_LATE)
FAULT(a_response_that_is_too_late, FAULT_RESPONSE, IO_TOO_LATE)
FAULT(a_watch_event_that_is_lost, FAULT_WATCH, WATCH_LOSE)
FAULT(a_watch_event_that_is_late, FAULT_WATCH, WATCH_LATE)
