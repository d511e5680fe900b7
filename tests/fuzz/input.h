// An input of the fuzzer, taken byte by byte.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __INPUT_H
#define __INPUT_H

#include "../sim/sim.h" // u8

// What is left of the input.
extern const u8 *input;
extern u32 input_len;

static inline u8
input_byte(void)
{
    if (!input_len)
        return 0;
    input_len--;
    return *input++;
}

static inline u32
input_number(u32 bytes)
{
    u32 number = 0;
    while (bytes--)
        number = number << 8 | input_byte();
    return number;
}

// A text of at most `max` bytes, as long as its first byte says. Returns its
// length.
static inline u32
input_text(char *text, u32 max)
{
    u32 len = input_byte(), i;
    if (len >= 240)
        len = (len - 239) * 256;
    if (len > max)
        len = max;
    if (len > input_len)
        len = input_len;
    for (i = 0; i < len; i++)
        text[i] = input_byte();
    text[len] = 0;
    return len;
}

// What a target does with one input.
void fuzz(void);

#endif // input.h
