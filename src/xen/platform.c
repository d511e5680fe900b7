// The hypervisor: finding it, and its shared pages.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "config.h" // CONFIG_XEN_PV
#include "fw/paravirt.h" // runningOnXen
#include "hw/pci.h" // pci_config_readl
#include "hw/pci_regs.h" // PCI_BASE_ADDRESS_1
#include "hw/pcidevice.h" // foreachpci
#include "hypercall.h" // xen_hypercall2
#include "malloc.h" // memalign_high
#include "memmap.h" // PAGE_SIZE
#include "output.h" // dprintf
#include "x86.h" // cpuid
#include "xenpv.h" // XenNoCpuPorts
#include "xenpv-int.h" // xen_platform_init

_Static_assert(sizeof(struct xen_hvm_param) == 16, "packing");
_Static_assert(sizeof(struct shared_info) == 0x928, "packing");
_Static_assert(SHUTDOWN_poweroff == XEN_SHUTDOWN_POWEROFF
               && SHUTDOWN_reboot == XEN_SHUTDOWN_REBOOT
               && SHUTDOWN_crash == XEN_SHUTDOWN_CRASH, "xenpv.h");

// The platform device of a HVM guest: XenSource's and its two other forms.
#define PCI_VENDOR_ID_XENSOURCE 0x5853
static const u16 platform_ids[] = { 0x0001, 0x0002, 0xc000 };

struct shared_info *xen_info;
grant_entry_v1_t *xen_grants;
struct xenstore_domain_interface *xen_store;
u32 xen_tsc_mhz;

// A port that nobody else knows: a domain that was restored or has migrated has
// lost it.
struct marker_s {
    evtchn_port_t port;
    domid_t dom;        // this domain
};

static struct marker_s *marker;


void *
xen_alloc(u32 size)
{
    void *mem = memalign_high(size < PAGE_SIZE ? MALLOC_MIN_ALIGN : PAGE_SIZE
                              , size);
    if (mem)
        memset(mem, 0, size);
    else
        warn_noalloc();
    return mem;
}


/****************************************************************
 * Finding Xen
 ****************************************************************/

// Find the base of Xen's CPUID leaves. Returns 0 if there are none.
static u32
find_cpuid_base(void)
{
    u32 base;
    for (base = 0x40000000; base < 0x40010000; base += 0x100) {
        u32 max, sig[3];
        cpuid(base, &max, &sig[0], &sig[1], &sig[2]);
        if (!memcmp(sig, "XenVMMXenVMM", sizeof(sig)) && max - base >= 2)
            return base;
    }
    return 0;
}

// Make a hypercall page where SeaBIOS did not (no info from hvmloader).
static int
make_hypercall_page(u32 base)
{
    u32 pages, msr, ecx, edx, i;
    cpuid(base + 2, &pages, &msr, &ecx, &edx);
    void *page = xen_alloc(pages * PAGE_SIZE);
    if (!page)
        return -1;
    for (i = 0; i < pages; i++)
        wrmsr(msr, (u32)page + i * PAGE_SIZE + i);
    xen_hypercall_page = (u32)page;
    return 0;
}

u32
xen_tsc_khz(void)
{
    u32 base = find_cpuid_base(), max, eax, ebx, ecx, edx;
    cpuid(base, &max, &ebx, &ecx, &edx);
    ecx = 0;
    if (max - base >= 3)
        asm("cpuid" : "=a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx)
            : "0"(base + 3));
    // where Xen does not say: too high a guess makes waits longer, not shorter
    return ecx ?: 4000000;
}

// Choose where to map shared pages: never over memory that the OS may use.
static void *
find_window(void)
{
    struct pci_device *pci;
    foreachpci(pci) {
        int i;
        if (pci->vendor != PCI_VENDOR_ID_XENSOURCE)
            continue;
        for (i = 0; i < ARRAY_SIZE(platform_ids); i++)
            if (pci->device == platform_ids[i])
                return pci_enable_membar(pci, PCI_BASE_ADDRESS_1);
    }
    if (runningOnXen())
        return (void*)XEN_GUEST_WINDOW;
    return xen_alloc(XEN_MAPPED_PAGES * PAGE_SIZE);
}

