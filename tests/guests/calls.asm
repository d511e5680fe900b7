; calls: makes the calls of int13 that the host has put into the image behind TABLE, whatever they
; are, and prints what each has changed (tests/lab/calls.py makes the table, and compares the lines
; of one kind of disk with those of another):
;   C 000f 0002 0100 1234 0001 0080 1000 0000 2000 3000 0203 7f3a91c0
;                       record 000f, its call 0002: AX, BX, CX, DX, SI, DI, DS, ES and the flags
;                       after the call, and a checksum of the memory from 20000 to 5ffff
;   D 000f 1e00...      24 bytes at DS:SI after it, as many lines as the record asks for
; All numbers are hex. What no call may change (the registers' upper halves, BP, FS, GS, SP, IF, DF,
; the descriptor tables) is checked here: "FAIL ..." if it is not so.

%include "common.inc"

WINDOW          equ 0x2000              ; segment of the memory that is looked at: 4 times 64 KiB
WINDOW_END      equ 0x6000

struc   call
.registers:     resw 6                  ; AX, BX, CX, DX, SI, DI
.ds:            resw 1
.es:            resw 1
.flags:         resw 1
.repeat:        resw 1                  ; calls; 0: the table's end
.step:          resw 1                  ; what is added from one call to the next ...
.target:        resb 1                  ; ... to a register (0: AX, 5: DI), or to a word of the
                                        ; packet (TARGET_PACKET and its offset)
.length:        resb 1                  ; of the packet
.lines:         resb 1                  ; "D" lines
                resb 1
.packet:        resb 24                 ; put at DS:SI before each call
endstruc
TARGET_PACKET   equ 0x80

main:   mov     bp, TABLE
.next:  mov     cx, [bp+call.repeat]
        jcxz    .end
        mov     word [iteration], 0
.again: push    cx
        call    fill_window
        call    prepare
        mov     word [changes], 0x7fe   ; all: the host compares the lower halves
        call    call13
        call    print
        pop     cx
        mov     al, [bp+call.target]
        mov     dx, [bp+call.step]
        mov     bx, ax
        and     bx, 0x7f
        add     bx, bp
        test    al, TARGET_PACKET
        jnz     .packet
        movzx   bx, al
        add     bx, bx
        add     bx, bp
        add     [bx+call.registers], dx
        jmp     .stepped
.packet:
        add     [bx+call.packet], dx
.stepped:
        inc     word [iteration]
        loop    .again
        inc     word [number]
        add     bp, call_size
        jmp     .next
.end:   finish  "calls"

; Give each 32-bit word of the window a value of its own.
fill_window:
        pushad
        mov     eax, 0x9e3779b9
        mov     bx, WINDOW
.next:  mov     es, bx
        xor     di, di
        mov     cx, 0x4000
.word:  stosd
        add     eax, 0x61c88647
        loop    .word
        add     bx, 0x1000
        cmp     bx, WINDOW_END
        jb      .next
        xor     ax, ax
        mov     es, ax
        popad
        ret

; Set the input registers, and put the packet in its place.
prepare:
        pushad
        call    junk_registers
        mov     si, bp
        mov     di, in_eax
        mov     cx, 6
.next:  movsw                           ; upper halves: junk
        add     di, 2
        loop    .next
        mov     ax, [bp+call.ds]
        mov     [in_ds], ax
        mov     ax, [bp+call.es]
        mov     [in_es], ax
        mov     ax, [bp+call.flags]
        mov     [in_flags], ax
        movzx   cx, byte [bp+call.length]
        lea     si, [bp+call.packet]
        mov     di, [in_esi]
        mov     es, [in_ds]
        rep     movsb
        xor     ax, ax
        mov     es, ax
        popad
        ret

print:  pushad
        say     "C "
        mov     ax, [number]
        call    hex16
        mov     ax, [iteration]
        call    .word
        mov     si, out_eax
        mov     cx, 6
.next:  mov     ax, [si]
        add     si, 4
        call    .word
        loop    .next
        mov     ax, [out_ds]
        call    .word
        mov     ax, [out_es]
        call    .word
        mov     ax, [out_flags]
        and     ax, 0x0601              ; IF, DF, CF; the others have no meaning
        call    .word
        say     " "
        call    checksum
        call    hex32
        say     10
        movzx   cx, byte [bp+call.lines]
        jcxz    .end
        mov     si, [in_esi]
.line:  say     "D "
        mov     ax, [number]
        call    hex16
        say     " "
        push    cx
        mov     cx, 24
        mov     ds, [in_ds]
.byte:  lodsb
        call    hex8
        loop    .byte
        xor     ax, ax
        mov     ds, ax
        pop     cx
        say     10
        loop    .line
.end:   popad
        ret
.word:  push    ax
        mov     al, ' '
        out     DEBUG_PORT, al
        pop     ax
        jmp     hex16

; EAX = checksum of the window.
checksum:
        push    bx
        push    cx
        push    si
        xor     eax, eax
        mov     bx, WINDOW
.next:  mov     es, bx
        xor     si, si
        mov     cx, 0x4000
.word:  rol     eax, 5
        add     eax, [es:si]
        add     si, 4
        loop    .word
        add     bx, 0x1000
        cmp     bx, WINDOW_END
        jb      .next
        xor     bx, bx
        mov     es, bx
        pop     si
        pop     cx
        pop     bx
        ret

number:         dw 0
iteration:      dw 0

        times   12 * SECTOR - ($ - $$) db 0
TABLE:
        program_pad
