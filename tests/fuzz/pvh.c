// Fuzz target: what Xen tells a PVH guest at its entry.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/arch-x86/hvm/start_info.h>
#include "pvh/start.h" // start_make

#define check(condition) do {                                           \
        if (!(condition)) {                                             \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__ \
                    , #condition);                                      \
            abort();                                                    \
        }                                                               \
    } while (0)

// The guest's memory: the input lies in it, and all that it points to.
static uint8_t memory[4 * XENPVH_CMDLINE_SIZE];
// What may be written, and what may not.
static struct { uint8_t before[64]; struct start_low low; uint8_t behind[64]; } out;

// An address that the input gives as a place in memory, in what we write, or out of
// reach.
static uint64_t
place(uint64_t from)
{
    switch (from >> 62) {
    case 0: return (uintptr_t)memory + from % (sizeof(memory) / 2);
    case 1: return (uintptr_t)&out.low + (uint32_t)from % sizeof(out.low);
    case 2: return UINT32_MAX - from % sizeof(struct hvm_memmap_table_entry);
    default: return from << 32 >> 32 ? UINT32_MAX + (from << 2 >> 2) : 0;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hvm_start_info *start = (void*)memory;
    const char *note;
    uint32_t i, j;
    uint8_t sum = 0;
    memset(memory, 'x', sizeof(memory));
    memset(&out, 0x5a, sizeof(out));
    memcpy(memory, data, size < sizeof(memory) ? size : sizeof(memory));
    // most inputs shall get beyond the first checks
    start->magic = start->magic & 15 ? XEN_HVM_START_MAGIC_VALUE : start->magic;
    start->version = start->version & 15 ? 1 : start->version;
    start->memmap_entries %= XENPVH_E820_MAX + 2;
    start->memmap_paddr = place(start->memmap_paddr);
    start->cmdline_paddr = place(start->cmdline_paddr);
    start->rsdp_paddr = place(start->rsdp_paddr);
    start->modlist_paddr = place(start->modlist_paddr);

    int ret = start_make(&out.low, (uintptr_t)start, &note);
    for (i = 0; i < sizeof(out.before); i++)
        check(out.before[i] == 0x5a && out.behind[i] == 0x5a);
    check(ret == 0 || (ret == -1 && note && *note));
    if (ret)
        return 0;
    struct xenpvh_info *info = &out.low.info;
    start_seal(info, 0xc1000, 0x8000);
    for (i = 0; i < info->length; i++)
        sum += ((uint8_t*)info)[i];
    check(!sum && !memcmp(info, XENPVH_SIGNATURE, sizeof(info->signature)));
    check(info->e820_nr && info->e820_nr <= XENPVH_E820_MAX);
    for (i = 0; i < info->e820_nr; i++) {
        struct start_e820 *e = &out.low.e820[i];
        check(e->start + e->size >= e->start);
        for (j = 0; j < i; j++)
            check(e->start >= e[(int)(j - i)].start + e[(int)(j - i)].size
                  || e[(int)(j - i)].start >= e->start + e->size);
    }
    check(memchr(out.low.cmdline, 0, sizeof(out.low.cmdline)));
    return 0;
}
