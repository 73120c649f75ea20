/* list: an intrusive, circular, doubly linked list. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev;
	struct list *next;
};

#define LIST_INIT(name)          \
	{                        \
		&(name), &(name) \
	}
/* The object whose member `m` of `type` is at l. */
#define list_of(l, type, m) ((type *)((char *)(l)-offsetof(type, m)))
#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The same, safe against removal of `it`. */
#define list_each_safe(it, head)                                               \
	for (struct list *it = (head)->next, *it##_n = it->next; it != (head); \
	     it = it##_n, it##_n = it->next)

static inline void list_init(struct list *h)
{
	h->prev = h->next = h;
}

static inline bool list_empty(const struct list *h)
{
	return h->next == h;
}

/* Before head: at the tail. */
static inline void list_push(struct list *h, struct list *n)
{
	n->prev = h->prev;
	n->next = h;
	h->prev->next = n;
	h->prev = n;
}

/* Unlinks; the node is a list of itself, so a second call is harmless. */
static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->prev = n->next = n;
}

/* First node unlinked, or NULL. */
static inline struct list *list_pop(struct list *h)
{
	struct list *n = h->next;

	if (n == h) {
		return NULL;
	}
	list_del(n);
	return n;
}

#endif
