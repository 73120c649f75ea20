/*
 * find_sort: sorting what a search found; for SORT and for sorted contexts,
 * which keep the keys (RFC 5267 4.3).
 */
#ifndef IMAP_FIND_SORT_H
#define IMAP_FIND_SORT_H

#include "imap/find.h"
#include "imap/sort.h"

#define SORT_MEMORY_MAX (128u * 1024 * 1024) /* the keys of one SORT */

struct find_sorter {
	struct search_run *run;
	const struct sort_spec *spec;
	struct arena keys;
	struct buf key;
	struct sort_row *rows; /* after find_sort: in order, as run->v is */
	size_t at;
	size_t end;
};

/*
 * Puts run->v (in the order of the view) into the order asked for. 0, -ENOMEM
 * (arena_err(&o->keys): more than SORT_MEMORY_MAX), -ECANCELED. Then fini.
 */
CO_FN int find_sort(struct search_run *run, const struct sort_spec *spec, struct find_sorter *o);
void find_sorter_fini(struct find_sorter *o);

#endif
