// What SeaBIOS calls in the Xen PV layer.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XENPV_H
#define __XENPV_H

#include "config.h" // CONFIG_XEN_PV
#include "types.h" // u8

// Below DTYPE_ATA, so that xvda comes before its emulated twin.
#define DTYPE_XEN 0x18

struct bregs;
struct disk_op_s;
struct drive_s;
struct pci_device;

// settings.c

// Take the settings that are in memory from the beginning. Once in POST, when
// memory can be allocated, before anybody looks for a romfile.
void xen_settings_setup(void);

// The place in the boot order (from 1) of the ROM of a PCI device, whose path is
// `path`. Returns -1 if it has none.
int xen_rom_prio(const char *path, struct pci_device *pci);

// setup.c

// Find Xen, and set up what all devices share. Once in POST, after
// platform_hardware_setup(): the hypercall page and the PCI devices are known.
void xen_setup(void);

// Attach every VBD that is a whole disk, and register each as a BIOS drive.
// POST only, before the emulated disks are detected.
void xen_block_setup(void);

// All drives and ROMs are registered, and `first` (a description) will be booted.
// Once in POST.
void xen_prepboot(const char *first);

// blkfront.c

// Carry out an int13 request for a DTYPE_XEN drive. Returns DISK_RET_*; on an
// error nothing has been transferred to the caller.
int xen_process_op(struct disk_op_s *op);

// blkprobe.c

// Say whether an emulated drive (DTYPE_ATA*: cntl_id = channel*2+slave,
// DTYPE_AHCI*: cntl_id = port) is the same disk as a registered PV disk, which
// makes it a second path that must not become a drive of its own
// (xen-vbd-interface(7)). Returns 1 or 0.
int xenblk_covers(struct drive_s *drive);

// The same for a SCSI disk of the LSI controller, whose drive_s does not tell
// its target.
int xenblk_covers_lsi(u8 target, u8 lun);

// The place in the boot order (from 1) of an emulated drive, if it has none of its
// own (`prio` is -1): that of the disk whose twin it is.
int xenblk_boot_prio(struct drive_s *drive, int prio);

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

// To be called at the entry of int13, of int15, of int18, int19 and a reset,
// and at each tick of the timer.
void xen_handover_13(struct bregs *regs);
void xen_handover_15(struct bregs *regs);
void xen_handover(void);
void xen_handover_tick(void);

#endif // xenpv.h
