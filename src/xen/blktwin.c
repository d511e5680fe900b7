// Emulated twins: one disk, one drive, two paths.
//
// Both paths open the same image, each with an own idea of what is where in it. So a
// disk that has a twin is the twin's drive, as without the layer; what is read from
// it comes by PV as long as nobody may have written it by the twin.
//
// A program that drives the controller by its ports cannot be seen. But it leaves
// traces there, and from the first one on the disk is its twin's for good.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "biosvar.h" // GET_LOW
#include "blktwin.h" // xentwin_add
#include "block.h" // struct drive_s
#include "config.h" // BUILD_MAX_EXTDRIVE
#include "handover.h" // xen_handover_closes
#include "hw/ahci.h" // struct ahci_port_s
#include "hw/ata.h" // struct atadrive_s
#include "hw/pci.h" // pci_config_readl
#include "hw/pci_regs.h" // PCI_BASE_ADDRESS_0
#include "output.h" // dprintf
#include "stacks.h" // call32
#include "x86.h" // inb
#include "xenpv.h" // xen_by_pv

// What SeaBIOS leaves in the sector count of an IDE channel. Every command of
// somebody else overwrites it, and counts it down.
#define ATA_MARK 0x5a

// Where the LSI controller's script ended (DSP), other than the script of others.
#define LSI_DSP 0x2c

// A port of an AHCI controller: the list of commands, which every driver has in
// memory of its own.
#define AHCI_PORT(pnr) (0x100 + (pnr) * 0x80)

struct xentwin_s XenTwins[BUILD_MAX_EXTDRIVE] VARLOW;
u8 XenTwinCount VARLOW;

// The drive of the last request, and the TSC at its end: nobody else had used its
// controller until then.
u64 XenTwinEnd VARLOW;
u8 XenTwinLast VARLOW = XENTWIN_NONE;
// Looks in POST, before any counts.
#define LOOKS 3
// The least TSC ticks that a look at a controller has taken; 0: there was none.
u32 XenTwinLook VARLOW;


/****************************************************************
 * Who used the controller last
 ****************************************************************/

// Read the register that shows it.
static u32
read_mark(int i)
{
    u32 where = GET_LOW(XenTwins[i].where);
    switch (GET_LOW(XenTwins[i].type)) {
    case DTYPE_ATA:
    case DTYPE_ATA_ATAPI:
        return inb(where);
    case DTYPE_LSI_SCSI:
        return inl(where);
    }
    // 16-bit code cannot read it, and nobody but SeaBIOS's driver changes it
    return MODESEGMENT ? GET_LOW(XenTwins[i].mark) : readl((void*)where);
}

// A look is an access that the device model serves. A command of somebody else takes
// more than two of them, and the disk's time: if no more has passed since the request
// before, nobody had the time for one. (A LSI script may take one access.)
static int noinline
is_touched(int i)
{
    u64 begin = rdtscll();
    u8 type = GET_LOW(XenTwins[i].type);
    u32 look = GET_LOW(XenTwinLook);
    if (GET_LOW(XenTwinLast) == i && type != DTYPE_LSI_SCSI
        && begin - GET_LOW(XenTwinEnd) < (u64)look * 2)
        return 0;
    int ret = read_mark(i) != GET_LOW(XenTwins[i].mark);
    u64 passed = rdtscll() - begin;
    if ((!look || passed < look) && (type != DTYPE_AHCI || !MODESEGMENT))
        SET_LOW(XenTwinLook, passed);
    return ret;
}

// A request has ended, by whichever path.
static void
note_end(int i)
{
    SET_LOW(XenTwinLast, i);
    SET_LOW(XenTwinEnd, rdtscll());
}

// SeaBIOS has used the controller of a drive: mark it.
static void
mark_twin(int i)
{
    u32 where = GET_LOW(XenTwins[i].where);
    u8 type = GET_LOW(XenTwins[i].type);
    if (type == DTYPE_ATA || type == DTYPE_ATA_ATAPI) {
        outb(ATA_MARK, where);
        SET_LOW(XenTwins[i].mark, ATA_MARK);
        return;
    }
    // all disks of a SCSI controller have one mark
    u32 value = read_mark(i);
    for (i = 0; i < ARRAY_SIZE(XenTwins); i++)
        if (GET_LOW(XenTwins[i].where) == where)
            SET_LOW(XenTwins[i].mark, value);
}

