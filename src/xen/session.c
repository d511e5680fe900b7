// A use of Xen's shared pages: map them, notice that the domain has moved, leave nothing.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "hypercall.h" // xen_hypercall2
#include "memmap.h" // PAGE_SIZE
#include "output.h" // dprintf
#include "platform.h" // xen_hvm_param
#include "session.h" // xen_platform_map
#include "xenstore.h" // xen_store

// A port that nobody else knows: a domain that was restored or has migrated has
// lost it.
struct marker_s {
    evtchn_port_t port;
    domid_t dom;        // this domain
    u8 is_open;         // a session is under way
};

static struct marker_s *marker;


int
xen_session_setup(void)
{
    marker = xen_alloc(sizeof(*marker));
    return marker ? 0 : -1;
}

int
xen_session_is_possible(void)
{
    return marker && !marker->is_open;
}

int
xen_port_domain(evtchn_port_t port)
{
    struct evtchn_status status = { .dom = DOMID_SELF, .port = port };
    if (xen_hypercall2(__HYPERVISOR_event_channel_op, EVTCHNOP_status
                       , (u32)&status))
        return -1;
    if (status.status == EVTCHNSTAT_unbound)
        return status.u.unbound.dom;
    if (status.status == EVTCHNSTAT_interdomain)
        return status.u.interdomain.dom;
    return -1;
}

static int
open_marker(void)
{
    struct evtchn_alloc_unbound alloc = {
        .dom = DOMID_SELF, .remote_dom = DOMID_SELF,
    };
    int ret = xen_hypercall2(__HYPERVISOR_event_channel_op
                             , EVTCHNOP_alloc_unbound, (u32)&alloc);
    marker->port = alloc.port;
    marker->dom = ret ? DOMID_INVALID : xen_port_domain(marker->port);
    if (!ret)
        return 0;
    dprintf(1, "xen: no event channel (%d)\n", ret);
    return -1;
}

int
xen_platform_moved(void)
{
    return xen_port_domain(marker->port) != marker->dom;
}

evtchn_port_t
xen_marker_port(void)
{
    return marker->port;
}

int
xen_platform_map(evtchn_port_t *store_port)
{
    // another one would lose its marker, and its place in the ring
    if (marker->is_open)
        return -1;
    // from here on a move is noticed
    if (open_marker())
        return -1;
    // Whoever set version 2 owns the table: its entries are not ours to read.
    struct gnttab_get_version version = { .dom = DOMID_SELF };
    int ret = xen_hypercall3(__HYPERVISOR_grant_table_op, GNTTABOP_get_version
                             , (u32)&version, 1);
    if (!ret && version.version != 1) {
        dprintf(1, "xen: grant table is version %u\n", version.version);
        goto fail;
    }
    if (xen_platform_map_page(XENMAPSPACE_shared_info, xen_info)
        || xen_platform_map_page(XENMAPSPACE_grant_table, xen_grants))
        goto fail;

    xen_store = (void*)(xen_hvm_param(HVM_PARAM_STORE_PFN) * PAGE_SIZE);
    *store_port = xen_hvm_param(HVM_PARAM_STORE_EVTCHN);
    if (!xen_store || !*store_port) {
        dprintf(1, "xen: no xenstore\n");
        goto fail;
    }
    marker->is_open = 1;
    return 0;

fail:
    xen_platform_unmap();
    return -1;
}

void
xen_platform_unmap(void)
{
    marker->is_open = 0;
    if (xen_platform_moved())
        return;
    struct evtchn_close close = { .port = marker->port };
    xen_hypercall2(__HYPERVISOR_event_channel_op, EVTCHNOP_close, (u32)&close);
}
