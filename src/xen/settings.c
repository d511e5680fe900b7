// Settings: on Xen there is no fw_cfg from which SeaBIOS would read its romfiles.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blobfiles.h" // xenblobfiles_setup
#include "config.h" // CONFIG_XEN_PV
#include "fw/paravirt.h" // runningOnXen
#include "hw/pci_ids.h" // PCI_CLASS_NETWORK_ETHERNET
#include "hw/pcidevice.h" // foreachpci
#include "malloc.h" // malloc_tmphigh
#include "output.h" // dprintf
#include "platform.h" // PCI_VENDOR_ID_XENSOURCE
#include "session.h" // xen_platform_moved
#include "settings.h" // xensettings_from_smbios
#include "std/smbios.h" // struct smbios_structure_header
#include "string.h" // memcpy
#include "util.h" // bootprio_find_name
#include "xenpv.h" // xen_settings_setup
#include "xenstore.h" // xenstore_list

// What a setting may be, if not a number up to a limit.
#define TEXT   0         // anything
#define ORDER  ((u32)-2) // names, with commas or blanks between them
#define OR_NOT ((u32)-1) // up to MOST_MS, or -1
// SeaBIOS's timers take half a day for a time that is over.
#define MOST_MS 43000000

// What a text may set: never a ROM, an address or an image.
static const struct {
    char name[23];
    u8 early;           // SeaBIOS reads it before the store is open
    u32 most;
} known[] = {
    { "bootorder", 0, ORDER },
    { "etc/boot-fail-wait", 0, OR_NOT },
    { "etc/boot-menu-key", 0, 0xff },
    { "etc/boot-menu-message", 0, TEXT },
    { "etc/boot-menu-wait", 0, MOST_MS },
    { "etc/pci-optionrom-exec", 0, 2 },
    { "etc/screen-and-debug", 0, 1 },
    { "etc/sercon-port", 0, 0xffff },
    { "etc/show-boot-menu", 0, 2 },
    { "etc/threads", 1, 2 },
    { "etc/xen-cache-kib", 0, 8192 },
    { "etc/xen-console", 0, 1 },
    { "etc/xen-pv", 0, 1 },
    { "etc/xen-report", 0, 1 },
};

static const char from_blob[] = "blob", from_smbios[] = "SMBIOS"
                  , from_cmdline[] = "command line", from_store[] = "xenstore";

// Names in a boot order of which it is known whether their device exists: all that
// fit into one value.
#define NAMES_MAX (XENSETTING_VALUE_MAX / 2 + 1)

static struct {
    u8 count;           // settings that a source has named
    u8 listed;          // the store's names were looked at
    u8 next;            // of those known, the first that was not read there
    u8 one_rom;         // there is a ROM for all network devices
    u32 exists[NAMES_MAX / 32]; // a bit for each name of the boot order
} settings;


/****************************************************************
 * One setting
 ****************************************************************/

// Put each name of a boot order into a line of its own. A path of a device, as
// /pci@i0cf8/ide@1,1, may have commas in it.
static void
split_order(char *text, u32 len)
{
    u32 i, is_path = 0, is_begin = 1;
    for (i = 0; i < len; i++) {
        if (text[i] == ' ' || (text[i] == ',' && !is_path))
            text[i] = '\n';
        if (is_begin)
            is_path = text[i] == '/';
        is_begin = text[i] == '\n';
    }
}

// Copy a setting to whoever has found its romfile.
static int
copy_setting(struct romfile_s *file, void *dest, u32 maxlen)
{
    struct xensetting_s *setting = container_of(file, struct xensetting_s, file);
    if (file->size > maxlen)
        return -1;
    memcpy(dest, setting->data, file->size);
    if (setting->is_order)
        split_order(dest, file->size);
    return file->size;
}

const struct xensetting_s *
xensettings_next(const struct xensetting_s *prev)
{
    struct romfile_s *file = prev ? (struct romfile_s *)&prev->file : NULL;
    while ((file = romfile_findprefix("", file)))
        if (file->copy == copy_setting)
            return container_of(file, struct xensetting_s, file);
    return NULL;
}

// The place of a name in the list of what is known, or -1.
static int
find_known(const char *name)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(known); i++)
        if (!strcmp(known[i].name, name))
            return i;
    return -1;
}

int
xensettings_parse_number(const char *text, u64 *number)
{
    u32 base = text[0] == '0' && text[1] == 'x' ? 16 : 10;
    if (base == 16)
        text += 2;
    return xenstore_parse_number(text, strlen(text), base, number);
}

