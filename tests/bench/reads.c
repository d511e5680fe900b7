// Times reads and writes of a disk without Linux's page cache, in the rows of
// tests/guests/bench.asm, on a disk that tests/guests/pattern.py has made.
//
//   reads DISK CALLS SECTORS      at most so many calls and sectors a row
//
//   BENCH read-seq 127 calls=258 sectors=32766 ns=12345678
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#define _GNU_SOURCE
#include <fcntl.h> // O_DIRECT
#include <linux/fs.h> // BLKGETSIZE64
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512
#define DATA_LBA 64 // the first sector with the pattern
#define TAIL 128
#define MOST 4096 // sectors of a call

static const struct row {
    const char *name;
    int sectors, random, write, place;
} rows[] = {
    { "read-seq", 1, 0, 0, 0 }, { "read-seq", 8, 0, 0, 2 }, { "read-seq", 64, 0, 0, 4 },
    { "read-seq", 127, 0, 0, 6 }, { "read-seq", 128, 0, 0, 6 }, { "read-seq", MOST, 0, 0, 2 },
    { "read-random", 1, 1, 0, 0 }, { "read-random", 8, 1, 0, 0 }, { "read-random", 64, 1, 0, 0 },
    { "read-random", 127, 1, 0, 0 },
    { "write-seq", 1, 0, 1, 8 }, { "write-seq", 64, 0, 1, 8 },
};

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

// Each sector begins with its LBA.
static void
check(const char *buffer, uint64_t lba, int sectors)
{
    for (int i = 0; i < sectors; i++) {
        uint64_t found;
        memcpy(&found, buffer + i * SECTOR, sizeof(found));
        if (found != lba + i) {
            fprintf(stderr, "sector %llx: %llx found\n", (long long)lba + i, (long long)found);
            exit(1);
        }
    }
}

static void
run(int disk, const struct row *row, long calls, long sectors, uint64_t end)
{
    char *buffer = aligned_alloc(4096, MOST * SECTOR);
    size_t size = row->sectors * SECTOR;
    uint64_t first = row->place ? end / 16 * row->place : DATA_LBA, lba = first, spent = 0;
    if (calls > sectors / row->sectors)
        calls = sectors / row->sectors;
    for (long i = 0; i < calls; i++, lba += row->sectors) {
        if (row->random)
            lba = DATA_LBA + rand() % (end - DATA_LBA - row->sectors);
        else if (lba + row->sectors > end)
            lba = first;
        // what is written is what is there already
        if (row->write && pread(disk, buffer, size, lba * SECTOR) != (ssize_t)size)
            die("read");
        uint64_t start = now();
        ssize_t done = row->write ? pwrite(disk, buffer, size, lba * SECTOR)
                                  : pread(disk, buffer, size, lba * SECTOR);
        // as the layer does it: what is written is on the disk
        if (row->write && fdatasync(disk))
            die("flush");
        spent += now() - start;
        if (done != (ssize_t)size)
            die("read or write");
        check(buffer, lba, row->sectors);
    }
    printf("BENCH %s %d calls=%ld sectors=%ld ns=%llu\n", row->name, row->sectors, calls,
           calls * row->sectors, (unsigned long long)spent);
    fflush(stdout);
    free(buffer);
}

int
main(int argc, char **argv)
{
    uint64_t bytes;
    int disk = argc == 4 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
    if (disk < 0 || ioctl(disk, BLKGETSIZE64, &bytes))
        die("usage: reads DISK CALLS SECTORS");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run(disk, &rows[i], atol(argv[2]), atol(argv[3]), bytes / SECTOR - TAIL);
    return 0;
}
