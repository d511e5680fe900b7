// The monitor's prompt, as its commands see it. Boot menu only.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_MONITOR_H
#define __XEN_MONITOR_H

#include "output.h" // snprintf
#include "types.h" // u32
#include "xenapi.h" // XENSTORE_PAYLOAD_MAX

#define MONITOR_LINE    76
#define MONITOR_HISTORY 8

// One read of int13.
#define MONITOR_READ (64 * 1024)

struct monitor_s {
    char line[MONITOR_LINE];
    char history[MONITOR_HISTORY][MONITOR_LINE];
    u32 lines;          // in the history so far
    u8 rows;            // shown since the last key
    u8 quit;            // the rest of this command's output is not wanted
    u8 open;            // its session is
    u8 done;            // no more commands
    char row[XENSTORE_PAYLOAD_MAX + MONITOR_LINE];
    char names[XENSTORE_PAYLOAD_MAX + 1];
    u8 data[MONITOR_READ];
};

extern struct monitor_s *monitor;

// Say whether one more line may be shown; a full screen waits for a key, without a
// session.
int monitor_has_row(void);

// Show a row. It is made before that: a text in xenstore's reply does not last until the
// key comes.
#define say(fmt, args...) do {                                          \
        snprintf(monitor->row, sizeof(monitor->row), fmt , ##args);     \
        monitor_show();                                                 \
    } while (0)
void monitor_show(void);

// Cut a word off a text. Returns what is behind it.
char *monitor_cut_word(char *text);

// A command (moncmd.c); a null name ends their list.
struct monitor_command_s {
    const char *name;
    u8 session;         // it needs one of its own
    void (*run)(char *args);
    const char *help;
};

extern const struct monitor_command_s monitor_commands[];

#endif // monitor.h
