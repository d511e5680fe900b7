// Files in the front of the blob: what its packager has put there, settings and
// SeaBIOS's romfiles. hvmloader copies the whole blob to the end of the first MiB, and SeaBIOS
// clears its empty front for option ROMs.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blobfiles.h" // struct xenblobfile_s
#include "config.h" // CONFIG_ROM_SIZE
#include "malloc.h" // malloc_tmphigh
#include "memmap.h" // VSYMBOL
#include "output.h" // dprintf
#include "romfile.h" // struct romfile_s
#include "settings.h" // xensettings_from_blob
#include "string.h" // memcpy

struct copiedfile_s {
    struct romfile_s file;
    u8 data[0];
};

// Copy a file to whoever has found its romfile.
static int
copy_file(struct romfile_s *file, void *dest, u32 maxlen)
{
    if (file->size > maxlen)
        return -1;
    memcpy(dest, container_of(file, struct copiedfile_s, file)->data, file->size);
    return file->size;
}

// Make a setting or a romfile of a file with `room` bytes from its content to the end.
// Returns its size, or -1 if it is damaged.
static int
add_file(const struct xenblobfile_s *from, u32 room)
{
    u32 i, size = from->size, sum = 0;
    if (size > room || from->name[sizeof(from->name) - 1])
        return -1;
    for (i = 0; i < size; i++)
        sum += from->data[i];
    if (sum != from->sum)
        return -1;
    if (!memcmp(from->name, "etc/", 4) || !strcmp(from->name, "bootorder")) {
        xensettings_from_blob(from->name, from->data, size);
        return size;
    }
    struct copiedfile_s *copy = malloc_tmphigh(sizeof(*copy) + size);
    if (!copy) {
        warn_noalloc();
        return size;
    }
    memset(&copy->file, 0, sizeof(copy->file));
    memcpy(copy->file.name, from->name, sizeof(from->name));
    copy->file.size = size;
    copy->file.copy = copy_file;
    memcpy(copy->data, from->data, size);
    dprintf(1, "xen: %s is a file of the blob, %u bytes\n", copy->file.name, size);
    romfile_add(&copy->file);
    return size;
}

void
xenblobfiles_add(const u8 *pos, const u8 *end)
{
    while (end - pos >= (int)sizeof(struct xenblobfile_s)) {
        const struct xenblobfile_s *from = (void*)pos;
        if (memcmp(from->magic, XENBLOBFILE_MAGIC, sizeof(from->magic)))
            return;
        int size = add_file(from, end - from->data);
        if (size < 0) {
            dprintf(1, "xen: a file of the blob is damaged, it and those behind it"
                    " are ignored\n");
            return;
        }
        u32 len = ALIGN(sizeof(*from) + size, 16);
        if (len > end - pos)
            return;
        pos += len;
    }
}

void
xenblobfiles_setup(void)
{
    xenblobfiles_add((void*)(BUILD_BIOS_ADDR + BUILD_BIOS_SIZE
                             - CONFIG_ROM_SIZE * 1024)
                     , VSYMBOL(code32flat_start));
}
