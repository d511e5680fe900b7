// The simulated hypervisor: shared pages, grants, event channels.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#define _GNU_SOURCE
#include "sim.h" // hv

#include <sys/mman.h>
#include <unistd.h>
#include <xen/errno.h>

#define PAGE 4096

struct sim_hv hv;
void (*sim_step)(void);
static int special_fd;

// Grant references that are mapped, in any order.
static u16 pinned[XENGRANT_REFS];
static int pinned_count;

int sim_is_window(void *page);


/****************************************************************
 * Pages
 ****************************************************************/

void
hv_start(void)
{
    special_fd = memfd_create("special", 0);
    if (special_fd < 0 || ftruncate(special_fd, 3 * PAGE))
        fail("no memory for special pages");
    u8 *mem = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED
                   , special_fd, 0);
    hv.info = (void*)mem;
    hv.grants = (void*)(mem + PAGE);
    hv.store = (void*)(mem + 2 * PAGE);
    hv.domid = 7;
    hv.store_port = 1;
    hv.console_port = 2;
    // the guest's own view of the ring, see step.c
    hv.guest_store = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED
                          , special_fd, 2 * PAGE);
    hv.store_pfn = (u32)hv.guest_store / PAGE;
    hv.grant_version = 1;
    hv.info->arch.max_pfn = 0x1234;
    hv.time_base = 98765 * SECOND;
    hv.ports[hv.console_port] = (struct sim_port){ PORT_BOUND };
    // what the domain builder grants for console and xenstore
    hv.grants[0] = (grant_entry_v1_t){ GTF_permit_access, 0, 0xfeff1 };
    hv.grants[1] = (grant_entry_v1_t){ GTF_permit_access, 0, hv.store_pfn };
}

void
hv_stop(void)
{
    if (hv.guest_info && sim_window == WINDOW_HVMLOADER) {
        munmap(hv.guest_info, PAGE);
        munmap(hv.guest_grants, PAGE);
    }
    if (hv.info) {
        munmap(hv.info, 3 * PAGE);
        munmap(hv.guest_store, PAGE);
        close(special_fd);
    }
    memset(&hv, 0, sizeof(hv));
    pinned_count = 0;
}

// Where a special page was is a hole then: all ones, and writes are lost.
static void
make_hole(void *page)
{
    mmap(page, PAGE, PROT_READ | PROT_WRITE
         , MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    memset(page, 0xff, PAGE);
}

void
hv_steal_pages(void)
{
    make_hole(hv.guest_info);
    make_hole(hv.guest_grants);
    hv.guest_info = hv.guest_grants = NULL;
}

static int
add_to_physmap(struct xen_add_to_physmap *add)
{
    void *page = (void*)((u32)add->gpfn * PAGE);
    check_equal(add->domid, DOMID_SELF);
    check_equal(add->idx, 0);
    if (!sim_is_window(page))
        fail("%p is no place for a shared page", page);
    void **old;
    u32 offset;
    if (add->space == XENMAPSPACE_shared_info) {
        old = &hv.guest_info;
        offset = 0;
    } else if (add->space == XENMAPSPACE_grant_table) {
        old = &hv.guest_grants;
        offset = PAGE;
    } else {
        return -XEN_EINVAL;
    }
    if (*old == page)
        return 0;
    if (*old)
        make_hole(*old);
    if (mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED
             , special_fd, offset) != page)
        fail("cannot map a page at %p", page);
    *old = page;
    return 0;
}


/****************************************************************
 * Grants
 ****************************************************************/

