// One thing goes wrong, once, at every step of a life from POST to the OS.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __FAULTS_H
#define __FAULTS_H

#include "sim.h" // sim_disk

// Something that goes wrong.
struct fault {
    const char *name;
    enum {
        FAULT_HYPERCALL, FAULT_NOTIFICATION, FAULT_ALLOCATION, FAULT_REQUEST,
        FAULT_RESPONSE, FAULT_WATCH, FAULT_EVENT,
    } what;
    int how;                // errno, STORE_*, IO_* or WATCH_*
    const char *error;      // of STORE_ERROR
};

// Live `life` with `disks` disks (all in domains of their own), first without a
// fault, and then with it at each step that there was; then see that the fault
// is over. What failed must have been explained, nothing may have hung, no
// device looks as if somebody owned it, and all works again.
void faults_each(const struct fault *fault, void (*life)(void), int disks);

// For a life: add the disks and run POST.
void faults_boot(void);

// Read or write, and expect a success, or an explanation.
void faults_read(struct backend *be, u64 lba, u32 count);
void faults_write(struct backend *be, u64 lba, u32 count);

// Fail if a disk that is closed does not look so.
void faults_check_closed(const char *when);

// Loop over the disks that are drives.
extern int faults_disks;
#define for_each_drive(be) \
    for (int be##_i = 0; be##_i < faults_disks; be##_i++) \
        for (struct backend *be = backends[be##_i]; be && sim_drive(be); be = NULL)

#endif // faults.h
