; vm86: calls int13 from virtual-8086 mode, as DOS does under EMM386: a monitor in protected mode
; reflects each INT and IRQ to the BIOS, and carries out what no vm86 program may do itself.
;   VM86 80 read ah=00 data=01 write ah=00 data=01
; for each hard disk: AH of a read of LBA 64 and of a write of the first scratch sector, and
; whether the data was right, for the write by a read from real mode. The program fails if a BIOS
; call does what the monitor cannot do.

%include "common.inc"

BUFFER          equ 0x30000000
MONITOR_STACK   equ 0x2000              ; grows down; generations are not used here
TSS             equ 0x20000             ; with its I/O map: no port is forbidden
IO_MAP          equ 104
CODE32          equ 0x08
DATA32          equ 0x10
TSS_SELECTOR    equ 0x18
VM              equ 1 << 17
IOPL3           equ 3 << 12
IF_FLAG         equ 1 << 9
TF_FLAG         equ 1 << 8

; What an exception or IRQ from vm86 leaves on the monitor's stack, behind the pushes of `enter`
; (Intel SDM 3, 20.3): EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX, vector, error
struc   frame
.edi:           resd 1
.esi:           resd 1
.ebp:           resd 1
.unused:        resd 1
.ebx:           resd 1
.edx:           resd 1
.ecx:           resd 1
.eax:           resd 1
.vector:        resd 1
.error:         resd 1
.eip:           resd 1
.cs:            resd 1
.eflags:        resd 1
.esp:           resd 1
.ss:            resd 1
endstruc

main:   call    pattern_init
        call    make_tables
        mov     cl, [0x475]
        mov     byte [drive], 0x80
.next:  test    cl, cl
        jz      .end
        call    try
        inc     byte [drive]
        dec     cl
        jmp     .next
.end:   expect  "what the monitor could not do", 0, dword [unknown]
        finish  "vm86"

; One disk.
try:    pushad
        say     "VM86 "
        mov     al, [drive]
        call    hex8
        access  0x42, DATA_LBA, 1, BUFFER
        mov     bl, FILL_BYTE
        call    fill_buffer
        call    vm86_int13
        say     " read"
        call    .result

        inc     word [generation]
        mov     eax, [hdr_scratch]
        access  0x43, eax, 1, BUFFER
        call    set_generations
        call    build_sectors
        call    vm86_int13
        push    word [vm86_ah]
        mov     byte [io_ah], 0x42
        mov     bl, FILL_BYTE
        call    fill_buffer
        call    io
        pop     word [vm86_ah]
        say     " write"
        call    .result
        say     10
        popad
        ret
.result:
        say     " ah="
        mov     al, [vm86_ah]
        call    hex8
        say     " data="
        call    data_right
        call    hex8
        ret

; AL = 1 if the buffer holds what the sector of the access must hold.
data_right:
        push    es
        push    si
        push    di
        push    cx
        mov     ax, BUFFER >> 16
        mov     es, ax
        mov     eax, [io_lba]
        mov     edx, 0
        call    pattern_of
        xor     di, di
        mov     cx, SECTOR / 4
        repe    cmpsd
        sete    al
        pop     cx
        pop     di
        pop     si
        pop     es
        ret