void *
hv_map_grant(domid_t domid, grant_ref_t ref, int write)
{
    if (ref >= XENGRANT_REFS)
        return NULL;
    grant_entry_v1_t *entry = &hv.grants[ref];
    if (!hv.pins[ref]) {
        if ((entry->flags & GTF_type_mask) != GTF_permit_access
            || entry->domid != domid)
            return NULL;
        hv.pinned_frame[ref] = entry->frame;
    }
    // a grant that is mapped already gives the page of then
    void *page = (void*)(hv.pinned_frame[ref] * PAGE);
    if (!sim_is_high_page(page))
        fail("grant %u is of %p, which is no page of the layer", ref, page);
    if (write && entry->flags & GTF_readonly)
        return NULL;
    int i;
    for (i = 0; i < pinned_count; i++)
        if (pinned[i] != ref
            && hv.pinned_frame[pinned[i]] == hv.pinned_frame[ref])
            fail("page %p is granted again while a backend has it (%d, %d)"
                 , page, pinned[i], ref);
    if (!hv.pins[ref]++)
        pinned[pinned_count++] = ref;
    entry->flags |= GTF_reading | (write ? GTF_writing : 0);
    return page;
}

void
hv_unmap_grant(grant_ref_t ref, int write)
{
    check_true(hv.pins[ref] > 0);
    if (--hv.pins[ref])
        return;
    int i = 0;
    while (pinned[i] != ref)
        i++;
    pinned[i] = pinned[--pinned_count];
    hv.grants[ref].flags &= ~(GTF_reading | GTF_writing);
}

void
hv_hold_grants(grant_ref_t from, grant_ref_t to, domid_t domid)
{
    grant_ref_t ref;
    for (ref = from; ref <= to; ref++)
        hv.grants[ref] = domid == DOMID_SELF
                         ? (grant_entry_v1_t){ 0, DOMID_SELF, 0 }
                         : (grant_entry_v1_t){ GTF_permit_access, domid, ref };
    sim_remember();
}

void
hv_check_pins(void)
{
    int i;
    for (i = 0; i < pinned_count; i++) {
        int ref = pinned[i];
        if (!(hv.grants[ref].flags & GTF_reading)
            || (hv.grants[ref].flags & GTF_type_mask) != GTF_permit_access
            || hv.grants[ref].frame != hv.pinned_frame[ref])
            fail("grant %u was changed while mapped (flags %x)"
                 , ref, hv.grants[ref].flags);
    }
}


/****************************************************************
 * Event channels
 ****************************************************************/

int
hv_is_pending(evtchn_port_t port)
{
    return hv.info->evtchn_pending[port / 32] >> port % 32 & 1;
}

void
hv_event(evtchn_port_t port)
{
    u32 bit = 1u << port % 32;
    if (hv.mute || hv.info->evtchn_pending[port / 32] & bit)
        return;
    hv.info->evtchn_pending[port / 32] |= bit;
    if (hv.info->evtchn_mask[port / 32] & bit)
        return;
    if (hv.ports[port].state == PORT_BOUND && port != hv.store_port
        && port != hv.console_port)
        fail("an event of port %u comes through: it is not masked", port);
    hv.info->vcpu_info[0].evtchn_pending_sel |= 1u << port / 32;
    hv.info->vcpu_info[0].evtchn_upcall_pending = 1;
}

int
hv_bind(domid_t domid, evtchn_port_t port, void (*notified)(void *arg)
        , void *arg)
{
    if (port >= SIM_PORTS || hv.ports[port].state != PORT_UNBOUND
        || hv.ports[port].remote != domid)
        return -1;
    hv.ports[port] = (struct sim_port){ PORT_BOUND, domid, notified, arg };
    // Xen sets the event when a port gets bound
    hv_event(port);
    return 0;
}

void
hv_unbind(evtchn_port_t port)
{
    if (hv.ports[port].state == PORT_BOUND) {
        domid_t remote = hv.ports[port].remote;
        hv.ports[port] = (struct sim_port){ PORT_UNBOUND, remote };
    }
}

static int
alloc_unbound(struct evtchn_alloc_unbound *alloc)
{
    check_equal(alloc->dom, DOMID_SELF);
    evtchn_port_t port = 1;
    while (port < SIM_PORTS && (hv.ports[port].state != PORT_FREE))
        port++;
    if (port == SIM_PORTS)
        return -XEN_ENOSPC;
    domid_t remote = alloc->remote_dom == DOMID_SELF ? hv.domid
                     : alloc->remote_dom;
    hv.ports[port] = (struct sim_port){ PORT_UNBOUND, remote };
    alloc->port = port;
    return 0;
}

