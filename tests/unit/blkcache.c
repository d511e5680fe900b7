// Tests of blkcache.c: which chunk is where, and how far to read ahead.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "host.h" // blkcache_init

static struct blkcache_s cache;
static u8 mem[8 << 20] __aligned(4096);

#define MANY_CHUNKS (1u << 31)

// What a first read takes, in bytes.
#define START (256 << 10)

static void
init(u32 size)
{
    blkcache_init(&cache, mem, size, START);
}

static u32
slot_size(void)
{
    return BLKRING_SECTOR << cache.shift;
}

// The longest run.
static u32
max_run(void)
{
    return cache.count * 7 / 8;
}

// How many chunks would be read at a miss.
static int
plan(u8 disk, u32 chunk, u32 need, u32 chunks)
{
    return blkcache_plan(&cache, disk, &chunk, need, chunks);
}

// Read a chunk and what follows, as blkfront.c does. Returns the chunks read.
static int
read_ahead(u8 disk, u32 chunk, u32 need, u32 chunks)
{
    int i, count = blkcache_plan(&cache, disk, &chunk, need, chunks);
    check_true(count >= 1 && count <= BLKCACHE_RUN);
    int slots[BLKCACHE_RUN];
    for (i = 0; i < count; i++) {
        slots[i] = blkcache_take(&cache, 0);
        check_true(slots[i] >= 0 && slots[i] < BLKCACHE_SLOTS);
        cache.slots[slots[i]].holder = disk + 1;
    }
    blkcache_release(&cache, disk);
    for (i = 0; i < count; i++)
        blkcache_enter(&cache, slots[i], disk, chunk + i, count, i);
    return count;
}

static int
count_valid(void)
{
    int i, count = 0;
    for (i = 0; i < BLKCACHE_SLOTS; i++)
        count += cache.slots[i].valid;
    return count;
}

TEST(cache_slots_share_its_memory_without_overlap)
{
    u32 size;
    for (size = 96 << 10; size <= sizeof(mem); size += 4096) {
        init(size);
        check_true(cache.count >= BLKCACHE_SLOTS_MIN);
        check_true(cache.count <= BLKCACHE_SLOTS);
        check_true(cache.count * slot_size() <= size);
        check_true(cache.count * slot_size() > size * 2 / 3);
        check_equal(slot_size() % 4096, 0);
        // an int13 of 64 KiB touches no more chunks than a run may have
        check_true(65536 / slot_size() + 1 <= max_run());
        int i;
        for (i = 0; i < cache.count; i++)
            check_equal((u8*)blkcache_mem(&cache, i) - mem, i * slot_size());
    }
}

TEST(cache_finds_just_what_was_entered)
{
    init(4 << 20);
    check_equal(blkcache_find(&cache, 0, 0), -1);
    int slot = blkcache_take(&cache, 0);
    blkcache_enter(&cache, slot, 3, 7, 1, 0);
    check_equal(blkcache_find(&cache, 3, 7), slot);
    check_equal(blkcache_find(&cache, 2, 7), -1);
    check_equal(blkcache_find(&cache, 3, 6), -1);
    check_equal(blkcache_find(&cache, 3, 8), -1);
}

TEST(cache_keeps_as_many_chunks_as_slots_and_evicts_the_one_that_nobody_came_back_to)
{
    init(4 << 20);
    u32 chunk;
    for (chunk = 0; chunk < BLKCACHE_SLOTS; chunk++)
        blkcache_enter(&cache, blkcache_take(&cache, 0), 0, chunk * 10, 1, 0);
    check_equal(count_valid(), BLKCACHE_SLOTS);
    // come back to 0 and 10: 20 is the oldest then, 30 the next
    blkcache_find(&cache, 0, 10);
    blkcache_find(&cache, 0, 0);
    check_true(blkcache_find(&cache, 0, 10) >= 0);
    check_true(blkcache_find(&cache, 0, 0) >= 0);
    blkcache_enter(&cache, blkcache_take(&cache, 0), 1, 99, 1, 0);
    check_equal(blkcache_find(&cache, 0, 20), -1);
    blkcache_enter(&cache, blkcache_take(&cache, 0), 1, 98, 1, 0);
    check_equal(blkcache_find(&cache, 0, 30), -1);
    check_true(blkcache_find(&cache, 0, 0) >= 0);
    check_true(blkcache_find(&cache, 0, 10) >= 0);
    check_true(blkcache_find(&cache, 0, 40) >= 0);
    check_true(blkcache_find(&cache, 1, 99) >= 0);
}

