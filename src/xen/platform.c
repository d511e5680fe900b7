// The hypervisor: finding it, and its shared pages.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "fw/paravirt.h" // runningOnXen
#include "hw/pci.h" // pci_enable_membar
#include "hw/pci_regs.h" // PCI_BASE_ADDRESS_1
#include "hw/pcidevice.h" // foreachpci
#include "hypercall.h" // xen_hypercall2
#include "malloc.h" // memalign_high
#include "memmap.h" // PAGE_SIZE
#include "output.h" // dprintf
#include "x86.h" // cpuid
#include "xenpv.h" // XenNoCpuPorts
#include "platform.h" // xen_platform_init

_Static_assert(sizeof(struct xen_hvm_param) == 16, "packing");
_Static_assert(sizeof(struct shared_info) == 0x928, "packing");
_Static_assert(SHUTDOWN_poweroff == XEN_SHUTDOWN_POWEROFF
               && SHUTDOWN_reboot == XEN_SHUTDOWN_REBOOT
               && SHUTDOWN_crash == XEN_SHUTDOWN_CRASH, "xenpv.h");

// The forms of the platform device.
static const u16 platform_ids[] = { 0x0001, 0x0002, 0xc000 };

struct shared_info *xen_info;
grant_entry_v1_t *xen_grants;
u32 xen_tsc_mhz;

u8 XenNoCpuPorts VARFSEG;


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
        for (i = 0; i < ARRAY_SIZE(platform_ids); i++) {
            if (pci->device != platform_ids[i])
                continue;
            void *window = pci_enable_membar(pci, PCI_BASE_ADDRESS_1);
            // its ROM, as iPXE's for netfront, is to run as well
            pci->have_driver = 0;
            return window;
        }
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
 * Its services
 ****************************************************************/

int
xen_platform_map_page(unsigned int space, void *addr)
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

u32
xen_hvm_param(u32 index)
{
    struct xen_hvm_param param = { .domid = DOMID_SELF, .index = index };
    if (xen_hypercall2(__HYPERVISOR_hvm_op, HVMOP_get_param, (u32)&param))
        return 0;
    return param.value;
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
