// The life of one disk: attached, closed, what its backend says of it.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkdev.h" // xenblk_attach
#include "blktwin.h" // xentwin_drive
#include "output.h" // snprintf
#include "session.h" // xen_platform_moved
#include "string.h" // strlen
#include "x86.h" // rdtscll
#include "xenstore.h" // xenstore_read

// The geometry that SeaBIOS makes up needs a whole cylinder.
#define CYLINDER_SECTORS (16 * 63)

// Stands for a missing node "sectors".
#define NO_SIZE ((u64)-1)

// What a backend's node "sector-size" may be: 512 << 0..3.
#define SECTOR_SIZE_MAX 4096

// What a frontend may publish besides (blkif.h, "Frontend XenBus Nodes").
static const char *const other_nodes[] = {
    "feature-", "multi-queue-num-queues", "num-ring-pages", "queue-"
    , "ring-page-order", "ring-ref", NULL,
};

const struct xenbus_class_s xenblk_class = {
    .name = "vbd", .nodes = { "ring-ref", "event-channel", "protocol" },
    .others = other_nodes,
};

struct xenblk_s *xenblk;


/****************************************************************
 * What the backend says
 ****************************************************************/

int
xenblk_refuse(struct xendisk_s *disk, const char *why)
{
    return xenbus_fail(&disk->bus, why, 0, 0, 0);
}

int
xenblk_refuse_number(struct xendisk_s *disk, const char *name)
{
    return xenbus_fail(&disk->bus, "no usable number in \"%s\" of its backend"
                       , (u32)name, 0, 0);
}

void
xenblk_drop_all(int same_disks)
{
    int i;
    blkcache_drop_all(&xenblk->cache);
    for (i = 0; i < xenblk->count; i++)
        if (!same_disks || !xenblk->disks[i]->bad_stalled)
            xenblk->disks[i]->bad_chunk = 0;
}

// The backend has an image by this name: the disk's, or another one than before.
// Returns 0, or -1 with a message if the twin does not have that.
static int
take_image(struct xendisk_s *disk, const char *params)
{
    u32 image = 1, known = disk->image;
    while (*params)
        image = image * 16777619 ^ (u8)*params++;
    disk->image = image;
    if (!known || known == image)
        return 0;
    xenblk_drop_all(0);
    return xentwin_drive(disk->index) ? xenblk_refuse(disk, "another medium") : 0;
}

int
xenblk_check_medium(struct xendisk_s *disk)
{
    disk->looked_at = rdtscll();
    // a drive without a medium ("" or "aio:") would never connect
    const char *params = xenstore_read(disk->bus.backend, "params");
    if (!params && !xenbus_probe(&disk->bus, &xenblk_class, disk->number))
        // after a restore or a migration the backend has another path
        params = xenstore_read(disk->bus.backend, "params");
    if (xen_platform_moved())
        return -1;
    if (!params || !*params || params[strlen(params) - 1] == ':')
        return xenblk_refuse(disk, "no medium");
    return take_image(disk, params);
}

