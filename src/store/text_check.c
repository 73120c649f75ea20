/*
 * Checking the derived data for searching: every row of every segment that
 * the manifest names, every page of summaries and of kept texts, read and taken
 * apart.
 * Damage here loses nothing (it is dropped and made anew); it is told all the
 * same, because something must have done it. Called by check.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/kept.h"
#include "store/summary.h"

struct looker {
	struct store_mailbox *m;
	struct segment s;
	struct buf dict, postings;
	uint64_t *bits;
	void (*found)(void *arg, const char *text);
	void *arg;
};

static void damaged(struct looker *k, const char *what)
{
	char text[120];

	snprintf(text, sizeof(text), "text index: segment %u: %s", k->s.id, what);
	k->found(k->arg, text);
}

/* Tokens in order, each with postings that fit. */
static bool block_holds(struct looker *k)
{
	struct slice all, before = { 0 };
	struct dict d;
	int r = 1;

	if (dict_open(buf_slice(&k->dict), &d) || postings_open(buf_slice(&k->postings), &all)) {
		return false;
	}
	while (r == 1) {
		struct slice token = dict_token(&d);

		if (token.n == 0 || token.n > TOKEN_MAX ||
		    (before.p && slice_cmp(before, token) >= 0) || d.size == 0 ||
		    d.off + d.size > all.n ||
		    postings_mark(slice_sub(slice_from(all, d.off), 0, d.size), k->bits,
				  k->s.n_docs)) {
			return false;
		}
		before = token;
		r = dict_next(&d);
	}
	return r == 0 && d.off + d.size == all.n && before.p + before.n + 1 == d.text.p + d.text.n;
}

CO_FN static int check_zone(struct looker *k, unsigned zone)
{
	for (uint32_t b = 0; b < k->s.blocks[zone]; b++) {
		int r = index_row(k->m, key_block(k->s.id, ROW_DICT + 2 * zone, b), &k->dict);

		r = r ? r
		      : index_row(k->m, key_block(k->s.id, ROW_POSTINGS + 2 * zone, b),
				  &k->postings);
		if (r && r != -ENOENT) {
			return r;
		}
		if (r || !block_holds(k)) {
			damaged(k, r ? "a block is missing" : "a block is damaged");
		}
	}
	return co_breathe() == -ECANCELED ? -ECANCELED : 0;
}

CO_FN static int check_segment(struct looker *k)
{
	struct doc *v = NULL;
	int r = index_docs(k->m, &k->s, &v);

	if (r == -EIO || r == -ENOENT) {
		damaged(k, "the list of messages is damaged");
		return 0;
	}
	if (r == 0 && (v[0].uid < k->s.first || v[k->s.n_docs - 1].uid > k->s.last)) {
		damaged(k, "messages out of its range");
	}
	free(v);
	k->bits = r ? NULL : calloc(k->s.n_docs / 64 + 1, sizeof(*k->bits));
	if (r == 0 && !k->bits) {
		r = -ENOMEM;
	}
	for (unsigned z = 0; z < ZONES && r == 0; z++) {
		r = check_zone(k, z);
	}
	free(k->bits);
	return r;
}

static int check_summary(void *arg, struct slice key, struct slice value)
{
	struct looker *k = arg;
	struct cur c = cur_init(slice_from(key, 1));
	uint32_t number = cur_get32be(&c);
	struct summary_page *p = malloc(sizeof(*p));
	struct store_summary s;
	unsigned parts = 0;

	if (!p) {
		return 0;
	}
	summary_page_init(p);
	summary_page_reset(p, number);
	summary_page_add(p, value, &parts);
	for (uint32_t i = 0; parts && i < PAGE_UIDS; i++) {
		uint32_t uid = number * PAGE_UIDS + i;

		/* Not to be had is good only for what is too long. */
		if (p->len[i] > 1 && !summary_page_get(p, uid, &s)) {
			parts = 0;
		}
	}
	if (parts == 0) {
		char text[80];

		snprintf(text, sizeof(text), "summaries of page %u are damaged", number);
		k->found(k->arg, text);
	}
	summary_page_fini(p);
	free(p);
	return 0;
}

static int check_kept(void *arg, struct slice key, struct slice value)
{
	struct looker *k = arg;
	struct cur c = cur_init(slice_from(key, 1));
	uint32_t number = cur_get32be(&c);
	struct kept_page p;

	kept_init(&p);
	buf_add(&p.row, value);
	if (p.row.err == 0 && kept_parse(&p, number, KEPT_BOTH) == -EIO) {
		char text[80];

		snprintf(text, sizeof(text), "kept texts of page %u are damaged", number);
		k->found(k->arg, text);
	}
	kept_fini(&p);
	return 0;
}

/* All rows of a kind. */
CO_FN static int check_kind(struct looker *k, struct slice kind, kv_row_fn *fn)
{
	return MIN(kv_scan_prefix(box_kv(k->m), part_mailbox(k->m->a->id, k->m->id), kind, fn, k),
		   0);
}

CO_FN static int check_rows(struct looker *k)
{
	struct manifest mf;
	int r = index_load(k->m, &mf, NULL);

	if (r) {
		return r;
	}
	if (mf.wipe) {
		k->found(k->arg, "text index: the list of segments is damaged");
	}
	for (size_t i = 0; r == 0 && i < mf.n; i++) {
		k->s = mf.v[i];
		r = check_segment(k);
	}
	manifest_free(&mf);
	r = r ? r : check_kind(k, S("E"), check_summary);
	return r ? r : check_kind(k, S("V"), check_kept);
}

CO_FN int index_check(struct store_mailbox *m, void (*found)(void *arg, const char *text),
		      void *arg)
{
	struct looker k = { .m = m, .found = found, .arg = arg };

	if (m->text.busy) {
		return 0; /* being written: another time */
	}
	buf_init(&k.dict, KV_VALUE_MAX);
	buf_init(&k.postings, KV_VALUE_MAX);
	m->text.busy = true;
	int r = check_rows(&k);

	m->text.busy = false;
	buf_fini(&k.dict);
	buf_fini(&k.postings);
	return r;
}
