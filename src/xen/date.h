// Date and time of a PVH guest.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_DATE_H
#define __XEN_DATE_H

#include "types.h" // u32

#define XENDATE_DAY 86400

// Map shared_info, and ask Xen for the time: in POST, and where a suspend may have taken
// long. Returns it in seconds since 1970, or 0 if it cannot be read.
u32 xendate_setup(void);

#endif // date.h
