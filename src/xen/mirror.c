// The text screen of a PVH guest on the PV console.
//
// Int10 is a VGA BIOS's, on plain memory, and programs write there themselves. So
// the screen is compared with what was sent of it, and the difference goes out as
// a terminal understands it: VT100's control sequences (ECMA-48), and UTF-8. Each
// update ends with the cursor where it is on the screen, and without a colour,
// so that an OS may go on at any time.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_BDA
#include "config.h" // CONFIG_XEN_PVH
#include "console.h" // xencons_put
#include "cp437.h" // cp437_to_unicode
#include "mirror.h" // xenmirror_update
#include "platform.h" // xen_alloc
#include "string.h" // memmove

#define COLS 80
#define ROWS 50             // 25 as a rule

#define NORMAL 0x07         // grey on black
#define BLANK (NORMAL << 8 | ' ')
#define BOLD 0x08
#define BLINK 0x80

// Unchanged characters up to here are sent again, rather than passed over.
#define GAP 8
// The longest that is sent for one place: a GAP of UTF-8, the way there, a colour, a
// character. And what ends an update: colour, way, cursor.
#define PLACE_MAX (GAP * 3 + 8 + 15 + 3)
#define END_MAX (4 + GAP * 3 + 8 + 6)
// Scrolling, without the line feeds.
#define SCROLL_MAX (4 + 7 + 7 + 3)

#define UNKNOWN 0xff

static struct mirror_s {
    u16 sent[ROWS][COLS];   // what the terminal shows: characters, attributes
    u8 row, col, attr;      // its cursor and colour
    u8 is_hidden;           // it shows no cursor
    u8 rows, cols;          // of the screen
    u8 mode;                // the mode of the screen that it knows of, or UNKNOWN
    u32 end;                // where our output ended
    u32 len;
    char text[XENCONS_SIZE];
} *mirror;

static void
put_text(const char *text)
{
    while (*text)
        mirror->text[mirror->len++] = *text++;
}

static void
put_number(u8 number)
{
    if (number >= 10)
        mirror->text[mirror->len++] = '0' + number / 10;
    mirror->text[mirror->len++] = '0' + number % 10;
}

static void put_cell(u16 cell);

// Say whether a character needs no other colour; a blank has but the background's.
static int
is_coloured(u16 cell)
{
    u8 other = mirror->attr ^ cell >> 8;
    return (u8)cell == ' ' ? !(other & 0x70) : !other;
}

// Move the terminal's cursor.
static void
put_cursor(u8 row, u8 col)
{
    u8 from = mirror->row == row && mirror->col <= col ? mirror->col : UNKNOWN;
    if (col - from <= GAP)
        // over a few characters of this colour
        while (from < col && is_coloured(mirror->sent[row][from]))
            from++;
    if (from == col) {
        while (mirror->col < col)
            put_cell(mirror->sent[row][mirror->col]);
        return;
    }
    if (!col && mirror->row == row) {
        put_text("\r");
    } else if (!col && mirror->row + 1 == row && row + 1 < mirror->rows) {
        // not into the last row: a terminal of 24 would scroll
        put_text("\r\n");
    } else {
        put_text("\e[");
        put_number(row + 1);
        put_text(";");
        put_number(col + 1);
        put_text("H");
    }
    mirror->row = row;
    mirror->col = col;
}

static void
put_attr(u8 attr)
{
    // VGA's colours have red and blue the other way round
    static const char colours[8] = "04261537";
    if (mirror->attr == attr)
        return;
    mirror->attr = attr;
    put_text("\e[0");
    if (attr & BOLD)
        put_text(";1");
    if (attr & BLINK)
        put_text(";5");
    if ((attr & 7) != 7) {
        put_text(";3");
        mirror->text[mirror->len++] = colours[attr & 7];
    }
    if (attr >> 4 & 7) {
        put_text(";4");
        mirror->text[mirror->len++] = colours[attr >> 4 & 7];
    }
    put_text("m");
}

