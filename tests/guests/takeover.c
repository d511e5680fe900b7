// takeover: what an operating system finds of the PV devices, and the strictest
// frontend that it could have. 32-bit protected mode, entered from takeover.asm.
//
// It trusts that the firmware has left nothing, as some kernels do: a device
// that is not in its first state is not ours, a used grant entry is an error,
// and the first reply of the store is the answer to the first request. What it
// finds wrong it prints as "FAIL takeover: ...", what it sees as "SEEN ...".

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ 0x00040900
#define xen_mb() __sync_synchronize()
#define xen_rmb() __sync_synchronize()
#define xen_wmb() __sync_synchronize()
void *memset(void *to, int value, size_t size);
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/blkif.h>
#include <xen/io/console.h>
#include <xen/io/protocols.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>

// The binary begins with this, and is followed by zeros, which are its .bss.
asm(".text\n jmp takeover\n");

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define PAGE 4096
#define SECTOR 512
#define REFS (PAGE / sizeof(grant_entry_v1_t))
#define PORTS 64                // that are looked at

// Pages of the machine's memory above 2 MiB, which are ours.
static u8 (*const page)[PAGE] = (void*)0x200000;
static struct shared_info *const info = (void*)0x200000;
static grant_entry_v1_t *const grants = (void*)0x201000;
enum { HYPERCALLS = 2, RING, DATA };

// The sector behind the boot sector (common.inc).
struct header {
    u8 magic[8];
    u64 sectors;
    u32 patterned;
};

static struct header *header;
static u32 failures;


/****************************************************************
 * Text
 ****************************************************************/

void *
memset(void *to, int value, size_t size)
{
    void *at = to;
    asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
    return to;
}

static void
put(char c)
{
    asm volatile("outb %0, $0xe9" : : "a"(c));
}

static void
put_number(u32 value, u32 base)
{
    if (value >= base)
        put_number(value / base, base);
    put("0123456789abcdef"[value % base]);
}

// %s, %u (decimal) and %x.
static void
print_list(const char *format, va_list list)
{
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *text = va_arg(list, char*); *text; text++)
                put(*text);
            break;
        case 'u':
            put_number(va_arg(list, u32), 10);
            break;
        case 'x':
            put_number(va_arg(list, u32), 16);
            break;
        }
    }
}

static void
print(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    print_list(format, list);
    va_end(list);
    put('\n');
}

// A check that failed.
static void
fail(const char *format, ...)
{
    va_list list;
    failures++;
    print_list("FAIL takeover: ", NULL);
    va_start(list, format);
    print_list(format, list);
    va_end(list);
    put('\n');
}

// The last line; then sleep for ever, with interrupts on but none wanted: Xen
// takes a machine that halts without interrupts for one that is switched off.
static void
finish(void)
{
    if (failures)
        print("TEST FAIL takeover %u", failures);
    else
        print("TEST PASS takeover");
    asm volatile("outb %b0, $0x21 ; outb %b0, $0xa1" : : "a"(0xff));
    for (;;)
        asm volatile("sti ; hlt");
}

static u32
rdmsr(u32 index)
{
    u32 low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return low;
}

static u32
length(const char *text)
{
    u32 len = 0;
    while (text[len])
        len++;
    return len;
}

// Put texts and decimal numbers (%s, %u) together.
static char *
write_text(char *to, const char *format, ...)
{
    char *at = to;
    va_list list;
    va_start(list, format);
    for (; *format; format++)
        if (*format != '%') {
            *at++ = *format;
        } else if (*++format == 's') {
            for (const char *text = va_arg(list, char*); *text; text++)
                *at++ = *text;
        } else {
            char digits[10];
            u32 value = va_arg(list, u32), count = 0;
            do
                digits[count++] = '0' + value % 10;
            while (value /= 10);
            while (count)
                *at++ = digits[--count];
        }
    *at = 0;
    va_end(list);
    return to;
}


/****************************************************************
 * Xen
 ****************************************************************/

static int
hypercall(u32 number, u32 a1, void *a2, u32 a3)
{
    int ret;
    asm volatile("call *%%eax" : "=a"(ret), "+b"(a1), "+c"(a2), "+d"(a3)
                 : "0"(page[HYPERCALLS] + number * 32) : "memory");
    return ret;
}

static void
cpuid(u32 leaf, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
    asm("cpuid" : "=a"(*eax), "=b"(*ebx), "=c"(*ecx), "=d"(*edx)
        : "0"(leaf), "2"(0));
}

static u64
ticks(void)
{
    u64 now;
    asm volatile("rdtsc" : "=A"(now));
    return now;
}