TEST(cache_takes_empty_slots_before_it_evicts)
{
    init(4 << 20);
    u32 chunk;
    for (chunk = 0; chunk < BLKCACHE_SLOTS; chunk++)
        blkcache_enter(&cache, blkcache_take(&cache, 0), chunk & 1, chunk, 1, 0);
    int slot = blkcache_find(&cache, 1, 9);
    blkcache_drop(&cache, 1, 9);
    check_equal(blkcache_find(&cache, 1, 9), -1);
    check_equal(count_valid(), BLKCACHE_SLOTS - 1);
    check_equal(blkcache_take(&cache, 0), slot);
    // a write takes one after the other, and waits for its disk between them
    check_true(blkcache_take(&cache, 0) != slot);
}

TEST(cache_drops_one_chunk_or_all)
{
    init(4 << 20);
    u32 chunk;
    for (chunk = 0; chunk < BLKCACHE_SLOTS; chunk++)
        blkcache_enter(&cache, blkcache_take(&cache, 0), chunk % 4, chunk, 1, 0);
    blkcache_drop(&cache, 0, 5); // no such chunk of this disk
    check_equal(count_valid(), BLKCACHE_SLOTS);
    blkcache_drop(&cache, 1, 5);
    check_equal(count_valid(), BLKCACHE_SLOTS - 1);
    check_equal(blkcache_find(&cache, 1, 5), -1);
    blkcache_drop_all(&cache);
    check_equal(count_valid(), 0);
}

TEST(cache_never_gives_out_a_slot_that_a_backend_may_use)
{
    init(4 << 20);
    int i;
    for (i = 0; i < BLKCACHE_SLOTS; i++)
        if (i != 5)
            cache.slots[i].holder = 2;
    for (i = 0; i < 40; i++) {
        check_equal(blkcache_take(&cache, 0), 5);
        blkcache_enter(&cache, 5, 0, i, 1, 0);
    }
    cache.slots[5].holder = 1;
    check_equal(blkcache_take(&cache, 0), -1);
    // once that disk is closed
    blkcache_release(&cache, 0);
    check_equal(blkcache_take(&cache, 0), 5);
    blkcache_release(&cache, 1);
    check_true(blkcache_take(&cache, 0) != 5);
    check_true(blkcache_take(&cache, BLKCACHE_SLOTS - 1) >= 0);
    check_equal(blkcache_take(&cache, BLKCACHE_SLOTS), -1);
}

TEST(cache_never_gives_out_a_slot_twice_within_a_window)
{
    int held, n;
    init(128 << 10);
    for (held = 0; held <= cache.count; held++) {
        u32 taken = 0;
        init(128 << 10);
        for (n = 0; n < held; n++)
            cache.slots[n * 5 % cache.count].holder = 1;
        for (n = 0; n < cache.count - held; n++) {
            int slot = blkcache_take(&cache, 0);
            check_true(slot >= 0 && slot < BLKCACHE_SLOTS);
            check_equal(cache.slots[slot].holder, 0);
            cache.slots[slot].holder = 2;
            check_equal(taken >> slot & 1, 0);
            taken |= 1 << slot;
        }
        check_equal(blkcache_take(&cache, 0), -1);
    }
}

TEST(cache_reads_its_start_at_a_random_place_but_no_more_than_half_the_cache)
{
    u32 size;
    for (size = 96 << 10; size <= sizeof(mem); size += 65536) {
        init(size);
        int want = START / slot_size();
        if (want > cache.count / 2)
            want = cache.count / 2;
        if (want < 1)
            want = 1;
        check_equal(plan(0, 1000, 1, MANY_CHUNKS), want);
        check_equal(plan(0, 0, 1, MANY_CHUNKS), want);
    }
}

TEST(cache_doubles_its_runs_while_reads_are_sequential)
{
    init(4 << 20);
    u32 chunk = 50;
    int want;
    for (want = START / slot_size(); want < max_run(); want *= 2) {
        check_equal(read_ahead(0, chunk, 1, MANY_CHUNKS), want);
        chunk += want;
    }
    check_equal(read_ahead(0, chunk, 1, MANY_CHUNKS), max_run());
    chunk += max_run();
    check_equal(read_ahead(0, chunk, 1, MANY_CHUNKS), max_run());
    // elsewhere, and on another disk, it begins anew
    check_equal(read_ahead(0, chunk + 1000, 1, MANY_CHUNKS)
                , START / slot_size());
    check_equal(read_ahead(1, chunk + max_run(), 1, MANY_CHUNKS)
                , START / slot_size());
}

