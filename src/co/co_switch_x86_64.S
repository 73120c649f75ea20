/*
 * co_switch_asm for x86-64, System V calling convention.
 *
 * Saves what a callee must keep (rbx, rbp, r12-r15, mxcsr, x87 control word)
 * on the old stack, swaps stacks, and takes the same from the new one. The
 * layout is known to co_asm.c. Entries carry endbr64 for -fcf-protection;
 * there is on purpose no note that claims shadow stack support, since the
 * switch does not switch a shadow stack: the linker then marks the program
 * as not using one.
 */
	.text

/* void co_switch_asm(void **save_sp, void *load_sp) */
	.globl co_switch_asm
	.hidden co_switch_asm
	.type co_switch_asm, @function
	.p2align 4
co_switch_asm:
	.cfi_startproc
	endbr64
	pushq %rbp
	.cfi_adjust_cfa_offset 8
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	pushq %r12
	.cfi_adjust_cfa_offset 8
	pushq %r13
	.cfi_adjust_cfa_offset 8
	pushq %r14
	.cfi_adjust_cfa_offset 8
	pushq %r15
	.cfi_adjust_cfa_offset 8
	subq $8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr (%rsp)
	fnstcw 4(%rsp)
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	ldmxcsr (%rsp)
	fldcw 4(%rsp)
	addq $8, %rsp
	.cfi_adjust_cfa_offset -8
	popq %r15
	.cfi_adjust_cfa_offset -8
	popq %r14
	.cfi_adjust_cfa_offset -8
	popq %r13
	.cfi_adjust_cfa_offset -8
	popq %r12
	.cfi_adjust_cfa_offset -8
	popq %rbx
	.cfi_adjust_cfa_offset -8
	popq %rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size co_switch_asm, .-co_switch_asm

/* First frame of a new stack: r12 is the argument, r13 the function. */
	.globl co_start_asm
	.hidden co_start_asm
	.type co_start_asm, @function
	.p2align 4
co_start_asm:
	.cfi_startproc
	.cfi_undefined rip
	endbr64
	xorl %ebp, %ebp
	movq %r12, %rdi
	call *%r13
	ud2
	.cfi_endproc
	.size co_start_asm, .-co_start_asm

	.section .note.GNU-stack, "", @progbits
