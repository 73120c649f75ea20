/*
 * entry: names of annotations (RFC 5464 3.2); see metadata.h. Pure, and a
 * library of its own, so that parsers of commands need no store.
 */
#include "base/buf.h"
#include "base/err.h"
#include "store/metadata.h"

unsigned store_entry_levels(struct slice name)
{
	unsigned n = 0;

	for (size_t i = 0; i < name.n; i++) {
		n += name.p[i] == '/';
	}
	return n;
}

static bool good_name(struct slice name, bool whole)
{
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if (c < 0x20 || c >= 0x7f || c == '*' || c == '%') {
			return false;
		}
		if (c == '/' && (i + 1 == name.n || name.p[i + 1] == '/')) {
			return false;
		}
	}
	unsigned need = !whole ? 1 : 2;

	if (whole && (slice_starts(name, S("/private/vendor/")) ||
		      slice_starts(name, S("/shared/vendor/")))) {
		need = 4; /* RFC 5464 3.2 */
	}
	return store_entry_levels(name) >= need;
}

static bool has_scope(struct slice name)
{
	struct slice rest = slice_from(name, 1);
	struct slice scope = slice_split(&rest, '/');

	return name.n && name.p[0] == '/' &&
	       (slice_eq(scope, S("private")) || slice_eq(scope, S("shared")));
}

int store_entry_canon(struct slice name, bool whole, struct buf *out)
{
	size_t at = out->n;

	if (name.n == 0 || name.n > STORE_ENTRY_NAME_MAX) {
		return STORE_BADNAME;
	}
	for (size_t i = 0; i < name.n; i++) {
		buf_addc(out, (char)ascii_lower((unsigned char)name.p[i]));
	}
	if (out->err) {
		return -ENOMEM;
	}
	struct slice canon = slice_from(buf_slice(out), at);

	if (!has_scope(canon) || !good_name(canon, whole)) {
		buf_truncate(out, at);
		return STORE_BADNAME;
	}
	return STORE_OK;
}