; The access of the io_ variables, called from vm86. Out: [vm86_ah].
vm86_int13:
        pushad
        mov     eax, [io_buffer]
        mov     [packet.buffer], eax
        mov     ax, [io_count]
        mov     [packet.count], ax
        mov     eax, [io_lba]
        mov     [packet.lba], eax
        mov     dword [packet.lba+4], 0
        cli
        mov     [real_sp], sp
        lgdt    [gdt_pointer]
        lidt    [idt_pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     CODE32:protected

; In vm86: DS = ES = SS = 0 as before.
vm86_code:
        mov     dl, [drive]
        mov     ah, [io_ah]
        mov     al, 0
        mov     si, packet
        int     0x13
        mov     al, ah
        jc      .bad
        mov     al, 0
.bad:   mov     [cs:vm86_ah], al
        int     LAST_INT
        jmp     $

LAST_INT           equ 0xfe                ; ends vm86

; Back in real mode.
real:   xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        mov     ss, ax
        mov     sp, [real_sp]
        lidt    [real_idt]
        sti
        popad
        ret

make_tables:
        pushad
        mov     di, idt                 ; 256 interrupt gates for the monitor alone
        mov     ax, stubs
        mov     cx, 256
.gate:  mov     [di], ax
        mov     word [di+2], CODE32
        mov     word [di+4], 0x8e00
        mov     word [di+6], 0
        add     di, 8
        add     ax, stub_size
        loop    .gate
        mov     ax, TSS >> 4
        mov     es, ax
        xor     di, di
        mov     cx, (IO_MAP + 8192) / 2
        xor     ax, ax
        rep     stosw
        mov     byte [es:di], 0xff
        mov     dword [es:4], MONITOR_STACK
        mov     word [es:8], DATA32
        mov     word [es:102], IO_MAP
        xor     ax, ax
        mov     es, ax
        popad
        ret

        bits    32
protected:
        mov     ax, DATA32
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, MONITOR_STACK
        and     byte [gdt + TSS_SELECTOR + 5], ~2       ; not busy
        mov     ax, TSS_SELECTOR
        ltr     ax
        push    0                       ; GS, FS, DS, ES
        push    0
        push    0
        push    0
        push    0                       ; SS, ESP
        movzx   eax, word [real_sp]
        push    eax
        push    VM | IOPL3 | IF_FLAG | 2
        push    0                       ; CS, EIP
        push    vm86_code
        iret

; One stub for each vector. Those of exceptions that push an error code are told by the stack's
; depth, as 8 to 15 are IRQs, too.
stubs:
%assign vector 0
%rep    256
        db      0x68                    ; push, 5 bytes for each vector
        dd      vector
        jmp     near enter
%assign vector vector + 1
%endrep
stub_size       equ ($ - stubs) / 256

enter:  cmp     esp, MONITOR_STACK - 9 * 4 - 4
        jne     .error                  ; vector and nine words of an interrupt from vm86
        push    dword [esp]             ; no error code: the vector twice
.error: pushad
        mov     ebp, esp
        mov     ax, DATA32
        mov     ds, ax
        mov     es, ax
        cld
        mov     eax, [ebp+frame.vector]
        cmp     eax, 13
        jne     reflect                 ; an IRQ: the BIOS has them at 08 to 0f and 70 to 77
        movzx   esi, word [ebp+frame.cs]
        shl     esi, 4
        movzx   eax, word [ebp+frame.eip]
        add     esi, eax
        mov     al, [esi]
        cmp     al, 0xcd
        je      .int
        cmp     al, 0xf4
        je      .hlt
        cmp     word [esi], 0x200f
        je      .from_cr
        inc     dword [unknown]
        jmp     leave_vm86
.hlt:   inc     word [ebp+frame.eip]    ; goes on at once
        jmp     resume
.from_cr:                               ; mov r32, cr0
        movzx   ecx, byte [esi+2]
        mov     edx, ecx
        and     edx, 7
        xor     edx, 7                  ; pushad has EDI lowest
        shr     ecx, 3
        and     ecx, 7
        jnz     .bad_cr
        mov     eax, cr0
        mov     [ebp+edx*4], eax
        add     word [ebp+frame.eip], 3
        jmp     resume
.bad_cr:
        inc     dword [unknown]
        jmp     leave_vm86
.int:   movzx   eax, byte [esi+1]
        add     word [ebp+frame.eip], 2
        cmp     al, LAST_INT
        je      leave_vm86

; Let the vm86 program go on at vector EAX of real mode.
reflect:
        sub     word [ebp+frame.esp], 6
        movzx   edi, word [ebp+frame.ss]
        shl     edi, 4
        movzx   ecx, word [ebp+frame.esp]
        add     edi, ecx
        mov     cx, [ebp+frame.eip]
        mov     [edi], cx
        mov     cx, [ebp+frame.cs]
        mov     [edi+2], cx
        mov     cx, [ebp+frame.eflags]
        mov     [edi+4], cx
        and     word [ebp+frame.eflags], ~(IF_FLAG | TF_FLAG)
        movzx   ecx, word [eax*4]
        mov     [ebp+frame.eip], ecx
        movzx   ecx, word [eax*4+2]
        mov     [ebp+frame.cs], ecx
resume: popad
        add     esp, 8
        iret

leave_vm86:
        cli
        jmp     CODE16:.code16
        bits    16
.code16:
        mov     ax, DATA16
        mov     ss, ax
        mov     ds, ax
        mov     es, ax
        mov     eax, cr0
        and     al, ~1
        mov     cr0, eax
        jmp     0:real

CODE16          equ 0x20
DATA16          equ 0x28

        align   8
gdt:    dq      0
        dq      0x00cf9b000000ffff      ; code and data, flat
        dq      0x00cf93000000ffff
        dw      IO_MAP + 8192, TSS & 0xffff
        db      TSS >> 16, 0x89, 0, 0
        dq      0x00009b000000ffff      ; the same for the way to real mode
        dq      0x000093000000ffff
gdt_end:
gdt_pointer:    dw gdt_end - gdt - 1
                dd gdt
idt_pointer:    dw 256 * 8 - 1
                dd idt
real_idt:       dw 0x3ff
                dd 0
        align   4
unknown:        dd 0
real_sp:        dw 0
vm86_ah:        dw 0
        align   8
idt:    times   256 * 8 db 0

        program_pad
