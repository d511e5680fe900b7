/* iPXE for the guests of Xen: its general.h, but for what the guest's boot would wait for. */

/* No "Press Ctrl-B" in POST, and none before it boots: the boot order says when iPXE runs. */
#undef ROM_BANNER_TIMEOUT
#define ROM_BANNER_TIMEOUT 0
#undef BANNER_TIMEOUT
#define BANNER_TIMEOUT 0

/* A work-around for another hypervisor, at the price of a switch of modes in each interrupt. */
#undef TIVOLI_VMM_WORKAROUND