TEST(cache_reads_at_least_what_is_needed)
{
    init(128 << 10);
    u32 need;
    for (need = 1; need <= max_run(); need++) {
        check_true(plan(0, 100, need, MANY_CHUNKS) >= need);
        init(8 << 20);
        check_equal(plan(0, 100, need, MANY_CHUNKS), need);
    }
}

TEST(cache_reads_nothing_beyond_the_end_of_the_disk)
{
    init(128 << 10);
    check_equal(plan(0, 0, 1, 1), 1);
    check_equal(plan(0, 95, 5, 100), 5);
    check_equal(plan(0, 98, 9, 100), 2);
    check_equal(plan(0, 99, 1, 100), 1);
}

TEST(cache_reads_nothing_that_it_holds)
{
    init(128 << 10);
    blkcache_enter(&cache, blkcache_take(&cache, 0), 0, 103, 1, 0);
    check_equal(plan(0, 100, 1, MANY_CHUNKS), 3);
    // another disk's chunk of the same number does not count
    check_equal(plan(1, 100, 1, MANY_CHUNKS), cache.count / 2);
}

// What reads have cost: misses, each of which is an attach, and chunks.
struct cost_s {
    u32 misses, chunks;
};

// Read sectors as blkfront.c reads them in closed mode.
static void
read_sectors(struct cost_s *cost, u8 disk, u32 sector, u32 count)
{
    u32 chunk = sector >> cache.shift;
    u32 last = (sector + count - 1) >> cache.shift;
    for (; chunk <= last; chunk++) {
        if (blkcache_find(&cache, disk, chunk) >= 0)
            continue;
        cost->chunks += read_ahead(disk, chunk, last - chunk + 1, MANY_CHUNKS);
        cost->misses++;
        check_true(blkcache_find(&cache, disk, chunk) >= 0);
    }
}

