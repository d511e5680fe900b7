// The simulated machine: time, memory, threads and SeaBIOS.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#define _GNU_SOURCE
#include "sim.h" // sim_now

#include <fnmatch.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <xen/arch-x86/cpuid.h>

#include "control.h" // xen_control32
#include "e820map.h" // struct e820entry
#include "fw/paravirt.h" // PF_XEN
#include "hw/pcidevice.h" // pci_device
#include "list.h" // hlist_head

#define PAGE 4096


/****************************************************************
 * Time
 ****************************************************************/

u64 sim_now;
u32 sim_tsc_mhz = 2000;
u32 sim_seed;

// The TSC's low half wraps soon after the start.
u64 sim_tsc_start = 0x5001ff000000ULL;

struct event {
    u64 when;
    void (*func)(void *arg);
    void *arg;
    struct event *next;
};

static struct event *events;
static u64 last_progress;

// What one look at the clock costs, a hypercall, and the shortest wait.
#define COST_TSC  20
#define COST_CALL 500
#define IDLE_MIN  (10 * US)
#define IDLE_MAX  (20 * MS)

u32
sim_random(u32 range)
{
    sim_seed = sim_seed * 1664525 + 1013904223;
    return (u64)(sim_seed >> 8) * range >> 24;
}

void
sim_at(u64 when, void (*func)(void *arg), void *arg)
{
    struct event *event = malloc(sizeof(*event)), **place = &events;
    *event = (struct event){ when, func, arg };
    while (*place && (*place)->when <= when)
        place = &(*place)->next;
    event->next = *place;
    *place = event;
}

void
sim_cancel(void (*func)(void *arg), void *arg)
{
    struct event **place = &events;
    while (*place) {
        struct event *event = *place;
        if (event->func != func || event->arg != arg) {
            place = &event->next;
            continue;
        }
        *place = event->next;
        free(event);
    }
}

// Carry out what is due.
static void
run_events(void)
{
    static int running;
    if (running || !events || events->when > sim_now)
        return;
    running = 1;
    while (events && events->when <= sim_now) {
        struct event *event = events;
        events = event->next;
        event->func(event->arg);
        free(event);
    }
    running = 0;
    hv_check_pins();
}

void
sim_progress(void)
{
    last_progress = sim_now;
}

static void
idle_until(u64 end)
{
    u64 idle = (sim_now - last_progress) / 8;
    if (idle < IDLE_MIN)
        idle = IDLE_MIN;
    if (idle > IDLE_MAX)
        idle = IDLE_MAX;
    u64 until = sim_now + idle;
    if (until > end && end > sim_now)
        until = end;
    if (events && events->when < until)
        until = events->when > sim_now + IDLE_MIN ? events->when
                : sim_now + IDLE_MIN;
    sim_now = until;
    run_events();
}

void
sim_idle(void)
{
    idle_until(-1);
}

u64 sim_tick = 55 * MS;
u16 sim_irq_mask = SIM_IRQ_MASK;
static u64 last_interrupt;      // when interrupts were let in

void
sim_sleep(evtchn_port_t port, u64 until)
{
    do {
        if (port && hv_is_pending(port))
            return;
        if (sim_tick && sim_now - last_interrupt >= sim_tick && !(sim_irq_mask & 1))
            return;
        idle_until(until);
    } while (sim_now < until);
}

void
sim_pass(u64 ns)
{
    u64 end = sim_now + ns;
    while (events && events->when <= end) {
        if (events->when > sim_now)
            sim_now = events->when;
        run_events();
    }
    sim_now = end;
    last_progress = end;
}


void
sim_freeze(u64 ns)
{
    struct event *event;
    for (event = events; event; event = event->next)
        event->when += ns;
    sim_now += ns;
}


/****************************************************************
 * Privileged instructions
 ****************************************************************/

struct regs {
    u32 edi, esi, ebp, esp, ebx, edx, ecx, eax;
};

// Calls in place of instructions: all registers in memory, stack aligned.
#define TRAP(name)                              \
    asm(".text\n"                               \
        ".globl " #name "\n"                    \
        #name ":\n"                             \
        "    pushal\n"                          \
        "    movl %esp, %ebp\n"                 \
        "    andl $-16, %esp\n"                 \
        "    subl $12, %esp\n"                  \
        "    pushl %ebp\n"                      \
        "    call do_" #name "\n"               \
        "    movl %ebp, %esp\n"                 \
        "    popal\n"                           \
        "    ret\n")
