; script: carries out the operations that the host has put into the image behind SCRIPT, one after
; the other, and prints what came of each (tests/lab/script.py makes such an image and understands
; the lines):
;   SCRIPT dl=80 label=a
;   SAW 0002 00000840 0010 g0003       in operation 2, 16 sectors from LBA 840 on were the pattern
;                                      of generation 3
;   SAW 0002 00000850 0001 h1f2e3d4c   this sector was something else, of this checksum (zeros: 0)
;   OP 0002 ah=00 bad=0000             AH of the last call that failed, and how many calls did
;   KEY 0003                           waits until Enter is pressed
; All numbers are hex. Operations on the ports of the first IDE controller have unit 0 to 3 as their
; drive, and the device's error register, or ff for a time-out, as AH.

%include "common.inc"

BUFFER          equ 0x30000000          ; of 128 sectors, in one 64 KiB block for DMA
BUFFER_LINEAR   equ 0x30000

; An operation, 16 bytes
struc   op
.code:          resb 1
.drive:         resb 1
.count:         resw 1                  ; sectors (blocks of a CD) of a call, or ticks of 55 ms
.lba:           resd 1                  ; of the first call; the next continue behind it
.generation:    resw 1                  ; what is written; with FLAG_QUIET, what is read
.repeat:        resw 1                  ; calls, for each drive
.drives:        resb 1                  ; how many drives take part, from .drive on in turn
.flags:         resb 1
.step:          resw 1                  ; sectors from one call to the next, 0: count
endstruc
FLAG_QUIET      equ 1                   ; SAW only what is not of the generation

; The ports of an ATA device (ATA/ATAPI-6, section 5) and of the bus master (SFF-8038i)
ATA_DATA        equ 0
ATA_ERROR       equ 1
ATA_COUNT       equ 2
ATA_LBA         equ 3
ATA_DEVICE      equ 6
ATA_STATUS      equ 7                   ; and command
ATA_BSY         equ 0x80
ATA_DF          equ 0x20
ATA_DRQ         equ 0x08
ATA_ERR         equ 0x01
CMD_READ        equ 0x20
CMD_WRITE       equ 0x30
CMD_READ_DMA    equ 0xc8
CMD_WRITE_DMA   equ 0xca
CMD_FLUSH       equ 0xe7
BM_COMMAND      equ 0
BM_STATUS       equ 2
BM_TABLE        equ 4
BM_START        equ 0x01
BM_TO_MEMORY    equ 0x08
BM_CLEAR        equ 0x06
PCI_IDE         equ 0x80000900          ; configuration space of 00:01.1
PCI_COMMAND     equ 0x04
PCI_BAR4        equ 0x20
PCI_MASTER      equ 0x04

main:   call    pattern_init
        mov     word [generation_of], op_generation
        say     "SCRIPT dl="
        mov     al, [drive]
        call    hex8
        say     " label="
        mov     si, hdr_label
        call    puts
        say     10
        mov     bp, SCRIPT
.next:  mov     word [calls_bad], 0
        mov     byte [last_bad], 0
        mov     word [run.count], 0
        movzx   bx, byte [bp+op.code]
        test    bx, bx
        jz      .end
        add     bx, bx
        call    [handlers+bx-2]
        call    flush_run
        say     "OP "
        mov     ax, [number]
        call    hex16
        say     " ah="
        mov     al, [last_bad]
        call    hex8
        say     " bad="
        mov     ax, [calls_bad]
        call    hex16
        say     10
        inc     word [number]
        add     bp, op_size
        jmp     .next
.end:   finish  "script"

        align   2
handlers:
        dw      int13_read, int13_write, int13_read, int13_write
        dw      port_read, port_write, port_read, port_write, port_flush
        dw      wait_ticks, wait_key, parameters, int13_reset, scsi_free
functions:                              ; of int13, or the ATA command
        db      0x42, 0x43, 0x02, 0x03
        db      CMD_READ, CMD_WRITE, CMD_READ_DMA, CMD_WRITE_DMA, CMD_FLUSH

; Call the routine SI for each call of the operation at BP: [call_drive], [io_lba], [io_count] and
; [io_ah] are set.
for_each_call:
        mov     eax, [bp+op.lba]
        mov     [io_lba], eax
        mov     dword [io_lba+4], 0
        mov     ax, [bp+op.count]
        mov     [io_count], ax
        mov     dword [io_buffer], BUFFER
        movzx   bx, byte [bp+op.code]
        mov     al, [functions+bx-1]
        mov     [io_ah], al
        mov     cx, [bp+op.repeat]
.next:  push    cx
        mov     al, [bp+op.drive]
        mov     [call_drive], al
        movzx   cx, byte [bp+op.drives]
