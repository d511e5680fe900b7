// What SeaBIOS calls in the Xen PV layer.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XENPV_H
#define __XENPV_H

#include "config.h" // CONFIG_XEN_PV
#include "types.h" // u8

// Behind all types of SeaBIOS's drives: what it finds without the layer keeps its
// place.
#define DTYPE_XEN 0xf8

struct bregs;
struct disk_op_s;
struct drive_s;
struct pci_device;
struct rom_header;

// settings.c

// Take the settings that are in memory from the beginning. Once in POST, when
// memory can be allocated, before anybody looks for a romfile.
void xen_settings_setup(void);

// The place in the boot order (from 1) of the ROM of a PCI device, whose path is
// `path`; no device: of the module of a PVH guest. Returns -1 if it has none.
int xen_rom_prio(const char *path, struct pci_device *pci);

// setup.c

// Find Xen, and set up what all devices share. Once in POST, after
// platform_hardware_setup(): the hypercall page and the PCI devices are known.
void xen_setup(void);

// Attach every VBD that is a whole disk. POST only, before the emulated disks are
// detected.
void xen_block_setup(void);

// Register each VBD that has no emulated twin as a BIOS drive; from here on those
// that have one are read by PV. POST only, once all emulated disks are detected.
void xen_block_register(void);

// All drives and ROMs are registered, and `first` (a description) will be booted.
// Once in POST.
void xen_prepboot(const char *first);

// Say whether the boot menu has an entry for the Xen monitor.
int xen_can_show_menu(void);

// monitor.c

// Carry out commands of the user, until that goes on with booting. POST only.
void xen_monitor(void);

// blkfront.c

// Carry out an int13 request for a DTYPE_XEN drive. Returns DISK_RET_*; on an error a
// part may have been transferred.
int xen_process_op(struct disk_op_s *op);

// The same for a CMD_READ of an emulated twin: returns 0, 1 if other programs may have run
// meanwhile, or -1 if its own driver has to read. A CMD_WRITE is only remembered: returns
// 0, or -1 if it cannot be.
int xen_twin_op(struct disk_op_s *op);

// Close all disks that are attached, and go on with the closes that have not come to
// their end.
void xen_close_all(void);

// blkprobe.c

// SeaBIOS registers an emulated drive: it may be the twin of a disk, which makes it
// one disk with two paths (xen-vbd-interface(7)). `drive->floppy_type` of a disk of
// the LSI SCSI controller is its target.
void xen_drive_added(struct drive_s *drive);

// The place in the boot order (from 1) of an emulated drive, if it has none of its
// own (`prio` is -1): that of the disk whose twin it is. Returns -1 if there is none.
int xen_drive_prio(struct drive_s *drive, int prio);

// netrom.c

// Say whether the initialisation of a PnP option ROM, of the device `bdf`, waits until it
// is booted. In POST, when the ROM is in its place.
int xen_rom_waits(struct rom_header *rom, u16 bdf);
#define XEN_ROM_WAITS(rom, bdf) (CONFIG_XEN_PV && xen_rom_waits(rom, bdf))

// The ROM in segment `seg` is about to be booted: initialise it, if that has waited.
void xen_rom_boot(u16 seg);

// blktwin.c

// Try to carry out an int13 request for an emulated drive by PV. Returns 1 if that
// is done, 0 if it is for its own driver.
int xen_by_pv(struct disk_op_s *op);

// The driver of an emulated drive has carried out a request.
void xen_twin_done(struct disk_op_s *op);

// handover.c: what 16-bit code needs. The hooks tell that an OS is about to take
// over; they cost next to nothing where no disk is attached.

// True where the ports of the A20 gate and of the NMI mask need not be touched:
// a HVM guest of Xen has neither, and pays an exit to the device model.
extern u8 XenNoCpuPorts;
#define XEN_NO_CPU_PORTS (CONFIG_XEN_PV && GET_GLOBAL(XenNoCpuPorts))

// Parts of __call32()'s asm statement. Each access to cr0 is an exit to the
// hypervisor, and call32_prep() has read it just before.
#if CONFIG_XEN_PV
#define XEN_TRANSITION32    "transition32_cr0"
#define XEN_TRANSITION16BIG "transition16big_cr0"
#define XEN_CALL32_CR0      , "b" (cr0)
#else
#define XEN_TRANSITION32    "transition32_nmi_off"
#define XEN_TRANSITION16BIG "transition16big"
#define XEN_CALL32_CR0
#endif

