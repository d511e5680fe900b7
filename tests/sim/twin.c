// Emulated twins: the same disk by an emulated controller, as QEMU has it, with the
// driver of SeaBIOS for it.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_twin

#include "hw/blockcmd.h" // CDB_CMD_TEST_UNIT_READY
#include "hw/pci_regs.h" // PCI_BASE_ADDRESS_0

static struct twin *twins[32];
static int twin_count;

u32 sim_port_accesses;
u64 sim_port_pause;

// The two IDE channels, and their task files.
static struct ata_channel_s channels[2] = { { .iobase1 = 0x1f0 }, { .iobase1 = 0x170 } };
static u8 task_files[2][8];

#define STATUS_READY 0x50

// The AHCI controller's registers, of which drivers change one a port.
static u32 ahci_registers[0x1100 / 4];
static struct ahci_ctrl_s ahci = { .iobase = ahci_registers };
#define AHCI_LIST(port) (0x100 / 4 + (port) * 0x80 / 4 + PORT_LST_ADDR / 4)

// The LSI controller: its place in PCI, its ports, and where its script has ended.
#define LSI_BDF  0x20
#define LSI_PORT 0xc000
#define LSI_DSP  (LSI_PORT + 0x2c)
static u32 lsi_dsp;

static int
is_atapi(struct twin *twin)
{
    return twin->drive.type == DTYPE_ATA_ATAPI;
}

struct twin *
sim_twin(struct backend *be, u8 type, u32 unit)
{
    struct twin *twin = calloc(1, sizeof(*twin));
    check_true(twin_count < ARRAY_SIZE(twins) && !be->twin);
    twin->be = be;
    twin->drive.type = type;
    twin->drive.cntl_id = unit;
    switch (type) {
    case DTYPE_ATA:
    case DTYPE_ATA_ATAPI:
        twin->ata.chan_gf = &channels[unit / 2];
        break;
    case DTYPE_AHCI:
        twin->ahci.ctrl = &ahci;
        twin->ahci.pnr = unit;
        ahci_registers[AHCI_LIST(unit)] = 0x7f00000 + unit * 1024;
        break;
    case DTYPE_LSI_SCSI:
        twin->drive.cntl_id = LSI_BDF;
        twin->drive.floppy_type = unit;
        break;
    default:
        fail("no disk of libxl has a twin of type %x", type);
    }
    twin->drive.blksize = is_atapi(twin) ? CDROM_SECTOR_SIZE : DISK_SECTOR_SIZE;
    twin->drive.sectors = is_atapi(twin) ? (u64)-1 : be->sectors;
    twin->drive.removable = is_atapi(twin);
    if (!is_atapi(twin)) {
        twin->drive.pchs.head = 16;
        twin->drive.pchs.sector = 63;
        twin->drive.pchs.cylinder = be->sectors / (16 * 63) > 16383 ? 16383
                                    : be->sectors / (16 * 63);
    }
    be->twin = twin;
    return twins[twin_count++] = twin;
}

void
twins_register(void)
{
    int i;
    for (i = 0; i < twin_count; i++) {
        struct twin *twin = twins[i];
        snprintf(twin->desc, sizeof(twin->desc), "%s of vbd %u, emulated"
                 , is_atapi(twin) ? "DVD/CD" : "Disk", twin->be->vbd);
        if (is_atapi(twin))
            boot_add_cd(&twin->drive, twin->desc, -1);
        else
            boot_add_hd(&twin->drive, twin->desc, -1);
    }
}

void
twins_stop(void)
{
    while (twin_count)
        free(twins[--twin_count]);
    memset(task_files, 0, sizeof(task_files));
    lsi_dsp = 0;
    sim_port_accesses = 0;
}


/****************************************************************
 * The controller
 ****************************************************************/

// What stays in the registers after a command of SeaBIOS's driver, or of another one.
static void
leave_in_registers(struct twin *twin, u64 lba, int other)
{
    u8 *file = task_files[twin->drive.cntl_id / 2 & 1];
    switch (twin->drive.type) {
    case DTYPE_ATA:
    case DTYPE_ATA_ATAPI:
        file[1] = file[2] = 0;
        file[3] = lba;
        file[4] = lba >> 8;
        file[5] = lba >> 16;
        file[6] = 0xe0 | (twin->drive.cntl_id & 1) << 4 | (lba >> 24 & 15);
        file[7] = STATUS_READY;
        break;
    case DTYPE_AHCI:
        if (other)
            ahci_registers[AHCI_LIST(twin->ahci.pnr)] = 0x1234000;
        break;
    case DTYPE_LSI_SCSI:
        // a script of SeaBIOS lies on its stack
        lsi_dsp = other ? 0x1235050 : 0xe8000 + lba % 64 * 4;
        break;
    }
}

