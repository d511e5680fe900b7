// Finding the disks: in POST, and their emulated twins.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkio.h" // xenblk_read_signature
#include "blkprobe.h" // xenblk_setup
#include "blktwin.h" // xentwin_add
#include "config.h" // BUILD_MAX_EXTDRIVE
#include "malloc.h" // LegacyRamSize
#include "memmap.h" // PAGE_SIZE
#include "output.h" // dprintf
#include "platform.h" // xen_alloc
#include "romfile.h" // romfile_loadint
#include "session.h" // xen_platform_moved
#include "settings.h" // xensettings_boot_prio
#include "stacks.h" // run_thread
#include "string.h" // memset
#include "util.h" // boot_add_hd
#include "wait.h" // XEN_LIMIT_POST
#include "xenpv.h" // xen_drive_added
#include "xenstore.h" // xenstore_list

// Smallest cache in bytes.
#define CACHE_MIN (128 * 1024)

// What the first read of a sequence reads ahead, in bytes. An attach costs as
// much as reading many times that; where it is spared, less is right.
#define CLOSED_START (2048 * 1024)
#define STICKY_START (256 * 1024)

// SeaBIOS boots only from the first hard disk, and sorts disks by cntl_id: this
// puts a disk that cannot be booted behind those that can.
#define NOT_BOOTABLE (1 << 24)


/****************************************************************
 * Finding the disks
 ****************************************************************/

// Read what the toolstack says before anybody attaches.
static int
read_kind(struct xendisk_s *disk)
{
    if (xenbus_probe(&disk->bus, &xenblk_class, disk->number))
        return -1;
    const char *type = xenstore_read(disk->bus.node, "device-type");
    disk->cdrom = type && !strcmp(type, "cdrom");
    return disk->cdrom ? xenblk_check_medium(disk) : 0;
}

// Make the drive that SeaBIOS sees. It lives in low memory, where 16-bit code
// can read it.
static int
make_drive(struct xendisk_s *disk)
{
    struct xendrive_s *xdrive = malloc_low(sizeof(*xdrive));
    if (!xdrive) {
        warn_noalloc();
        return -1;
    }
    memset(xdrive, 0, sizeof(*xdrive));
    xdrive->disk = disk;
    struct drive_s *drive = &xdrive->drive;
    drive->type = DTYPE_XEN;
    drive->cntl_id = disk->vdev.disk;
    if (!disk->cdrom && !disk->bootable)
        drive->cntl_id |= NOT_BOOTABLE;
    drive->removable = disk->cdrom;
    if (disk->cdrom) {
        drive->blksize = CDROM_SECTOR_SIZE;
        drive->sectors = (u64)-1;
    } else {
        // the geometry that the emulated disk would have
        u64 cylinders = disk->sectors >> 4;
        drive->blksize = DISK_SECTOR_SIZE;
        drive->sectors = disk->sectors;
        drive->pchs.cylinder = cylinders > 16383 * 63 ? 16383
                               : (u32)cylinders / 63;
        drive->pchs.head = 16;
        drive->pchs.sector = 63;
        if (drive->pchs.cylinder == 1) {
            // SeaBIOS tells of one cylinder fewer than there are
            drive->pchs.cylinder = 2;
            drive->lchs = drive->pchs;
        }
    }
    disk->drive = drive;
    return 0;
}

// Attach to a disk in POST, from whatever state it is in, and make a drive of
// it. Runs in a thread.
static void
probe_disk(void *data)
{
    struct xendisk_s *disk = data;
    if (!read_kind(disk) && !xenbus_reset(&disk->bus)
        && !blkring_alloc(&disk->ring, disk->name, disk->index)
        && !xenblk_attach(disk, XEN_LIMIT_POST)) {
        int ret = xenblk_read_signature(disk);
        disk->found = !xenblk_close(disk) && !ret;
    } else if (disk->attached) {
        xenblk_close(disk);
    }
    xenblk->probing--;
}

void
xenblk_backend_kind(struct xendisk_s *disk, char *kind, u32 size)
{
    const char *path = disk->bus.backend;
    for (; *path; path++)
        if (!memcmp(path, "/backend/", 9))
            break;
    strtcpy(kind, *path ? path + 9 : "backend", size);
    char *end = strchr(kind, '/');
    if (end)
        *end = 0;
    if (!strcmp(kind, "vbd"))
        strtcpy(kind, "blkback", size);
}

