// The PV console: a ring of bytes each way, shared with xenconsoled.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // SET_LOW
#include "console.h" // xencons_put
#include "evtchn.h" // xenevtchn_notify
#include "hypercall.h" // xen_hypercall2
#include "memmap.h" // PAGE_SIZE
#include "platform.h" // xen_hvm_param
#include "wait.h" // xen_ticks
#include "x86.h" // rdtscll

_Static_assert(sizeof(struct xencons_interface) >= 3088
               && sizeof(((struct xencons_interface *)0)->out) == XENCONS_SIZE
               , "packing");

// A daemon that sleeps for longer than this is not there. xenconsoled takes 30
// notifications in 200 ms, then rests until these are over, and looks at others first.
#define WAIT_MS 250

// The other end did not take anything at this index.
u32 XenConsStalledAt VARLOW;
u8 XenConsIsStalled VARLOW;

// The ring, as it is now: a domain that was restored has another one. Returns null
// if there is none.
static struct xencons_interface *
find_ring(void)
{
    u32 pfn = xen_hvm_param(HVM_PARAM_CONSOLE_PFN);
    return pfn && pfn < 1 << 20 ? (void*)(pfn * PAGE_SIZE) : NULL;
}

static void
notify(void)
{
    evtchn_port_t port = xen_hvm_param(HVM_PARAM_CONSOLE_EVTCHN);
    if (port)
        xenevtchn_notify(port);
}

int
xencons_is_there(void)
{
    return xen_tsc_mhz && find_ring();
}

// What the output has room for; *prod is where it begins.
static u32
find_room(struct xencons_interface *ring, u32 *prod)
{
    *prod = xen_read_once(ring->out_prod);
    u32 used = *prod - xen_read_once(ring->out_cons);
    return used > XENCONS_SIZE ? 0 : XENCONS_SIZE - used;
}

u32
xencons_room(void)
{
    struct xencons_interface *ring = find_ring();
    u32 prod;
    return ring ? find_room(ring, &prod) : 0;
}

u32
xencons_end(void)
{
    struct xencons_interface *ring = find_ring();
    return ring ? xen_read_once(ring->out_prod) : 0;
}

u32
xencons_put(const void *data, u32 size, u32 *end)
{
    struct xencons_interface *ring = find_ring();
    u32 i, prod, room = ring ? find_room(ring, &prod) : 0;
    if (size > room)
        size = room;
    if (!size)
        return 0;
    // the room is the reader's until its index is read, the bytes before ours
    xen_mb();
    for (i = 0; i < size; i++)
        ring->out[MASK_XENCONS_IDX(prod + i, ring->out)] = ((char*)data)[i];
    // a HVM domain may be restored at any time
    if (xen_move_index(&ring->out_prod, prod, prod + size))
        return 0;
    if (end)
        *end = prod + size;
    notify();
    return size;
}

int
xencons_wait(u32 room)
{
    struct xencons_interface *ring = find_ring();
    if (!ring)
        return -1;
    u32 prod, cons = xen_read_once(ring->out_cons);
    int is_known = GET_LOW(XenConsIsStalled) && cons == GET_LOW(XenConsStalledAt);
    SET_LOW(XenConsIsStalled, 0);
    u64 begin = rdtscll();
    do {
        // it may have taken everything before this wait began
        if (find_room(ring, &prod) >= room)
            return 0;
        if (!is_known)
            xen_hypercall2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    } while (!is_known && rdtscll() - begin < xen_ticks(WAIT_MS * 1000));
    SET_LOW(XenConsIsStalled, 1);
    SET_LOW(XenConsStalledAt, cons);
    return -1;
}

u32
xencons_peek(void *data, u32 max)
{
    struct xencons_interface *ring = find_ring();
    if (!ring)
        return 0;
    u32 cons = xen_read_once(ring->in_cons);
    u32 i, size = xen_read_once(ring->in_prod) - cons;
    if (size > sizeof(ring->in))
        return 0;
    // the bytes are there before the index
    xen_rmb();
    if (size > max)
        size = max;
    for (i = 0; i < size; i++)
        ((char*)data)[i] = ring->in[MASK_XENCONS_IDX(cons + i, ring->in)];
    return size;
}

void
xencons_consume(u32 size)
{
    struct xencons_interface *ring = find_ring();
    if (!ring || !size)
        return;
    u32 cons = xen_read_once(ring->in_cons);
    // not in a ring that was not looked at, where the domain was restored meanwhile
    if (xen_read_once(ring->in_prod) - cons >= size
        && !xen_move_index(&ring->in_cons, cons, cons + size))
        notify();
}
