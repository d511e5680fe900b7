// Settings: SeaBIOS's romfiles, from where the toolstack can write them.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_SETTINGS_H
#define __XEN_SETTINGS_H

#include "romfile.h" // struct romfile_s
#include "types.h" // u32

// Bounds of what a source may say: settings, and bytes of a name and of a value.
#define XENSETTINGS_MAX      32
#define XENSETTING_NAME_MAX  47
#define XENSETTING_VALUE_MAX 511

struct xensetting_s {
    struct romfile_s file;      // what SeaBIOS finds
    const char *source;         // for messages, as "SMBIOS"
    const void *data;           // what is in it: the number, or the text
    u8 is_order;                // a text with a name for each line
    u32 number;
    char text[XENSETTING_VALUE_MAX + 1]; // its value, as it was given
};

// All of these run in POST only. Each setting gets one line, with its source or
// with the reason why it is refused. The first source that gives one wins, but any
// other one over the blob.

// Take a file of the blob.
void xensettings_from_blob(const char *name, const void *value, u32 len);

// Take the strings "seabios:NAME=VALUE" of the SMBIOS structures of type 11 ("OEM
// Strings") in the `len` bytes at `table`.
void xensettings_from_smbios(const void *table, u32 len);

// Take such words, with blanks between them, of a command line.
void xensettings_from_cmdline(const char *line);

// Take the nodes vm-data/seabios/NAME. Needs the store to be open. Returns 1 if
// there is one, 0, or -1 if the domain has moved meanwhile: then it has to be done
// again.
int xensettings_from_store(void);

// The place in "bootorder" (from 1) of a disk that the toolstack calls `name`, as
// "xvde". Returns -1 if it has none.
int xensettings_boot_prio(const char *name);

// Say which names in "bootorder" are those of no device, once all are registered.
void xensettings_check_order(void);

// Turn a text into a number: decimal, or with 0x hexadecimal. Returns 0 or -1.
int xensettings_parse_number(const char *text, u64 *number);

// The setting behind `prev` (null: the first one), or null.
const struct xensetting_s *xensettings_next(const struct xensetting_s *prev);

#endif // settings.h
