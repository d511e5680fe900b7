// From Xen's start_info to the BIOS's information block.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XENPVH_START_H
#define __XENPVH_START_H

#include "info.h" // struct xenpvh_info

// An entry of int15 E820's map, as SeaBIOS has it.
struct start_e820 {
    unsigned long long start, size;
    unsigned int type;
} __attribute__((packed));

// All that is made for the BIOS, at XENPVH_INFO_ADDR.
struct start_low {
    struct xenpvh_info info;
    unsigned int tables[1];
    struct start_e820 e820[XENPVH_E820_MAX];
    char cmdline[XENPVH_CMDLINE_SIZE];
};

// Check what Xen says of the machine (arch-x86/hvm/start_info.h, at `start`) and
// fill in `low`, all but the option ROM and the checksum, which start_seal() adds.
// Nothing outside of `low` is written. Sets *note to a message, or to null:
// with the result 0 it is a remark, with -1 the reason why the BIOS cannot run.
int start_make(struct start_low *low, unsigned int start, const char **note);

// Name the option ROM, and make the checksum right.
void start_seal(struct xenpvh_info *info, unsigned int vgabios
                , unsigned int vgabios_size);

#endif // start.h