// Move sectors of 512 bytes. Returns -1 at one that is bad.
static int
move(struct twin *twin, int write, u64 sector, u32 count, u8 *buf)
{
    struct backend *be = twin->be;
    for (; count--; sector++, buf += 512) {
        if (sector >= be->bad_from && sector < be->bad_to)
            return -1;
        if (write)
            image_write(be, IMAGE_TWIN, sector, buf);
        else
            image_read(be, IMAGE_TWIN, sector, buf);
    }
    return 0;
}

int
twin_move(struct twin *twin, int write, u64 sector, u32 count, u8 *buf)
{
    leave_in_registers(twin, sector + count, 1);
    return move(twin, write, sector, count, buf);
}

// One byte of a task file, for `inb` and `outb` of the layer's code.
static u8 *
find_port(u16 port)
{
    int i;
    for (i = 0; i < ARRAY_SIZE(channels); i++)
        if (port >= channels[i].iobase1 && port < channels[i].iobase1 + 8)
            return &task_files[i][port - channels[i].iobase1];
    fail("port %x is none of an IDE disk", port);
}

u8
twin_inb(u16 port)
{
    sim_port_accesses++;
    return *find_port(port);
}

u32
twin_inl(u16 port)
{
    sim_port_accesses++;
    check_equal(port, LSI_DSP);
    return lsi_dsp;
}

u32
pci_config_readl(u16 bdf, u32 addr)
{
    check_equal(bdf, LSI_BDF);
    check_equal(addr, PCI_BASE_ADDRESS_0);
    return LSI_PORT | PCI_BASE_ADDRESS_SPACE_IO;
}

void
twin_outb(u16 port, u8 value)
{
    sim_port_accesses++;
    *find_port(port) = value;
}


/****************************************************************
 * SeaBIOS's driver
 ****************************************************************/

static int
transfer(struct twin *twin, struct disk_op_s *op)
{
    u32 unit = twin->drive.blksize / DISK_SECTOR_SIZE;
    int write = op->command == CMD_WRITE;
    struct backend *be = twin->be;
    *(write ? &twin->writes : &twin->reads) += 1;
    if (is_atapi(twin) && !*be->params)
        return DISK_RET_ENOTREADY;
    if (write && (is_atapi(twin) || be->mode[0] == 'r'))
        return DISK_RET_EWRITEPROTECT;
    u64 sectors = is_atapi(twin) ? be->sectors : twin->drive.sectors;
    if ((op->lba + op->count) * unit > sectors)
        return DISK_RET_EBADTRACK;
    if (move(twin, write, op->lba * unit, op->count * unit, op->buf_fl))
        return DISK_RET_EBADTRACK;
    return DISK_RET_SUCCESS;
}

int
twin_process_op(struct disk_op_s *op)
{
    struct twin *twin = container_of(op->drive_fl, struct twin, drive);
    u64 begin = sim_now;
    twin->calls++;
    // it is the same storage that stalls; IDE_TIMEOUT is 32 s
    if (twin->be->stalled_until > sim_now)
        sim_pass(twin->be->stalled_until - sim_now > 32 * SECOND ? 32 * SECOND
                 : twin->be->stalled_until - sim_now);
    if (sim_now - begin == 32 * SECOND)
        return DISK_RET_EBADTRACK;
    if (twin->fail)
        return twin->fail;
    switch (op->command) {
    case CMD_READ:
    case CMD_WRITE:
        leave_in_registers(twin, op->lba + op->count, 0);
        return transfer(twin, op);
    case CMD_SCSI:
        twin->commands++;
        if (!is_atapi(twin))
            return DISK_RET_EPARAM;
        leave_in_registers(twin, 0, 0);
        return *twin->be->params ? DISK_RET_SUCCESS : DISK_RET_ENOTREADY;
    default:
        return default_process_op(op);
    }
}
