; a20: closes the A20 gate by port 0x92, says whether memory then wraps at 1 MiB
; (it does on a PC, not in a HVM guest of Xen), and reads a sector with the gate
; closed: the BIOS must read the right one and leave the gate as it was.
;   A20 wraps=00

%include "common.inc"

LOW_WORD        equ 0x0600              ; its twin, if memory wraps, is at ffff:0610
A20_PORT        equ 0x92
A20_BIT         equ 2

main:   in      al, A20_PORT
        mov     [saved], al
        and     al, ~A20_BIT & 0xff
        out     A20_PORT, al
        call    wraps
        mov     [closed], al
        say     "A20 wraps="
        mov     al, [closed]
        call    hex8
        say     10

        mov     eax, DATA_LBA           ; through the BIOS, gate closed
        mov     [dap+8], eax
        mov     si, dap
        mov     dl, [drive]
        mov     ah, 0x42
        int     0x13
        setc    al
        movzx   eax, al
        expect  "AH=42 CF", 0, eax
        expect  "LBA in the sector", DATA_LBA, dword [sector_buf]
        in      al, A20_PORT
        and     eax, A20_BIT
        expect  "gate after int13", 0, eax
        call    wraps
        movzx   eax, al
        movzx   ebx, byte [closed]
        expect  "wraps after int13", ebx, eax

        mov     al, [saved]
        out     A20_PORT, al
        finish  "a20"

; Does memory wrap at 1 MiB? AL: 1 or 0.
wraps:  push    es
        push    0xffff
        pop     es
        mov     word [LOW_WORD], 0x1234
        mov     word [es:LOW_WORD+0x10], 0x5678
        cmp     word [LOW_WORD], 0x5678
        sete    al
        pop     es
        ret

saved:  db      0
closed: db      0
        align   4
dap: db      16, 0
        dw      1, sector_buf, 0
        dq      0
sector_buf: times SECTOR db 0

        program_pad
