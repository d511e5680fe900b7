; readonly: on a disk that cannot be written, writes fail with AH=03 (write protected),
; reads work, and the data stays.

%include "common.inc"

BUFFER          equ 0x30000200

main:   call    pattern_init
        call    get_geometry
        group   "readonly"
        mov     si, counts
.next:  lodsw
        access  0x42, 100, ax, BUFFER
        call    read_ok
        mov     byte [io_ah], 0x43
        call    refused
        mov     byte [io_ah], 0x03
        call    refused
        mov     byte [io_ah], 0x42
        call    read_ok
        mov     byte [io_ah], 0x02
        call    read_ok
        cmp     si, counts_end
        jb      .next
        group_end
        finish  "readonly"

; A write that must be refused. The buffer holds other data than the disk.
refused:
        pushad
        mov     bl, GUARD_BYTE
        call    fill_buffer
        call    io
        expect  "CF", 1, dword [cf]
        expect  "AH", 3, dword [status]
        expect  "sectors moved", 0, dword [done]
        popad
        ret

counts: dw      1, 8, 127
counts_end:

        program_pad
