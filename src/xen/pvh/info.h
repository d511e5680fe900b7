// What the PVH entry hands to the BIOS.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XENPVH_INFO_H
#define __XENPVH_INFO_H

// hvmloader's information block, where SeaBIOS looks for it (src/fw/xen.c,
// "struct xen_seabios_info"). It says its length, and may be longer: what is
// behind `e820_nr` is ours. Addresses are physical; all of it lies in memory that
// is free for boot loaders after POST.
struct xenpvh_info {
    char signature[14]; // "XenHVMSeaBIOS", and its NUL
    unsigned char length;
    unsigned char checksum;     // the bytes of the block add up to 0
    unsigned int tables, tables_nr;     // addresses of BIOS tables: the RSDP
    unsigned int e820, e820_nr;
    unsigned int cmdline;       // the command line, with a NUL behind it
    unsigned int vgabios, vgabios_size;         // an option ROM for int10
    unsigned long long module, module_size;     // the first one (ramdisk=); 0, 0: none
} __attribute__((packed));

#define XENPVH_INFO_ADDR  0x1000
#define XENPVH_SIGNATURE  "XenHVMSeaBIOS"

// What the entry keeps of the command line, with its NUL.
#define XENPVH_CMDLINE_SIZE 4096

// Entries of the memory map. SeaBIOS has room for 32, and adds some.
#define XENPVH_E820_MAX 24

#endif // info.h
