// Fuzz target: values that the toolstack and a backend write.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "input.h" // input_text

static char texts[5][XENSTORE_PAYLOAD_MAX + 1];

// A value for a node, or nothing.
static const char *
value(int n, const char *otherwise)
{
    if (!(input_byte() & 1))
        return otherwise;
    input_text(texts[n], XENSTORE_PAYLOAD_MAX);
    return texts[n];
}

void
fuzz(void)
{
    static const char *nodes[] = {
        "backend", "backend-id", "device-type", "state", "virtual-device",
    };
    static char text[XENSTORE_PAYLOAD_MAX + 1];
    char path[600];
    struct backend *be = sim_disk(51776), *good = sim_disk(51792);
    be->early = input_byte() & 1;
    be->sectors_text = value(0, NULL);
    be->sector_size_text = value(1, NULL);
    be->info_text = value(2, NULL);
    be->mode = value(3, "w");
    // what it really has is what it says, where that makes sense
    if (be->sectors_text)
        be->sectors = strtoull(be->sectors_text, NULL, 10) ?: 1;
    if (be->sector_size_text) {
        be->sector_size = strtoul(be->sector_size_text, NULL, 10);
        if (be->sector_size % 512 || !be->sector_size)
            be->sector_size = 512;
    }
    good->domid = 1;
    sim_prepare();
    int left = input_byte() % 4;
    while (left--) {
        const char *node = nodes[input_byte() % ARRAY_SIZE(nodes)];
        u32 len = input_text(text, XENSTORE_PAYLOAD_MAX);
        be->mislabelled = 1;
        snprintf(path, sizeof(path), "%s/%s", be->frontend, node);
        store_write_bytes(path, text, len);
    }
    left = input_byte() % 4;
    while (left--) {
        char name[256];
        input_text(name, 200);
        if (!*name || strchr(name, '/'))
            continue;
        store_printf("", "/local/domain/7/device/vbd/%s", name);
    }
    be->indirect_text = value(4, NULL);
    if (be->indirect_text)
        be->indirect = strtoul(be->indirect_text, NULL, 10);
    sim_boot_unchecked();
    if (!sim_drive(good))
        fail("the good disk is no drive");
    check_equal(sim_read_unchecked(good, 1000, 100), 0);
    if (sim_drive(be)) {
        u64 last = be->sectors - 1;
        sim_read_unchecked(be, 0, 8);
        sim_read_unchecked(be, last, 1);
        sim_write_unchecked(be, last / 2, 5);
        sim_check_image(be);
    }
}
