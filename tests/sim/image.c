// Contents of the disks: what is on each, and what each way to it sees.
//
// A raw image is one for all ways, but what the emulated controller writes is in
// dom0's page cache for a while, which blkback goes around. An image that is
// allocated in clusters (qcow2, vhd) is opened once by each way, which keeps the place
// of a cluster as it was when it first looked: what another way puts elsewhere later
// it does not see, and what it allocates itself takes the other's place.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // backend

struct sector {
    u64 number;
    u32 place;              // of its cluster, see below
    struct sector *next;
    u8 data[512];
};

// A cluster that a way has looked at. Its place is a number; 0 is where the
// image began, and all of a raw image is there.
#define CLUSTER_SECTORS (2 << 20 >> 9)
#define PLACE_TRUTH (-1u)   // where what was written last is kept for checks
#define PLACE_CACHE (-2u)   // of raw images

struct cluster {
    u64 number;
    u32 place;              // in the file
    u32 seen[IMAGE_WAYS];   // by each way; -1: not looked at yet
    struct cluster *next;
};

// Every 16 bytes of a disk's first contents tell the disk and the place.
static void
pattern(struct backend *be, u32 tag, u64 sector, u8 *data)
{
    u32 i, *word = (void*)data;
    for (i = 0; i < 512 / 16; i++, word += 4) {
        word[0] = 0xd15c0000 | tag;
        word[1] = sector;
        word[2] = sector >> 32 ^ i << 24;
        word[3] = (u32)sector * 2654435761u + i;
    }
    if (!sector && !be->blank) {
        // a boot sector
        data[510] = 0x55;
        data[511] = 0xaa;
        if (be->table)
            memcpy(data + 446, be->table, 64);
    }
}

static struct sector *
find_sector(struct backend *be, u32 place, u64 number)
{
    struct sector *sector = be->image[number % ARRAY_SIZE(be->image)];
    while (sector && (sector->number != number || sector->place != place))
        sector = sector->next;
    return sector;
}

static void
put_sector(struct backend *be, u32 place, u64 number, const u8 *data)
{
    struct sector *sector = find_sector(be, place, number);
    if (!sector) {
        struct sector **bucket = &be->image[number % ARRAY_SIZE(be->image)];
        sector = malloc(sizeof(*sector));
        sector->number = number;
        sector->place = place;
        sector->next = *bucket;
        *bucket = sector;
    }
    memcpy(sector->data, data, 512);
}

static void
get_sector(struct backend *be, u32 place, u32 tag, u64 number, u8 *data)
{
    struct sector *sector = find_sector(be, place, number);
    if (sector)
        memcpy(data, sector->data, 512);
    else
        pattern(be, tag, number, data);
}

// The cluster of a sector, as `way` knows it from now on.
static struct cluster *
look_up(struct backend *be, int way, u64 sector)
{
    u64 number = sector / CLUSTER_SECTORS;
    struct cluster *cluster = be->clusters;
    int i;
    while (cluster && cluster->number != number)
        cluster = cluster->next;
    if (!cluster) {
        cluster = calloc(1, sizeof(*cluster));
        cluster->number = number;
        for (i = 0; i < IMAGE_WAYS; i++)
            cluster->seen[i] = -1;
        cluster->next = be->clusters;
        be->clusters = cluster;
    }
    if (cluster->seen[way] == -1)
        cluster->seen[way] = cluster->place;
    return cluster;
}

void
image_read(struct backend *be, int way, u64 sector, u8 *data)
{
    u32 place = 0;
    if (be->clustered)
        place = look_up(be, way, sector)->seen[way];
    else if (way == IMAGE_TWIN && find_sector(be, PLACE_CACHE, sector))
        place = PLACE_CACHE;
    get_sector(be, place, be->tags[way], sector, data);
}

void
image_write(struct backend *be, int way, u64 sector, const u8 *data)
{
    u32 place = 0;
    if (be->clustered) {
        struct cluster *cluster = look_up(be, way, sector);
        if (!cluster->seen[way])
            cluster->seen[way] = cluster->place = ++be->places;
        place = cluster->seen[way];
    } else if (way == IMAGE_TWIN)
        place = PLACE_CACHE;
    put_sector(be, PLACE_TRUTH, sector, data);
    put_sector(be, place, sector, data);
}

void
image_truth(struct backend *be, u64 sector, u8 *data)
{
    get_sector(be, PLACE_TRUTH, be->tags[be->twin ? IMAGE_TWIN : IMAGE_PV], sector
               , data);
}

void
image_file(struct backend *be, u64 sector, u8 *data)
{
    u32 place = 0;
    struct cluster *cluster;
    for (cluster = be->clusters; cluster; cluster = cluster->next)
        if (cluster->number == sector / CLUSTER_SECTORS)
            place = cluster->place;
    if (find_sector(be, PLACE_CACHE, sector))
        place = PLACE_CACHE;
    get_sector(be, place, be->tags[IMAGE_PV], sector, data);
}

void
image_each_written(struct backend *be
                   , void (*check)(struct backend *be, u64 sector))
{
    int i;
    for (i = 0; i < ARRAY_SIZE(be->image); i++) {
        struct sector *sector;
        for (sector = be->image[i]; sector; sector = sector->next)
            check(be, sector->number);
    }
}

void
image_stop(struct backend *be)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(be->image); i++)
        while (be->image[i]) {
            struct sector *sector = be->image[i];
            be->image[i] = sector->next;
            free(sector);
        }
    while (be->clusters) {
        struct cluster *cluster = be->clusters;
        be->clusters = cluster->next;
        free(cluster);
    }
}
