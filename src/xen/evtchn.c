// Event channels: every port that the layer uses is masked, and slept for (wait.c).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "evtchn.h" // xenevtchn_open
#include "hypercall.h" // xen_hypercall2
#include "output.h" // dprintf
#include "platform.h" // xen_info
#include "session.h" // xen_platform_moved

// Change one bit of a bitmap that Xen changes too. Returns its old value.
static int
change_bit(xen_ulong_t *map, evtchn_port_t port, int set)
{
    u8 old;
    if (set)
        asm volatile("lock ; btsl %2, %0 ; setc %1"
                     : "+m"(map[port / 32]), "=q"(old)
                     : "r"(port % 32) : "memory", "cc");
    else
        asm volatile("lock ; btrl %2, %0 ; setc %1"
                     : "+m"(map[port / 32]), "=q"(old)
                     : "r"(port % 32) : "memory", "cc");
    return old;
}

int
xenevtchn_set_mask(evtchn_port_t port, int masked)
{
    return change_bit(xen_info->evtchn_mask, port, masked);
}

int
xenevtchn_clear(evtchn_port_t port)
{
    return change_bit(xen_info->evtchn_pending, port, 0);
}

void
xenevtchn_settle(void)
{
    struct vcpu_info *vcpu = &xen_info->vcpu_info[0];
    int i;
    for (i = 0; i < ARRAY_SIZE(xen_info->evtchn_pending); i++)
        if (xen_info->evtchn_pending[i] & ~xen_info->evtchn_mask[i])
            return;
    vcpu->evtchn_pending_sel = 0;
    vcpu->evtchn_upcall_pending = 0;
}

void
xenevtchn_close(evtchn_port_t port)
{
    struct evtchn_close close = { .port = port };
    int ret = xen_hypercall2(__HYPERVISOR_event_channel_op, EVTCHNOP_close
                             , (u32)&close);
    if (ret)
        dprintf(1, "xen: closing event channel %u failed (%d)\n", port, ret);
    xenevtchn_clear(port);
}

int
xenevtchn_open(domid_t remote)
{
    struct evtchn_alloc_unbound alloc = {
        .dom = DOMID_SELF, .remote_dom = remote,
    };
    int ret = xen_hypercall2(__HYPERVISOR_event_channel_op
                             , EVTCHNOP_alloc_unbound, (u32)&alloc);
    if (ret)
        return ret;
    if (xen_platform_moved()) {
        // nobody else would close it
        xenevtchn_close(alloc.port);
        return -1;
    }
    return alloc.port;
}

void
xenevtchn_notify(evtchn_port_t port)
{
    struct evtchn_send send = { .port = port };
    xen_hypercall2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (u32)&send);
}
