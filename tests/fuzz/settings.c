// Fuzz target: settings of every source.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "input.h" // input_text

// What is a romfile now has to be one that a text may set.
static void
check_all(void)
{
    const struct xensetting_s *setting = NULL;
    int count = 0;
    while ((setting = xensettings_next(setting))) {
        char copy[XENSETTING_VALUE_MAX + 1];
        int len = strlen(setting->file.name);
        count++;
        if (strcmp(setting->file.name, "bootorder")
            && memcmp(setting->file.name, "etc/", 4))
            fail("a setting is called %s", setting->file.name);
        check_true(len <= XENSETTING_NAME_MAX);
        check_true(setting->file.size && setting->file.size <= XENSETTING_VALUE_MAX);
        check_equal(setting->file.copy((void*)&setting->file, copy
                                       , setting->file.size), setting->file.size);
        check_equal(setting->file.copy((void*)&setting->file, copy
                                       , setting->file.size - 1), -1);
    }
    check_true(count <= XENSETTINGS_MAX);
}

void
fuzz(void)
{
    static char text[XENSTORE_PAYLOAD_MAX + 1];
    static const char *const names[] = {
        "bootorder", "etc/threads", "etc/xen-pv", "etc/boot-menu-message", "etc", "x",
    };
    struct backend *be = sim_disk(51776);
    sim_prepare();
    int left = input_byte() % 4;
    while (left--) {
        char path[600];
        const char *name = names[input_byte() % ARRAY_SIZE(names)];
        u32 len = input_text(text, XENSTORE_PAYLOAD_MAX);
        snprintf(path, sizeof(path), "/local/domain/7/vm-data/seabios/%s", name);
        store_write_bytes(path, text, len);
    }
    // all that is left, half of the time as it is and half as the strings of a structure
    u32 kind = input_byte() % 4, len = input_len;
    char *table = malloc(len + 8);
    memset(table, 0, len + 8);
    if (kind == 0) {
        memcpy(table, input, len);
        xensettings_from_cmdline(table);
    } else if (kind == 1) {
        memcpy(table, "\v\5\0\0\1", 5);
        memcpy(table + 5, input, len);
        xensettings_from_smbios(table, len + 7);
    } else {
        // nothing behind its end
        char *exact = malloc(len);
        memcpy(exact, input, len);
        xensettings_from_smbios(exact, len);
        free(exact);
    }
    free(table);
    boot_init();
    sim_boot_unchecked();
    sim_post = 1;
    xen_prepboot(NULL);
    sim_post = 0;
    check_all();
    if (romfile_loadint("etc/xen-pv", 1)) {
        check_true(!!sim_drive(be));
        check_equal(sim_read_unchecked(be, 100, 10), 0);
    }
}