// A wait of at most 30 s or so: wait_more() gives the CPU away, and returns 0
// when the time is over.
static u64 wait_end;

static void
wait_begin(void)
{
    wait_end = ticks() + 60000000000ull;
}

static int
wait_more(void)
{
    hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, NULL, 0);
    return ticks() < wait_end;
}

static u32
param(u32 index)
{
    struct xen_hvm_param get = { .domid = DOMID_SELF, .index = index };
    if (hypercall(__HYPERVISOR_hvm_op, HVMOP_get_param, &get, 0))
        fail("no parameter %u", index);
    return get.value;
}

static void
map(u32 space, void *at)
{
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .space = space, .gpfn = (u32)at / PAGE,
    };
    int ret = hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &add, 0);
    if (ret)
        fail("cannot map a page of Xen (space %u): -%u", space, -ret);
}

static void
find_xen(void)
{
    u32 base = 0x40000000, eax, ebx, ecx, edx;
    for (;; base += 0x100) {
        cpuid(base, &eax, &ebx, &ecx, &edx);
        if (ebx == 0x566e6558)          // "XenV"
            break;
        if (base == 0x40010000) {
            fail("there is no Xen");
            finish();
        }
    }
    cpuid(base + 2, &eax, &ebx, &ecx, &edx);
    u32 where = (u32)page[HYPERCALLS];
    asm volatile("wrmsr" : : "a"(where), "d"(0), "c"(ebx) : "memory");
    map(XENMAPSPACE_shared_info, info);
    map(XENMAPSPACE_grant_table, grants);
}


/****************************************************************
 * What was left: event channels, grants, the ring to the store
 ****************************************************************/

// A register of the local APIC, by its offset in the page.
static u32
apic(u32 base, u32 offset)
{
    if (base & 1 << 10)                 // x2APIC mode
        return rdmsr(0x800 + offset / 16);
    return *(volatile u32*)(0xfee00000 + offset);
}

// The local APIC, whose state after power-on is spiv ff, lvtt 10000 and zeros.
static void
look_at_apic(void)
{
    u32 base = rdmsr(0x1b), pending = 0;
    for (u32 i = 0; i < 8; i++)
        for (u32 bits = apic(base, 0x200 + i * 16); bits; bits &= bits - 1)
            pending++;
    print("SEEN apic base %x spiv %x lvtt %x tmict %x pending %u", base
          , apic(base, 0xf0), apic(base, 0x320), apic(base, 0x380), pending);
}

// The port of the PV console, if the firmware has written there: then the daemon may
// tell at any time that it has taken that. Else 0.
static u32
console_port(void)
{
    struct xencons_interface *ring = (void*)(param(HVM_PARAM_CONSOLE_PFN) * PAGE);
    return ring && ring->out_prod ? param(HVM_PARAM_CONSOLE_EVTCHN) : 0;
}

static void
look_at_event_channels(void)
{
    static const char *const kinds[] = {
        "closed", "unbound", "interdomain", "pirq", "virq", "ipi"
    };
    struct vcpu_info *vcpu = &info->vcpu_info[0];
    u32 console = console_port();
    u32 console_bit = console && info->evtchn_pending[console / 32] >> console % 32 & 1;
    if (vcpu->evtchn_upcall_pending && !console_bit)
        fail("upcall pending");
    if (vcpu->evtchn_pending_sel & ~(console_bit << console / 32))
        fail("pending selector %x", vcpu->evtchn_pending_sel);
    for (u32 i = 0; i < 32; i++) {
        u32 known = console_bit && i == console / 32 ? 1 << console % 32 : 0;
        if (info->evtchn_pending[i] & ~known)
            fail("pending ports: word %u is %x", i, info->evtchn_pending[i]);
        if (info->evtchn_mask[i])
            print("SEEN masked ports: word %u is %x", i, info->evtchn_mask[i]);
    }
    for (u32 port = 0; port < PORTS; port++) {
        struct evtchn_status status = { .dom = DOMID_SELF, .port = port };
        if (hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_status, &status, 0)
            || status.status == EVTCHNSTAT_closed)
            continue;
        print("SEEN port %u: %s, domain %u", port, kinds[status.status]
              , status.status == EVTCHNSTAT_unbound ? status.u.unbound.dom
              : status.u.interdomain.dom);
    }
}

static void
look_at_grants(void)
{
    struct gnttab_get_version version = { .dom = DOMID_SELF };
    hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_get_version, &version, 1);
    print("SEEN grant table version %u", version.version);
    for (u32 ref = 0; ref < REFS; ref++) {
        grant_entry_v1_t *entry = &grants[ref];
        if (ref <= GNTTAB_RESERVED_XENSTORE)
            print("SEEN grant %u: flags %x, domain %u, frame %x", ref
                  , entry->flags, entry->domid, entry->frame);
        else if (entry->flags || entry->domid || entry->frame)
            fail("grant %u: flags %x, domain %u, frame %x", ref
                 , entry->flags, entry->domid, entry->frame);
    }
}

