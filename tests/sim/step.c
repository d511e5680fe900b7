// Between two instructions of the guest: what another CPU, or Xen, does there.
//
// The guest's view of the store's ring is taken away; each instruction that needs
// it is carried out alone, and then somebody else has a turn.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#define _GNU_SOURCE
#include "sim.h" // sim_at_ring_access

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096
#define TRAP_FLAG 0x100

static void (*turn)(void);
u32 sim_ring_offset;

static void
hide_ring(void)
{
    mprotect(hv.guest_store, PAGE, PROT_NONE);
}

static void
show_ring(void)
{
    mprotect(hv.guest_store, PAGE, PROT_READ | PROT_WRITE);
}

static void
accessed(int signal, siginfo_t *info, void *context)
{
    ucontext_t *state = context;
    u32 offset = (u32)info->si_addr - (u32)hv.guest_store;
    if (offset >= PAGE) {
        // a crash like any other
        sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
        return;
    }
    sim_ring_offset = offset;
    show_ring();
    state->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void
carried_out(int signal, siginfo_t *info, void *context)
{
    ucontext_t *state = context;
    state->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
    if (turn)
        turn();
    if (turn)
        hide_ring();
}

void
sim_at_ring_access(void (*func)(void))
{
    struct sigaction access = { .sa_sigaction = accessed, .sa_flags = SA_SIGINFO };
    struct sigaction trap = { .sa_sigaction = carried_out, .sa_flags = SA_SIGINFO };
    turn = func;
    if (!func)
        return show_ring();
    sigaction(SIGSEGV, &access, NULL);
    sigaction(SIGTRAP, &trap, NULL);
    hide_ring();
}
