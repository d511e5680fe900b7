// Finding the disks, in POST.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_BLKPROBE_H
#define __XEN_BLKPROBE_H

// Attach every VBD that is a whole disk, and register each as a BIOS drive. POST
// only, after the session and the store have been set up.
void xenblk_setup(void);

#endif // blkprobe.h