// The LSI controller's script: skip the next instruction, which moves the data,
// if the target has none to move. Its status and message must be taken: if it stays
// on the bus, the next script is not run, but what is at address 0.
#if CONFIG_XEN_PV
#define XEN_LSI_IF_DATA 0x838a0000, 0x00000008,
#else
#define XEN_LSI_IF_DATA
#endif

// To be called at the entry of int13, of int15, of int18, int19 and a reset,
// and at each tick of the timer.
void xen_handover_13(struct bregs *regs);
void xen_handover_15(struct bregs *regs);
void xen_handover(void);
void xen_handover_tick(void);

// platform.c

// End the domain by `reason` (Xen's sched.h, SHUTDOWN_*); in handover.c what
// 16-bit code calls. Returns if there is no Xen.
void xen_shutdown(u32 reason);
u32 xen_shutdown32(u32 reason);
#define XEN_SHUTDOWN_POWEROFF 0
#define XEN_SHUTDOWN_REBOOT   1
#define XEN_SHUTDOWN_CRASH    3
// 32-bit segmented code has no way to call Xen.
#define XEN_SHUTDOWN(reason) do {                       \
        if (CONFIG_XEN_PV && (MODE16 || !MODESEGMENT))  \
            xen_shutdown(reason);                       \
    } while (0)

// pvh.c: what a PVH guest needs before its devices: the clock's frequency, int10,
// the memory map. POST only.
void xenpvh_setup(void);

// tick.c: the clock of a PVH guest, in 16-bit and 32-bit flat code

// Show programs the ticks that are due, by int 08. Called where SeaBIOS lets
// interrupts in, on the caller's stack.
void xentick_poll(void);

// The handler of the timer's interrupt.
void xentick_irq(void);

// The BIOS's int 08 ends, where a real one sends its EOI: the next tick may be shown.
void xentick_eoi(void);

// A boot sector is about to run.
void xentick_boot(void);

// An OS may be about to take over: it finds the local APIC as after power-on.
void xentick_handover(void);

// A program waits, or asks for a key: let it have the timer. Returns 1 if an
// interrupt will come.
int xentick_may_sleep(void);
// yield_toirq() may sleep in this mode.
#define XENTICK_SLEEPS (CONFIG_XEN_PVH && (MODE16 || !MODESEGMENT))

// The BIOS is about to wait, for a key or a time, on a stack of its own: see from time
// to time what dom0 asks for.
void xentick_control(void);

// control.c

// The program that was booted has ended; it may have taken shared_info away. In 32-bit
// flat code.
void xen_control_again(void);

// A program has asked for a key in vain.
void xentick_nokey(void);

// To be called at the entry of int13; of int15 and int1a (date.c), where it returns 1
// if it has answered the call.
void xentick_13(void);
int xentick_15(struct bregs *regs);
int xendate_1a(struct bregs *regs);

// pci.c: answer a call of int1a AH=B1, in 16-bit code; in pvh.c, whether the device that
// it tells of is there.
void xenpci_b1(struct bregs *regs);
extern u8 XenPciIsThere;

// terminal.c: the PV console, through sercon

// sercon's port if its line is the PV console.
#define XENTERM_PORT 1

// Returns the port that sercon is to use where etc/sercon-port says `port`: XENTERM_PORT
// if the PV console is to be used, and can be; 0: none. POST only, once xen_setup() and
// the VGA BIOS have run.
u16 xenterm_setup(u16 port);

// HVM: send a byte.
void xenterm_putchar(u8 chr);

// A tick of the timer, or sercon's decoder begins to work on rx_buf. Returns 0 if what
// is there is all that comes for now.
int xenterm_event(void);

// The decoder has made a key of so many bytes.
void xenterm_take(u8 size);

// PVH: an int10 is about to be carried out.
void xenterm_int10(struct bregs *regs);

// A program asks for a key: move one from the console to the keyboard's buffer, if
// that is empty. What no program asks for is the OS's.
void xenterm_keys(void);

#endif // xenpv.h