// Have a number up to `most` in the romfile instead of its text.
static int
take_number(struct xensetting_s *setting, u32 most)
{
    u64 number;
    if (most == OR_NOT && !strcmp(setting->text, "-1"))
        number = -1;
    else if (xensettings_parse_number(setting->text, &number)
             || number > (most == OR_NOT ? MOST_MS : most))
        return -1;
    setting->number = number;
    setting->data = &setting->number;
    setting->file.size = sizeof(setting->number);
    return 0;
}

// Make a romfile of a setting that has a name and a text, and lengths of what was
// given. Returns why not, or null.
static const char *
check_setting(struct xensetting_s *setting, u32 namelen, u32 len)
{
    int i = find_known(setting->file.name);
    if (namelen > XENSETTING_NAME_MAX || i < 0)
        return "unknown";
    if (len > XENSETTING_VALUE_MAX)
        return "too long";
    struct romfile_s *other = romfile_find(setting->file.name);
    if (other && (other->copy != copy_setting || setting->source == from_blob
                  || container_of(other, struct xensetting_s, file)->source != from_blob))
        return "it is set already";
    if (known[i].early && setting->source == from_store)
        return "too late, it is needed before";
    if (!len)
        return "no value";
    setting->data = setting->text;
    setting->file.size = len;
    setting->file.copy = copy_setting;
    setting->is_order = known[i].most == ORDER;
    if (known[i].most == TEXT || setting->is_order)
        return NULL;
    return take_number(setting, known[i].most) ? "not such a number" : NULL;
}

// Take what a source says: `namelen` bytes at `name`, `len` bytes at `value`.
static void
add_setting(const char *source, const char *name, u32 namelen
            , const char *value, u32 len)
{
    if (settings.count > XENSETTINGS_MAX)
        return;
    if (settings.count++ == XENSETTINGS_MAX) {
        dprintf(1, "xen: more than %u settings, the rest is ignored\n"
                , XENSETTINGS_MAX);
        return;
    }
    struct xensetting_s *setting = malloc_tmphigh(sizeof(*setting));
    if (!setting) {
        warn_noalloc();
        return;
    }
    memset(setting, 0, sizeof(*setting));
    setting->source = source;
    memcpy(setting->file.name, name
           , namelen < XENSETTING_NAME_MAX ? namelen : XENSETTING_NAME_MAX);
    memcpy(setting->text, value
           , len < XENSETTING_VALUE_MAX ? len : XENSETTING_VALUE_MAX);
    const char *why = check_setting(setting, namelen, len);
    if (why) {
        dprintf(1, "xen: setting %s by %s is refused: %s\n"
                , setting->file.name, source, why);
        free(setting);
        return;
    }
    dprintf(1, "xen: setting %s by %s: %s\n"
            , setting->file.name, source, setting->text);
    romfile_add(&setting->file);
}

// Take a text of `len` bytes if it is "seabios:NAME=VALUE".
static void
take_text(const char *source, const char *text, u32 len)
{
    static const char prefix[] = "seabios:";
    u32 from = strlen(prefix), to = from;
    if (len < from || memcmp(text, prefix, from))
        return;
    while (to < len && text[to] != '=')
        to++;
    u32 value = to < len ? to + 1 : len;
    add_setting(source, text + from, to - from, text + value, len - value);
}


/****************************************************************
 * Sources
 ****************************************************************/

// The type of SMBIOS structures that are strings (DSP0134, "OEM Strings").
#define SMBIOS_OEM_STRINGS 11

void
xensettings_from_blob(const char *name, const void *value, u32 len)
{
    add_setting(from_blob, name, strlen(name), value, len);
}

void
xensettings_from_smbios(const void *table, u32 len)
{
    const char *pos = table, *end = table + len;
    while (pos + sizeof(struct smbios_structure_header) <= end) {
        const struct smbios_structure_header *header = (void*)pos;
        if (header->length < sizeof(*header) || header->length >= end - pos)
            return;
        // strings behind it, each with a NUL, and one more NUL
        const char *text = pos + header->length, *first = text;
        while (*text) {
            u32 size = 0;
            while (text + size < end && text[size])
                size++;
            if (end - text - size < 2)
                return;
            if (header->type == SMBIOS_OEM_STRINGS)
                take_text(from_smbios, text, size);
            text += size + 1;
        }
        // two NULs where there is none
        pos = text + (text == first ? 2 : 1);
    }
}

void
xensettings_from_cmdline(const char *line)
{
    while (*line) {
        u32 len = 0;
        while (line[len] && line[len] != ' ')
            len++;
        take_text(from_cmdline, line, len);
        line += len + (line[len] == ' ');
    }
}

