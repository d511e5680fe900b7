// The hypervisor: finding it, its shared pages, and waiting.
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
#include "stacks.h" // yield
#include "util.h" // timer_calc
#include "x86.h" // cpuid
#include "xenpv-int.h" // xen_platform_init

_Static_assert(sizeof(struct xen_hvm_param) == 16, "packing");
_Static_assert(sizeof(struct shared_info) == 0x928, "packing");

// The platform device of a HVM guest: XenSource's and its two other forms.
#define PCI_VENDOR_ID_XENSOURCE 0x5853
static const u16 platform_ids[] = { 0x0001, 0x0002, 0xc000 };

// A window that hvmloader reserves for the guest in every memory map
// (tools/firmware/hvmloader/config.h, "HVM_BELOW_4G").
#define HVMLOADER_GUEST_WINDOW 0xfe700000

// Pages mapped there: shared_info and one grant frame.
#define XEN_MAPPED_PAGES 2

struct shared_info *xen_info;
grant_entry_v1_t *xen_grants;
struct xenstore_domain_interface *xen_store;

static u32 tsc_khz;


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
    void *page = memalign_high(PAGE_SIZE, pages * PAGE_SIZE);
    if (!page) {
        warn_noalloc();
        return -1;
    }
    for (i = 0; i < pages; i++)
        wrmsr(msr, (u32)page + i * PAGE_SIZE + i);
    xen_hypercall_page = (u32)page;
    return 0;
}

// Frequency of the guest's TSC.
static u32
find_tsc_khz(u32 base)
{
    u32 max, eax, ebx, ecx, edx;
    cpuid(base, &max, &ebx, &ecx, &edx);
    if (max - base < 3)
        return 0;
    // subleaf 0 (ecx = 0): ecx returns the frequency in kHz
    asm("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx)
        : "0"(base + 3), "2"(0));
    return ecx;
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
        return (void*)HVMLOADER_GUEST_WINDOW;
    return memalign_high(PAGE_SIZE, XEN_MAPPED_PAGES * PAGE_SIZE);
}

int
xen_platform_init(void)
{
    u32 base = find_cpuid_base();
    if (!base)
        return -1;
    if (!xen_hypercall_page && make_hypercall_page(base))
        return -1;
    tsc_khz = find_tsc_khz(base);

    u8 *window = find_window();
    if (!window) {
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
xen_platform_map(evtchn_port_t *store_port)
{
    // Whoever set version 2 owns the table: its entries are not ours to read.
    struct gnttab_get_version version = { .dom = DOMID_SELF };
    int ret = xen_hypercall3(__HYPERVISOR_grant_table_op, GNTTABOP_get_version
                             , (u32)&version, 1);
    if (!ret && version.version != 1) {
        dprintf(1, "xen: grant table is version %u\n", version.version);
        return -1;
    }
    if (map_page(XENMAPSPACE_shared_info, xen_info)
        || map_page(XENMAPSPACE_grant_table, xen_grants))
        return -1;

    xen_store = (void*)(hvm_param(HVM_PARAM_STORE_PFN) * PAGE_SIZE);
    *store_port = hvm_param(HVM_PARAM_STORE_EVTCHN);
    if (!xen_store || !*store_port) {
        dprintf(1, "xen: no xenstore\n");
        return -1;
    }
    return 0;
}


/****************************************************************
 * Time
 ****************************************************************/

u32
xen_time_ms(void)
{
    if (!tsc_khz)
        return 0;
    // 64 by 32 bit division in two steps: the quotient wraps at 32 bits
    u64 tsc = rdtscll();
    u32 high = (u32)(tsc >> 32) % tsc_khz, low = tsc;
    asm("divl %2" : "+a"(low), "+d"(high) : "r"(tsc_khz) : "cc");
    return low;
}

#define BREATH_MS 50

void
xenwait_start(struct xenwait_s *wait, u32 ms, int threads)
{
    wait->end = timer_calc(ms);
    wait->breath = timer_calc(BREATH_MS);
    wait->threads = threads;
}

int
xenwait_step(struct xenwait_s *wait)
{
    if (timer_check(wait->end))
        return -1;
    if (in_post()) {
        if (wait->threads) {
            yield();
            return 0;
        }
    } else if (timer_check(wait->breath)) {
        // SeaBIOS's yield() costs exits to the device model: do it rarely
        yield();
        wait->breath = timer_calc(BREATH_MS);
    }
    xen_hypercall2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    return 0;
}

void
xenwait_pause(struct xenwait_s *wait, u32 us)
{
    u32 end = timer_calc_usec(us);
    while (!xenwait_step(wait) && !timer_check(end))
        ;
}
