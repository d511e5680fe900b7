// Fuzz target: what a backend writes to its ring.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "input.h" // input_byte

static int
respond(struct backend *be, struct blkif_response *rsp)
{
    u8 how = input_byte();
    if (how < 160)
        return 1;
    switch (how & 15) {
    case 0:
        rsp->id = input_byte();
        break;
    case 1:
        rsp->id = (u64)input_number(4) << 32 | rsp->id;
        break;
    case 2:
        rsp->operation = input_byte();
        break;
    case 3:
        rsp->status = input_number(2) | 1;
        break;
    case 4:
        backend_push(be, rsp);
        break;
    case 5:
        return 0;
    case 6:
        be->rsp_prod += input_number(how & 16 ? 4 : 1);
        break;
    case 7:
        be->rsp_prod -= input_byte();
        break;
    case 8:
        be->keep_mapped = 1;
        break;
    case 9:
        ((u8*)rsp)[input_byte() % sizeof(*rsp)] = input_byte();
        break;
    case 10:
        be->io_latency = input_byte() * SECOND;
        break;
    case 11:
        be->sring->rsp_prod = input_number(4);
        break;
    }
    return 1;
}

void
fuzz(void)
{
    struct backend *bad = sim_disk(51776), *good = sim_disk(51792);
    bad->domid = 1;
    good->domid = 2;
    u8 kind = input_byte();
    if (kind & 1)
        bad->hook_response = respond;
    if (kind & 2)
        bad->indirect = 0;
    bad->no_indirect = kind & 4;
    sim_boot_unchecked();
    bad->hook_response = respond;
    int calls;
    for (calls = 0; calls < 20 && input_len && sim_drive(bad); calls++) {
        u8 what = input_byte();
        u32 lba = input_number(2), count = 1 + what % 128;
        u64 begin = sim_now;
        if (what & 128)
            sim_write_unchecked(bad, lba, count);
        else
            sim_read_unchecked(bad, lba, count);
        if (sim_now - begin > 120 * SECOND)
            fail("a call took %llu s", (sim_now - begin) / SECOND);
        // requests may have got scarce, but nothing that is read is wrong
        sim_read_unchecked(good, lba / 2, count);
        sim_write_unchecked(good, lba / 3, 1 + count / 7);
    }
    sim_check_image(good);
    if (sim_drive(good))
        check_equal(sim_read_unchecked(good, 0, 1), 0);
}