// Where the toolstack puts them, and the part of their names that is a directory.
static const char store_dir[] = "vm-data/seabios", store_etc[] = "vm-data/seabios/etc"
                  , etc[] = "etc";

// Refuse the nodes of a directory that are no settings; `prefix` and a slash are in
// front of its names. Returns 0 where it has no others.
static int
check_names(const char *dir, const char *prefix)
{
    const char *names;
    int len = xenstore_list(dir, &names), good = 0;
    const char *end = names + len;
    for (; len > 0 && names < end; names += strlen(names) + 1) {
        char name[XENSETTING_NAME_MAX + 2];
        snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "/" : "", names);
        if (find_known(name) >= 0 || !strcmp(name, etc))
            good = 1;
        else
            add_setting(from_store, name, strlen(name), "", 0);
    }
    // a list may be too long for one reply
    return good || (len < 0 && *names);
}

int
xensettings_from_store(void)
{
    if (!settings.listed) {
        int good = check_names(store_dir, "");
        if (good)
            check_names(store_etc, etc);
        if (xen_platform_moved())
            return -1;
        settings.listed = 1;
        if (!good)
            settings.next = ARRAY_SIZE(known);
    }
    for (; settings.next < ARRAY_SIZE(known); settings.next++) {
        const char *name = known[settings.next].name;
        const char *text = xenstore_read(store_dir, name);
        if (xen_platform_moved())
            return -1;
        if (text)
            add_setting(from_store, name, strlen(name), text, strlen(text));
    }
    const struct xensetting_s *last = xensettings_next(NULL);
    return last && last->source == from_store;
}


/****************************************************************
 * The boot order
 ****************************************************************/

int
xensettings_boot_prio(const char *name)
{
    int prio = bootprio_find_name(name);
    if (prio > 0 && prio <= NAMES_MAX)
        settings.exists[(prio - 1) / 32] |= 1 << (prio - 1) % 32;
    return prio;
}

// The place of a network device's ROM: vif0, vif1, ... are the emulated network
// devices in their order, and all of them the ROM of Xen's platform device, or that of
// a PVH guest.
int
xen_rom_prio(const char *path, struct pci_device *pci)
{
    char name[] = "vif*";
    int prio = bootprio_find_name(path);
    if (prio >= 0)
        return prio;
    if (pci && pci->class == PCI_CLASS_NETWORK_ETHERNET) {
        struct pci_device *before;
        name[3] = '0';
        foreachpci(before) {
            if (before == pci)
                break;
            name[3] += before->class == pci->class;
        }
    } else if (pci && pci->vendor != PCI_VENDOR_ID_XENSOURCE)
        return -1;
    settings.one_rom |= name[3] == '*';
    return xensettings_boot_prio(name);
}

void
xensettings_check_order(void)
{
    char *names = romfile_loadfile("bootorder", NULL);
    int i;
    for (i = 0; names && i < NAMES_MAX; i++) {
        char *name = names;
        names = strchr(names, '\n');
        if (names)
            *names++ = 0;
        name = nullTrailingSpace(name);
        if (*name && *name != '/' && strcmp(name, "HALT")
            && !(settings.exists[i / 32] & 1 << i % 32)
            && !(settings.one_rom && !memcmp(name, "vif", 3)))
            dprintf(1, "xen: bootorder: there is no %s\n", name);
    }
}


/****************************************************************
 * POST
 ****************************************************************/

// What hvmloader tells of itself (tools/firmware/hvmloader/seabios.c), checked by
// SeaBIOS's fw/xen.c.
#define HVMLOADER_INFO 0x1000

struct xeninfo_s {
    u8 header[16];
    const u8 **tables;  // the BIOS's tables
    u32 tables_count;
} PACKED;

// The entry point of SMBIOS (DSP0134, "SMBIOS 2.1 (32-bit) Entry Point").
struct smbios_entry_s {
    char anchor[4];
    u8 other[18];
    u16 table_len;
    u32 table;
} PACKED;

void
xen_settings_setup(void)
{
    if (!CONFIG_XEN_PV || !runningOnXen())
        return;
    xenblobfiles_setup();
    struct xeninfo_s *info = (void*)HVMLOADER_INFO;
    int i;
    for (i = 0; i < info->tables_count; i++) {
        const struct smbios_entry_s *entry = (void*)info->tables[i];
        if (!memcmp(entry->anchor, "_SM_", sizeof(entry->anchor)))
            xensettings_from_smbios((void*)entry->table, entry->table_len);
    }
}