// Say what a disk is, and register it with SeaBIOS, unless its twin is already.
static void
register_disk(struct xendisk_s *disk)
{
    u32 size = disk->sectors >> 11;
    char kind[16];
    xenblk_backend_kind(disk, kind, sizeof(kind));
    disk->drive = xentwin_drive(disk->index);
    dprintf(1, "xen: %s: %u, %u MiB, %s in domain %u, %s%s%s\n"
            , disk->name, disk->number, size, kind, disk->bus.domid
            , disk->readonly ? "read-only" : "read-write"
            , disk->cdrom ? ", CD" : disk->bootable ? "" : ", not bootable"
            , disk->drive ? ", with an emulated twin" : "");
    if (disk->drive || make_drive(disk))
        return;
    char *desc = znprintf(MAXDESCSIZE, "%s [Xen PV %s (%u MiB)]"
                          , disk->cdrom ? "DVD/CD" : "Disk"
                          , disk->name, size);
    int prio = xensettings_boot_prio(disk->name);
    if (disk->cdrom)
        boot_add_cd(disk->drive, desc, prio);
    else
        boot_add_hd(disk->drive, desc, prio);
}

// Say that a VBD is no drive: a partition, or one disk too many.
static void
leave_out(const char *name, u32 number, u32 partition)
{
    if (partition)
        dprintf(1, "xen: %s: %u, not a whole disk\n", name, number);
    else
        dprintf(1, "xen: %s: %u, one disk too many\n", name, number);
}

// Find a place in the list for a disk: a new one, or, if the list is full, that
// of the disk with the highest number, if this one's is lower. Returns null if
// there is none. A disk that is left without one gets its line.
static struct xendisk_s *
new_disk(const struct xenvdev_s *vdev, const char *name, u32 number)
{
    struct xendisk_s *last = NULL;
    int i;
    if (xenblk->count < ARRAY_SIZE(xenblk->disks)) {
        struct xendisk_s *disk = xen_alloc(sizeof(*disk));
        if (!disk)
            return NULL;
        disk->index = xenblk->count;
        disk->bus.name = disk->name;
        xenblk->disks[xenblk->count++] = disk;
        return disk;
    }
    for (i = 0; i < xenblk->count; i++)
        if (!last || xenblk->disks[i]->vdev.disk > last->vdev.disk)
            last = xenblk->disks[i];
    if (last->vdev.disk <= vdev->disk) {
        leave_out(name, number, 0);
        return NULL;
    }
    leave_out(last->name, last->number, 0);
    return last;
}

// Add a VBD to the list of disks, if it is a whole disk.
static void
add_disk(u32 number)
{
    struct xenvdev_s vdev;
    char name[XENVDEV_NAMESIZE];
    if (xenvdev_decode(number, &vdev)) {
        dprintf(1, "xen: VBD %u: not a number that stands for a disk\n", number);
        return;
    }
    xenvdev_name(&vdev, name);
    if (vdev.partition) {
        leave_out(name, number, vdev.partition);
        return;
    }
    struct xendisk_s *disk = new_disk(&vdev, name, number);
    if (!disk)
        return;
    disk->vdev = vdev;
    disk->number = number;
    memcpy(disk->name, name, sizeof(disk->name));
}

// Find all VBDs that are whole disks.
static void
list_disks(void)
{
    const char *names;
    int len = xenstore_list("device/vbd", &names);
    if (len < 0 && *names)
        dprintf(1, "xen: the list of disks cannot be read (%s)\n", names);
    const char *end = names + len;
    for (; len > 0 && names < end; names += strlen(names) + 1) {
        u32 number = 0;
        const char *digit = names;
        for (; *digit >= '0' && *digit <= '9' && number < 100000000; digit++)
            number = number * 10 + *digit - '0';
        if (*digit || digit == names)
            dprintf(1, "xen: VBD \"%s\": not a number\n", names);
        else
            add_disk(number);
    }
}

// Allocate the cache: all that the configuration allows, at most 1/64 of the
// memory, and not so much that other drivers find none.
static int
alloc_cache(void)
{
    u32 size = romfile_loadint("etc/xen-cache-kib", CONFIG_XEN_PV_CACHE_KIB) * 1024;
    u32 spare = malloc_getspace(&ZoneHigh) / 2;
    if (size > LegacyRamSize / 64)
        size = LegacyRamSize / 64;
    if (size > spare)
        size = spare;
    if (size < CACHE_MIN)
        size = CACHE_MIN;
    void *mem = memalign_high(PAGE_SIZE, size);
    if (!mem) {
        warn_noalloc();
        return -1;
    }
    dprintf(3, "xen: %u KiB of cache at %p\n", size / 1024, mem);
    blkcache_init(&xenblk->cache, mem, size
                  , xenblk->sticky ? STICKY_START : CLOSED_START);
    return 0;
}

// Find the disks, and attach to all of them at the same time.
static void
probe_once(void)
{
    int i;
    if (!xenblk->count)
        list_disks();
    if (!xenblk->count
        || (!xenblk->cache.mem && (blkring_setup() || alloc_cache())))
        return;
    xenblk->probing = xenblk->count;
    for (i = 0; i < xenblk->count; i++) {
        xenblk->disks[i]->found = 0;
        run_thread(probe_disk, xenblk->disks[i]);
    }
    while (xenblk->probing)
        // each thread ends within its deadlines
        yield();
}

