// Files in the front of the blob: whatever lies there.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_logged

#include "blobfiles.h" // xenblobfiles_add
#include "romfile.h" // romfile_find

// An area that ends where nobody may read on.
static u8 *area, *end;
#define AREA 4096

static void
clear_area(void)
{
    sim_post = 1;
    area = malloc(AREA);
    end = area + AREA;
    memset(area, 0, AREA);
}

// Put a file to a place in the area; returns the place behind it.
static u32
put(u32 place, const char *name, const void *data, u32 size)
{
    struct xenblobfile_s *file = (void*)(area + place);
    u32 i;
    memcpy(file->magic, XENBLOBFILE_MAGIC, sizeof(file->magic));
    file->size = size;
    file->sum = 0;
    strncpy(file->name, name, sizeof(file->name));
    memcpy(file->data, data, size);
    for (i = 0; i < size; i++)
        file->sum += file->data[i];
    return (place + sizeof(*file) + size + 15) / 16 * 16;
}

static int
is_damaged(void)
{
    xenblobfiles_add(area, end);
    return sim_logged("xen: a file of the blob is damaged");
}

TEST(blobfiles_are_romfiles_of_their_content)
{
    clear_area();
    u32 place = put(0, "etc/show-boot-menu", "0", 1);
    place = put(place, "empty", "", 0);
    place = put(place, "bootorder", "xvdf,xvde", 9);
    place = put(place, "etc/boot-menu-wait", "2s", 2);
    place = put(place, "etc/no-setting", "1", 1);
    put(place, "pci5853,0001.rom", "rom", 3);
    check_equal(is_damaged(), 0);
    memset(area, 0xff, AREA);       // SeaBIOS clears it
    check_equal(romfile_loadint("etc/show-boot-menu", 1), 0);
    check_equal(romfile_find("empty")->size, 0);
    check_string(romfile_loadfile("bootorder", NULL), "xvdf\nxvde");
    check_true(!romfile_find("etc/boot-menu-wait"));
    check_true(!romfile_find("etc/no-setting"));
    check_true(sim_logged("xen: setting bootorder by blob: xvdf,xvde"));
    check_true(sim_logged("setting etc/boot-menu-wait by blob is refused: not such a number"));
    check_true(sim_logged("setting etc/no-setting by blob is refused: unknown"));
    check_true(sim_logged("xen: pci5853,0001.rom is a file of the blob, 3 bytes"));
    check_string(romfile_loadfile("pci5853,0001.rom", NULL), "rom");
    char small[2];
    struct romfile_s *file = romfile_find("pci5853,0001.rom");
    check_equal(file->copy(file, small, sizeof(small)), -1);
}

TEST(blobfiles_may_fill_the_area_to_its_end)
{
    static u8 data[AREA];
    clear_area();
    put(0, "big", data, AREA - sizeof(struct xenblobfile_s));
    check_equal(is_damaged(), 0);
    check_equal(romfile_find("big")->size, AREA - sizeof(struct xenblobfile_s));
}

TEST(blobfiles_of_an_area_without_any)
{
    clear_area();
    check_equal(is_damaged(), 0);
    memcpy(end - 8, XENBLOBFILE_MAGIC, 8);
    area = end - 8;
    check_equal(is_damaged(), 0);
    end = area - 16;                // a blob that is as long as the BIOS
    check_equal(is_damaged(), 0);
}

TEST(blobfiles_that_are_damaged_end_the_list)
{
    int n;
    for (n = 0; n < 5; n++) {
        clear_area();
        u32 place = put(0, "good", "1", 1), next = put(place, "bad", "12", 2);
        put(next, "behind", "1", 1);
        struct xenblobfile_s *bad = (void*)(area + place);
        switch (n) {
        case 0: bad->sum++; break;
        case 1: bad->data[0]++; break;
        case 2: memset(bad->name, 'x', sizeof(bad->name)); break;
        case 3: bad->size = AREA - place - sizeof(*bad) + 1; break;
        case 4: bad->size = 0xfffffff0; break;
        }
        sim_clear_log();
        check_equal(is_damaged(), 1);
        check_true(romfile_find("good"));
        check_true(!romfile_find("bad"));
        check_true(!romfile_find("behind"));
    }
}
