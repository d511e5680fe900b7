// Finding the disks, in POST.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_BLKPROBE_H
#define __XEN_BLKPROBE_H

#include "types.h" // u32

struct xendisk_s;

// Write to `kind`, of `size` bytes, which driver serves a disk: the part of its
// backend's path behind "backend", but "blkback" for "vbd".
void xenblk_backend_kind(struct xendisk_s *disk, char *kind, u32 size);

// Attach every VBD that is a whole disk, and find out what it is. POST only, after the
// session and the store have been set up.
void xenblk_setup(void);

// Register what was found: the disks that have no emulated twin as drives of their
// own, the others as a path of their twin's. POST only, once SeaBIOS's drives are
// registered.
void xenblk_register(void);

// Write what was wrong with each disk below "error" in the guest's part of the store,
// which is open. POST only.
void xenblk_report(void);

#endif // blkprobe.h