// Write a character at the terminal's cursor.
static void
put_cell(u16 cell)
{
    u16 code = cp437_to_unicode(cell);
    if (!is_coloured(cell))
        put_attr(cell >> 8);
    if (code < 0x80) {
        mirror->text[mirror->len++] = code;
    } else if (code < 0x800) {
        mirror->text[mirror->len++] = 0xc0 | code >> 6;
        mirror->text[mirror->len++] = 0x80 | (code & 0x3f);
    } else {
        mirror->text[mirror->len++] = 0xe0 | code >> 12;
        mirror->text[mirror->len++] = 0x80 | (code >> 6 & 0x3f);
        mirror->text[mirror->len++] = 0x80 | (code & 0x3f);
    }
    mirror->sent[mirror->row][mirror->col] = cell;
    // behind the last column terminals differ
    if (++mirror->col == COLS)
        mirror->row = mirror->col = UNKNOWN;
}

static void
forget_line(u8 row, u8 col)
{
    for (; col < COLS; col++)
        mirror->sent[row][col] = BLANK;
}

// Begin with an empty terminal.
static void
put_clear(void)
{
    u8 row;
    put_text("\e[0m\e[?25h\e[2J\e[H");
    mirror->row = mirror->col = mirror->is_hidden = 0;
    mirror->attr = NORMAL;
    for (row = 0; row < ROWS; row++)
        forget_line(row, 0);
}

// What is on the screen at a place. A blank has no colour but its background's.
static u16
read_cell(u8 row, u8 col)
{
    u32 base = GET_BDA(video_mode) == 7 ? 0xb0000 : 0xb8000;
    if (col >= mirror->cols)
        return BLANK;
    u32 offset = GET_BDA(video_pagestart) + (row * mirror->cols + col) * 2;
    u16 cell = *(volatile u16*)(base + (offset & 0x7ffe));
    u8 chr = cell;
    if (chr == ' ' || !cp437_to_unicode(chr) || chr == 0xff)
        return (cell & 0x7000) | BLANK;
    return cell;
}

static int
is_sent(u8 row, u8 col)
{
    return read_cell(row, col) == mirror->sent[row][col];
}

// Say whether what was sent, but for its last line, is so many lines higher on the
// screen, and not just empty.
static int
is_scrolled(u8 lines)
{
    u8 row, col;
    int seen = 0;
    for (row = 0; row + lines < mirror->rows - 1; row++)
        for (col = 0; col < COLS; col++) {
            u16 cell = read_cell(row, col);
            if (cell != mirror->sent[row + lines][col])
                return 0;
            seen |= cell != BLANK;
        }
    return seen;
}

// Find out by how many lines the screen has been scrolled.
static u8
find_scroll(void)
{
    u8 lines;
    for (lines = 0; lines < mirror->rows - 1; lines++)
        if (is_scrolled(lines))
            return lines;
    return 0;
}

// Scroll the terminal's first lines, which it may keep for its user.
static void
put_scroll(u8 lines)
{
    u8 last = mirror->rows - 1, i;
    put_attr(NORMAL);
    put_text("\e[1;");
    put_number(last + 1);
    put_text("r\e[");
    put_number(last + 1);
    put_text(";1H");
    for (i = 0; i < lines; i++)
        put_text("\n");
    put_text("\e[r");
    // which puts the cursor to the first place
    mirror->row = mirror->col = 0;
    memmove(mirror->sent[0], mirror->sent[lines]
            , (mirror->rows - lines) * sizeof(mirror->sent[0]));
    for (i = 0; i < lines; i++)
        forget_line(last - i, 0);
}

// A line is blank from here on.
static int
is_blank(u8 row, u8 col)
{
    for (; col < COLS; col++)
        if (read_cell(row, col) != BLANK)
            return 0;
    return 1;
}

