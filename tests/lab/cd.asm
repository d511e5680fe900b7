; A boot image for El Torito without emulation: reads all data blocks of the CD that it was booted
; from, tries to read behind the end and to write, and prints the result on port 0xE9.
;
; Made with -DFIRST=n -DEND=n: data blocks; each 32-bit word of one is its number on the CD.
; 4 KiB, which the BIOS loads as a whole.

        bits    16
        cpu     686
        org     0x7c00

BLOCK   equ     2048
BUFFER  equ     0x1000                  ; segment

; check "what", jcc: one check, which fails if the condition holds
%macro  check 2
        %2      %%bad
        jmp     %%good
%%bad:  call    failed
        db      %1, 0
%%good:
%endmacro

        jmp     0:start
start:  xor     cx, cx
        mov     ds, cx
        mov     es, cx
        mov     ss, cx
        mov     sp, 0x7c00
        cld
        sti
        mov     [drive], dl
        call    say
        db      "CD dl=", 0
        mov     al, dl
        call    hex8
        call    newline

        mov     ah, 0x48                ; drive parameters
        mov     si, parameters
        mov     dl, [drive]
        int     0x13
        check   "AH=48", jc
        cmp     word [parameters + 24], BLOCK
        check   "AH=48 block size", jne

        mov     ebx, FIRST
.read:  mov     ecx, END                ; blocks that are left, at most [count]
        sub     ecx, ebx
        cmp     ecx, [count]
        jbe     .go
        mov     ecx, [count]
.go:    mov     ah, 0x42
        call    access
        check   "read", jc
        call    compare
        check   "data", jne
        add     ebx, ecx
        inc     dword [count]           ; 1, 2, 3, ... 32 blocks at a time
        and     dword [count], 31
        jnz     .more
        mov     dword [count], 32
.more:  cmp     ebx, END
        jb      .read

        mov     ebx, END
        mov     ecx, 1
        mov     ah, 0x42
        call    access
        check   "read behind the end", jnc
        mov     ebx, FIRST
        mov     ah, 0x43
        call    access
        check   "write", jnc
        cmp     ah, 3
        check   "AH of a write", jne
        mov     ah, 0x42
        call    access
        check   "read after the write", jc
        call    compare
        check   "data after the write", jne

        cmp     word [failures], 0
        jne     .failed
        call    say
        db      "TEST PASS cd", 10, 0
        jmp     sleep
.failed:
        call    say
        db      "TEST FAIL cd", 10, 0
sleep:  hlt
        jmp     sleep

; Access ECX blocks from EBX on, AH = 42 or 43. Out: flags and AH of the BIOS.
access: mov     [packet.count], cx
        mov     [packet.block], ebx
        mov     [call_block], ebx
        mov     si, packet
        mov     dl, [drive]
        int     0x13
        ret

; Compare the buffer with ECX blocks from EBX on. Out: ZF = 1 if they are the same.
compare:
        pushad
        mov     eax, ebx
        shl     eax, 9                  ; 512 words a block
        shl     ecx, 9
        mov     dx, BUFFER
.part:  mov     es, dx
        xor     di, di
.next:  scasd
        jne     .end
        inc     eax
        dec     ecx
        jz      .end
        test    di, di
        jnz     .next
        add     dx, 0x1000
        jmp     .part
.end:   mov     di, 0
        mov     es, di
        popad
        ret

; Count a failure; the text after the call says what it is.
failed: inc     word [failures]
        push    ax
        call    say
        db      "FAIL ", 0
        pop     ax
        pop     si
        push    ax
        call    puts
        call    say_ah
        pop     ax
        jmp     si

say_ah: call    say
        db      " AH=", 0
        mov     bp, sp
        mov     al, [bp + 3]            ; AH as failed() found it
        call    hex8
        call    say
        db      " block ", 0
        mov     eax, [call_block]
        rol     eax, 16
        call    hex16
        rol     eax, 16
        call    hex16
        jmp     newline

; Print the text after the call, the text at SI, AX or AL in hex, the end of a line.
say:    pop     si
        call    puts
        jmp     si
puts:   lodsb
        test    al, al
        jz      .end
        out     0xe9, al
        jmp     puts
.end:   ret
hex16:  xchg    al, ah
        call    hex8
        xchg    al, ah
hex8:   push    ax
        shr     al, 4
        call    .digit
        pop     ax
        push    ax
        and     al, 15
        call    .digit
        pop     ax
        ret
.digit: add     al, '0'
        cmp     al, '9'
        jbe     .print
        add     al, 'a' - '9' - 1
.print: out     0xe9, al
        ret
newline:
        mov     al, 10
        out     0xe9, al
        ret

        align   4
drive:          dw 0
failures:       dw 0
count:          dd 1
call_block:     dd 0
parameters:     dw 26
                times 24 db 0
packet:         dw 0x10
.count:         dw 0
                dw 0, BUFFER
.block:         dq 0

        times   4096 - ($ - $$) db 0
