// Grants (grant_table.h, version 1).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_GNTTAB_H
#define __XEN_GNTTAB_H

#include "xenapi.h" // grant_ref_t

// Number of references in the one grant frame that the layer uses. Takers
// count down from the top: the lowest ones are the toolstack's.
#define XENGRANT_REFS (4096 / sizeof(grant_entry_v1_t))

// Say whether an entry is nobody's: all of it is zero. Who has reserved one may
// have set no more than its domain.
int xengrant_is_free(grant_ref_t ref);

// Let domain `domid` map the page at `page` (page aligned).
// Returns 0, or -1 with a message if the entry is somebody else's.
int xengrant_begin(grant_ref_t ref, domid_t domid, void *page, int readonly);

// Take a grant back and zero the whole entry. Returns 0, or -1 if the other
// domain still has the page mapped: the page must not be used again.
int xengrant_end(grant_ref_t ref);

#endif // gnttab.h
