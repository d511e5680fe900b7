// Tests of vdev.c: numbers, names and twins of xen-vbd-interface(7).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "host.h" // xenvdev_decode

static const struct {
    u32 number;
    const char *name;
} disks[] = {
    // 202 << 8 | disk << 4 | partition
    { 51712, "xvda" }, { 51713, "xvda1" }, { 51727, "xvda15" },
    { 51728, "xvdb" }, { 51776, "xvde" }, { 51952, "xvdp" },
    { 202 << 8 | 255, "xvdp15" },
    // 8 << 8 | disk << 4 | partition
    { 2048, "sda" }, { 2049, "sda1" }, { 2064, "sdb" }, { 2288, "sdp" },
    { 8 << 8 | 255, "sdp15" },
    // 3 << 8 | disk << 6 | partition, 22 << 8 | (disk - 2) << 6 | partition
    { 768, "hda" }, { 769, "hda1" }, { 768 + 63, "hda63" }, { 832, "hdb" },
    { 895, "hdb63" }, { 5632, "hdc" }, { 5633, "hdc1" }, { 5696, "hdd" },
    // 1 << 28 | disk << 8 | partition
    { 1 << 28, "xvda" }, { 1 << 28 | 16, "xvda16" },
    { 1 << 28 | 16 << 8, "xvdq" }, { 1 << 28 | 25 << 8, "xvdz" },
    { 1 << 28 | 26 << 8, "xvdaa" }, { 1 << 28 | 51 << 8, "xvdaz" },
    { 1 << 28 | 52 << 8, "xvdba" }, { 1 << 28 | 536 << 8 | 37, "xvdtq37" },
    { 1 << 28 | 701 << 8, "xvdzz" }, { 1 << 28 | 702 << 8, "xvdaaa" },
    { 1 << 28 | 0xfffff << 8 | 255, "xvdbgqcv255" },
};

TEST(vdev_numbers_have_the_names_of_the_interface)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(disks); i++) {
        struct xenvdev_s vdev;
        // the name may not write beyond its buffer
        char name[XENVDEV_NAMESIZE];
        if (xenvdev_decode(disks[i].number, &vdev))
            fail("%u (%s) is refused", disks[i].number, disks[i].name);
        xenvdev_name(&vdev, name);
        check_string(name, disks[i].name);
    }
}

TEST(vdev_numbers_that_the_interface_does_not_define_are_refused)
{
    static const u32 numbers[] = {
        0, 1, 255, 2 << 8, 4 << 8, 7 << 8, 9 << 8, 21 << 8, 23 << 8, 201 << 8,
        203 << 8, 202 << 16, 65 << 8, 3 << 8 | 128, 3 << 8 | 255, 22 << 8 | 128,
        22 << 8 | 192, (1 << 28) - 1, 2u << 28, 3u << 28, 15u << 28, 0xffffffff,
        (2u << 28) | 202 << 8, 1 << 20 | 202 << 8,
    };
    int i;
    for (i = 0; i < ARRAY_SIZE(numbers); i++) {
        struct xenvdev_s vdev;
        if (!xenvdev_decode(numbers[i], &vdev))
            fail("0x%x is taken for kind %u, disk %u, partition %u"
                 , numbers[i], vdev.kind, vdev.disk, vdev.partition);
    }
}

TEST(vdev_every_major_decodes_to_its_disk_and_partition)
{
    u32 minor;
    struct xenvdev_s vdev;
    for (minor = 0; minor < 256; minor++) {
        check_equal(xenvdev_decode(202 << 8 | minor, &vdev), 0);
        check_equal(vdev.kind, XENVDEV_XVD);
        check_equal(vdev.disk, minor / 16);
        check_equal(vdev.partition, minor % 16);
        check_equal(xenvdev_decode(8 << 8 | minor, &vdev), 0);
        check_equal(vdev.kind, XENVDEV_SD);
        check_equal(vdev.disk, minor / 16);
        check_equal(vdev.partition, minor % 16);
        if (minor >= 128)
            continue;
        check_equal(xenvdev_decode(3 << 8 | minor, &vdev), 0);
        check_equal(vdev.kind, XENVDEV_HD);
        check_equal(vdev.disk, minor / 64);
        check_equal(vdev.partition, minor % 64);
        check_equal(xenvdev_decode(22 << 8 | minor, &vdev), 0);
        check_equal(vdev.kind, XENVDEV_HD);
        check_equal(vdev.disk, 2 + minor / 64);
        check_equal(vdev.partition, minor % 64);
    }
}

// Count the units of a controller that a disk covers, and tell the last one.
static int
twins(const struct xenvdev_s *vdev, u8 type, u32 *unit)
{
    u32 i, count = 0;
    for (i = 0; i < 40; i++)
        if (xenvdev_has_twin(vdev, type, i)) {
            *unit = i;
            count++;
        }
    return count;
}

TEST(vdev_whole_disks_have_the_twins_that_libxl_emulates)
{
    static const u8 types[] = {
        DTYPE_ATA, DTYPE_ATA_ATAPI, DTYPE_AHCI, DTYPE_AHCI_ATAPI,
        DTYPE_LSI_SCSI, DTYPE_VIRTIO_BLK, DTYPE_NVME, DTYPE_XEN, DTYPE_FLOPPY,
    };
    u32 kind, disk, i;
    for (kind = XENVDEV_XVD; kind <= XENVDEV_SD; kind++)
        for (disk = 0; disk < 20; disk++)
            for (i = 0; i < ARRAY_SIZE(types); i++) {
                struct xenvdev_s vdev = { kind, disk, 0 };
                // a CD is on the IDE controller, whatever its name
                int ata = types[i] == DTYPE_ATA_ATAPI
                          || (types[i] == DTYPE_ATA && kind != XENVDEV_SD);
                int ahci = types[i] == DTYPE_AHCI && kind != XENVDEV_SD;
                int want = (types[i] == DTYPE_LSI_SCSI && kind == XENVDEV_SD)
                           || (ata && disk < 4) || (ahci && disk < 6);
                u32 unit = disk;
                if (twins(&vdev, types[i], &unit) != want || unit != disk)
                    fail("kind %u, disk %u, controller %02x: %d twins, not %d"
                         , kind, disk, types[i], twins(&vdev, types[i], &unit)
                         , want);
            }
}

TEST(vdev_partitions_have_no_twin)
{
    u32 kind, unit;
    for (kind = XENVDEV_XVD; kind <= XENVDEV_SD; kind++) {
        struct xenvdev_s vdev = { kind, 0, 1 };
        check_equal(twins(&vdev, DTYPE_ATA, &unit), 0);
        check_equal(twins(&vdev, DTYPE_AHCI, &unit), 0);
        check_equal(twins(&vdev, DTYPE_LSI_SCSI, &unit), 0);
    }
}
