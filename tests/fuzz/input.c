// One run of a fuzz target: the simulated Xen is set up and taken down.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "input.h" // fuzz

#include <stdarg.h>

extern u32 LegacyRamSize;

const u8 *input;
u32 input_len;

void
check_fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s\n%s:%d: ", sim_log, file, line);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    abort();
}

void
check_memory_at(const char *file, int line, const void *is, const void *want
                , size_t len)
{
    if (memcmp(is, want, len))
        check_fail(file, line, "%zu bytes differ", len);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    input = data;
    input_len = size;
    sim_quiet = 1;
    // a small cache: filling it is most of the work
    LegacyRamSize = 16 << 20;
    sim_seed = input_number(2);
    fuzz();
    sim_stop();
    return 0;
}
