// What SeaBIOS does with the layer, with every result checked.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot

#include "blkdev.h" // xenblk

// Nodes of the frontends and masks of event channels, before the layer ran.
static char *nodes_before[64];
static xen_ulong_t mask_before[32];
static grant_entry_v1_t grants_before[XENGRANT_REFS];
static struct arch_shared_info arch_before;

void
sim_remember(void)
{
    int i;
    for (i = 0; i < backend_count; i++) {
        free(nodes_before[i]);
        nodes_before[i] = strdup(store_dump(backends[i]->frontend));
    }
    memcpy(mask_before, hv.info->evtchn_mask, sizeof(mask_before));
    memcpy(grants_before, hv.grants, sizeof(grants_before));
    arch_before = hv.info->arch;
}

static int prepared;

void
sim_prepare(void)
{
    sim_start();
    sim_remember();
    prepared = 1;
}

void
sim_post_setup(void)
{
    xen_setup();
    xen_block_setup();
    twins_register();
    xen_block_register();
}

void
sim_boot_unchecked(void)
{
    if (!prepared)
        sim_prepare();
    sim_post_setup();
    sim_post = 0;
}

void
sim_boot(void)
{
    if (!prepared)
        sim_prepare();
    sim_post_setup();
    sim_check_clean();
    sim_post = 0;
    sim_pass(1 * SECOND);
    sim_check_clean();
}


/****************************************************************
 * Traces
 ****************************************************************/

static char trace[20000];

#define found(fmt, args...) ({                          \
        snprintf(trace, sizeof(trace), fmt, ##args);    \
        return trace;                                   \
    })

// What one disk shows.
static const char *
find_disk_trace(int i)
{
    struct backend *be = backends[i];
    const char *now = store_dump(be->frontend);
    if (!*now && be->gone)
        return NULL;
    if (strcmp(now, nodes_before[i]))
        found("vbd %u: nodes are\n%snot\n%s", be->vbd, now, nodes_before[i]);
    if (be->dirty && (be->flush || be->barrier))
        found("vbd %u: closed with writes that were not flushed", be->vbd);
    if (be->sring)
        found("vbd %u: the backend is connected", be->vbd);
    if (be->absent || be->gone)
        return NULL;
    int idle = be->manner == NETBSD ? XenbusStateConnected : XenbusStateInitWait;
    if (be->state != idle && be->state != XenbusStateInitialising) // not plugged yet
        found("vbd %u: the backend's state is %d", be->vbd, be->state);
    return NULL;
}

static const char *
find_store_trace(void)
{
    if (store.transactions)
        found("%u transactions are open", store.transactions);
    if (store.watches)
        found("%u watches are set", store.watches);
    if (hv.store->req_prod != hv.store->req_cons)
        found("store ring: requests %x %x", hv.store->req_prod
              , hv.store->req_cons);
    if (hv.store->rsp_prod != hv.store->rsp_cons)
        found("store ring: replies %x %x", hv.store->rsp_prod
              , hv.store->rsp_cons);
    if (store_unsent())
        found("store ring: %u bytes are on their way", store_unsent());
    return NULL;
}

// A port of the disk that does not count, and its bits.
static int
is_port_of(struct backend *dead, int port)
{
    return dead && hv.ports[port].state != PORT_FREE
           && port != hv.store_port && port != hv.console_port
           && hv.ports[port].remote == dead->domid;
}

static const char *
find_port_trace(struct backend *dead)
{
    int i;
    for (i = 1; i < SIM_PORTS; i++) {
        if (i == hv.console_port || is_port_of(dead, i) || hv.ports[i].state == PORT_XEN)
            continue;
        if (i != hv.store_port && hv.ports[i].state != PORT_FREE)
            found("port %d is open", i);
        u32 bit = 1u << i % 32;
        if (hv.info->evtchn_pending[i / 32] & bit)
            found("an event of port %d is pending", i);
        if ((hv.info->evtchn_mask[i / 32] ^ mask_before[i / 32]) & bit)
            found("the mask of port %d is %d", i
                  , !!(hv.info->evtchn_mask[i / 32] & bit));
    }
    if (hv.info->vcpu_info[0].evtchn_upcall_pending
        || hv.info->vcpu_info[0].evtchn_pending_sel)
        found("an upcall is pending");
    return NULL;
}

