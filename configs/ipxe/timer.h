/* Time by the TSC, whose frequency Xen tells (patches/ipxe): finer than the BIOS's ticks, and there
 * in PVH guests, too. */
#define TIMER_RDTSC