TRAP(sim_cpuid);
TRAP(sim_rdtsc);
TRAP(sim_wrmsr);
TRAP(sim_inb);
TRAP(sim_inl);
TRAP(sim_outb);

int sim_xen = 1;

// Where Xen's leaves are when Hyper-V's come first.
static u32 cpuid_base = 0x40000000;
#define MSR_HYPERCALL 0x40000200

static void
xen_leaf(u32 leaf, struct regs *regs)
{
    regs->eax = regs->ebx = regs->ecx = regs->edx = 0;
    if (!sim_xen)
        return;
    if (leaf == cpuid_base) {
        regs->eax = cpuid_base + 5;
        memcpy(&regs->ebx, "XenV", 4);
        memcpy(&regs->ecx, "MMXe", 4);
        memcpy(&regs->edx, "nVMM", 4);
    } else if (leaf == cpuid_base + 1) {
        regs->eax = 4 << 16 | 17;
    } else if (leaf == cpuid_base + 2) {
        regs->eax = 1;
        regs->ebx = MSR_HYPERCALL;
    }
}

// Only the code of the layer asks by instruction, for subleaf 0 of leaf 3.
void
do_sim_cpuid(struct regs *regs)
{
    u32 leaf = regs->eax, subleaf = regs->ecx;
    if (leaf != cpuid_base + 3)
        return xen_leaf(leaf, regs);
    check_equal(subleaf, 0);
    regs->eax = regs->ebx = regs->edx = 0;
    regs->ecx = sim_tsc_mhz * 1000;
}

void
cpuid(u32 index, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
    struct regs regs;
    xen_leaf(index, &regs);
    *eax = regs.eax;
    *ebx = regs.ebx;
    *ecx = regs.ecx;
    *edx = regs.edx;
}

u64
sim_tsc(void)
{
    return sim_tsc_start + sim_now * (sim_tsc_mhz ?: 2000) / 1000;
}

void
do_sim_rdtsc(struct regs *regs)
{
    sim_now += COST_TSC;
    run_events();
    u64 tsc = sim_tsc();
    regs->eax = tsc;
    regs->edx = tsc >> 32;
}

// An access that QEMU serves costs as much as many hypercalls.
void
do_sim_inb(struct regs *regs)
{
    sim_now += SIM_COST_PORT + sim_port_pause;
    sim_port_pause = 0;
    regs->eax = (regs->eax & ~0xff) | twin_inb(regs->edx);
}

void
do_sim_inl(struct regs *regs)
{
    sim_now += SIM_COST_PORT;
    regs->eax = twin_inl(regs->edx);
}

void
do_sim_outb(struct regs *regs)
{
    sim_now += SIM_COST_PORT;
    twin_outb(regs->edx, regs->eax);
}

static void fill_hypercall_page(u8 *page);

void
do_sim_wrmsr(struct regs *regs)
{
    check_equal(regs->ecx, MSR_HYPERCALL);
    check_equal(regs->eax % PAGE, 0);
    check_true(sim_is_high_page((void*)regs->eax)
               || regs->eax == BUILD_AP_BOOT_ADDR);
    fill_hypercall_page((void*)regs->eax);
}


/****************************************************************
 * Hypercalls
 ****************************************************************/

struct call_regs {
    struct regs regs;
    u32 nr;
};

int hv_hypercall(u32 nr, u32 a1, u32 a2, u32 a3, int *args);

// Entries of the hypercall page push their number and come here.
asm(".text\n"
    "hypercall_entry:\n"
    "    pushal\n"
    "    movl %esp, %ebp\n"
    "    andl $-16, %esp\n"
    "    subl $12, %esp\n"
    "    pushl %ebp\n"
    "    call do_hypercall\n"
    "    movl %ebp, %esp\n"
    "    popal\n"
    "    leal 4(%esp), %esp\n"
    "    ret\n");

