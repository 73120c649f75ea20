/* Looking up a command's row; tables are small, so a walk is enough. */
#include "line/verb.h"

const struct verb *verb_find(const struct verb *table, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_ieq(table[i].name, name)) {
			return &table[i];
		}
	}
	return NULL;
}
