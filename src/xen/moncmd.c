// The monitor's commands. None writes to a disk.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkdev.h" // xenblk
#include "blkprobe.h" // xenblk_backend_kind
#include "blktwin.h" // xentwin_drive
#include "block.h" // process_op
#include "e820map.h" // e820_list
#include "gnttab.h" // XENGRANT_REFS
#include "hypercall.h" // xen_hypercall2
#include "monitor.h" // say
#include "platform.h" // xen_hvm_param
#include "settings.h" // xensettings_next
#include "string.h" // strtcpy
#include "util.h" // VERSION
#include "wait.h" // xenwait_begin_post
#include "x86.h" // rdtscll
#include "xenstore.h" // xenstore_read

// How much "speed" reads.
#define SPEED_SIZE (8 * 1024 * 1024)


/****************************************************************
 * The store
 ****************************************************************/

// Send a request, and say what is wrong with it. Returns as xenstore_receive().
static int
ask(u32 type, const char *path, const char *value, const char **reply)
{
    int len = xenstore_receive(xenstore_send(type, path, NULL, value), reply);
    if (len < 0)
        say("%s: %s", path, **reply ? *reply : "no answer");
    return len;
}

static void
monitor_ls(char *path)
{
    const char *reply, *name = monitor->names;
    char own[32], text[48];
    if (!*path) {
        snprintf(own, sizeof(own), "/local/domain/%s"
                 , xenstore_read("domid", NULL) ?: "");
        path = own;
    }
    int len = ask(XS_DIRECTORY, path, NULL, &reply);
    if (len > 0)
        memcpy(monitor->names, reply, len + 1);
    for (; name - monitor->names < len && !monitor->quit; name += strlen(name) + 1) {
        const char *value = xenstore_read(path, name);
        say("%s = %s", name, value ? strtcpy(text, value, sizeof(text)) : "?");
    }
}

static void
monitor_get(char *path)
{
    const char *reply;
    if (ask(XS_READ, path, NULL, &reply) >= 0)
        say("%s", reply);
}

static void
monitor_set(char *path)
{
    const char *reply;
    ask(XS_WRITE, path, monitor_cut_word(path), &reply);
}

static void
monitor_rm(char *path)
{
    const char *reply;
    ask(XS_RM, path, NULL, &reply);
}


/****************************************************************
 * Disks
 ****************************************************************/

static void
monitor_disks(char *args)
{
    static const char *const features[] = {
        "feature-max-indirect-segments", "feature-flush-cache", "feature-barrier",
        "feature-persistent",
    }, *const state_node = "state";
    int i;
    for (i = 0; xenblk && i < xenblk->count && !monitor->quit; i++) {
        struct xendisk_s *disk = xenblk->disks[i];
        u64 frontend = 0, backend = 0, value[ARRAY_SIZE(features)] = { 0 };
        char kind[16];
        xenblk_backend_kind(disk, kind, sizeof(kind));
        xenstore_read_numbers(disk->bus.node, &state_node, &frontend, 1);
        xenstore_read_numbers(disk->bus.backend, &state_node, &backend, 1);
        xenstore_read_numbers(disk->bus.backend, features, value
                              , ARRAY_SIZE(features));
        say("%s: %u, %s in domain %u, states %u %u, %s", disk->name, disk->number
            , kind, disk->bus.domid, (u32)frontend, (u32)backend
            , !disk->drive ? "not used" : xentwin_drive(i)
              ? "read by PV, written by its emulated twin"
              : disk->drive->type == DTYPE_XEN ? "used by PV"
              : "used by its emulated twin");
        if (disk->found)
            say("  %u MiB, sectors of %u bytes, %s%s; indirect %u, flush %u, barrier %u"
                ", persistent %u", (u32)(disk->sectors >> 11), disk->sector_size
                , disk->readonly ? "read-only" : "read-write"
                , disk->cdrom ? ", CD" : "", (u32)value[0], (u32)value[1]
                , (u32)value[2], (u32)value[3]);
        if (disk->bus.error && monitor_has_row()) {
            printf("  ");
            printf(disk->bus.error, disk->bus.details[0], disk->bus.details[1]
                   , disk->bus.details[2]);
            printf("\n");
        }
        const char *error = monitor->quit ? NULL : xenbus_find_error(&disk->bus);
        if (error)
            say("  backend says: %s", error);
    }
}

