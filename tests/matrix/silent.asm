; A loader that gives no sign of the end: its last BIOS call is an int13 read, as
; that of FreeBSD's and OpenBSD's. Then it runs in protected mode and says so on
; the debug port. With -DWAIT_MS=n it waits in between, as one does at a prompt.

        bits 16
        org 0x7c00

READS   equ 32                  ; calls of 64 sectors, 1 MiB in all
DEBUG   equ 0xe9
TICKS   equ 0x46c               ; the BIOS's counter of ticks of 55 ms

        jmp 0:start
start:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00
        sti
        cld
        mov cx, READS
read:
        push cx
        mov ah, 0x42
        mov si, packet
        int 0x13
        pop cx
        jc failed
        add dword [packet.lba], 64
        loop read

%ifdef WAIT_MS
        mov eax, [TICKS]
        add eax, WAIT_MS / 55
wait_ticks:
        hlt
        cmp [TICKS], eax
        jb wait_ticks
%endif

        cli
        lgdt [table]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:protected

failed:
        mov si, failure
.next:
        lodsb
        out DEBUG, al
        cmp al, 10
        jne .next
        hlt

        bits 32
protected:
        mov ax, 16
        mov ds, ax
        mov esi, message
.next:
        lodsb
        out DEBUG, al
        cmp al, 10
        jne .next
.stop:
        hlt
        jmp .stop

message: db "SILENT: in protected mode", 10
failure: db "SILENT: cannot read", 10

        align 4
packet: db 16, 0
        dw 64
        dw 0, 0x1000            ; to 0x10000
.lba:   dq 2048

        align 8
gdt:    dq 0
        dq 0x00cf9a000000ffff   ; code, flat
        dq 0x00cf92000000ffff   ; data, flat
table:  dw table - gdt - 1
        dd gdt