// The arguments' registers are destroyed, as a debugging Xen does.
void
do_hypercall(struct call_regs *call)
{
    sim_now += COST_CALL;
    run_events();
    int args = 0;
    call->regs.eax = hv_hypercall(call->nr, call->regs.ebx, call->regs.ecx
                                  , call->regs.edx, &args);
    if (args >= 1)
        call->regs.ebx = 0xdeadbeef;
    if (args >= 2)
        call->regs.ecx = 0xdeadbeef;
    if (args >= 3)
        call->regs.edx = 0xdeadbeef;
    hv_check_pins();
}

static void
fill_hypercall_page(u8 *page)
{
    extern u8 hypercall_entry[];
    int i;
    mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    for (i = 0; i < PAGE / 32; i++) {
        u8 *entry = page + i * 32;
        u32 distance = hypercall_entry - (entry + 10);
        entry[0] = 0x68; // push $i
        memcpy(entry + 1, &i, 4);
        entry[5] = 0xe9; // jmp hypercall_entry
        memcpy(entry + 6, &distance, 4);
    }
}

unsigned long xen_hypercall_page;


/****************************************************************
 * Memory
 ****************************************************************/

struct zone_s { u8 dummy; } ZoneLow, ZoneHigh, ZoneFSeg, ZoneTmpLow, ZoneTmpHigh;
u32 LegacyRamSize = 512 << 20;
u32 sim_fail_malloc, sim_mallocs, sim_low_mallocs;
u32 sim_high_space = 16 << 20;

struct pages {
    u8 *start;
    u32 size;
    struct pages *next;
};

static struct pages *high_pages;
static void *small[256];
static u32 small_count;

u32
malloc_getspace(struct zone_s *zone)
{
    check_true(sim_post);
    return zone == &ZoneHigh ? sim_high_space : 0;
}

