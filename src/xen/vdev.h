// Virtual device numbers (xen-vbd-interface(7)).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_VDEV_H
#define __XEN_VDEV_H

#include "config.h" // BUILD_MAX_EXTDRIVE
#include "types.h" // u32

// VBDs that have a place: as many disks as SeaBIOS can have, and four CDs, as many as
// libxl emulates.
#define XENVDEV_MAX (BUILD_MAX_EXTDRIVE + 4)

enum { XENVDEV_XVD, XENVDEV_HD, XENVDEV_SD };

struct xenvdev_s {
    u8 kind;            // XENVDEV_*: which names it goes by
    u32 disk;           // 0 is xvda, hda, sda
    u32 partition;      // 0 is the whole disk
};

#define XENVDEV_NAMESIZE 16

// Take a virtual device number apart. Returns 0, or -1 if the interface does
// not define it.
int xenvdev_decode(u32 number, struct xenvdev_s *vdev);

// Write the name, as "xvde" or "hda1", to a buffer of XENVDEV_NAMESIZE bytes.
void xenvdev_name(const struct xenvdev_s *vdev, char *name);

// Say whether libxl emulates this disk as drive `unit` of an IDE, AHCI or LSI
// SCSI controller (`type`: DTYPE_*). A CD is on the IDE controller (DTYPE_ATA_ATAPI)
// whatever its name. Returns 1 or 0.
int xenvdev_has_twin(const struct xenvdev_s *vdev, u8 type, u32 unit);

#endif // vdev.h
