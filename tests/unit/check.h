// A small test runner. Every test runs in a process of its own, so that a
// crash, a report of a sanitizer or an endless loop is one failed test, and no
// state passes from one test to the next.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __CHECK_H
#define __CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Define a test. Its name says the rule that it checks.
#define TEST(name)                                                      \
    static void name(void);                                             \
    static struct check_test check_##name = { #name, __FILE__, name };  \
    static void __attribute__((constructor)) check_add_##name(void)     \
    {                                                                   \
        check_add(&check_##name);                                       \
    }                                                                   \
    static void name(void)

struct check_test {
    const char *name, *file;
    void (*run)(void);
    struct check_test *next;
};

void check_add(struct check_test *test);

// Fail the test that runs, with a message.
void check_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));

#define fail(fmt, args...) check_fail(__FILE__, __LINE__, fmt, ##args)

// Compare two integers, and fail with both.
#define check_equal(is, want) do {                                      \
        long long check_is = (is), check_want = (want);                 \
        if (check_is != check_want)                                     \
            fail("%s is %lld (0x%llx), not %lld (0x%llx)", #is          \
                 , check_is, check_is, check_want, check_want);         \
    } while (0)

#define check_string(is, want) do {                                     \
        const char *check_is = (is), *check_want = (want);              \
        if (!check_is || strcmp(check_is, check_want))                  \
            fail("%s is \"%s\", not \"%s\"", #is                        \
                 , check_is ?: "(null)", check_want);                   \
    } while (0)

#define check_true(condition) do {                                      \
        if (!(condition))                                               \
            fail("not true: %s", #condition);                           \
    } while (0)

// Compare memory, and fail with the place and both bytes.
void check_memory_at(const char *file, int line, const void *is
                     , const void *want, size_t len);
#define check_memory(is, want, len) \
    check_memory_at(__FILE__, __LINE__, is, want, len)

// Run `body(n)` for n in 0..count-1, each in a process of its own, and fail
// with the output of the first of them that failed.
void check_each(int count, void (*body)(int n));

#endif // check.h
