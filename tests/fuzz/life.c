// Fuzz target: a whole life, from POST to the OS, with faults and moves.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "input.h" // input_byte

static int steps;

static void
move(void)
{
    if (!steps--)
        hv_move(hv.domid + 1);
}

static const int faults[] = {
    STORE_ERROR, STORE_IGNORE, STORE_LOSE, STORE_LATE, STORE_BAD_ID,
    STORE_BAD_TYPE, STORE_LONG, STORE_EMPTY, STORE_TWICE, STORE_NO_NUL,
    STORE_SHORT, STORE_STOP,
};

static int
set_fault(u8 what)
{
    switch (what % 4) {
    case 0:
        store.fault_at = store.requests + 1 + input_byte();
        store.fault = faults[input_byte() % ARRAY_SIZE(faults)];
        return 1;
    case 1:
        hv.fail_at = hv.hypercalls + 1 + input_byte();
        hv.fail_with = 1 + input_byte();
        return 1;
    case 2:
        hv.lose_at = hv.notifications + 1 + input_byte();
        return 1;
    case 3:
        steps = input_number(2);
        sim_step = move;
        return 0;
    }
    return 0;
}

static void
call(struct backend *be)
{
    u8 what = input_byte();
    u32 lba = input_number(2), count = 1 + what % 128;
    if (!sim_drive(be))
        return;
    if (be->mode[0] == 'r') {
        count = 1 + count % 32;
        sim_read_unchecked(be, lba, count);
    } else if (what & 128) {
        sim_write_unchecked(be, lba, count);
    } else {
        sim_read_unchecked(be, lba, count);
    }
}

void
fuzz(void)
{
    int i, faulty = 0, disks = 1 + input_byte() % 3;
    for (i = 0; i < disks; i++) {
        u8 kind = input_byte();
        struct backend *be = sim_disk(51776 + 16 * i);
        be->domid = i;
        be->sector_size = kind & 1 ? 4096 : 512;
        be->flush = kind & 2;
        be->barrier = kind & 4;
        if (kind & 8) {
            be->type = "cdrom";
            be->info = VDISK_CDROM | VDISK_READONLY;
            be->mode = "r";
        }
        be->early = kind & 16;
        be->indirect = i % 2 ? 0 : 256;
        if (kind & 32)
            be->hotplug = input_byte() * 30 * MS;
        if (kind & 64)
            be->latency = input_byte() * 5 * MS;
        if (kind & 128)
            be->io_latency = input_byte() * 20 * MS;
    }
    store.index = input_number(4);
    store.split = input_byte();
    sim_window = input_byte() & 1 ? WINDOW_BAR : WINDOW_MEMORY;
    sim_prepare();
    int left = input_byte() % 3;
    while (left--)
        faulty |= set_fault(input_byte());
    sim_boot_unchecked();
    for (i = 0; i < 40 && input_len; i++) {
        u8 what = input_byte();
        struct backend *be = backends[what % disks];
        u64 begin = sim_now;
        if (what < 160)
            call(be);
        else if (what < 190)
            sim_pass(input_number(2) * 10 * MS);
        else if (what < 200)
            hv_move(hv.domid + 1);
        else
            faulty |= set_fault(what);
        if (what < 160 && sim_now - begin > 250 * SECOND)
            fail("a call took %llu s", (sim_now - begin) / SECOND);
        const char *trace = faulty ? NULL : sim_find_trace();
        if (trace)
            fail("trace without a fault: %s", trace);
    }
    sim_step = NULL;
    for (i = 0; i < disks; i++)
        sim_check_image(backends[i]);
}
