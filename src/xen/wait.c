// Waiting: for the other side to act, until a deadline.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "config.h" // hw/pic.h
#include "evtchn.h" // xenevtchn_clear
#include "hw/pic.h" // pic_irqmask_read
#include "hypercall.h" // xen_hypercall2
#include "platform.h" // xen_info
#include "session.h" // xen_platform_moved
#include "stacks.h" // yield
#include "util.h" // in_post
#include "wait.h" // xenwait_start
#include "x86.h" // rdtscll

u64
xen_ticks(u32 us)
{
    return (u64)us * xen_tsc_mhz;
}

u64
xen_system_time(void)
{
    volatile struct vcpu_time_info *time = &xen_info->vcpu_info[0].time;
    u32 version = time->version;
    u64 passed = rdtscll() - time->tsc_timestamp;
    int shift = time->tsc_shift;
    // Xen renews it each second: 32 bits hold what has passed since
    u32 part = shift < 0 ? passed >> -shift : passed << shift;
    u64 now = time->system_time + ((u64)part * time->tsc_to_system_mul >> 32);
    return version & 1 || time->version != version ? 0 : now;
}

// Let Xen wake us at an event on `port`, or when its time is `timeout`. It does
// so at once while an interrupt is pending.
//
// A domain that is restored right here has another clock: then Xen must not wait
// for the old one's time. So it reads the port where there is a hole then, in a
// place that only PV guests use otherwise.
static void
sleep_until(evtchn_port_t port, u64 timeout)
{
    unsigned long *place = &xen_info->arch.max_pfn, kept = *place;
    *place = port;
    struct sched_poll poll = { .nr_ports = 1, .timeout = timeout };
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)place);
    xen_hypercall2(__HYPERVISOR_sched_op, SCHEDOP_poll, (u32)&poll);
    *place = kept;
}

// Sleep until an event on `port`, or until `us` microseconds have passed since
// the TSC was `start`, but no longer than `most`.
static void
doze(evtchn_port_t port, u64 start, u32 us, u32 most)
{
    u64 begin = rdtscll(), passed = begin - start, now = xen_system_time();
    if (passed >= xen_ticks(us))
        return;
    if (now) {
        us -= (u32)passed / xen_tsc_mhz;
        if (us > most)
            us = most;
        u64 timeout = now + us * 1000;
        sleep_until(port, timeout);
        if (xenevtchn_clear(port) || rdtscll() - begin >= xen_ticks(us))
            return;
        // an interrupt is pending: let it in
        if (in_post()) {
            // which is the main thread's task, later
            u16 mask = pic_irqmask_read();
            pic_irqmask_write(0xffff);
            sleep_until(port, timeout);
            pic_irqmask_write(mask);
            xenevtchn_clear(port);
            return;
        }
        yield();
    }
    xen_hypercall2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
}

// How often a wait looks whether the domain is the same.
#define BREATH_US  50000

// The first nap of a wait for an event; the next ones are longer by a quarter each.
#define NAP_US        4000
// The longest sleep: time counts in steps of at most BREATH_US, and who sleeps is
// woken late where many want the CPU.
#define SLEEP_US     20000
// The same in POST, while other threads want their turn.
#define SLEEP_POST_US 4000

// What POST still may wait for devices to connect and to answer, all together.
static struct xenwait_s post;

void
xenwait_begin_post(void)
{
    post.last = rdtscll();
    post.left = XEN_LIMIT_POST * xen_ticks(1000);
}

// Count the time since the last step. A pause, a save or a migration of the
// domain costs no more than a breath.
static void
count_down(struct xenwait_s *wait)
{
    u64 now = rdtscll(), passed = now - wait->last;
    wait->last = now;
    if (passed > xen_ticks(BREATH_US))
        passed = xen_ticks(BREATH_US);
    wait->left -= passed < wait->left ? passed : wait->left;
}

void
xenwait_start(struct xenwait_s *wait, u32 ms, evtchn_port_t port)
{
    wait->last = rdtscll();
    wait->left = ms * xen_ticks(1000);
    wait->port = port;
    wait->nap = NAP_US;
    if (in_post() && ms == XEN_LIMIT_POST) {
        count_down(&post);
        if (wait->left > post.left)
            wait->left = post.left;
    }
    wait->yields = in_post() && ms >= XEN_LIMIT_POST;
    wait->breath = wait->left;
}

// Wait for a moment, which ends `us` microseconds after the TSC was `start`.
static int
xenwait_for(struct xenwait_s *wait, u64 start, u32 us)
{
    if (!wait->left)
        return -1;
    // at the deadline the caller has one more look
    count_down(wait);
    if (wait->yields)
        count_down(&post);
    if (wait->breath - wait->left >= xen_ticks(BREATH_US)) {
        wait->breath = wait->left;
        if (xen_platform_moved())
            return -1;
    }
    u32 most = SLEEP_US;
    if (wait->yields) {
        yield();
        most = SLEEP_POST_US;
    }
    doze(wait->port ?: xen_marker_port(), start, us, most);
    return 0;
}

int
xenwait_step(struct xenwait_s *wait)
{
    u32 us = wait->nap;
    if (us < SLEEP_US)
        wait->nap += us / 4;
    return xenwait_for(wait, rdtscll(), us);
}

int
xenwait_pause(struct xenwait_s *wait, u32 us)
{
    u64 start = rdtscll();
    do
        if (xenwait_for(wait, start, us))
            return -1;
    while (rdtscll() - start < xen_ticks(us));
    return 0;
}
