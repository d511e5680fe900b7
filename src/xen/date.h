// Date and time of a PVH guest.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_DATE_H
#define __XEN_DATE_H

#include "types.h" // u32

#define XENDATE_DAY 86400

// Ask Xen for the time. Returns it in seconds since 1970, or 0 if it cannot be read.
// POST only.
u32 xendate_setup(void);

#endif // date.h
