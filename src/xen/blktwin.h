// Emulated twins: the second path of a disk, by a controller of the device model.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_BLKTWIN_H
#define __XEN_BLKTWIN_H

#include "config.h" // BUILD_MAX_EXTDRIVE
#include "types.h" // u8

struct drive_s;

// Stands for the index of a disk: the emulated drive is not, or no longer, the
// twin of one that may be read by PV.
#define XENTWIN_NONE 0xff

// An emulated drive.
struct xentwin_s {
    struct drive_s *drive;
    u32 where;          // the register that shows who used the controller last
    u32 mark;           // what it holds after SeaBIOS has
    u8 type;            // the drive's
    u8 disk;            // whose twin it is, or XENTWIN_NONE
};
extern struct xentwin_s XenTwins[BUILD_MAX_EXTDRIVE];

// How many of them the seam finds.
extern u8 XenTwinCount;

// Add an emulated drive, as SeaBIOS registers it, and the index of the disk that it
// is the twin of, or XENTWIN_NONE. POST only. Returns 0, or -1 if there is no place.
int xentwin_add(struct drive_s *drive, u8 disk);

// Find the emulated twin of a disk. Returns null if there is none.
struct drive_s *xentwin_drive(u8 disk);

// All drives are known and used by SeaBIOS only: from here on the seam finds them.
void xentwin_publish(void);

// Tell which disk a drive is the twin of, after a look whether somebody else has
// used its controller: its index, or XENTWIN_NONE.
u8 xentwin_disk(struct drive_s *drive);

// Leave a disk to its twin for good.
void xentwin_leave(u8 disk);

#endif // blktwin.h
