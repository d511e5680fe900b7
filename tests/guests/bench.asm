; bench: times reads and writes with the TSC.
;   BENCH read-seq 127 calls=12 sectors=1524 tsc=0000000012345678
; for sequential and random reads of 1, 8, 64 and 127 sectors and sequential writes of 1
; and 64. The header limits calls and sectors of each row. The time is the calls' alone;
; each call's first and last sector are checked outside of it. "BENCH khz=N" comes
; first: TSC ticks in a millisecond, by the BIOS's clock.

%include "common.inc"

BUFFER          equ 0x30000000

main:   call    pattern_init
        call    calibrate
        group   "bench"
        mov     si, rows
.row:   lodsw
        mov     [row_name], ax
        lodsw
        mov     [row_next], ax
        lodsw
        mov     [row_ah], al
        lodsw
        mov     [row_count], ax
        lodsw
        mov     [row_place], ax
        call    run_row
        cmp     si, rows_end
        jb      .row
        group_end
        finish  "bench"

; name, how to find the next place, AH, sectors for each call, first place (1/16 of the
; patterned sectors: no row reads what the one before it read)
%macro  row 5
        dw      %1, %2, %3, %4, %5
%endmacro
rows:
        row     read_seq, go_on, 0x42, 1, 0
        row     read_seq, go_on, 0x42, 8, 2
        row     read_seq, go_on, 0x42, 64, 4
        row     read_seq, go_on, 0x42, 127, 6
        row     read_random, go_anywhere, 0x42, 1, 0
        row     read_random, go_anywhere, 0x42, 8, 0
        row     read_random, go_anywhere, 0x42, 64, 0
        row     read_random, go_anywhere, 0x42, 127, 0
        row     write_seq, go_on_scratch, 0x43, 1, 0
        row     write_seq, go_on_scratch, 0x43, 64, 0
rows_end:
read_seq:       db "read-seq ", 0
read_random:    db "read-random ", 0
write_seq:      db "write-seq ", 0

; Run and print one row.
run_row:
        pushad
        mov     dword [ticks], 0
        mov     dword [ticks+4], 0
        movzx   ecx, word [row_count]
        mov     eax, [hdr_bench_sectors]
        xor     edx, edx
        div     ecx
        cmp     eax, [hdr_bench_calls]
        jbe     .calls
        mov     eax, [hdr_bench_calls]
.calls: mov     [row_calls], eax
        mov     esi, eax

        mov     eax, [hdr_patterned]
        shr     eax, 4
        movzx   edx, word [row_place]
        mul     edx
        cmp     eax, DATA_LBA
        jae     .place
        mov     eax, DATA_LBA
.place: access  0x42, eax, cx, BUFFER
        call    [row_next]
.next:  test    esi, esi
        jz      .print
        call    one_call
        movzx   eax, word [io_count]
        add     [io_lba], eax
        call    [row_next]
        dec     esi
        jmp     .next

.print: say     "BENCH "
        mov     si, [row_name]
        call    puts
        movzx   eax, word [row_count]
        call    dec32
        say     " calls="
        mov     eax, [row_calls]
        call    dec32
        say     " sectors="
        movzx   edx, word [row_count]
        mul     edx
        call    dec32
        say     " tsc="
        mov     eax, [ticks]
        mov     edx, [ticks+4]
        call    hex64
        say     10
        popad
        ret

; The next place of a sequential row: where the last call ended, or the region's begin.
go_on:  mov     eax, [io_lba]
        movzx   edx, word [io_count]
        add     edx, eax
        cmp     edx, [hdr_patterned]
        jbe     .end
        mov     dword [io_lba], DATA_LBA
.end:   ret

; The same within the scratch sectors.
go_on_scratch:
        mov     eax, [io_lba]
        sub     eax, [hdr_scratch]
        movzx   edx, word [io_count]
        add     edx, eax
        jc      .first
        cmp     edx, SCRATCH_SECTORS
        jbe     .end
.first: mov     eax, [hdr_scratch]
        mov     [io_lba], eax
.end:   ret

; A random place.
go_anywhere:
        push    ebx
        movzx   eax, word [io_count]
        mov     ebx, [hdr_patterned]
        sub     ebx, eax
        sub     ebx, DATA_LBA
        call    random_below
        add     eax, DATA_LBA
        mov     [io_lba], eax
        pop     ebx
        ret

; One timed call: int13 as it is, without the checks of `io`. Reads start with a buffer
; of other data; writes write what is there already.
one_call:
        pushad
        mov     bl, FILL_BYTE
        call    fill_buffer
        test    byte [row_ah], 1
        jz      .go
        call    build_sectors
.go:    mov     ax, [io_count]
        mov     [packet.count], ax
        mov     eax, [io_buffer]
        mov     [packet.buffer], eax
        mov     eax, [io_lba]
        mov     [packet.lba], eax
        rdtsc
        mov     esi, eax
        mov     edi, edx
        push    esi
        push    edi
        mov     ah, [row_ah]
        mov     al, 0
        mov     dl, [drive]
        mov     [in_eax+1], ah                  ; for a failure's line
        mov     [in_edx], dl
        mov     si, packet
        int     0x13
        setc    bl
        mov     bh, ah
        rdtsc
        pop     edi
        pop     esi
        sub     eax, esi
        sbb     edx, edi
        add     [ticks], eax
        adc     [ticks+4], edx
        inc     dword [group_calls]
        movzx   eax, bl
        mov     [cf], eax
        movzx   eax, bh
        mov     [status], eax
        movzx   eax, word [packet.count]
        mov     [done], eax
        call    check_done
        call    check_sectors
        popad
        ret

; Print how many TSC ticks a millisecond has, measured over 4 ticks of 54.925 ms.
calibrate:
        pushad
        call    next_tick
        mov     esi, eax
        mov     cx, 4
.next:  call    next_tick
        loop    .next
        sub     eax, esi                        ; 32 bits are enough below 19 GHz
        mov     ebx, 10                         ; 4 ticks of the clock are 219.7 ms
        mul     ebx
        mov     ebx, 2197
        div     ebx
        say     "BENCH khz="
        call    dec32
        say     10
        popad
        ret

; Wait for the BIOS clock's next tick. Out: EDX:EAX = the TSC then.
next_tick:
        push    ebx
        mov     ebx, [0x46c]
.next:  hlt
        cmp     ebx, [0x46c]
        je      .next
        rdtsc
        pop     ebx
        ret

row_name:       dw 0
row_next:       dw 0
row_count:      dw 0
row_place:      dw 0
row_calls:      dd 0
row_ah:         db 0
                align 4
ticks:          dq 0

        program_pad