static struct xenstore_domain_interface *ring;
static u32 store_port;

static void
look_at_store(void)
{
    ring = (void*)(param(HVM_PARAM_STORE_PFN) * PAGE);
    store_port = param(HVM_PARAM_STORE_EVTCHN);
    if (ring->req_prod != ring->req_cons)
        fail("requests to the store: %x put, %x taken"
             , ring->req_prod, ring->req_cons);
    if (ring->rsp_prod != ring->rsp_cons)
        fail("replies of the store: %x put, %x taken"
             , ring->rsp_prod, ring->rsp_cons);
    print("SEEN store at port %u, console at port %u, connection %u, error %u"
          , store_port, param(HVM_PARAM_CONSOLE_EVTCHN)
          , ring->connection, ring->error);
}


/****************************************************************
 * The store
 ****************************************************************/

static void
notify(u32 port)
{
    struct evtchn_send send = { .port = port };
    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &send, 0);
}

// Put bytes on the ring. A request is never larger than the ring's free room,
// as there is one at a time.
static void
store_put(const void *data, u32 len)
{
    for (const u8 *byte = data; len--; byte++)
        ring->req[MASK_XENSTORE_IDX(ring->req_prod++)] = *byte;
}

static void
store_get(void *data, u32 len)
{
    for (u8 *byte = data; len--; byte++) {
        while (*(volatile XENSTORE_RING_IDX*)&ring->rsp_prod == ring->rsp_cons)
            if (!wait_more()) {
                fail("the store does not answer");
                finish();
            }
        *byte = ring->rsp[MASK_XENSTORE_IDX(ring->rsp_cons)];
        xen_mb();
        ring->rsp_cons++;
    }
}

static char reply[XENSTORE_PAYLOAD_MAX + 1];

// One request, and the first message that comes is its reply. Returns the
// length of its payload, or -1 for an error.
static int
store(u32 type, const char *path, const char *value)
{
    static u32 id = 0x4f530000;
    u32 path_len = length(path) + 1, value_len = value ? length(value) : 0;
    struct xsd_sockmsg msg = {
        .type = type, .req_id = ++id, .len = path_len + value_len,
    };
    store_put(&msg, sizeof(msg));
    store_put(path, path_len);
    store_put(value, value_len);
    notify(store_port);
    wait_begin();
    store_get(&msg, sizeof(msg));
    if (msg.req_id != id) {
        fail("the store's first message is not the reply: type %u, id %x"
             , msg.type, msg.req_id);
        finish();
    }
    store_get(reply, msg.len);
    reply[msg.len] = 0;
    return msg.type == XS_ERROR ? -1 : (int)msg.len;
}

static char path_buf[256];

static int
store_read(const char *dir, const char *name)
{
    return store(XS_READ, write_text(path_buf, "%s/%s", dir, name), NULL);
}

static void
store_write(const char *dir, const char *name, const char *value)
{
    if (store(XS_WRITE, write_text(path_buf, "%s/%s", dir, name), value) < 0)
        fail("cannot write %s: %s", path_buf, reply);
}

// The state in a directory, 0 where there is none.
static u32
read_state(const char *dir)
{
    return store_read(dir, "state") == 1 ? reply[0] - '0' : 0;
}


/****************************************************************
 * The frontend
 ****************************************************************/

// Entries are taken from the top, where a firmware is likely to have been.
static u32 next_ref = REFS - 1;

static u32
grant(void *address)
{
    u32 ref = next_ref--;
    if (grants[ref].flags || grants[ref].frame) {
        fail("grant %u is in use", ref);
        finish();
    }
    grants[ref].domid = 0;
    grants[ref].frame = (u32)address / PAGE;
    xen_wmb();
    grants[ref].flags = GTF_permit_access;
    return ref;
}

// Compare sectors with the pattern (common.inc), whose table lies at 0x800.
static void
check_sectors(u32 lba, u32 count, u8 *data)
{
    static const u8 *const volatile table = (void*)0x800;
    for (; count--; lba++, data += SECTOR) {
        u32 *word = (u32*)data;
        const u8 *body = table + (lba * 37 & 4095);
        u32 wrong = word[0] != lba || word[1] || word[2];
        for (u32 i = 0; i < 480; i++)
            wrong |= data[16 + i] != body[i];
        if (wrong)
            fail("data of sector %x: begins with %x %x", lba, word[1], word[0]);
    }
}