// Leave all disks of a controller to their twins for good.
static void
leave_controller(u32 where)
{
    int i;
    dprintf(1, "xen: emulated disks at %x: used without the BIOS\n", where);
    for (i = 0; i < ARRAY_SIZE(XenTwins); i++)
        if (GET_LOW(XenTwins[i].where) == where)
            SET_LOW(XenTwins[i].disk, XENTWIN_NONE);
}


/****************************************************************
 * The seam
 ****************************************************************/

static int
find_twin(struct drive_s *drive)
{
    int i, count = GET_LOW(XenTwinCount);
    for (i = 0; i < count; i++)
        if (GET_LOW(XenTwins[i].drive) == drive)
            return i;
    return -1;
}

int
xen_by_pv(struct disk_op_s *op)
{
    int i = find_twin(op->drive_fl);
    if (i < 0)
        return 0;
    u8 command = op->command;
    if (GET_LOW(XenTwins[i].disk) != XENTWIN_NONE
        && (command == CMD_READ || command == CMD_WRITE)) {
        int ret = MODESEGMENT
                  ? call32(xen_twin_op, MAKE_FLATPTR(GET_SEG(SS), op), -1)
                  : xen_twin_op(op);
        if (ret >= 0 && command == CMD_READ) {
            if (!ret)
                note_end(i);
            return 1;
        }
        if (ret && command == CMD_WRITE)
            // nobody knows what will be written
            SET_LOW(XenTwins[i].disk, XENTWIN_NONE);
    }
    // a disk that its twin has for good is closed all the same
    xen_handover_closes();
    // the driver's turn, which leaves its own mark
    if (is_touched(i))
        leave_controller(GET_LOW(XenTwins[i].where));
    return 0;
}

void
xen_twin_done(struct disk_op_s *op)
{
    int i = find_twin(op->drive_fl);
    if (i < 0)
        return;
    mark_twin(i);
    note_end(i);
}


/****************************************************************
 * The list of twins, for 32-bit code
 ****************************************************************/

int
xentwin_add(struct drive_s *drive, u8 disk)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(XenTwins); i++) {
        struct xentwin_s *twin = &XenTwins[i];
        if (twin->drive)
            continue;
        *twin = (struct xentwin_s){
            .drive = drive, .type = drive->type, .disk = disk,
        };
        return 0;
    }
    return -1;
}

// Find the register that shows who used the controller of a drive.
static u32
find_where(struct drive_s *drive)
{
    switch (drive->type) {
    case DTYPE_ATA:
    case DTYPE_ATA_ATAPI:
        return container_of(drive, struct atadrive_s, drive)->chan_gf->iobase1
               + ATA_CB_SC;
    case DTYPE_LSI_SCSI:
        return (pci_config_readl(drive->cntl_id, PCI_BASE_ADDRESS_0)
                & PCI_BASE_ADDRESS_IO_MASK) + LSI_DSP;
    }
    struct ahci_port_s *port = container_of(drive, struct ahci_port_s, drive);
    return (u32)port->ctrl->iobase + AHCI_PORT(port->pnr) + PORT_LST_ADDR;
}

void
xentwin_publish(void)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(XenTwins) && XenTwins[i].drive; i++)
        XenTwins[i].where = find_where(XenTwins[i].drive);
    XenTwinCount = i;
    while (i--)
        mark_twin(i);
    // one look alone may have been interrupted by the host
    for (i = 0; i < LOOKS && XenTwinCount; i++)
        is_touched(0);
}

u8
xentwin_disk(struct drive_s *drive)
{
    int i = find_twin(drive);
    if (i < 0)
        return XENTWIN_NONE;
    if (is_touched(i))
        leave_controller(XenTwins[i].where);
    else
        note_end(i); // the seam needs no second look
    return XenTwins[i].disk;
}

void
xentwin_leave(u8 disk)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(XenTwins); i++)
        if (XenTwins[i].disk == disk)
            XenTwins[i].disk = XENTWIN_NONE;
}

struct drive_s *
xentwin_drive(u8 disk)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(XenTwins); i++)
        if (XenTwins[i].drive && XenTwins[i].disk == disk)
            return XenTwins[i].drive;
    return NULL;
}
