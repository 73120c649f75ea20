/*
 * saved: see saved.h. Set by the searching commands, cleared with the
 * selected mailbox (view.c), used wherever a set of messages is named.
 */
#include "imap/saved.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void imap_saved_clear(struct imap_saved *v)
{
	free(v->uids);
	*v = (struct imap_saved){ 0 };
}

static int cmp(const void *a, const void *b)
{
	const uint32_t *x = a;
	const uint32_t *y = b;

	return (*x > *y) - (*x < *y);
}

int imap_saved_set(struct imap_saved *v, const uint32_t *uids, size_t n)
{
	size_t k = 0;

	imap_saved_clear(v);
	if (n == 0) {
		return 0;
	}
	v->uids = reallocarray(NULL, n, sizeof(v->uids[0]));
	if (!v->uids) {
		return -ENOMEM;
	}
	memcpy(v->uids, uids, n * sizeof(v->uids[0]));
	qsort(v->uids, n, sizeof(v->uids[0]), cmp);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || v->uids[i] != v->uids[i - 1]) {
			v->uids[k++] = v->uids[i];
		}
	}
	v->n = k;
	return 0;
}

bool imap_saved_has(const struct imap_saved *v, uint32_t uid)
{
	return v->n > 0 && bsearch(&uid, v->uids, v->n, sizeof(v->uids[0]), cmp);
}
