; console: does what keys ask for, with the screen and by BIOS calls that a PV console has to
; follow, and prints each key:
;   KEY 1e61
; F2 writes a line to the memory of the screen, F3 sets a graphics mode, F4 the text mode, F5
; prints 300 numbered lines, F6 reads keys slowly and prints the sum of 4096 of them, F7 prints
; the characters from 80 to FF, F8 ends it, F10 prints a line. F9 loads a font of 8 lines, and one
; of 16:
;   ROWS 31 18

%include "common.inc"

LINES           equ 300
PASTED          equ 4096

main:   say     "CONSOLE begins", 10
        mov     si, text_ready
        call    show
.key:   mov     ah, 0x10
        int     0x16
        say     "KEY "
        call    hex16
        say     10
        cmp     ah, 0x3c
        je      .direct
        cmp     ah, 0x3d
        je      .graphics
        cmp     ah, 0x3e
        je      .text
        cmp     ah, 0x3f
        je      .flood
        cmp     ah, 0x40
        je      .paste
        cmp     ah, 0x41
        je      .charset
        cmp     ah, 0x43
        je      .fonts
        cmp     ah, 0x44
        je      .ready
        cmp     ah, 0x42
        jne     .key
        finish  "console"

.direct:
        push    es
        push    word 0xb800
        pop     es
        mov     di, 10 * 160
        mov     si, text_direct
        mov     ah, 0x1e
.cell:  lodsb
        stosw
        test    al, al
        jnz     .cell
        pop     es
        jmp     .key

.graphics:
        mov     ax, 0x13
        int     0x10
        jmp     .key

.text:  mov     ax, 0x03
        int     0x10
.ready: mov     si, text_ready
        call    show
        jmp     .key

.flood: xor     cx, cx
.line:  mov     si, text_line
        call    show
        mov     ax, cx
        mov     bl, 100
        div     bl
        push    ax
        call    digits
        pop     ax
        mov     al, ah
        call    digits
        mov     si, text_end
        call    show
        inc     cx
        cmp     cx, LINES
        jb      .line
        say     "FLOOD ends", 10
        jmp     .key

.paste: xor     ebx, ebx
        mov     cx, PASTED
.read:  push    cx
        xor     cx, cx
        mov     dx, 1000                ; us
        mov     ah, 0x86
        int     0x15
        pop     cx
        xor     ah, ah
        int     0x16
        xor     ah, ah
        rol     ebx, 5
        xor     bl, al
        loop    .read
        say     "PASTED "
        mov     eax, ebx
        call    hex32
        say     10
        jmp     .key

.charset:
        mov     cx, 0x80
.char:  mov     al, cl
        call    show_char
        inc     cl
        jnz     .char
        mov     si, text_end
        call    show
        jmp     .key

.fonts: say     "ROWS "
        mov     ax, 0x1112
        call    set_font
        say     " "
        mov     ax, 0x1114
        call    set_font
        say     10
        jmp     .key

; Load the font that AX says to int10, and print the number of the last row.
set_font:
        xor     bl, bl
        int     0x10
        mov     al, [0x484]
        jmp     hex8

; Show AL, below 100, in two digits.
digits: aam
        add     ax, '00'
        push    ax
        mov     al, ah
        call    show_char
        pop     ax
show_char:
        pusha
        mov     ah, 0x0e
        mov     bx, 7
        int     0x10
        popa
        ret

; Show the text at SI.
show:   lodsb
        test    al, al
        jz      .end
        call    show_char
        jmp     show
.end:   ret

text_ready:     db "Console is ready", 13, 10, 0
text_direct:    db "Written to the screen's memory", 0
text_line:      db "Line ", 0
text_end:       db 13, 10, 0

        program_pad
