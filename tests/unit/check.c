// A small test runner.
//
//   PROGRAM [-v] [-f] [-l SECONDS] [-n N] [-x FILE] [-e NAME]... [NAME...]
//
// Runs the tests whose names contain one of NAME (all tests without). -v shows
// the output of passed tests too, -f ends at the first that fails, -l limits
// the time of each, -n runs only case N of tests that have many, -x writes
// results as JUnit XML, -e leaves the test NAME out. The status is 0 if all passed.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#define _GNU_SOURCE
#include "check.h" // TEST

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// A test that takes longer hangs.
static int limit_seconds = 60;

static struct check_test *first, **last = &first;
static int only_case = -1, first_only;

// Names of tests that do not run.
static const char *left_out[500];
static int left_out_count;

// Leave this process; a measurement of coverage is kept.
static void __attribute__((noreturn))
leave(int status)
{
    extern void __gcov_dump(void);
    fflush(NULL);
#ifdef COVERAGE
    __gcov_dump();
#endif
    _exit(status);
}

void
check_add(struct check_test *test)
{
    *last = test;
    last = &test->next;
}

void
check_fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    leave(1);
}

void
check_memory_at(const char *file, int line, const void *is, const void *want
                , size_t len)
{
    const uint8_t *a = is, *b = want;
    size_t i;
    for (i = 0; i < len; i++)
        if (a[i] != b[i])
            check_fail(file, line, "byte %zu of %zu is %02x, not %02x"
                       , i, len, a[i], b[i]);
}


/****************************************************************
 * One process
 ****************************************************************/

// Open a file that is gone when it is closed.
static FILE *
open_output(void)
{
    FILE *file = tmpfile();
    if (!file) {
        perror("tmpfile");
        exit(2);
    }
    return file;
}

// A process that runs a test, or one case of a test.
struct process {
    pid_t pid;
    FILE *output;
    int n;
};

// Start one, its output in a file.
static void
start_process(struct process *process, void (*body)(void *arg), void *arg)
{
    fflush(NULL);
    process->output = open_output();
    process->pid = fork();
    if (process->pid < 0) {
        perror("fork");
        exit(2);
    }
    if (process->pid)
        return;
    dup2(fileno(process->output), 1);
    dup2(fileno(process->output), 2);
    alarm(limit_seconds);
    body(arg);
    leave(0);
}

// Wait for its end. Returns the wait status.
static int
end_process(struct process *process)
{
    int status;
    waitpid(process->pid, &status, 0);
    fseek(process->output, 0, SEEK_END);
    if (WIFSIGNALED(status))
        fprintf(process->output, "ended by signal %d (%s)\n"
                , WTERMSIG(status), strsignal(WTERMSIG(status)));
    return status;
}

static void
copy_output(FILE *output, FILE *to, int xml)
{
    int c;
    rewind(output);
    while ((c = getc(output)) != EOF)
        if (!xml || (c != '<' && c != '&' && (c >= 32 || c == '\n') && c < 127))
            putc(c, to);
        else
            fprintf(to, c == '<' ? "&lt;" : c == '&' ? "&amp;" : "?");
}

struct each {
    void (*body)(int n);
    int n;
};

static void
run_one(void *arg)
{
    struct each *each = arg;
    each->body(each->n);
}

void
check_each(int count, void (*body)(int n))
{
    // as many at the same time as there are processors
    int jobs = sysconf(_SC_NPROCESSORS_ONLN), begun = 0, ended = 0, failed = 0;
    struct process processes[jobs];
    char numbers[600] = "";
    if (only_case >= 0 && only_case < count && count > 1) {
        body(only_case);
        leave(0);
    }
    while (ended < count && !(first_only && failed)) {
        for (; begun < count && begun < ended + jobs; begun++) {
            struct each each = { body, begun };
            processes[begun % jobs].n = begun;
            start_process(&processes[begun % jobs], run_one, &each);
        }
        struct process *process = &processes[ended++ % jobs];
        int bad = end_process(process);
        // the limit is for each of them
        alarm(limit_seconds);
        if (bad) {
            if (!failed++)
                copy_output(process->output, stderr, 0);
            snprintf(numbers + strlen(numbers), sizeof(numbers) - strlen(numbers)
                     , " %d", process->n);
        }
        fclose(process->output);
    }
    if (failed)
        fail("%d of %d failed (the output is of the first):%s"
             , failed, count, numbers);
}


/****************************************************************
 * All tests
 ****************************************************************/

static void
run_test(void *arg)
{
    struct check_test *test = arg;
    test->run();
}

static double
seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int
selected(struct check_test *test, char **names)
{
    int i;
    for (i = 0; i < left_out_count; i++)
        if (!strcmp(test->name, left_out[i]))
            return 0;
    if (!*names)
        return 1;
    for (; *names; names++)
        if (strstr(test->name, *names))
            return 1;
    return 0;
}

int
main(int argc, char **argv)
{
    int opt, verbose = 0, passed = 0, failed = 0;
    FILE *xml = NULL;
    while ((opt = getopt(argc, argv, "e:fl:n:vx:")) != -1) {
        if (opt == 'v')
            verbose = 1;
        else if (opt == 'f')
            first_only = 1;
        else if (opt == 'e' && left_out_count < 500)
            left_out[left_out_count++] = optarg;
        else if (opt == 'l')
            limit_seconds = atoi(optarg);
        else if (opt == 'n')
            only_case = atoi(optarg);
        else if (opt != 'x' || !(xml = fopen(optarg, "w")))
            return 2;
    }
    const char *suite = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    if (xml)
        fprintf(xml, "<testsuites><testsuite name=\"%s\">\n", suite);
    struct check_test *test;
    for (test = first; test && !(first_only && failed); test = test->next) {
        if (!selected(test, argv + optind))
            continue;
        struct process process;
        double begin = seconds();
        start_process(&process, run_test, test);
        int bad = end_process(&process);
        FILE *output = process.output;
        double took = seconds() - begin;
        *(bad ? &failed : &passed) += 1;
        if (bad || verbose) {
            printf("---- %s (%s, %.2f s)\n", test->name, test->file, took);
            copy_output(output, stdout, 0);
        }
        if (bad)
            printf("FAILED %s\n", test->name);
        if (xml) {
            fprintf(xml, "<testcase classname=\"%s\" name=\"%s\" time=\"%.3f\">"
                    , suite, test->name, took);
            if (bad) {
                fprintf(xml, "<failure>");
                copy_output(output, xml, 1);
                fprintf(xml, "</failure>");
            }
            fprintf(xml, "</testcase>\n");
        }
        fclose(output);
    }
    if (xml) {
        fprintf(xml, "</testsuite></testsuites>\n");
        fclose(xml);
    }
    printf("%s: %d passed, %d failed\n", suite, passed, failed);
    return failed || !passed;
}
