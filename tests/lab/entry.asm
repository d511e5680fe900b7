; What goes in front of Linux's 32-bit code: say on the debug port that the kernel is entered.
; START: how far behind the kernel's first byte this stands; it runs wherever that is loaded.
; TEXT: what it says. HOLD: wait for a key then.
; In: ESI = boot_params (Documentation/arch/x86/boot.rst); there is no stack yet.

bits 32

SCRATCH         equ 0x1e4               ; boot_params.scratch: 4 bytes that a kernel may use

HEAD            equ 0x41a               ; the BIOS's keyboard buffer
TAIL            equ 0x41c

        cli
        lea     esp, [esi + SCRATCH + 4]
        call    here
here:   pop     edi
        lea     ebx, [edi + text - here]
next:   mov     al, [ebx]
        out     0xe9, al
        inc     ebx
        cmp     al, 10
        jne     next
%ifdef HOLD
hold:   in      al, 0x64                ; the keyboard controller's status
        cmp     al, 0xff
        je      buffer
        test    al, 1
        jz      hold
        in      al, 0x60
        jmp     go
buffer: mov     ax, [HEAD]              ; a PVH guest has only this
        cmp     ax, [TAIL]
        je      buffer
go:
%endif
        lea     eax, [edi - (here - $$) - START]
        xor     ebx, ebx
        xor     edi, edi
        xor     ebp, ebp
        jmp     eax

text:   db      TEXT, 10
        align   16