// Page-aligned memory lies between two pages that nobody can access.
static void *
alloc_pages(u32 size)
{
    struct pages *pages = malloc(sizeof(*pages));
    size = ALIGN(size, PAGE);
    u8 *mem = mmap(NULL, size + 2 * PAGE, PROT_NONE
                   , MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *pages = (struct pages){ mem + PAGE, size, high_pages };
    high_pages = pages;
    mprotect(pages->start, size, PROT_READ | PROT_WRITE);
    memset(pages->start, CANARY, size);
    return pages->start;
}

int
sim_is_high_page(void *page)
{
    struct pages *pages;
    for (pages = high_pages; pages; pages = pages->next)
        if ((u8*)page >= pages->start && (u8*)page < pages->start + pages->size)
            return !((u32)page % PAGE);
    return 0;
}

void *
_malloc(struct zone_s *zone, u32 size, u32 align)
{
    if (!sim_post)
        fail("allocation of %u bytes after POST", size);
    sim_mallocs++;
    sim_low_mallocs += zone == &ZoneLow;
    if (sim_mallocs == sim_fail_malloc)
        return NULL;
    if (zone == &ZoneHigh && align == PAGE) {
        if (size > sim_high_space)
            return NULL;
        sim_high_space -= size;
        return alloc_pages(size);
    }
    check_true(align <= 16);
    void *mem = malloc(size);
    memset(mem, CANARY, size);
    check_true(small_count < ARRAY_SIZE(small));
    return small[small_count++] = mem;
}

static void
free_all(void)
{
    while (small_count)
        free(small[--small_count]);
    while (high_pages) {
        struct pages *pages = high_pages;
        high_pages = pages->next;
        munmap(pages->start - PAGE, pages->size + 2 * PAGE);
        free(pages);
    }
}

void
bios_free(void *mem)
{
    // see free_all()
}


/****************************************************************
 * Threads: SeaBIOS's order, each on a stack of its own
 ****************************************************************/

// SeaBIOS's threads have 4 KiB; sanitizers need more.
#define STACK_SIZE (256 * 1024)

struct thread {
    u32 *esp;
    void *stack, *fake;
    const void *bottom;
    size_t size;
    void (*func)(void *);
    void *data;
    struct thread *next;
};

// Builds without sanitizers have none of these.
#pragma weak __sanitizer_start_switch_fiber
#pragma weak __sanitizer_finish_switch_fiber

static struct thread main_thread = { .next = &main_thread };
static struct thread *current = &main_thread, *ended;

static void
after_switch(void)
{
    const void *bottom;
    size_t size;
    if (__sanitizer_finish_switch_fiber) {
        __sanitizer_finish_switch_fiber(current->fake, &bottom, &size);
        if (!main_thread.bottom) {
            main_thread.bottom = bottom;
            main_thread.size = size;
        }
    }
    if (ended) {
        munmap(ended->stack, STACK_SIZE);
        free(ended);
        ended = NULL;
    }
}

// Save the registers that a function keeps, and go on with another stack.
void switch_stack(u32 **save, u32 *esp);
asm(".text\n"
    "switch_stack:\n"
    "    movl 4(%esp), %eax\n"
    "    movl 8(%esp), %edx\n"
    "    pushl %ebp\n"
    "    pushl %ebx\n"
    "    pushl %esi\n"
    "    pushl %edi\n"
    "    movl %esp, (%eax)\n"
    "    movl %edx, %esp\n"
    "    popl %edi\n"
    "    popl %esi\n"
    "    popl %ebx\n"
    "    popl %ebp\n"
    "    ret\n");

static void
switch_to(struct thread *next, int ending)
{
    struct thread *old = current;
    if (next == old)
        return;
    current = next;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(ending ? NULL : &old->fake, next->bottom
                                       , next->size);
    switch_stack(&old->esp, next->esp);
    after_switch();
}

static void
thread_start(void)
{
    after_switch();
    current->func(current->data);
    struct thread *before = current;
    while (before->next != current)
        before = before->next;
    before->next = current->next;
    ended = current;
    switch_to(current->next, 1);
}

void
run_thread(void (*func)(void *), void *data)
{
    struct thread *thread = calloc(1, sizeof(*thread));
    thread->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE
                         , MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    thread->bottom = thread->stack;
    thread->size = STACK_SIZE;
    thread->func = func;
    thread->data = data;
    thread->esp = thread->stack + STACK_SIZE - 64;
    thread->esp[4] = (u32)thread_start; // behind four registers
    thread->next = current->next;
    current->next = thread;
    switch_to(thread, 0);
}

void (*sim_interrupt)(void);

u16
pic_irqmask_read(void)
{
    return sim_irq_mask;
}

void
pic_irqmask_write(u16 mask)
{
    sim_irq_mask = mask;
}

void
yield(void)
{
    if (current == &main_thread) {
        check_equal(sim_irq_mask, SIM_IRQ_MASK);
        last_interrupt = sim_now;
        if (sim_interrupt)
            sim_interrupt();
        sim_idle();
    }
    switch_to(current->next, 0);
}

void
wait_threads(void)
{
    while (current->next != current)
        yield();
}

/****************************************************************
 * Output
 ****************************************************************/

char sim_log[1 << 20];
int sim_quiet;
static u32 log_len;

// The end of the way through SeaBIOS's own output.c.
void
qemu_debug_putc(char c)
{
    if (log_len < sizeof(sim_log) - 1)
        sim_log[log_len++] = c;
    if (!sim_quiet)
        putchar(c);
}

// Where the blob's front would end.
char code32flat_start[1];
// Keys that are typed: the prompt is a place where no trace may be.
const char *sim_keys;

int
get_keystroke_full(int msec)
{
    sim_check_clean();
    // as SeaBIOS does it in a PVH guest
    xen_control32(0);
    sim_pass(100 * MS);
    u8 key = *sim_keys;
    if (!key)
        fail("no more keys");
    sim_keys++;
    switch (key) {
    case SIM_NO_KEY: return -1;
    case SIM_KEY_UP: return 0x4800;
    case SIM_KEY_DOWN: return 0x5000;
    case 0x1b: return 0x011b;
    case '\n': return 0x1c0d;
    case '\b': return 0x0e08;
    // the keypad's, with NumLock: the scan codes are those of arrows
    case '8': return 0x4838;
    case '2': return 0x5032;
    }
    return 0x3000 | key;
}

struct e820entry e820_list[32];
int e820_count;

// What output.c needs for other ways out, which are never gone.
int ScreenAndDebug;
const char VERSION[] = "", BUILDINFO[] = "";
void coreboot_debug_putc(char c) { }
void serial_debug_putc(char c) { }
void serial_debug_flush(void) { }
void entry_10(void) { }
void irq_trampoline_0x10(void) { }
void __call16_int(struct bregs *callregs, u16 offset) { }
u16 get_pnp_offset(void) { return 0x40; }

void (*sim_program)(struct bregs *callregs);

void
farcall16(struct bregs *callregs)
{
    sim_program(callregs);
}

void
sim_clear_log(void)
{
    memset(sim_log, 0, log_len);
    log_len = 0;
}

int
sim_logged(const char *text)
{
    return !!strstr(sim_log, text);
}

/****************************************************************
 * The rest of SeaBIOS
 ****************************************************************/

int sim_post, sim_window;
u16 sim_platform_id = 1;
int PlatformRunningOn;
struct hlist_head PCIDevices;
static struct pci_device host_bridge, platform_device;
static void *window;
struct sim_drive sim_drives[64];
int sim_drive_count;

int
in_post(void)
{
    return sim_post;
}

void *
pci_enable_membar(struct pci_device *pci, u32 addr)
{
    check_equal(addr, 0x14); // BAR1
    return window;
}

char *
strtcpy(char *dest, const char *src, size_t len)
{
    char *d = dest;
    while (--len && *src != '\0')
        *d++ = *src++;
    *d = '\0';
    return dest;
}

u32
ticks_from_ms(u32 ms)
{
    return (ms * 182 + 9999) / 10000;
}

int
default_process_op(struct disk_op_s *op)
{
    switch (op->command) {
    case CMD_FORMAT:
    case CMD_RESET:
    case CMD_ISREADY:
    case CMD_VERIFY:
    case CMD_SEEK:
        return DISK_RET_SUCCESS;
    default:
        return DISK_RET_EPARAM;
    }
}

int
process_op(struct disk_op_s *op)
{
    int count = op->count;
    if (count * op->drive_fl->blksize > 64 * 1024) {
        op->count = 0;
        return DISK_RET_EBOUNDARY;
    }
    // the seam
    if (xen_by_pv(op))
        return DISK_RET_SUCCESS;
    int is_pv = op->drive_fl->type == DTYPE_XEN;
    int ret = is_pv ? xen_process_op(op) : twin_process_op(op);
    xen_twin_done(op);
    if (ret && op->count == count)
        op->count = 0;
    return ret;
}

// Register a drive.
static struct sim_drive *
add_drive(struct drive_s *drive, const char *desc, int prio)
{
    xen_drive_added(drive);
    struct sim_drive *entry = &sim_drives[sim_drive_count++];
    entry->drive = drive;
    entry->cdrom = 0;
    entry->prio = xen_drive_prio(drive, prio);
    snprintf(entry->desc, sizeof(entry->desc), "%s", desc);
    return entry;
}

void
boot_add_hd(struct drive_s *drive, const char *desc, int prio)
{
    add_drive(drive, desc, prio);
}

// The boot order, as boot.c reads and searches it.
static char *order;
int sim_boot_inits;

void
boot_init(void)
{
    sim_boot_inits++;
    order = romfile_loadfile("bootorder", NULL);
}

int
bootprio_find_name(const char *glob)
{
    char line[XENSETTING_VALUE_MAX + 1];
    const char *next = order;
    int prio = 0;
    while (next) {
        u32 len = strcspn(next, "\n");
        memcpy(line, next, len);
        line[len] = 0;
        prio++;
        if (!fnmatch(glob, line, 0))
            return prio;
        next = next[len] ? next + len + 1 : NULL;
    }
    return -1;
}

char *
nullTrailingSpace(char *buf)
{
    u32 len = strlen(buf);
    while (len && buf[len - 1] <= ' ')
        buf[--len] = 0;
    return buf + strspn(buf, " \t\n");
}

// Hard disks as boot.c sorts them.
struct drive_s *
sim_hard_disk(int n)
{
    struct sim_drive *sorted[ARRAY_SIZE(sim_drives)];
    int i, j, count = 0;
    for (i = 0; i < sim_drive_count; i++) {
        struct drive_s *drive = sim_drives[i].drive;
        if (sim_drives[i].cdrom)
            continue;
        for (j = count++; j > 0; j--) {
            struct drive_s *before = sorted[j - 1]->drive;
            u32 prio = sim_drives[i].prio, other = sorted[j - 1]->prio;
            if (other < prio || (other == prio && (before->type < drive->type
                || (before->type == drive->type
                    && before->cntl_id <= drive->cntl_id))))
                break;
            sorted[j] = sorted[j - 1];
        }
        sorted[j] = &sim_drives[i];
    }
    return n < count ? sorted[n]->drive : NULL;
}

// SeaBIOS asks a CD for its boot record at once.
void
boot_add_cd(struct drive_s *drive, const char *desc, int prio)
{
    struct sim_drive *entry = add_drive(drive, desc, prio);
    entry->cdrom = 1;
    u8 cdb[16] = { 0 }, buf[CDROM_SECTOR_SIZE];
    struct disk_op_s op = {
        .drive_fl = drive, .command = CMD_SCSI, .cdbcmd = cdb,
    };
    if (process_op(&op) != DISK_RET_SUCCESS)
        return;
    op = (struct disk_op_s){
        .drive_fl = drive, .command = CMD_READ, .lba = 0x11, .count = 1,
        .buf_fl = buf,
    };
    process_op(&op);
}

void
sim_start(void)
{
    static u8 own_page[PAGE] __aligned(PAGE);
    if (sim_post)
        return;
    sim_post = 1;
    PlatformRunningOn = PF_QEMU;
    if (!sim_xen)
        return;
    if (sim_window == WINDOW_MEMORY) {
        // as QEMU's emulation of Xen: no info from hvmloader
        cpuid_base = 0x40000100;
        xen_hypercall_page = 0;
    } else {
        PlatformRunningOn |= PF_XEN;
        xen_hypercall_page = (u32)own_page;
        fill_hypercall_page(own_page);
    }
    if (sim_window == WINDOW_BAR) {
        window = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS
                      , -1, 0);
        platform_device.vendor = 0x5853;
        platform_device.device = sim_platform_id;
        host_bridge.vendor = 0x8086;
        PCIDevices.first = &host_bridge.node;
        host_bridge.node.pprev = &PCIDevices.first;
        host_bridge.node.next = &platform_device.node;
        platform_device.node.pprev = &host_bridge.node.next;
    }
    hv_start();
    store_start();
    backends_start();
}

