/*
 * fields: a header as signatures see it, picked from the bottom (RFC 6376
 * 5.4.2), in linear time.
 *
 * Fields are found by name through a hash table; each knows the next one above
 * it of the same name. A selection takes them one by one; when none is left
 * the name stands for nothing, which is how a signer says that there must be
 * no more (5.4). Fields are cut as mime_field_next cuts them, so nothing hides
 * from a signature that a reader would show. Pure.
 */
#ifndef TRUST_FIELDS_H
#define TRUST_FIELDS_H

#include "base/slice.h"

/* More than that is no message; it bounds the memory (56 octets each). */
#define FIELDS_MAX 10000

struct field {
	struct slice raw, name, body; /* as in mime_field */
	struct name *kin;
	struct field *above; /* of the same name, or NULL */
};
struct name {
	struct slice name;
	struct field *bottom;
	struct field *next; /* the next that is picked */
	unsigned picking;   /* the selection that `next` belongs to */
	unsigned count;	    /* how many there are */
	struct name *chain; /* in the same bucket */
};
struct fields {
	struct field *field; /* top first */
	size_t n;
	struct name *names;
	size_t n_names;
	struct name **bucket;
	size_t mask;
	unsigned picking;
};

/* Reads a header (up to its empty line or end), which must live as long. 0,
 * -ENOMEM, -E2BIG (more than FIELDS_MAX): nothing to free then. */
int fields_init(struct fields *f, struct slice header);
void fields_fini(struct fields *f);
/* How many there are of this name (any case). */
size_t fields_count(const struct fields *f, struct slice name);
/* The topmost field of this name at or behind index `from`, or NULL; walks. */
struct field *fields_find(const struct fields *f, struct slice name, size_t from);
/* Begins a new selection. */
void fields_pick_start(struct fields *f);
/* The lowest field of this name that was not picked yet, or NULL; `but` is
 * passed over (the signature itself). */
struct field *fields_pick(struct fields *f, struct slice name, const struct field *but);
/* Were some of this name asked for in this selection, but not all? */
bool fields_partly(const struct fields *f, struct slice name, const struct field *but);

#endif