.drive: pusha
        call    si
        popa
        inc     byte [call_drive]
        loop    .drive
        pop     cx
        movzx   eax, word [bp+op.step]
        test    ax, ax
        jnz     .step
        mov     ax, [io_count]
.step:  add     [io_lba], eax
        loop    .next
        ret

; Note how a call ended: AL = 0 or what went wrong.
note:   test    al, al
        jz      .end
        mov     [last_bad], al
        inc     word [calls_bad]
.end:   ret


; ---------------------------------------------------------------------- int13

int13_read:
        mov     si, .call
        jmp     for_each_call
.call:  mov     bl, FILL_BYTE
        call    fill_buffer
        call    int13_call
        jnz     .end
        call    look
.end:   ret

int13_write:
        mov     si, .call
        jmp     for_each_call
.call:  call    build
        jmp     int13_call

; Out: ZF = 1 if it went well.
int13_call:
        mov     al, [drive]             ; the helpers of common.inc work on [drive]
        push    ax
        mov     al, [call_drive]
        mov     [drive], al
        test    byte [io_ah], 0x40
        jnz     .go
        call    get_geometry
.go:    call    io
        pop     ax
        mov     [drive], al
        mov     al, [status]
        cmp     dword [cf], 0
        jne     .bad
        mov     al, 0
.bad:   call    note
        test    al, al
        ret

int13_reset:
        call    junk_registers
        mov     al, [bp+op.drive]
        mov     [in_edx], al
        mov     byte [in_eax+1], 0
        call    call13
        mov     al, [status]
        jmp     note

; AH=46: eject the medium of a CD drive.
scsi_free:
        call    junk_registers
        mov     al, [bp+op.drive]
        mov     [in_edx], al
        mov     word [in_eax], 0x4600
        call    call13
        mov     al, [status]
        jmp     note

; Print what AH=08, 15, 41 and 48 say of a drive.
;   P08 80 cf=0 ax=0000 bx=.... cx=.... dx=....
;   P48 80 00 1e00...                    24 bytes of the result from 00 on, 18 and 30 follow
;   DPTE 80 f001...                      what the result points to, if it does
parameters:
        mov     al, [bp+op.drive]
        mov     [call_drive], al
        mov     si, .functions
        mov     cx, 3
.next:  call    junk_registers
        mov     word [changes], 1 << 1 | 1 << 2 | 1 << 3
        mov     dword [in_ebx], 0x55aa  ; AH=41 asks for it
        mov     dword [in_ecx], 0
        mov     al, [call_drive]
        movzx   eax, al
        mov     [in_edx], eax
        lodsb
        mov     [in_eax+1], al
        mov     byte [in_eax], 0
        call    call13
        call    .head
        say     "cf="
        mov     al, [cf]
        call    hex4
        say     " ax="
        mov     ax, [out_eax]
        call    hex16
        say     " bx="
        mov     ax, [out_ebx]
        call    hex16
        say     " cx="
        mov     ax, [out_ecx]
        call    hex16
        say     " dx="
        mov     ax, [out_edx]
        call    hex16
        say     10
        dec     cx
        jnz     .next

        mov     word [edd_room], EDD_SIZE
        mov     al, [drive]
        push    ax
        mov     al, [call_drive]
        mov     [drive], al
        call    get_edd
        pop     ax
        mov     [drive], al
        mov     al, [status]
        call    note
        xor     bx, bx
.edd:   call    .head
        mov     al, bl
        call    hex8
        say     " "
        mov     cx, 24
        cmp     bx, EDD_SIZE - 24
        jbe     .line
        mov     cx, EDD_SIZE
        sub     cx, bx
.line:  lea     si, [bx+edd]
        call    .bytes
        add     bx, 24
        cmp     bx, EDD_SIZE
        jb      .edd

        mov     eax, [edd+26]           ; far pointer to the DPTE
        test    eax, eax
        jz      .end
        cmp     eax, 0xffffffff
        je      .end
        cmp     word [edd], 30
        jb      .end
        say     "DPTE "
        mov     al, [call_drive]
        call    hex8
        say     " "
        mov     cx, 16
        lds     si, [edd+26]
        call    .bytes
        xor     ax, ax
        mov     ds, ax
.end:   ret

.functions:
        db      0x08, 0x15, 0x41

.head:  say     "P"
        mov     al, [in_eax+1]
        call    hex8
        say     " "
        mov     al, [call_drive]
        call    hex8
        say     " "
        ret

.bytes: lodsb                           ; CX bytes from DS:SI on
        call    hex8
        loop    .bytes
        mov     al, 10
        out     DEBUG_PORT, al
        ret

EDD_SIZE        equ 66


; ----------------------------------------------------------- ports of the ATA devices

port_read:
        mov     si, .call
        jmp     for_each_call