int
xen_platform_init(void)
{
    u32 base = find_cpuid_base();
    if (!base)
        return -1;
    if (!xen_hypercall_page && make_hypercall_page(base))
        return -1;
    xen_tsc_mhz = xen_tsc_khz() / 1000;
    XenNoCpuPorts = runningOnXen();

    u8 *window = find_window();
    marker = xen_alloc(sizeof(*marker));
    if (!window || !marker) {
        dprintf(1, "xen: no place to map shared pages\n");
        return -1;
    }
    xen_info = (void*)window;
    xen_grants = (void*)(window + PAGE_SIZE);
    u32 version = xen_hypercall2(__HYPERVISOR_xen_version, XENVER_version, 0);
    dprintf(1, "xen: Xen %u.%u, hypercall page 0x%08x, shared_info and grants"
            " at 0x%08x\n", version >> 16, version & 0xffff
            , (u32)xen_hypercall_page, (u32)window);
    return 0;
}


/****************************************************************
 * Shared pages
 ****************************************************************/

// Map a page of Xen at an address.
static int
map_page(unsigned int space, void *addr)
{
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = space, .idx = 0,
        .gpfn = (u32)addr / PAGE_SIZE,
    };
    int ret = xen_hypercall2(__HYPERVISOR_memory_op, XENMEM_add_to_physmap
                             , (u32)&add);
    if (ret)
        dprintf(1, "xen: mapping page (space %u) at %p failed (%d)\n"
                , space, addr, ret);
    return ret;
}

// Read a parameter of this guest. Returns 0 where it is not set.
static u32
hvm_param(u32 index)
{
    struct xen_hvm_param param = { .domid = DOMID_SELF, .index = index };
    if (xen_hypercall2(__HYPERVISOR_hvm_op, HVMOP_get_param, (u32)&param))
        return 0;
    return param.value;
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
    if (map_page(XENMAPSPACE_shared_info, xen_info)
        || map_page(XENMAPSPACE_grant_table, xen_grants))
        goto fail;

    xen_store = (void*)(hvm_param(HVM_PARAM_STORE_PFN) * PAGE_SIZE);
    *store_port = hvm_param(HVM_PARAM_STORE_EVTCHN);
    if (!xen_store || !*store_port) {
        dprintf(1, "xen: no xenstore\n");
        goto fail;
    }
    return 0;

fail:
    xen_platform_unmap();
    return -1;
}

void
xen_platform_unmap(void)
{
    if (xen_platform_moved())
        return;
    struct evtchn_close close = { .port = marker->port };
    xen_hypercall2(__HYPERVISOR_event_channel_op, EVTCHNOP_close, (u32)&close);
}


/****************************************************************
 * Time and power
 ****************************************************************/

u32
xen_wall_clock(void)
{
    if (map_page(XENMAPSPACE_shared_info, xen_info))
        return 0;
    // the time when Xen's clock was 0, and that clock
    u32 started = xen_read_once(xen_info->wc_sec);
    u64 ns = xen_system_time();
    u32 sec;
    for (sec = started; ns >= 1000000000; ns -= 1000000000)
        sec++;
    return sec;
}

u32 VISIBLE32FLAT
xen_shutdown32(u32 reason)
{
    u32 base = find_cpuid_base(), pages, msr, ecx, edx;
    if (!base)
        return -1;
    if (!xen_hypercall_page) {
        // early in POST: any memory will do
        cpuid(base + 2, &pages, &msr, &ecx, &edx);
        wrmsr(msr, BUILD_AP_BOOT_ADDR);
        xen_hypercall_page = BUILD_AP_BOOT_ADDR;
    }
    struct sched_shutdown shutdown = { .reason = reason };
    return xen_hypercall2(__HYPERVISOR_sched_op, SCHEDOP_shutdown
                          , (u32)&shutdown);
}
