/*
 * The C half of the assembly backends: what a fresh stack must look like so
 * that the first co_switch_asm to it lands in co_start_asm. The layouts are
 * those of co_switch_x86_64.S and co_switch_aarch64.S.
 */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "co/switch.h"

void co_switch_asm(void **save_sp, void *load_sp);
void co_start_asm(void);

#if defined(__x86_64__)
/* From low to high: what co_switch_asm takes from the stack. */
struct frame {
	uint32_t mxcsr;
	uint16_t fpucw;
	uint16_t unused;
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t rip;
	uint64_t pad; /* rsp is 16-aligned again at co_start_asm's call */
};

static void frame_fill(struct frame *f, void (*entry)(void *), void *arg)
{
	__asm__("stmxcsr %0" : "=m"(f->mxcsr));
	__asm__("fnstcw %0" : "=m"(f->fpucw));
	f->r12 = (uint64_t)(uintptr_t)arg;
	f->r13 = (uint64_t)(uintptr_t)entry;
	f->rip = (uint64_t)(uintptr_t)co_start_asm;
}
#elif defined(__aarch64__)
struct frame {
	uint64_t x19, x20, x21_x28[8], x29, x30;
	uint64_t d8_d15[8];
};

static void frame_fill(struct frame *f, void (*entry)(void *), void *arg)
{
	f->x19 = (uint64_t)(uintptr_t)arg;
	f->x20 = (uint64_t)(uintptr_t)entry;
	f->x30 = (uint64_t)(uintptr_t)co_start_asm;
}
#else
#error "no assembly for this CPU: configure with -Dco_backend=ucontext"
#endif

_Static_assert(sizeof(struct frame) % 16 == 8 || sizeof(struct frame) % 16 == 0,
	       "the frame keeps the stack pointer aligned");

void co_ctx_init(struct co_ctx *c, char *base, size_t size, void (*entry)(void *arg), void *arg)
{
	uintptr_t top = ((uintptr_t)base + size) & ~(uintptr_t)15;
	struct frame *f;

	assert(size >= 4096);
	/* After "ret" the stack pointer is &f->pad, 16-aligned. */
	f = (struct frame *)(top - sizeof(*f) - sizeof(*f) % 16);
	memset(f, 0, sizeof(*f));
	frame_fill(f, entry, arg);
	c->sp = f;
}

void co_ctx_switch(struct co_ctx *from, struct co_ctx *to)
{
	co_switch_asm(&from->sp, to->sp);
}
