// Grants: letting a backend map a page, and taking it back.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "gnttab.h" // xengrant_begin
#include "memmap.h" // PAGE_SIZE
#include "output.h" // dprintf
#include "platform.h" // xen_grants

_Static_assert(sizeof(grant_entry_v1_t) == 8, "packing");

int
xengrant_is_free(grant_ref_t ref)
{
    grant_entry_v1_t *entry = &xen_grants[ref];
    return !xen_read_once(entry->flags) && !xen_read_once(entry->domid)
           && !xen_read_once(entry->frame);
}

int
xengrant_begin(grant_ref_t ref, domid_t domid, void *page, int readonly)
{
    grant_entry_v1_t *entry = &xen_grants[ref];
    if (!xengrant_is_free(ref)) {
        dprintf(1, "xen: grant reference %u is in use (flags %x)\n"
                , ref, entry->flags);
        return -1;
    }
    entry->domid = domid;
    entry->frame = (u32)page / PAGE_SIZE;
    xen_wmb(); // the entry is complete before it becomes valid
    xen_read_once(entry->flags) = GTF_permit_access
                                  | (readonly ? GTF_readonly : 0);
    return 0;
}

// Invalidating an entry follows grant_table.h, "Invalidating an unused
// GTF_permit_access entry".
int
xengrant_end(grant_ref_t ref)
{
    grant_entry_v1_t *entry = &xen_grants[ref];
    for (;;) {
        u16 flags = xen_read_once(entry->flags), old = flags;
        if (flags & (GTF_reading | GTF_writing))
            return -1;
        asm volatile("lock ; cmpxchgw %2, %1"
                     : "+a"(old), "+m"(entry->flags) : "r"((u16)0)
                     : "memory", "cc");
        if (old == flags)
            break;
    }
    entry->domid = 0;
    entry->frame = 0;
    return 0;
}