// Replay what a boot loader has read. Returns the misses.
static int
replay(const char *name)
{
    char path[256];
    unsigned disk, sector, count;
    struct cost_s cost = { 0 };
    snprintf(path, sizeof(path), "%s/%s", BOOTS, name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail("%s cannot be read", path);
    blkcache_init(&cache, mem, 4 << 20, 2 << 20);
    // what POST leaves, beside the first sector that is kept elsewhere
    blkcache_enter(&cache, blkcache_take(&cache, 0), 0, 0, 1, 0);
    while (fscanf(file, "%u %x %u\n", &disk, &sector, &count) == 3)
        if (sector || count != 1)
            read_sectors(&cost, disk, sector, count);
    check_true(feof(file));
    fclose(file);
    return cost.misses;
}

// The boots are recordings (tests/matrix/run --record), each of 15 to 22 MiB where
// Linux is booted. A policy that needs more misses has to say what it gains.
TEST(cache_serves_boot_loaders_with_few_misses)
{
    static const struct { const char *name; int limit; } boots[] = {
        { "extlinux-on-ext2-linux", 7 },
        { "grub-2-chainloader-syslinux-linux", 8 },
        { "grub-2-ipxe-sanboot-grub-2-linux-linux", 9 },
        { "grub-2-linux-linux", 8 },
        { "grub-2-linux16-linux", 8 },
        { "grub-2-linux16-memtest86", 2 },
        { "grub-2-multiboot2-xen", 4 },
        { "grub-legacy-linux", 8 },
        { "isolinux-on-a-pv-cd-linux", 6 },
        { "silent-loader", 1 },
        { "silent-loader-3-s-idle", 1 },
        { "syslinux-on-fat-linux", 8 },
    };
    int i;
    for (i = 0; i < ARRAY_SIZE(boots); i++) {
        int misses = replay(boots[i].name);
        if (misses > boots[i].limit)
            fail("%s: %d misses, not %d", boots[i].name, misses, boots[i].limit);
    }
}

// Read a file that lies in stripes on several disks, in calls of 64 KiB at most.
// After each so many sectors, if not 0, a place of each disk is looked at again.
static struct cost_s
read_striped(u32 size, u32 disks, u32 stripe, u32 sectors, u32 look)
{
    struct cost_s cost = { 0 };
    u32 call = stripe < 128 ? stripe : 128, row, disk, i, since = 0;
    blkcache_init(&cache, mem, size, 2 << 20);
    for (row = 0; row < sectors / stripe / disks; row++)
        for (disk = 0; disk < disks; disk++) {
            for (i = 0; i < stripe; i += call)
                read_sectors(&cost, disk, 64 + row * stripe + i, call);
            since += stripe;
            if (!look || since < look)
                continue;
            since = 0;
            for (i = 0; i < disks; i++)
                read_sectors(&cost, i, (1 << 30) + i * 1000, 8);
        }
    return cost;
}

// Compare 2 to 8 disks that are read in turn with one: at most as many times the
// misses as there are disks, and `percent` of that, and twice the bytes.
static void
check_stripes(u32 look, u32 percent)
{
    static const u32 sizes[] = { 128 << 10, 1 << 20, 4 << 20 };
    static const u32 stripes[] = { 8, 32, 128, 256, 2048 };
    static const u32 files[] = { 24 << 11, 40 << 11, 64 << 11 };
    u32 i, disks;
    for (i = 0; i < 3 * 5 * 3; i++) {
        u32 size = sizes[i / 15], stripe = stripes[i / 3 % 5], file = files[i % 3];
        struct cost_s one = read_striped(size, 1, stripe, file, look);
        for (disks = 2; disks <= 8; disks++) {
            struct cost_s cost = read_striped(size, disks, stripe, file, look);
            if (cost.misses * 100 > disks * one.misses * percent
                || cost.chunks > 2 * one.chunks)
                fail("%u KiB of cache, %u disks, stripes of %u KiB, %u MiB: %u misses"
                     " and %u chunks, %u and %u of one disk", size >> 10, disks
                     , stripe / 2, file >> 11, cost.misses, cost.chunks
                     , one.misses, one.chunks);
        }
    }
}

TEST(cache_reads_disks_in_turn_with_as_many_misses_each_as_one)
{
    check_stripes(0, 100);
}

// A chunk of each of 8 disks, and the runs, are more than the cache has.
TEST(cache_keeps_what_disks_in_turn_come_back_to)
{
    check_stripes(2 << 11, 125);
    check_stripes(4 << 11, 125);
    check_stripes(8 << 11, 125);
}

TEST(cache_gives_a_disk_all_of_it_again_when_the_others_are_not_read_any_more)
{
    struct cost_s one = read_striped(4 << 20, 1, 128, 64 << 11, 0), cost = { 0 };
    read_striped(4 << 20, 8, 128, 24 << 11, 0);
    u32 sector;
    for (sector = 0; sector < 64 << 11; sector += 128)
        read_sectors(&cost, 3, (1 << 24) + sector, 128);
    check_true(cost.misses <= one.misses + 8);
    check_equal(cache.share[3], 1);
}

// As a loader does that needs the list of a file's next blocks.
TEST(cache_reads_a_gap_of_one_chunk_as_well)
{
    init(4 << 20);
    u32 chunk = 100, end = chunk + read_ahead(0, chunk, 1, MANY_CHUNKS);
    chunk = end + 1;
    check_true(blkcache_plan(&cache, 0, &chunk, 1, MANY_CHUNKS) >= 2);
    check_equal(chunk, end);
    chunk = end + 2;
    blkcache_plan(&cache, 0, &chunk, 1, MANY_CHUNKS);
    check_equal(chunk, end + 2);
}

TEST(cache_survives_any_sequence_and_returns_what_was_entered_last)
{
    // which chunk each slot really holds
    static struct { u8 disk; u32 chunk; } held[BLKCACHE_SLOTS];
    int i, n;
    u32 seed = 1;
    init(128 << 10);
    memset(held, 0xff, sizeof(held));
    for (n = 0; n < 200000; n++) {
        seed = seed * 1103515245 + 12345;
        u8 disk = seed >> 16 & 1;
        u32 chunk = seed >> 17 & 63;
        int slot = blkcache_find(&cache, disk, chunk);
        if (slot >= 0) {
            check_equal(held[slot].disk, disk);
            check_equal(held[slot].chunk, chunk);
            if (seed >> 28 == 0)
                blkcache_drop(&cache, disk, chunk);
            continue;
        }
        int count = blkcache_plan(&cache, disk, &chunk, 1 + (seed >> 24) % 9, 64);
        for (i = 0; i < count; i++) {
            check_equal(blkcache_find(&cache, disk, chunk + i), -1);
            slot = blkcache_take(&cache, 0);
            held[slot].disk = disk;
            held[slot].chunk = chunk + i;
            blkcache_enter(&cache, slot, disk, chunk + i, count, i);
        }
    }
}
