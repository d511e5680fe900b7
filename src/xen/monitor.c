// The Xen monitor: a prompt in the boot menu, to see what the firmware sees.
//
// A command has a session of its own, so that at the prompt the machine is as if the
// firmware had never talked to Xen.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkdev.h" // xenblk
#include "config.h" // CONFIG_XEN_PV_MONITOR
#include "malloc.h" // malloc_tmphigh
#include "monitor.h" // monitor_has_row
#include "output.h" // printf
#include "session.h" // xen_platform_moved
#include "string.h" // strtcpy
#include "util.h" // get_keystroke_full
#include "xenpv.h" // xen_monitor
#include "xenstore.h" // xenstore_open

#define PAGE_ROWS 23

struct monitor_s *monitor;


/****************************************************************
 * Keys and lines
 ****************************************************************/

#define KEY_UP   0x48
#define KEY_DOWN 0x50
#define KEY_ESC  0x01
#define CTRL_U   ('U' & 0x1f)

// Wait for a key. Returns its scan code and, in the low byte, its character.
static int
wait_key(void)
{
    int key;
    do
        key = get_keystroke_full(1000);
    while (key < 0);
    return key;
}

static void
open_session(void)
{
    if (!xenstore_open())
        monitor->open = 1;
    else
        printf("xenstore cannot be used\n");
}

static void
close_session(void)
{
    if (!monitor->open)
        return;
    monitor->open = 0;
    if (xenblk && xen_platform_moved())
        xenblk_forget_all();
    else
        xenstore_close();
}

int
monitor_has_row(void)
{
    if (monitor->quit)
        return 0;
    if (monitor->rows++ < PAGE_ROWS)
        return 1;
    u8 open = monitor->open;
    close_session();
    printf("-- more --");
    int key = wait_key();
    printf("\r          \r");
    monitor->rows = 1;
    monitor->quit = key >> 8 == KEY_ESC || (u8)key == 'q';
    if (open && !monitor->quit) {
        open_session();
        monitor->quit = !monitor->open;
    }
    return !monitor->quit;
}

void
monitor_show(void)
{
    if (monitor_has_row())
        printf("%s\n", monitor->row);
}

// Take characters back from the screen.
static void
erase(u32 count)
{
    while (count--)
        printf("\b \b");
}

// Let the user edit a line.
static void
read_line(void)
{
    char *line = monitor->line;
    u32 len = 0, back = 0;
    printf("xen> ");
    for (;;) {
        int key = wait_key(), scan = key >> 8;
        u8 c = key;
        if (c == '\r')
            break;
        if ((c == '\b' || c == 0x7f) && len) {
            erase(1);
            len--;
        } else if (c == CTRL_U) {
            erase(len);
            len = 0;
        } else if (!c && (scan == KEY_UP || scan == KEY_DOWN)) {
            u32 most = monitor->lines < MONITOR_HISTORY ? monitor->lines : MONITOR_HISTORY;
            if (scan == KEY_UP ? back == most : !back)
                continue;
            back += scan == KEY_UP ? 1 : -1;
            erase(len);
            strtcpy(line, back ? monitor->history[(monitor->lines - back) % MONITOR_HISTORY]
                    : "", MONITOR_LINE);
            len = strlen(line);
            printf("%s", line);
        } else if (c >= ' ' && c < 0x7f && len < MONITOR_LINE - 1) {
            line[len++] = c;
            printf("%c", c);
        }
    }
    line[len] = 0;
    printf("\n");
    if (len)
        strtcpy(monitor->history[monitor->lines++ % MONITOR_HISTORY], line, MONITOR_LINE);
}

char *
monitor_cut_word(char *text)
{
    while (*text && *text != ' ')
        text++;
    while (*text == ' ')
        *text++ = 0;
    return text;
}


/****************************************************************
 * The prompt
 ****************************************************************/

// Carry out the line.
static void
run_line(void)
{
    const struct monitor_command_s *command;
    char *line = monitor->line;
    while (*line == ' ')
        line++;
    char *args = monitor_cut_word(line);
    monitor->rows = monitor->quit = 0;
    for (command = monitor_commands; command->name; command++) {
        if (strcmp(command->name, line))
            continue;
        if (command->session)
            open_session();
        if (monitor->open || !command->session)
            command->run(args);
        close_session();
        if (xenblk)
            xen_close_all();
        return;
    }
    if (*line)
        say("%s? help lists all commands", line);
}

void
xen_monitor(void)
{
    if (!CONFIG_XEN_PV_MONITOR)
        return;
    monitor = malloc_tmphigh(sizeof(*monitor));
    if (!monitor) {
        warn_noalloc();
        return;
    }
    memset(monitor, 0, sizeof(*monitor));
    printf("\nXen monitor. help lists all commands, boot goes on.\n");
    while (!monitor->done) {
        read_line();
        run_line();
    }
    free(monitor);
}