// A port that is forgotten may be somebody else's at any time, if the domain has moved.
static const char *
find_forgotten_port(void)
{
    int i;
    for (i = 0; xenblk && i < xenblk->count; i++) {
        struct xendisk_s *disk = xenblk->disks[i];
        if (!disk->attached && !disk->bus.closing && disk->ring.port)
            found("%s: port %u is kept", disk->name, disk->ring.port);
    }
    return NULL;
}

const char *
sim_find_trace_but(struct backend *dead)
{
    int i;
    const char *text;
    for (i = 0; i < backend_count; i++)
        if (backends[i] != dead && (text = find_disk_trace(i)))
            return text;
    if ((text = find_store_trace()) || (text = find_port_trace(dead))
        || (text = find_forgotten_port()))
        return text;
    for (i = 0; i < XENGRANT_REFS; i++) {
        if (dead && hv.grants[i].flags && hv.grants[i].domid == dead->domid)
            continue;
        if (memcmp(&hv.grants[i], &grants_before[i], sizeof(hv.grants[i])))
            found("grant %d: flags %x, domain %u, frame %x", i
                  , hv.grants[i].flags, hv.grants[i].domid, hv.grants[i].frame);
    }
    if (memcmp(&hv.info->arch, &arch_before, sizeof(arch_before)))
        found("shared_info's place for PV guests has changed");
    return NULL;
}

const char *
sim_find_trace(void)
{
    return sim_find_trace_but(NULL);
}

void
sim_check_clean_but(struct backend *dead)
{
    const char *text = sim_find_trace_but(dead);
    if (text)
        fail("trace: %s", text);
}

void
sim_check_clean(void)
{
    sim_check_clean_but(NULL);
}


/****************************************************************
 * int13
 ****************************************************************/

struct drive_s *
sim_drive(struct backend *be)
{
    struct xenvdev_s vdev;
    char name[XENVDEV_NAMESIZE], text[64];
    int i;
    if (xenvdev_decode(be->vbd, &vdev))
        return NULL;
    xenvdev_name(&vdev, name);
    snprintf(text, sizeof(text), "PV %s (", name);
    for (i = 0; i < sim_drive_count; i++)
        if (strstr(sim_drives[i].desc, text)
            || (be->twin && sim_drives[i].drive == &be->twin->drive))
            return sim_drives[i].drive;
    return NULL;
}

int
sim_drives_of(struct backend *be)
{
    struct drive_s *first = sim_drive(be);
    int i, count = !!first;
    // the other one, if there is one, is its twin
    for (i = 0; i < sim_drive_count; i++)
        count += be->twin && sim_drives[i].drive == &be->twin->drive
                 && first != &be->twin->drive;
    return count;
}

// A caller's buffer, at any address, with memory around it that must stay.
#define MARGIN 4096
static u8 memory[3 * MARGIN + 128 * 1024];

static int
process(struct backend *be, int command, u64 lba, u32 count, u8 *buf)
{
    struct drive_s *drive = sim_drive(be);
    if (!drive)
        fail("vbd %u is no drive", be->vbd);
    struct disk_op_s op = {
        .buf_fl = buf, .drive_fl = drive, .command = command, .count = count,
        .lba = lba,
    };
    return process_op(&op);
}

// Choose a buffer, with a margin on both sides.
static u8 *
choose_buffer(u32 size)
{
    u8 *buf = memory + MARGIN + sim_random(MARGIN);
    memset(buf - MARGIN, CANARY, MARGIN + size + MARGIN);
    return buf;
}

// Fail if a margin of a buffer was written to.
static void
check_margin(u8 *buf, u8 *margin, u32 size)
{
    u32 i;
    // all bytes are like the first if each is like the one before
    if (*margin == CANARY && !memcmp(margin, margin + 1, MARGIN - 1))
        return;
    for (i = 0; margin[i] == CANARY; i++)
        ;
    fail("byte %d of a buffer of %u was written", (int)(margin + i - buf), size);
}

static void
check_margins(u8 *buf, u32 size)
{
    check_margin(buf, buf - MARGIN, size);
    check_margin(buf, buf + size, size);
}

int
sim_read_unchecked(struct backend *be, u64 lba, u32 count)
{
    u32 unit = sim_drive(be) ? sim_drive(be)->blksize : 512, i;
    u32 size = count * unit;
    u8 *buf = choose_buffer(size), want[512];
    int ret = process(be, CMD_READ, lba, count, buf);
    check_margins(buf, size);
    if (ret)
        return ret;
    for (i = 0; i < size / 512; i++) {
        image_truth(be, lba * (unit / 512) + i, want);
        if (memcmp(buf + i * 512, want, 512))
            fail("vbd %u: sector %llu of a read of %u from %llu is wrong"
                 " (%08x %08x, not %08x %08x)", be->vbd
                 , lba * (unit / 512) + i, count, lba, *(u32*)(buf + i * 512)
                 , *(u32*)(buf + i * 512 + 4), *(u32*)want, *(u32*)(want + 4));
    }
    return 0;
}

