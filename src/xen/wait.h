// Waiting (sched.h).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_WAIT_H
#define __XEN_WAIT_H

#include "types.h" // u32
#include "xenapi.h" // evtchn_port_t

// Time limits in ms.
#define XEN_LIMIT_POST     20000 // attaches and block requests in POST, all together
#define XEN_LIMIT_STATE    30000 // an attach later, and a close at any time
#define XEN_LIMIT_AGAIN      500 // a close that has had its time, and goes on
#define XEN_LIMIT_IO       30000 // a block request
#define XEN_LIMIT_STORE     5000 // a reply of xenstored
#define XEN_LIMIT_STALLED    500 // the same, after one that did not come

// Ticks of the TSC in `us` microseconds.
u64 xen_ticks(u32 us);

// The time that waits of XEN_LIMIT_POST share begins now.
void xenwait_begin_post(void);

// Xen's time in ns (xen.h, "struct vcpu_time_info"), or 0 if it cannot be read
// now: Xen is changing it, or a restore has left a hole in place of the page.
u64 xen_system_time(void);

// A wait with a deadline. Time in which the domain did not run does not count.
struct xenwait_s {
    u64 last;      // rdtscll() of the last step
    u64 left;      // ticks until the deadline
    u64 breath;    // what was left when rare things were done last
    evtchn_port_t port; // announces what is waited for; 0: nothing does
    u8 yields;     // other threads have their turn meanwhile
    u32 nap;       // how long to sleep at most now, in us: the longer a wait,
                   // the rarer its looks
};

// Start a wait of at most `ms` ms for something that is announced on `port`,
// whose pending bit is then the wait's; 0: there is no event to wait for. A wait
// of XEN_LIMIT_POST or more is one for a device: in POST its steps switch to other
// SeaBIOS threads, so that the caller must not hold anything shared. All waits of
// just XEN_LIMIT_POST share that time; a close has its own, since an OS would find
// what POST leaves open.
void xenwait_start(struct xenwait_s *wait, u32 ms, evtchn_port_t port);

// Sleep until an event comes, or for a nap; interrupts are let in where they
// disturb this. Returns 0 as long as it is worth to look again; then -1, as the
// deadline has passed or the domain has moved.
int xenwait_step(struct xenwait_s *wait);

// The same, for `us` microseconds and without a look at what was waited for.
int xenwait_pause(struct xenwait_s *wait, u32 us);

#endif // wait.h
