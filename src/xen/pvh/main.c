// The C part of the PVH entry: what only the real machine has.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include <stdint.h> // uint32_t
// SCHEDOP_* by their own hypercall
#define __XEN_INTERFACE_VERSION__ 0x00040900
#define xen_mb() __sync_synchronize()
#define xen_rmb() __sync_synchronize()
#define xen_wmb() __sync_synchronize()
#include <xen/xen.h> // __HYPERVISOR_sched_op
#include <xen/arch-x86/cpuid.h> // XEN_CPUID_FIRST_LEAF
#include <xen/sched.h> // SCHEDOP_shutdown
#include "start.h" // start_make

// Xen's debug port: a line in `xl dmesg`.
#define DEBUG_PORT 0xe9

// A page of low memory that nobody uses while the BIOS has not begun.
#define HYPERCALL_PAGE 0x10000

// The option ROM in the image (image.S).
extern char vgabios[], vgabios_end[];

static void
print(const char *text)
{
    for (; *text; text++)
        asm volatile("outb %0, %1" : : "a"(*text), "Nd"(DEBUG_PORT));
}

// End the domain as one that has crashed, so that dom0 sees it (on_crash=).
static void __attribute__((noreturn))
crash(void)
{
    uint32_t base, max, sig[3], pages, msr, ecx, edx;
    for (base = XEN_CPUID_FIRST_LEAF; base < XEN_CPUID_FIRST_LEAF + 0x10000
         ; base += 0x100) {
        asm volatile("cpuid" : "=a"(max), "=b"(sig[0]), "=c"(sig[1])
                     , "=d"(sig[2]) : "a"(base), "c"(0));
        if (sig[0] != XEN_CPUID_SIGNATURE_EBX
            || sig[1] != XEN_CPUID_SIGNATURE_ECX
            || sig[2] != XEN_CPUID_SIGNATURE_EDX)
            continue;
        asm volatile("cpuid" : "=a"(pages), "=b"(msr), "=c"(ecx), "=d"(edx)
                     : "a"(base + 2), "c"(0));
        asm volatile("wrmsr" : : "c"(msr), "a"(HYPERCALL_PAGE), "d"(0)
                     : "memory");
        struct sched_shutdown shutdown = { .reason = SHUTDOWN_crash };
        uint32_t call = HYPERCALL_PAGE + __HYPERVISOR_sched_op * 32;
        asm volatile("call *%%eax" : "+a"(call)
                     : "b"(SCHEDOP_shutdown), "c"(&shutdown) : "memory");
    }
    for (;;)
        asm volatile("cli ; hlt");
}

// Called from entry.S with the address of start_info. When it returns, the BIOS
// may begin.
void __attribute__((used))
start_main(uint32_t start)
{
    struct start_low *low = (void*)XENPVH_INFO_ADDR;
    const char *note;
    int ret = start_make(low, start, &note);
    if (note) {
        print("pvh: ");
        print(note);
        print("\n");
    }
    if (ret)
        crash();
    start_seal(&low->info, (uint32_t)vgabios, vgabios_end - vgabios);
}