static int
close_port(struct evtchn_close *close)
{
    evtchn_port_t port = close->port;
    if (port >= SIM_PORTS || hv.ports[port].state == PORT_FREE)
        return -XEN_EINVAL;
    if (port == hv.store_port || port == hv.console_port)
        fail("port %u of the toolstack was closed", port);
    hv.ports[port] = (struct sim_port){ PORT_FREE };
    return 0;
}

static int
send_event(struct evtchn_send *send)
{
    evtchn_port_t port = send->port;
    if (port >= SIM_PORTS || hv.ports[port].state == PORT_FREE)
        return -XEN_EINVAL;
    if (++hv.notifications == hv.lose_at)
        return 0;
    if (hv.ports[port].state == PORT_BOUND && hv.ports[port].notified)
        hv.ports[port].notified(hv.ports[port].arg);
    return 0;
}

static int
port_status(struct evtchn_status *status)
{
    if (status->dom != DOMID_SELF && status->dom != hv.domid)
        return -XEN_EPERM;
    if (status->port >= SIM_PORTS)
        return -XEN_EINVAL;
    struct sim_port *port = &hv.ports[status->port];
    status->vcpu = 0;
    switch (port->state) {
    case PORT_FREE:
        status->status = EVTCHNSTAT_closed;
        break;
    case PORT_UNBOUND:
        status->status = EVTCHNSTAT_unbound;
        status->u.unbound.dom = port->remote;
        break;
    case PORT_BOUND:
        status->status = EVTCHNSTAT_interdomain;
        status->u.interdomain.dom = port->remote;
        status->u.interdomain.port = 100;
        break;
    case PORT_XEN:
        return -XEN_EACCES;
    }
    return 0;
}

static int
event_channel_op(u32 op, void *arg)
{
    switch (op) {
    case EVTCHNOP_alloc_unbound:
        return alloc_unbound(arg);
    case EVTCHNOP_close:
        return close_port(arg);
    case EVTCHNOP_send:
        return send_event(arg);
    case EVTCHNOP_status:
        return port_status(arg);
    }
    fail("event channel operation %u is not allowed", op);
}


/****************************************************************
 * Hypercalls
 ****************************************************************/

static int
hvm_op(u32 op, struct xen_hvm_param *param)
{
    check_equal(op, HVMOP_get_param);
    check_equal(param->domid, DOMID_SELF);
    switch (param->index) {
    case HVM_PARAM_STORE_PFN:
        param->value = hv.store_pfn;
        return 0;
    case HVM_PARAM_STORE_EVTCHN:
        param->value = hv.store_port;
        return 0;
    case HVM_PARAM_CONSOLE_PFN:
        param->value = hv.console_pfn;
        return 0;
    case HVM_PARAM_CONSOLE_EVTCHN:
        param->value = hv.console_port;
        return 0;
    }
    // all others are not the guest's to see
    check_true(param->index < HVM_NR_PARAMS);
    return -XEN_EPERM;
}

static int
grant_table_op(u32 op, struct gnttab_get_version *version, u32 count)
{
    check_equal(op, GNTTABOP_get_version);
    check_equal(count, 1);
    check_equal(version->dom, DOMID_SELF);
    version->version = hv.grant_version;
    return 0;
}

// Xen's clock, as it is right now.
static u64
system_time(void)
{
    return hv.time_base + sim_now;
}

// What the guest can compute it from is renewed each second.
static void
renew_time(void)
{
    volatile struct vcpu_time_info *info = &hv.info->vcpu_info[0].time;
    if (info->version && info->system_time + SECOND > system_time())
        return;
    info->version |= 1;
    info->system_time = system_time();
    info->tsc_timestamp = sim_tsc();
    // 2 ticks are a nanosecond; half as many are one as well, nearly
    info->tsc_shift = hv.tsc_shift;
    info->tsc_to_system_mul = hv.tsc_shift < 0 ? 0xffffffff : 1u << 31 >> hv.tsc_shift;
    info->version += hv.time_changes ? 0 : 1;
}

