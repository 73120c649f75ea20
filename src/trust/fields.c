/* A header as signatures see it: see fields.h. */
#include "trust/fields.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "mime/header.h"

/* Longer names share a bucket, no more. */
#define HASHED_MAX 64

static size_t count_fields(struct slice header)
{
	struct mime_field f;
	size_t n = 0;

	while (n <= FIELDS_MAX && mime_field_next(&header, &f)) {
		n++;
	}
	return n;
}

static struct name **bucket_of(const struct fields *f, struct slice name)
{
	char low[HASHED_MAX];
	size_t n = MIN(name.n, sizeof(low));

	for (size_t i = 0; i < n; i++) {
		low[i] = (char)ascii_lower((unsigned char)name.p[i]);
	}
	return &f->bucket[hash_slice(slice_make(low, n)) & f->mask];
}

static struct name *find_name(const struct fields *f, struct slice name)
{
	struct name *k = f->n ? *bucket_of(f, name) : NULL;

	while (k && !slice_ieq(k->name, name)) {
		k = k->chain;
	}
	return k;
}

static struct name *add_name(struct fields *f, struct slice name)
{
	struct name **b = bucket_of(f, name);
	struct name *k = &f->names[f->n_names++];

	k->name = name;
	k->chain = *b;
	*b = k;
	return k;
}

static void add_field(struct fields *f, const struct mime_field *m)
{
	struct field *e = &f->field[f->n++];

	*e = (struct field){ .raw = m->raw, .name = m->name, .body = m->body };
	if (m->name.n == 0) {
		return;
	}
	e->kin = find_name(f, m->name);
	if (!e->kin) {
		e->kin = add_name(f, m->name);
	}
	e->above = e->kin->bottom;
	e->kin->bottom = e;
	e->kin->count++;
}

int fields_init(struct fields *f, struct slice header)
{
	size_t n = count_fields(header);
	size_t buckets = 16;
	struct mime_field m;

	*f = (struct fields){ 0 };
	if (n > FIELDS_MAX) {
		return -E2BIG;
	}
	while (buckets < n) {
		buckets *= 2;
	}
	f->field = calloc(n + 1, sizeof(*f->field));
	f->names = calloc(n + 1, sizeof(*f->names));
	f->bucket = calloc(buckets, sizeof(struct name *));
	f->mask = buckets - 1;
	if (!f->field || !f->names || !f->bucket) {
		fields_fini(f);
		return -ENOMEM;
	}
	while (mime_field_next(&header, &m)) {
		add_field(f, &m);
	}
	assert(f->n == n);
	return 0;
}

void fields_fini(struct fields *f)
{
	free(f->field);
	free(f->names);
	free(f->bucket);
	*f = (struct fields){ 0 };
}

size_t fields_count(const struct fields *f, struct slice name)
{
	const struct name *k = find_name(f, name);

	return k ? k->count : 0;
}

struct field *fields_find(const struct fields *f, struct slice name, size_t from)
{
	const struct name *k = find_name(f, name);

	for (size_t i = from; k && i < f->n; i++) {
		if (f->field[i].kin == k) {
			return &f->field[i];
		}
	}
	return NULL;
}

void fields_pick_start(struct fields *f)
{
	f->picking++;
}

/* What is picked next of a name, `but` passed over. */
static struct field *next_of(const struct fields *f, const struct name *k, const struct field *but)
{
	struct field *e = k->picking == f->picking ? k->next : k->bottom;

	return e && e == but ? e->above : e;
}

struct field *fields_pick(struct fields *f, struct slice name, const struct field *but)
{
	struct name *k = find_name(f, name);
	struct field *e;

	if (!k) {
		return NULL;
	}
	e = next_of(f, k, but);
	k->picking = f->picking;
	k->next = e ? e->above : NULL;
	return e;
}

bool fields_partly(const struct fields *f, struct slice name, const struct field *but)
{
	const struct name *k = find_name(f, name);

	return k && k->picking == f->picking && next_of(f, k, but);
}
