/*
 * metadata: annotations of mailboxes and of the account's view of the server
 * (RFC 5464). Part of the store's door, beside store.h.
 *
 * An entry has a name ("/shared/comment", "/private/vendor/x/y") and a value
 * of any octets. /shared is one value for all who may see the mailbox,
 * /private one for each account (`who`), kept in the mailbox's account: both
 * follow the mailbox when it is renamed and go when it is deleted. With an
 * empty mailbox name the entries are the server's: of these only private ones
 * can be set here.
 *
 * All take the account's home loop, as store.h says.
 */
#ifndef STORE_METADATA_H
#define STORE_METADATA_H

#include "base/buf.h"
#include "store/store.h"

#define STORE_ENTRY_NAME_MAX 255
#define STORE_ENTRY_VALUE_MAX (64u * 1024)
#define STORE_ENTRIES_MAX 100u /* of one mailbox, in one scope */
/* Names and values that an account (as `who`; shared ones are the owner's)
 * may keep in one account. */
#define STORE_METADATA_MAX (1024u * 1024)

struct store_entry {
	struct slice name;
	struct slice value; /* p NULL: none */
};

/*
 * The form in which entries are kept and compared: lower case, added to out.
 * whole: it must be able to have a value; else it may also be a level above
 * some ("/private"). STORE_OK, STORE_BADNAME.
 */
int store_entry_canon(struct slice name, bool whole, struct buf *out);
/* How many levels a name, or the tail of one, has. */
unsigned store_entry_levels(struct slice name);

/*
 * The value of one entry, in the arena; p NULL: it has none. STORE_OK;
 * STORE_NOTFOUND: no such mailbox; STORE_BADNAME.
 */
CO_FN int store_metadata_get(struct store_account *a, struct slice mailbox, store_id who,
			     struct slice name, struct arena *arena, struct slice *value_out,
			     struct err *e);
/* The entry, if it has a value, and those up to `depth` levels below it, in
 * order of their names; as above. */
CO_FN int store_metadata_below(struct store_account *a, struct slice mailbox, store_id who,
			       struct slice name, unsigned depth, struct arena *arena,
			       struct store_entry **out, size_t *n_out, struct err *e);
/*
 * Sets and removes entries (at most STORE_ENTRIES_MAX at once) in one commit:
 * all or none. uses, if not NULL: also the mailbox's special uses, as
 * store_mailbox_set_uses. STORE_OK, NOTFOUND, BADNAME, FORBIDDEN (what only
 * the server sets; uses of INBOX), LIMIT, FULL.
 */
CO_FN int store_metadata_set(struct store_account *a, struct slice mailbox, store_id who,
			     const struct store_entry *v, size_t n, const unsigned *uses,
			     struct err *e);
/* Special uses of a mailbox. STORE_OK, STORE_NOTFOUND. */
int store_mailbox_uses(struct store_account *a, struct slice mailbox, unsigned *out);

#endif