// Send the part of a line that has changed. Returns -1 if there is no room for
// more.
static int
put_line(u8 row, u32 room)
{
    u8 col;
    for (col = 0; col < COLS; col++) {
        if (is_sent(row, col))
            continue;
        if (mirror->len + PLACE_MAX + END_MAX > room)
            return -1;
        put_cursor(row, col);
        if (read_cell(row, col) == BLANK && is_blank(row, col)) {
            put_attr(NORMAL);
            put_text("\e[K");
            forget_line(row, col);
            break;
        }
        put_cell(read_cell(row, col));
    }
    return 0;
}

// Make the cursor what it is on the screen.
static void
put_end(u32 how)
{
    u16 pos = GET_BDA(cursor_pos[GET_BDA(video_page) & 7]), shape = GET_BDA(cursor_type);
    u8 row = pos >> 8, col = pos;
    int is_hidden = !(how & XENMIRROR_CURSOR)
        && (shape & 0x2000 || (shape >> 8 & 0x1f) > (shape & 0x1f));
    put_attr(NORMAL);
    if (row < mirror->rows && col < COLS)
        put_cursor(row, col);
    if (is_hidden != mirror->is_hidden)
        put_text(is_hidden ? "\e[?25l" : "\e[?25h");
    mirror->is_hidden = is_hidden;
}

// Look at the mode of the screen. Returns 0 if it shows text, which the terminal is
// ready for.
static int
follow_mode(void)
{
    u8 mode = GET_BDA(video_mode);
    if (mode <= 3 || mode == 7) {
        u8 rows = GET_BDA(video_rows) + 1, cols = GET_BDA(video_cols);
        if (rows > ROWS)
            rows = ROWS;
        if (cols > COLS)
            cols = COLS;
        if (mirror->mode == UNKNOWN || rows != mirror->rows || cols != mirror->cols)
            put_clear();
        mirror->rows = rows;
        mirror->cols = cols;
        mirror->mode = 0;
        return 0;
    }
    if (mirror->mode != mode) {
        put_clear();
        put_text("The program shows graphics (mode ");
        put_number(mode >> 4);
        mirror->text[mirror->len++] = "0123456789abcdef"[mode & 15];
        put_text("h), which this console cannot show.\r\n");
    }
    // text that comes back begins anew
    mirror->rows = 0;
    mirror->mode = mode;
    return -1;
}

// The least room that an update makes use of.
#define ROOM_MIN (PLACE_MAX + END_MAX + SCROLL_MAX + ROWS)

// Send as much as there is room for. Returns 1 if that was all, else 0.
static int
update_part(u32 how)
{
    u32 room = xencons_room();
    int all = 1;
    u8 row, lines;
    if (room < ROOM_MIN)
        return 0;
    mirror->len = 0;
    // somebody else has written there, or this is another domain's console now
    if (mirror->end != xencons_end())
        mirror->mode = UNKNOWN;
    if (!follow_mode()) {
        lines = find_scroll();
        if (lines)
            put_scroll(lines);
        for (row = 0; row < mirror->rows && all; row++)
            all = !put_line(row, room);
        put_end(how);
    }
    if (mirror->len)
        xencons_put(mirror->text, mirror->len, &mirror->end);
    return all;
}

int
xenmirror_setup(void)
{
    mirror = xen_alloc(sizeof(*mirror));
    if (!mirror)
        return -1;
    mirror->mode = UNKNOWN;
    return 0;
}

u32 VISIBLE32FLAT
xenmirror_update(u32 how)
{
    int fillings;
    if (!CONFIG_XEN_PVH || !mirror)
        return 0;
    // more than the whole screen in the worst colours takes
    for (fillings = 0; fillings < 32 && !update_part(how); fillings++)
        if (!(how & XENMIRROR_WAIT) || xencons_wait(ROOM_MIN))
            break;
    return 0;
}