// Read `count` blocks of a disk as int13 does. Returns DISK_RET_*.
static int
read_blocks(struct drive_s *drive, u64 lba, u32 count)
{
    struct disk_op_s op = {
        .drive_fl = drive, .command = CMD_READ, .lba = lba, .count = count,
        .buf_fl = monitor->data,
    };
    // the user's time is not POST's
    xenwait_begin_post();
    int ret = process_op(&op);
    if (ret)
        say("reading at %u failed (%x)", (u32)lba, ret);
    return ret;
}

// Find a disk that has a drive.
static struct xendisk_s *
named_disk(const char *name)
{
    int i;
    for (i = 0; xenblk && i < xenblk->count; i++)
        if (!strcmp(xenblk->disks[i]->name, name) && xenblk->disks[i]->drive)
            return xenblk->disks[i];
    say("there is no %s", name);
    return NULL;
}

static void
monitor_read(char *name)
{
    char *text = monitor_cut_word(name);
    u64 lba = 0;
    struct xendisk_s *disk = named_disk(name);
    int i, j;
    if (!disk)
        return;
    if (*text && xensettings_parse_number(text, &lba)) {
        say("%s is no number", text);
        return;
    }
    if (lba >= disk->drive->sectors) {
        say("%s has no block %s", name, text);
        return;
    }
    if (read_blocks(disk->drive, lba, 1))
        return;
    for (i = 0; i < disk->drive->blksize && !monitor->quit; i += 16) {
        char hex[16 * 3 + 1], chars[17];
        for (j = 0; j < 16; j++) {
            u8 c = monitor->data[i + j];
            snprintf(hex + j * 3, 4, " %02x", c);
            chars[j] = c >= ' ' && c < 0x7f ? c : '.';
        }
        chars[j] = 0;
        say("%03x:%s %s", i, hex, chars);
    }
}

static void
monitor_speed(char *name)
{
    struct xendisk_s *disk = named_disk(name);
    if (!disk)
        return;
    struct drive_s *drive = disk->drive;
    u32 blocks = MONITOR_READ / drive->blksize, done = 0;
    u32 attaches = disk->attaches, requests = disk->ring.requests;
    xenblk_drop_all(1);
    u64 begin = rdtscll();
    while (done < SPEED_SIZE && done / drive->blksize + blocks <= drive->sectors) {
        if (read_blocks(drive, done / drive->blksize, blocks))
            return;
        done += MONITOR_READ;
    }
    // 64 bits cannot be divided here
    u32 ms = (u32)((rdtscll() - begin) >> 10) / (xen_tsc_mhz * 1000 >> 10) ?: 1;
    u32 rate = done / 105 / ms; // tenths of MiB/s
    say("%u KiB in %u ms, %u.%u MiB/s, %u attaches, %u requests", done / 1024, ms
        , rate / 10, rate % 10, disk->attaches - attaches
        , disk->ring.requests - requests);
}


/****************************************************************
 * Xen and the machine
 ****************************************************************/

static void
monitor_hvm(char *args)
{
    static const struct {
        u8 index;
        char name[15];
    } names[] = {
        { HVM_PARAM_CALLBACK_IRQ, ", callback" },
        { HVM_PARAM_STORE_PFN, ", store page" },
        { HVM_PARAM_STORE_EVTCHN, ", store port" },
        { HVM_PARAM_CONSOLE_PFN, ", console page" },
        { HVM_PARAM_CONSOLE_EVTCHN, ", console port" },
    };
    int i, j;
    for (i = 0; i < HVM_NR_PARAMS; i++) {
        u32 value = xen_hvm_param(i);
        const char *name = "";
        for (j = 0; j < ARRAY_SIZE(names); j++)
            if (names[j].index == i)
                name = names[j].name;
        if (value)
            say("%u: 0x%x%s", i, value, name);
    }
}

// Ports beyond these are not looked at.
#define PORTS_MAX 4096

