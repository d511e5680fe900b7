// Files in the front of the blob.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_BLOBFILES_H
#define __XEN_BLOBFILES_H

#include "types.h" // u32

// The blob begins with such headers, each with its file's content behind it, and each
// at an address that can be divided by 16. The first that has no magic ends them.
struct xenblobfile_s {
    char magic[8];      // XENBLOBFILE_MAGIC
    u32 size;           // bytes of the content
    u32 sum;            // of these bytes
    char name[48];      // with NUL
    u8 data[0];
} PACKED;

#define XENBLOBFILE_MAGIC "XENPVROM"

// Make settings (bootorder, etc/*) and romfiles of the files in the front of the blob (scripts/blob-files). POST only,
// on Xen, before the memory of option ROMs is cleared.
void xenblobfiles_setup(void);

// The same, with copies of the content, of those between `pos` and `end`.
// The first that is damaged gets a message, and ends them.
void xenblobfiles_add(const u8 *pos, const u8 *end);

#endif // blobfiles.h