static int
sched_op(u32 op, struct sched_poll *poll)
{
    if (op == SCHEDOP_yield) {
        hv.yields++;
        sim_idle();
        return 0;
    }
    if (op == SCHEDOP_shutdown) {
        hv.shutdowns |= 1 << ((struct sched_shutdown *)poll)->reason;
        return 0;
    }
    check_equal(op, SCHEDOP_poll);
    hv.polls++;
    check_equal(poll->nr_ports, 1);
    evtchn_port_t port = *(evtchn_port_t *)poll->ports.p;
    if (port == (evtchn_port_t)-1)
        return -XEN_EFAULT; // a hole
    check_true(port < SIM_PORTS);
    u64 now = system_time();
    if (poll->timeout > now + 22 * MS)
        fail("a sleep until %llu begins at %llu", (u64)poll->timeout, now);
    if (poll->timeout <= now)
        return 0;
    sim_sleep(port, sim_now + poll->timeout - now);
    if (hv.ports[port].state == PORT_BOUND && port != hv.store_port
        && !hv_is_pending(port))
        hv.overslept++;
    return 0;
}

static int
xen_version(u32 op)
{
    check_equal(op, XENVER_version);
    return 4 << 16 | 17;
}

int
hv_hypercall(u32 nr, u32 a1, u32 a2, u32 a3, int *args)
{
    int ret = 0;
    *args = 2;
    if (sim_step)
        sim_step();
    renew_time();
    if (nr == __HYPERVISOR_sched_op)
        return sched_op(a1, (void*)a2);
    if (hv.hook && hv.hook(nr, a1, (void*)a2, &ret))
        return ret;
    // these two cannot fail for a port of one's own: a failure means that the
    // domain has moved (see hv_move)
    int cannot_fail = nr == __HYPERVISOR_event_channel_op
                      && (a1 == EVTCHNOP_status || a1 == EVTCHNOP_close);
    if (!cannot_fail && ++hv.hypercalls == hv.fail_at)
        return -hv.fail_with;
    switch (nr) {
    case __HYPERVISOR_memory_op:
        check_equal(a1, XENMEM_add_to_physmap);
        return add_to_physmap((void*)a2);
    case __HYPERVISOR_hvm_op:
        return hvm_op(a1, (void*)a2);
    case __HYPERVISOR_grant_table_op:
        *args = 3;
        return grant_table_op(a1, (void*)a2, a3);
    case __HYPERVISOR_event_channel_op:
        return event_channel_op(a1, (void*)a2);
    case __HYPERVISOR_xen_version:
        return xen_version(a1);
    }
    fail("hypercall %u is not allowed", nr);
}

void
hv_move(domid_t domid)
{
    int i;
    if (hv.guest_info)
        make_hole(hv.guest_info);
    if (hv.guest_grants)
        make_hole(hv.guest_grants);
    hv.guest_info = hv.guest_grants = NULL;
    memset(hv.info, 0, PAGE);
    memset(hv.grants, 0, PAGE);
    memset(hv.pins, 0, sizeof(hv.pins));
    pinned_count = 0;
    for (i = 0; i < SIM_PORTS; i++)
        hv.ports[i] = (struct sim_port){ PORT_FREE };
    hv.domid = domid;
    hv.time_base = 5 * SECOND; // another host
    hv.ports[hv.console_port] = (struct sim_port){ PORT_BOUND };
    hv.grants[0] = (grant_entry_v1_t){ GTF_permit_access, 0, 0xfeff1 };
    hv.grants[1] = (grant_entry_v1_t){ GTF_permit_access, 0, hv.store_pfn };
    backends_move();
    store_reset_ring();
    sim_remember();
}