.call:  mov     bl, FILL_BYTE
        call    fill_buffer
        call    port_call
        jnz     .end
        call    look
.end:   ret

port_write:
        mov     si, .call
        jmp     for_each_call
.call:  call    build
        jmp     port_call

port_flush:
        mov     si, port_call
        jmp     for_each_call

; One command on device [call_drive]. Out: ZF = 1 if it went well.
port_call:
        call    port_command
        call    note
        test    al, al
        ret

; Out: AL = 0 or the error register.
port_command:
        mov     bx, 0x1f0
        test    byte [call_drive], 2
        jz      .device
        mov     bx, 0x170
.device:
        call    port_idle
        jnz     .error
        mov     al, [call_drive]
        and     al, 1
        shl     al, 4
        or      al, [io_lba+3]
        or      al, 0xe0                ; LBA
        lea     dx, [bx+ATA_DEVICE]
        out     dx, al
        call    port_idle
        jnz     .error
        lea     dx, [bx+ATA_COUNT]
        mov     al, [io_count]
        out     dx, al
        mov     si, io_lba
        mov     cx, 3
.lba:   inc     dx                      ; 1F3, 1F4, 1F5
        outsb
        loop    .lba
        mov     al, [io_ah]
        cmp     al, CMD_READ_DMA
        je      .dma
        cmp     al, CMD_WRITE_DMA
        je      .dma
        lea     dx, [bx+ATA_STATUS]
        out     dx, al
        cmp     al, CMD_FLUSH
        je      .done
        push    es
        mov     di, BUFFER >> 16
        mov     es, di
        xor     di, di                  ; ES:DI for both directions
        mov     cx, [io_count]
.sector:
        call    port_data
        jnz     .lost
        push    cx
        mov     cx, SECTOR / 2
        lea     dx, [bx+ATA_DATA]
        cmp     byte [io_ah], CMD_READ
        jne     .out
        rep     insw
        jmp     .next
.out:   mov     si, di
        rep es outsw
        mov     di, si
.next:  pop     cx
        loop    .sector
        pop     es
.done:  call    port_idle
        jnz     .error
        test    al, ATA_ERR | ATA_DF
        jnz     .error
        xor     al, al
        ret
.lost:  pop     es
.error: lea     dx, [bx+ATA_ERROR]
        in      al, dx
        test    al, al
        jnz     .end
        mov     al, 0xff
.end:   ret

; The same by the bus master.
.dma:   push    ax
        mov     eax, PCI_IDE + PCI_COMMAND
        call    pci_select
        in      ax, dx
        or      ax, PCI_MASTER
        out     dx, ax
        mov     eax, PCI_IDE + PCI_BAR4
        call    pci_select
        in      ax, dx
        and     ax, 0xfff0
        mov     si, ax
        test    byte [call_drive], 2
        jz      .first
        add     si, 8
.first: mov     ax, [io_count]
        shl     ax, 9                   ; 64 KiB: 0
        mov     [dma_table+4], ax
        mov     eax, dma_table
        lea     dx, [si+BM_TABLE]
        out     dx, eax
        pop     cx                      ; CL = command
        mov     ah, BM_TO_MEMORY
        cmp     cl, CMD_READ_DMA
        je      .way
        mov     ah, 0
.way:   mov     al, ah
        lea     dx, [si+BM_COMMAND]
        out     dx, al
        mov     al, BM_CLEAR
        lea     dx, [si+BM_STATUS]
        out     dx, al
        mov     al, cl
        lea     dx, [bx+ATA_STATUS]
        out     dx, al
        mov     al, ah
        or      al, BM_START
        lea     dx, [si+BM_COMMAND]
        out     dx, al
        mov     ecx, [0x46c]
.wait:  sti
        lea     dx, [si+BM_STATUS]
        in      al, dx
        test    al, 1
        jz      .ready
        mov     eax, [0x46c]
        sub     eax, ecx
        cmp     eax, PATIENCE
        jb      .wait
.ready: mov     al, 0
        lea     dx, [si+BM_COMMAND]
        out     dx, al
        jmp     .done

pci_select:
        mov     dx, 0xcf8
        out     dx, eax
        mov     dx, 0xcfc
        ret

PATIENCE        equ 60 * 18             ; ticks

; Wait until the channel at BX is not busy. Out: AL = status, ZF = 1 if it is so.
port_idle:
        mov     ah, 0
        jmp     port_wait
; Wait until it has data for us, or takes data.
port_data:
        mov     ah, ATA_DRQ
port_wait:
        push    cx
        push    dx
        push    ebp
        mov     ebp, [0x46c]
