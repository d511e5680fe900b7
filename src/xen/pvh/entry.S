// The entry of a PVH guest (docs/misc/pvh.pandoc): 32-bit protected mode, flat
// segments, no paging, interrupts off, %ebx = start_info; no stack, no GDT in
// memory. Here the BIOS's image is made ready, and entered as after a reset.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include <xen/elfnote.h> // XEN_ELFNOTE_PHYS32_ENTRY

#define IMAGE_SEG     0xc000            // the segment that this code lies in
#define STACK         0x7000            // SeaBIOS's own, BUILD_STACK_ADDR
#define CODE16        8                 // selectors of the table below
#define DATA16        16

        .section .entry, "ax"
        .code32
        .global start
start:  cld
        movl    $STACK, %esp
        pushl   %ebx
        calll   start_main

        // real mode, with the limits of 64 KiB that real mode has
        lgdtl   gdt_pointer
        ljmpl   $CODE16, $(1f - start)
        .code16
1:      movw    $DATA16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $~1, %al
        movl    %eax, %cr0
        ljmpw   $IMAGE_SEG, $(1f - start)
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $STACK, %esp
        lidtw   %cs:(ivt_pointer - start)
        ljmpw   $0xf000, $0xfff0

        .balign 8
gdt:    .quad   0
        .quad   0x00009b0c0000ffff      // code at IMAGE_SEG, 16-bit, 64 KiB
        .quad   0x000093000000ffff      // data at 0, 16-bit, 64 KiB
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt
ivt_pointer:
        .word   0x3ff
        .long   0

        // the one ELF note that PVH asks for
        .section .note.Xen, "a", @note
        .long   4, 4, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz  "Xen"
        .long   start

        .section .note.GNU-stack, "", @progbits
