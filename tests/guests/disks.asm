; disks: lists the hard disks that the BIOS has, in its order.
;   DISK 80 sectors=0000000000010000 signature=aa55 label=a
; for each drive that 0040:0075 counts; signature is the last word of LBA 0, label the
; name in the header sector, or "-" on a disk without one.

%include "common.inc"

BUFFER          equ 0x30000000

main:   group   "disks"
        mov     cl, [0x475]
        mov     bl, 0x80
.next:  test    cl, cl
        jz      .end
        mov     [drive], bl
        call    show
        inc     bl
        dec     cl
        jmp     .next
.end:   group_end
        finish  "disks"

; Print the line of [drive].
show:   pushad
        call    get_edd
        expect  "AH=48 CF", 0, dword [cf]
        access  0x42, 0, 2, BUFFER              ; LBA 0 and the header
        mov     bl, FILL_BYTE
        call    fill_buffer
        call    io
        say     "DISK "
        mov     al, [drive]
        call    hex8
        say     " sectors="
        mov     eax, [edd+16]
        mov     edx, [edd+20]
        call    hex64
        say     " signature="
        mov     ax, BUFFER >> 16
        mov     es, ax
        mov     ax, [es:510]
        call    hex16
        say     " label="
        mov     cx, 8
        mov     si, hdr_magic
        mov     di, SECTOR
        repe    cmpsb
        jne     .none
        mov     ecx, [es:SECTOR + hdr_sectors - header]
        mov     ebx, [es:SECTOR + hdr_sectors - header + 4]
        mov     si, SECTOR + hdr_label - header
.label: mov     al, [es:si]
        inc     si
        test    al, al
        jz      .sizes
        out     DEBUG_PORT, al
        jmp     .label
.sizes: say     10
        call    .zero_es
        expect  "sectors", ecx, dword [edd+16]
        expect  "sectors, high half", ebx, dword [edd+20]
        jmp     .end
.none:  say     "-", 10
        call    .zero_es
.end:   expect  "read CF", 0, dword [cf]
        popad
        ret
.zero_es:
        push    0
        pop     es
        ret

        program_pad