.next:  sti
        lea     dx, [bx+ATA_STATUS]
        in      al, dx
        test    al, ATA_BSY
        jnz     .more
        test    ah, ah
        jz      .end                    ; ZF = 1
        test    al, ATA_ERR | ATA_DF
        jnz     .end                    ; ZF = 0
        test    al, ATA_DRQ
        jnz     .good
.more:  mov     ecx, [0x46c]
        sub     ecx, ebp
        cmp     ecx, PATIENCE
        jb      .next
        or      cx, 1                   ; ZF = 0
        jmp     .end
.good:  cmp     al, al                  ; ZF = 1
.end:   pop     ebp
        pop     dx
        pop     cx
        ret

        align   4
dma_table:
        dd      BUFFER_LINEAR
        dw      0, 0x8000               ; bytes, end of the table


; ------------------------------------------------------------------- time and keys

; By the BIOS's clock, halted.
wait_ticks:
        movzx   ecx, word [bp+op.count]
        add     ecx, [0x46c]
.next:  sti
        hlt
        mov     eax, [0x46c]
        sub     eax, ecx
        js      .next
        ret

wait_key:
        say     "KEY "
        mov     ax, [number]
        call    hex16
        say     10
.next:  mov     ah, 0
        int     0x16
        cmp     al, 13
        jne     .next
        ret


; ------------------------------------------------------------------- the data

; EAX = LBA of the buffer's first sector in units of 512 bytes, CX = sectors.
extent: mov     eax, [io_lba]
        mov     cx, [io_count]
        cmp     byte [call_drive], 0xe0
        jb      .end
        shl     eax, 2                  ; a CD's blocks
        shl     cx, 2
.end:   ret

; Fill the buffer with the sectors of the call, of the operation's generation.
build:  push    ax
        mov     ax, [bp+op.generation]
        mov     [generation], ax
        pop     ax
        jmp     build_sectors

; Out: EBX = that generation.
op_generation:
        movzx   ebx, word [generation]
        ret

; Say what the sectors in the buffer are.
look:   pushad
        call    extent
        mov     bx, BUFFER >> 16
.next:  push    cx
        mov     es, bx
        call    classify                ; EDX = what it is, CF = 1: a checksum
        call    saw
        pop     cx
        add     bx, SECTOR / 16
        inc     eax
        loop    .next
        xor     ax, ax
        mov     es, ax
        popad
        ret

; EDX = the generation of sector EAX at ES:0, CF = 0; or its checksum, CF = 1.
classify:
        push    eax
        push    ebx
        movzx   ebx, word [es:8]
        xor     edx, edx
        call    make_sector
        mov     edx, ebx
        pop     ebx
        mov     si, sector
        xor     di, di
        mov     cx, SECTOR / 4
        repe    cmpsd
        jne     .other
        pop     eax
        clc
        ret
.other: xor     edx, edx
        xor     di, di
        mov     cx, SECTOR / 4
.word:  rol     edx, 5
        add     edx, [es:di]
        add     di, 4
        loop    .word
        pop     eax
        stc
        ret

; Add a sector EAX that is EDX (CF = 1: a checksum) to the run, or begin a new one.
saw:    setc    cl
        cmp     word [run.count], 0
        je      .new
        cmp     cl, [run.sum]
        jne     .other
        cmp     edx, [run.what]
        jne     .other
        push    edx
        movzx   edx, word [run.count]
        add     edx, [run.lba]
        cmp     eax, edx
        pop     edx
        jne     .other
        inc     word [run.count]
        cmp     word [run.count], 0xffff
        je      flush_run
        ret
.other: call    flush_run
.new:   test    byte [bp+op.flags], FLAG_QUIET
        jz      .begin
        test    cl, cl
        jnz     .begin
        cmp     dx, [bp+op.generation]
        je      .end
.begin: mov     [run.sum], cl
        mov     [run.what], edx
        mov     [run.lba], eax
        mov     word [run.count], 1
.end:   ret

; Print the run, if there is one.
flush_run:
        cmp     word [run.count], 0
        je      .end
        push    eax
        say     "SAW "
        mov     ax, [number]
        call    hex16
        say     " "
        mov     eax, [run.lba]
        call    hex32
        say     " "
        mov     ax, [run.count]
        call    hex16
        say     " "
        cmp     byte [run.sum], 0
        jne     .sum
        say     "g"
        mov     ax, [run.what]
        call    hex16
        jmp     .line
.sum:   say     "h"
        mov     eax, [run.what]
        call    hex32
.line:  say     10
        pop     eax
        mov     word [run.count], 0
.end:   ret

        align   4
run:
.lba:           dd 0
.what:          dd 0
.count:         dw 0
.sum:           db 0
call_drive:     db 0
number:         dw 0
calls_bad:      dw 0
last_bad:       db 0

        times   16 * SECTOR - ($ - $$) db 0
SCRIPT:
        program_pad