#define SEGMENTS 8
#define COUNT (SEGMENTS * PAGE / SECTOR)

// Read and check COUNT sectors.
static void
read_sectors(struct blkif_front_ring *front, u32 port, u32 *refs, u32 lba)
{
    struct blkif_request *req = RING_GET_REQUEST(front, front->req_prod_pvt);
    req->operation = BLKIF_OP_READ;
    req->nr_segments = SEGMENTS;
    req->handle = 0;
    req->id = lba;
    req->sector_number = lba;
    for (u32 i = 0; i < SEGMENTS; i++)
        req->seg[i] = (struct blkif_request_segment){
            .gref = refs[i], .first_sect = 0, .last_sect = 7,
        };
    memset(page[DATA], 0xc3, SEGMENTS * PAGE);
    front->req_prod_pvt++;
    int needed;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(front, needed);
    if (needed)
        notify(port);
    wait_begin();
    while (*(volatile RING_IDX*)&front->sring->rsp_prod == front->rsp_cons)
        if (!wait_more()) {
            fail("no answer to the read of sector %x", lba);
            finish();
        }
    struct blkif_response *rsp = RING_GET_RESPONSE(front, front->rsp_cons);
    front->rsp_cons++;
    if (rsp->id != lba || rsp->operation != BLKIF_OP_READ || rsp->status)
        fail("answer to the read of sector %x: id %x, operation %u, status %x"
             , lba, (u32)rsp->id, rsp->operation, (u16)rsp->status);
    check_sectors(lba, COUNT, page[DATA]);
}

// Take a device as a kernel does at boot, and read some of its disk.
static void
drive(const char *dir, const char *backend)
{
    static struct blkif_front_ring front;
    u32 refs[SEGMENTS];
    struct blkif_sring *sring = (void*)page[RING];
    memset(sring, 0, PAGE);
    XEN_FRONT_RING_INIT(&front, sring, PAGE);
    u32 ring_ref = grant(sring);
    for (u32 i = 0; i < SEGMENTS; i++)
        refs[i] = grant(page[DATA + i]);
    struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = 0 };
    if (hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound
                  , &alloc, 0))
        fail("no event channel");

    char number[12];
    store_write(dir, "ring-ref", write_text(number, "%u", ring_ref));
    store_write(dir, "event-channel", write_text(number, "%u", alloc.port));
    store_write(dir, "protocol", XEN_IO_PROTO_ABI_X86_32);
    store_write(dir, "state", "3");
    wait_begin();
    while (read_state(backend) != XenbusStateConnected)
        if (!wait_more()) {
            fail("the backend does not connect (state %u)", read_state(backend));
            finish();
        }
    store_write(dir, "state", "4");

    u32 place;
    for (place = 0; place < 8; place++)
        read_sectors(&front, alloc.port, refs
                     , 64 + (header->patterned - 64 - COUNT) / 7 * place);
    print("TEST ok drive %s", dir);
}

// One VBD: print all of its nodes, then use it if it is nobody's.
static void
take(const char *name)
{
    char dir[32], backend[128], names[512];
    write_text(dir, "device/vbd/%s", name);
    int len = store(XS_DIRECTORY, dir, NULL);
    if (len < 0 || len > (int)sizeof(names)) {
        fail("cannot list %s", dir);
        return;
    }
    for (int i = 0; i < len; i++)
        names[i] = reply[i];
    for (char *node = names; node < names + len; node += length(node) + 1)
        if (store_read(dir, node) >= 0)
            print("SEEN %s/%s = %s", dir, node, reply);
    if (store_read(dir, "backend") < 0) {
        fail("%s has no backend", dir);
        return;
    }
    write_text(backend, "%s", reply);
    u32 states[2] = { read_state(dir), read_state(backend) };
    if (states[0] == XenbusStateInitialising && states[1] == XenbusStateInitWait)
        drive(dir, backend);
    else
        fail("%s is not free: frontend %u, backend %u", dir, states[0], states[1]);
}

void
takeover(struct header *the_header, u32 failed_before)
{
    static char disks[512];
    header = the_header;
    failures = failed_before;
    find_xen();
    look_at_apic();
    look_at_event_channels();
    look_at_grants();
    look_at_store();
    int len = store(XS_DIRECTORY, "device/vbd", NULL);
    if (len < 0 || len > (int)sizeof(disks))
        fail("no list of VBDs");
    for (int i = 0; i < len; i++)
        disks[i] = reply[i];
    for (char *name = disks; name < disks + len; name += length(name) + 1)
        take(name);
    finish();
}