// The same, and once more in a domain that has moved meanwhile.
static void
probe_disks(void)
{
    int tries;
    for (tries = 0; tries < MOVES_MAX; tries++) {
        if (xenstore_open())
            return;
        probe_once();
        if (!xen_platform_moved()) {
            xenstore_close();
            return;
        }
        dprintf(1, "xen: the domain has moved, once more\n");
        xenblk_forget_all();
    }
}

void
xenblk_setup(void)
{
    xenblk = xen_alloc(sizeof(*xenblk));
    if (!xenblk)
        return;
    xenblk->sticky = CONFIG_XEN_PV_STICKY;
    xenwait_begin_post();
    probe_disks();
}


/****************************************************************
 * Emulated twins, and disks that have none
 ****************************************************************/

// A disk's twin has its size, but for what the device model or the backend's block
// device rounds to, in sectors.
#define ROUNDED 7

// Say whether the toolstack emulates a disk as this drive.
static int
is_twin(struct xendisk_s *disk, struct drive_s *drive)
{
    return xenvdev_has_twin(&disk->vdev, drive->type
                            , drive->type == DTYPE_LSI_SCSI ? drive->floppy_type
                              : drive->cntl_id);
}

// Find the disk that the toolstack emulates as a drive, and may be read by PV.
static u8
find_disk(struct drive_s *drive)
{
    int cdrom = drive->type == DTYPE_ATA_ATAPI, i;
    for (i = 0; i < xenblk->count; i++) {
        struct xendisk_s *disk = xenblk->disks[i];
        if (!disk->found || disk->cdrom != cdrom || !is_twin(disk, drive))
            continue;
        if (!xentwin_drive(i)
            && (cdrom || drive->sectors - disk->sectors <= ROUNDED))
            return i;
        xenblk_refuse(disk, "not clear which emulated disk is the same");
        disk->found = 0;
    }
    return XENTWIN_NONE;
}

void
xen_drive_added(struct drive_s *drive)
{
    if (!CONFIG_XEN_PV || !xenblk)
        return;
    switch (drive->type) {
    case DTYPE_ATA:
    case DTYPE_ATA_ATAPI:
    case DTYPE_AHCI:
    case DTYPE_LSI_SCSI:
        break;
    default:
        return;
    }
    u8 i = find_disk(drive);
    if (xentwin_add(drive, i) && i != XENTWIN_NONE)
        // no place to remember it: it stays as it is
        xenblk->disks[i]->found = 0;
}

int
xen_drive_prio(struct drive_s *drive, int prio)
{
    int i;
    for (i = 0; xenblk && prio < 0 && i < xenblk->count; i++)
        if (is_twin(xenblk->disks[i], drive))
            prio = xensettings_boot_prio(xenblk->disks[i]->name);
    return prio;
}

// Say whether SeaBIOS has no room for a disk behind those of lower numbers.
static int
is_one_too_many(const struct xendisk_s *disk)
{
    int i, before = 0;
    for (i = 0; i < xenblk->count; i++) {
        const struct xendisk_s *other = xenblk->disks[i];
        if (other->found && !other->cdrom && other->vdev.disk < disk->vdev.disk)
            before++;
    }
    return before >= BUILD_MAX_EXTDRIVE && !disk->cdrom;
}

void
xenblk_register(void)
{
    int i;
    if (!xenblk)
        return;
    for (i = 0; i < xenblk->count; i++) {
        // SeaBIOS reads a CD when it gets to know it
        xenwait_begin_post();
        struct xendisk_s *disk = xenblk->disks[i];
        if (disk->found && is_one_too_many(disk)) {
            leave_out(disk->name, disk->number, 0);
            disk->found = 0;
        }
        if (disk->found)
            register_disk(disk);
        else
            xentwin_leave(i);
    }
    xentwin_publish();
    // of what has not been closed, and of a CD that stays attached in sticky mode
    xen_close_all();
}

void
xenblk_report(void)
{
    int i;
    for (i = 0; xenblk && i < xenblk->count; i++) {
        struct xenbus_s *bus = &xenblk->disks[i]->bus;
        char dir[sizeof(bus->node) + 8], text[80];
        if (!bus->error)
            continue;
        snprintf(dir, sizeof(dir), "error/%s", bus->node);
        snprintf(text, sizeof(text), bus->error, bus->details[0], bus->details[1]
                 , bus->details[2]);
        struct xenstore_node_s node = { "error", text };
        xenstore_update(dir, &node, 1);
    }
}