// Variables of the layer and of SeaBIOS (layer.mk).
extern struct romfile_s *RomfileRoot;
extern u8 __start_layer_bss[] __attribute__((weak))
          , __stop_layer_bss[] __attribute__((weak));

void
sim_stop(void)
{
    xen_handover_arm(0, 0);
    memset(XenTwins, 0, sizeof(XenTwins));
    XenTwinCount = 0;
    while (events) {
        struct event *event = events;
        events = event->next;
        free(event);
    }
    hv_stop();
    store_stop();
    backends_stop();
    twins_stop();
    guest_stop();
    free_all();
    // not by memset(): between them are bytes that the sanitizer guards
    volatile u8 *byte;
    for (byte = __start_layer_bss; byte < __stop_layer_bss; byte++)
        *byte = 0;
    RomfileRoot = NULL;
    order = NULL;
    sim_boot_inits = e820_count = 0;
    sim_keys = NULL;
    if (window)
        munmap(window, 16 * PAGE);
    window = NULL;
    PCIDevices.first = NULL;
    sim_clear_log();
    sim_now = last_progress = last_interrupt = 0;
    sim_tick = 55 * MS;
    sim_irq_mask = SIM_IRQ_MASK;
    sim_post = sim_drive_count = sim_window = 0;
    sim_fail_malloc = sim_mallocs = sim_low_mallocs = 0;
    sim_high_space = 16 << 20;
    sim_tsc_start = 0x5001ff000000ULL;
    sim_step = NULL;
    sim_interrupt = NULL;
    cpuid_base = 0x40000000;
}

// Say whether shared pages may be mapped at an address.
int
sim_is_window(void *page)
{
    if (sim_window == WINDOW_BAR)
        return page >= window && page < window + 16 * PAGE;
    if (sim_window == WINDOW_HVMLOADER)
        return (u32)page >= 0xfe700000 && (u32)page < 0xfe800000;
    return sim_is_high_page(page);
}

// What the layer takes of SeaBIOS's serial console.
u8 rx_buf[16], rx_bytes, sercon_attr_last;

void
sercon_check_event(void)
{
    fail("nobody asks for a key");
}