// Read what the backend publishes when it is connected (blkif.h, "Backend
// Device Properties").
static int noinline // its values are not on the stack during a close
read_properties(struct xendisk_s *disk)
{
    static const char *const names[] = {
        "mode", "params",
        "sectors", "sector-size", "info", "feature-max-indirect-segments",
    };
    u64 values[] = { NO_SIZE, DISK_SECTOR_SIZE, 0, 0 };
    const char *text, *const *numbers = names + 2;
    u32 ids[ARRAY_SIZE(names)];
    xenstore_send_reads(disk->bus.backend, names, ids, ARRAY_SIZE(names));
    int readonly = xenstore_receive(ids[0], &text) > 0 && text[0] == 'r';
    int other = xenstore_receive(ids[1], &text) > 0 && take_image(disk, text);
    int bad = xenstore_receive_numbers(ids + 2, values, ARRAY_SIZE(values));
    if (other)
        return -1;
    if (bad && bad < ARRAY_SIZE(values))
        return xenblk_refuse_number(disk, numbers[bad - 1]);
    u64 sectors = values[0], size = values[1], info = values[2];
    if (size < DISK_SECTOR_SIZE || size > SECTOR_SIZE_MAX || size & (size - 1))
        return xenblk_refuse(disk, "sectors of a size that no BIOS can use");
    if (sectors == NO_SIZE)
        return xenblk_refuse(disk, "its backend gives no size");
    if (!sectors)
        return xenblk_refuse(disk, "empty");
    if (info & VDISK_CDROM)
        disk->cdrom = 1;
    if (sectors < CYLINDER_SECTORS && !disk->cdrom)
        return xenblk_refuse(disk, "too small, not even a cylinder");
    if ((sectors - 1) >> xenblk->cache.shift >= (u32)-1)
        return xenblk_refuse(disk, "too large");
    sectors &= -(size / DISK_SECTOR_SIZE);
    if (sectors != disk->sectors || size != disk->sector_size) {
        // another disk than before
        xenblk_drop_all(0);
        if (disk->sectors && xentwin_drive(disk->index))
            return xenblk_refuse(disk, "not of its emulated twin's size any more");
    }
    disk->sectors = sectors;
    disk->sector_size = size;
    blkring_set_indirect(&disk->ring, bad ? 0 : values[3]);
    disk->readonly = disk->cdrom || info & VDISK_READONLY || readonly;
    return 0;
}


/****************************************************************
 * Attach and close
 ****************************************************************/

int
xenblk_close(struct xendisk_s *disk)
{
    if (xen_platform_moved())
        return -1;
    if (disk->attached) {
        disk->attached = 0;
        xenblk->attached--;
    }
    if (xenbus_disconnect(&disk->bus) || xen_platform_moved())
        // the next int13 will try again; until then nothing is taken back
        return -1;
    if (blkring_close(&disk->ring)) {
        // also where the device is another one meanwhile
        disk->bus.closing |= 1;
        return -1;
    }
    blkcache_release(&xenblk->cache, disk->index);
    disk->dead = 0;
    return xenbus_release(&disk->bus);
}

// The domain has moved: nothing of what was under way exists any more, nor can
// what was read meanwhile be believed.
void
xenblk_forget_all(void)
{
    int i;
    for (i = 0; i < xenblk->count; i++) {
        struct xendisk_s *disk = xenblk->disks[i];
        disk->attached = 0;
        disk->bus.closing = 0;
        disk->dead = 0;
        blkring_forget(&disk->ring);
        blkcache_release(&xenblk->cache, disk->index);
    }
    xenblk->attached = 0;
    xenblk_drop_all(0);
    xenstore_close();
}

// Publish a ring, and wait for the backend.
static int noinline // as read_properties()
connect_disk(struct xendisk_s *disk, u32 limit)
{
    struct xenbus_s *bus = &disk->bus;
    if (bus->closing || (disk->cdrom && xenblk_check_medium(disk)))
        return -1;
    if (xenbus_check_free(bus) || blkring_open(&disk->ring, bus->domid))
        return -1;
    disk->attached = 1;
    xenblk->attached++;
    disk->attaches++;
    // code that stays after POST has to name it, or it would go with POST's data
    bus->class = &xenblk_class;
    snprintf(bus->values[0], sizeof(bus->values[0]), "%u", disk->ring.ref);
    snprintf(bus->values[1], sizeof(bus->values[1]), "%u", disk->ring.port);
    strtcpy(bus->values[2], XEN_IO_PROTO_ABI_X86_32, sizeof(bus->values[2]));
    return xenbus_connect(bus, limit);
}

int
xenblk_attach(struct xendisk_s *disk, u32 limit)
{
    return connect_disk(disk, limit) || read_properties(disk) ? -1 : 0;
}