// What a disk should hold: every sector that was written, with its generation.
struct written {
    struct backend *be;
    u64 sector;
    u32 generation;
    int sure;           // the write was said to have succeeded
};

static struct written written[1 << 16];
static u32 written_count, generation;

static void
written_data(struct backend *be, u64 sector, u32 gen, u8 *data)
{
    u32 i;
    for (i = 0; i < 512 / 16; i++) {
        u32 words[4] = {
            0xd15d0000 | be->index, sector, gen, gen * 2654435761u + i,
        };
        memcpy(data + i * 16, words, 16);
    }
}

int
sim_write_unchecked(struct backend *be, u64 lba, u32 count)
{
    u32 i, size = count * 512;
    u8 *buf = choose_buffer(size), copy[512];
    generation++;
    for (i = 0; i < count; i++)
        written_data(be, lba + i, generation, buf + i * 512);
    int ret = process(be, CMD_WRITE, lba, count, buf);
    check_margins(buf, size);
    if (ret)
        // nobody was promised anything
        be->dirty = 0;
    int denied = store.error && !strcmp(store.error, "ENOENT");
    if (be->dirty && (be->flush || be->barrier) && !denied)
        fail("vbd %u: a write was reported without a flush", be->vbd);
    for (i = 0; i < count; i++) {
        written_data(be, lba + i, generation, copy);
        check_memory(buf + i * 512, copy, 512);
        check_true(written_count < ARRAY_SIZE(written));
        written[written_count++] = (struct written){
            be, lba + i, generation, !ret,
        };
    }
    return ret;
}

// What an OS without PV drivers does: the emulated controller, by its ports.
void
sim_port_read(struct backend *be, u64 sector, u32 count)
{
    u8 is[512], want[512];
    for (; count--; sector++) {
        check_equal(twin_move(be->twin, 0, sector, 1, is), 0);
        image_truth(be, sector, want);
        if (memcmp(is, want, 512))
            fail("vbd %u: sector %llu is wrong by the ports (%08x %08x, not %08x"
                 " %08x)", be->vbd, sector, *(u32*)is, *(u32*)(is + 4)
                 , *(u32*)want, *(u32*)(want + 4));
    }
}

void
sim_port_write(struct backend *be, u64 sector, u32 count)
{
    u8 data[512];
    generation++;
    for (; count--; sector++) {
        written_data(be, sector, generation, data);
        // the least: a command's first register, its last, the data
        sim_now += 3 * SIM_COST_PORT;
        check_equal(twin_move(be->twin, 1, sector, 1, data), 0);
        check_true(written_count < ARRAY_SIZE(written));
        written[written_count++] = (struct written){ be, sector, generation, 1 };
    }
}

static void
check_written(struct backend *be, u64 sector)
{
    u32 i, unit = be->sector_size / 512;
    for (i = 0; i < written_count; i++)
        if (written[i].be == be && written[i].sector / unit == sector / unit)
            return;
    fail("vbd %u: sector %llu was written by nobody", be->vbd, sector);
}

void
sim_check_image(struct backend *be)
{
    u32 i, j;
    u8 is[512], want[512];
    for (i = 0; i < written_count; i++) {
        if (written[i].be != be)
            continue;
        int later = 0;
        for (j = i + 1; j < written_count; j++)
            later |= written[j].be == be && written[j].sector == written[i].sector;
        if (later || !written[i].sure)
            continue;
        image_file(be, written[i].sector, is);
        written_data(be, written[i].sector, written[i].generation, want);
        check_memory(is, want, 512);
    }
    image_each_written(be, check_written);
}

int
sim_read(struct backend *be, u64 lba, u32 count)
{
    int ret = sim_read_unchecked(be, lba, count);
    sim_check_clean();
    return ret;
}

int
sim_write(struct backend *be, u64 lba, u32 count)
{
    int ret = sim_write_unchecked(be, lba, count);
    sim_check_clean();
    return ret;
}

void
guest_stop(void)
{
    written_count = generation = 0;
    prepared = 0;
}