static void
monitor_ports(char *args)
{
    static const char kinds[][12] = {
        [EVTCHNSTAT_unbound] = "unbound", [EVTCHNSTAT_interdomain] = "interdomain",
        [EVTCHNSTAT_pirq] = "pirq", [EVTCHNSTAT_virq] = "virq",
        [EVTCHNSTAT_ipi] = "ipi",
    };
    struct evtchn_status status = { .dom = DOMID_SELF };
    int ret = 0;
    while (++status.port < PORTS_MAX && ret != -XEN_EINVAL) {
        ret = xen_hypercall2(__HYPERVISOR_event_channel_op, EVTCHNOP_status
                             , (u32)&status);
        if (ret == -XEN_EACCES)
            // an end that Xen itself holds, for the device model
            say("%u: Xen's own", status.port);
        else if (ret || !status.status || status.status >= ARRAY_SIZE(kinds))
            continue;
        else if (status.status == EVTCHNSTAT_interdomain)
            say("%u: interdomain, domain %u, port %u", status.port
                , status.u.interdomain.dom, status.u.interdomain.port);
        else
            say("%u: %s %u", status.port, kinds[status.status]
                , status.status == EVTCHNSTAT_unbound ? status.u.unbound.dom
                  : status.u.virq);
    }
}

static void
monitor_grants(char *args)
{
    int i;
    for (i = 0; i < XENGRANT_REFS; i++) {
        grant_entry_v1_t *entry = &xen_grants[i];
        if (!xengrant_is_free(i))
            say("%u: flags %x, domain %u, frame 0x%x", i, entry->flags, entry->domid
                , entry->frame);
    }
}

static void
monitor_map(char *args)
{
    static const char types[][9] = {
        [E820_RAM] = "RAM", [E820_RESERVED] = "reserved", [E820_ACPI] = "ACPI",
        [E820_NVS] = "NVS", [E820_UNUSABLE] = "unusable",
    };
    int i;
    for (i = 0; i < e820_count; i++) {
        struct e820entry *entry = &e820_list[i];
        say("%016llx-%016llx %s", entry->start, entry->start + entry->size - 1
            , entry->type < ARRAY_SIZE(types) ? types[entry->type] : "?");
    }
}

static void
monitor_settings(char *args)
{
    const struct xensetting_s *setting = NULL;
    while ((setting = xensettings_next(setting)))
        say("%s by %s: %s", setting->file.name, setting->source, setting->text);
}

static void
monitor_ver(char *args)
{
    u32 version = xen_hypercall2(__HYPERVISOR_xen_version, XENVER_version, 0);
    say("SeaBIOS %s, Xen %u.%u", VERSION, version >> 16, version & 0xffff);
}

// End the domain, as its configuration says for this reason (sched.h, SHUTDOWN_*).
static void
shut_down(u32 reason)
{
    struct sched_shutdown shutdown = { .reason = reason };
    xen_hypercall2(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (u32)&shutdown);
}

static void
monitor_reboot(char *args)
{
    shut_down(SHUTDOWN_reboot);
}

static void
monitor_off(char *args)
{
    shut_down(SHUTDOWN_poweroff);
}

static void
monitor_crash(char *args)
{
    shut_down(SHUTDOWN_crash);
}

static void
monitor_boot(char *args)
{
    monitor->done = 1;
}


/****************************************************************
 * Commands
 ****************************************************************/

static void monitor_help(char *name);

const struct monitor_command_s monitor_commands[] = {
    { "boot", 0, monitor_boot, "go on" },
    { "crash", 0, monitor_crash, "end the domain as crashed" },
    { "disks", 1, monitor_disks, "the VBDs, and their backends" },
    { "get", 1, monitor_get, "PATH: a node of xenstore" },
    { "grants", 1, monitor_grants, "entries of the first grant frame" },
    { "help", 0, monitor_help, "[COMMAND]" },
    { "hvm", 0, monitor_hvm, "parameters of the domain" },
    { "ls", 1, monitor_ls, "[PATH]: a directory of xenstore" },
    { "map", 0, monitor_map, "memory (e820)" },
    { "off", 0, monitor_off, "power off" },
    { "ports", 0, monitor_ports, "event channels" },
    { "read", 0, monitor_read, "DISK [LBA]: a block" },
    { "reboot", 0, monitor_reboot, "reboot" },
    { "rm", 1, monitor_rm, "PATH: remove a node of xenstore" },
    { "set", 1, monitor_set, "PATH VALUE: write a node of xenstore" },
    { "settings", 0, monitor_settings, "what the toolstack has set" },
    { "speed", 0, monitor_speed, "DISK: read 8 MiB" },
    { "ver", 0, monitor_ver, "versions" },
    { NULL },
};

static void
monitor_help(char *name)
{
    const struct monitor_command_s *command;
    for (command = monitor_commands; command->name; command++)
        if (!*name || !strcmp(command->name, name))
            say("%s %s", command->name, command->help);
}
