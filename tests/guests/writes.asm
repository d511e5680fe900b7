; writes: writes all over its disk, which has at most 32 MiB, in random sizes, by LBA and by CHS, and
; reads what it has written, for ever; somebody ends it at a moment of his own.
;   TRY 0000000000000840 0010 0003     the next write: LBA, sectors, generation
;   WRITE 0000000000000840 0010 0003   it has succeeded
;   LOST 0000000000000840 0010 10      it has failed, with this AH: the sectors may have been written
;   UNREAD 0000000000000840 0010 10    a read has failed
; A failure is the storage's, and no end; "FAIL ..." is what the BIOS may not do: other data than what
; was written last.

%include "common.inc"

BUFFER          equ 0x30000200
TABLE           equ 0x6000              ; segment: the generation of each sector, to 7ffff

main:   call    pattern_init
        mov     word [generation_of], table_generation
        mov     ax, TABLE
.clear: mov     es, ax
        xor     di, di
        mov     cx, 0x4000
        xor     eax, eax
        rep     stosd
        mov     ax, es
        add     ax, 0x1000
        cmp     ax, 0x8000
        jb      .clear
        xor     ax, ax
        mov     es, ax
        mov     eax, [0x46c]            ; another course each time
        imul    eax, eax, 69069
        add     [seed], eax
        call    get_geometry
        group   "writes"
.next:  call    write
        call    read
        call    choose
        call    read
        jmp     .next

; Choose sectors: [io_lba], [io_count], and whether it is by LBA or CHS: [by_chs].
choose: pushad
        call    random
        mov     [by_chs], al
        mov     bl, ah
        and     bx, 3
        add     bx, bx
        movzx   ebx, word [.sizes+bx]
        call    random_below
        inc     ax
        mov     [io_count], ax
        mov     ebx, [hdr_patterned]
        cmp     byte [by_chs], 128
        jae     .lba
        cmp     ebx, [chs_limit]
        jbe     .lba
        mov     ebx, [chs_limit]
.lba:   sub     ebx, DATA_LBA
        movzx   eax, word [io_count]
        sub     ebx, eax
        call    random_below
        add     eax, DATA_LBA
        mov     [io_lba], eax
        mov     dword [io_lba+4], 0
        call    random_offset
        popad
        ret
.sizes: dw      1, 8, 127, 127

; Buffers of all alignments.
random_offset:
        call    random
        and     ax, 0x1ff
        mov     [io_buffer], ax
        mov     word [io_buffer+2], BUFFER >> 16
        ret

write:  inc     word [generation]
        call    choose
        say     "TRY "
        call    line
        mov     dx, [generation]
        call    set_table
        call    build_sectors
        mov     al, 3
        call    go
        jc      .lost
        say     "WRITE "
        jmp     line
.lost:  mov     dx, UNKNOWN
        call    set_table
        say     "LOST "
        jmp     error

read:   mov     bl, FILL_BYTE
        call    fill_buffer
        mov     al, 2
        call    go
        jc      .error
        call    check_guards
        jmp     check_sectors
.error: say     "UNREAD "
        jmp     error

; Call int13 with AL = 2 or 3, or its form with a packet. Out: CF = 1 if it failed.
go:     cmp     byte [by_chs], 128
        jb      .chs
        add     al, 0x40
.chs:   mov     [io_ah], al
        call    io
        cmp     dword [cf], 1
        cmc
        ret

; End a line: where, and the generation.
line:   call    where
        mov     ax, [generation]
        call    hex16
        say     10
        ret

; End a line: where, and AH.
error:  call    where
        mov     al, [status]
        call    hex8
        say     10
        ret

where:  mov     eax, [io_lba]
        mov     edx, [io_lba+4]
        call    hex64
        say     " "
        mov     ax, [io_count]
        call    hex16
        say     " "
        ret

; ES:DI = where the generation of sector EAX is kept.
table_place:
        push    eax
        mov     di, ax
        add     di, di
        shr     eax, 15
        shl     ax, 12
        add     ax, TABLE
        mov     es, ax
        pop     eax
        ret

; Give all sectors of the access the generation DX.
set_table:
        pushad
        mov     eax, [io_lba]
        mov     cx, [io_count]
.next:  call    table_place
        mov     [es:di], dx
        inc     eax
        loop    .next
        xor     ax, ax
        mov     es, ax
        popad
        ret

; Out: EBX = the generation of sector EAX; UNKNOWN if a write of it has failed.
table_generation:
        push    es
        push    di
        call    table_place
        movzx   ebx, word [es:di]
        pop     di
        pop     es
        ret

by_chs:         db 0                    ; below 128: by CHS

        program_pad
