// Virtual device numbers: which disk a VBD is (xen-vbd-interface(7)).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "block.h" // DTYPE_ATA
#include "vdev.h" // xenvdev_decode

// Encodings, by what stands above the disk number. The hd* majors each have
// two disks, of 64 minors.
#define EXTENDED (1 << 28)
#define XVD_MAJOR 202
#define SD_MAJOR  8
#define HD_MAJOR1 3
#define HD_MAJOR2 22

// Disks that libxl emulates on each controller (libxl_dm.c).
#define IDE_DISKS  4
#define AHCI_DISKS 6

static int
set(struct xenvdev_s *vdev, u8 kind, u32 disk, u32 partition)
{
    *vdev = (struct xenvdev_s){ kind, disk, partition };
    return 0;
}

int
xenvdev_decode(u32 number, struct xenvdev_s *vdev)
{
    u32 minor = number & 0xff;
    if (number >> 28 == EXTENDED >> 28)
        return set(vdev, XENVDEV_XVD, (number & (EXTENDED - 1)) >> 8, minor);
    switch (number >> 8) {
    case XVD_MAJOR:
        return set(vdev, XENVDEV_XVD, minor >> 4, minor & 15);
    case SD_MAJOR:
        return set(vdev, XENVDEV_SD, minor >> 4, minor & 15);
    case HD_MAJOR1:
    case HD_MAJOR2:
        if (minor >> 6 > 1)
            return -1;
        return set(vdev, XENVDEV_HD
                   , (minor >> 6) + (number >> 8 == HD_MAJOR2 ? 2 : 0)
                   , minor & 63);
    }
    return -1;
}

// Write `number` in decimal. Returns the end of the text.
static char *
put_decimal(char *to, u32 number)
{
    if (number >= 10)
        to = put_decimal(to, number / 10);
    *to++ = '0' + number % 10;
    return to;
}

// Write a disk number in letters: a..z, aa..zz, ... Returns the end.
static char *
put_letters(char *to, u32 disk)
{
    if (disk >= 26)
        to = put_letters(to, disk / 26 - 1);
    *to++ = 'a' + disk % 26;
    return to;
}

void
xenvdev_name(const struct xenvdev_s *vdev, char *name)
{
    static const char prefixes[][4] = {
        [XENVDEV_XVD] = "xvd", [XENVDEV_HD] = "hd", [XENVDEV_SD] = "sd",
    };
    const char *prefix = prefixes[vdev->kind];
    while (*prefix)
        *name++ = *prefix++;
    name = put_letters(name, vdev->disk);
    if (vdev->partition)
        name = put_decimal(name, vdev->partition);
    *name = 0;
}

int
xenvdev_has_twin(const struct xenvdev_s *vdev, u8 type, u32 unit)
{
    if (vdev->partition || vdev->disk != unit)
        return 0;
    switch (type) {
    case DTYPE_ATA_ATAPI:
        return unit < IDE_DISKS;
    case DTYPE_ATA:
        return vdev->kind != XENVDEV_SD && unit < IDE_DISKS;
    case DTYPE_AHCI:
        return vdev->kind != XENVDEV_SD && unit < AHCI_DISKS;
    case DTYPE_LSI_SCSI:
        return vdev->kind == XENVDEV_SD;
    }
    return 0;
}
