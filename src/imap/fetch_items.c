/*
 * fetch_items: the items of FETCH (RFC 3501 6.4.5, 7.4.2), a row each, and
 * the parser that reads their names. Called by cmd_fetch.c.
 */
#include "imap/fetch.h"

#include "imap/parse.h"
#include "imap/write.h"

/* ---- answers ----------------------------------------------------------------------- */

static int put_flags(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_adds(&f->line, "FLAGS ");
	imap_put_flags(&f->line, m->m.flags, f->names, f->n_names,
		       !imap_rev2(f->cmd->s) && store_view_recent(f->cmd->s->view, m->seq));
	return BODY_OK;
}

static int put_modseq(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	imap_put_modseq(f->cmd->s, &f->line, m->m.modseq);
	return BODY_OK;
}

static int put_uid(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_printf(&f->line, "UID %u", m->m.uid);
	return BODY_OK;
}

static int put_date(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_adds(&f->line, "INTERNALDATE ");
	imap_put_date(&f->line, m->m.internal_date, m->m.internal_zone);
	return BODY_OK;
}

static int put_size(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_printf(&f->line, "RFC822.SIZE %llu", (unsigned long long)m->m.size);
	return BODY_OK;
}

static int put_envelope(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_adds(&f->line, "ENVELOPE ");
	imap_put_envelope(&f->line, m->tree->root->envelope);
	return BODY_OK;
}

static int put_body(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_adds(&f->line, "BODY ");
	imap_put_body(&f->line, m->tree->root, false);
	return BODY_OK;
}

static int put_structure(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_adds(&f->line, "BODYSTRUCTURE ");
	imap_put_body(&f->line, m->tree->root, true);
	return BODY_OK;
}

CO_FN static int put_section(struct fetch *f, const struct fetch_item *it,
			     const struct fetch_msg *m)
{
	fetch_flush(f);
	return body_write(f->cmd->s, &m->m, m->tree, &it->sec, f->chunk);
}

/* ---- what follows the names -------------------------------------------------------- */

/* section ["<" number "." nz-number ">"] */
static void parse_section(struct fetch *f, struct fetch_item *it)
{
	section_parse(&f->cmd->c, &f->cmd->arena, &it->sec);
	f->needs_tree |= section_needs_tree(&it->sec);
}

static void rfc822(struct fetch *f, struct fetch_item *it, enum section_what what)
{
	it->sec = (struct section){ .what = what, .label = it->kind->name };
	f->needs_tree |= section_needs_tree(&it->sec);
}

static void parse_rfc822(struct fetch *f, struct fetch_item *it)
{
	rfc822(f, it, SECTION_ALL);
}

static void parse_rfc822_header(struct fetch *f, struct fetch_item *it)
{
	rfc822(f, it, SECTION_HEADER);
}

static void parse_rfc822_text(struct fetch *f, struct fetch_item *it)
{
	rfc822(f, it, SECTION_TEXT);
}

/* ---- the rows ------------------------------------------------------------------------ */

const struct fetch_kind fetch_flags = { S("FLAGS"), FETCH_KEPT | FETCH_TELLS, NULL, put_flags };
const struct fetch_kind fetch_uid = { S("UID"), FETCH_KEPT, NULL, put_uid };
const struct fetch_kind fetch_modseq = { S("MODSEQ"), FETCH_KEPT, NULL, put_modseq };
static const struct fetch_kind fetch_date = { S("INTERNALDATE"), FETCH_KEPT, NULL, put_date };
static const struct fetch_kind fetch_size = { S("RFC822.SIZE"), FETCH_KEPT, NULL, put_size };
static const struct fetch_kind fetch_envelope = { S("ENVELOPE"), FETCH_TREE, NULL, put_envelope };
static const struct fetch_kind fetch_body = { S("BODY"), FETCH_TREE, NULL, put_body };
static const struct fetch_kind fetch_structure = { S("BODYSTRUCTURE"), FETCH_TREE, NULL,
						   put_structure };
static const struct fetch_kind fetch_section = { S("BODY"), FETCH_BRACKET | FETCH_SEEN,
						 parse_section, put_section };
static const struct fetch_kind fetch_peek = { S("BODY.PEEK"), FETCH_BRACKET, parse_section,
					      put_section };
static const struct fetch_kind fetch_rfc822 = { S("RFC822"), FETCH_SEEN, parse_rfc822,
						put_section };
static const struct fetch_kind fetch_rfc822_header = { S("RFC822.HEADER"), 0, parse_rfc822_header,
						       put_section };
static const struct fetch_kind fetch_rfc822_text = { S("RFC822.TEXT"), FETCH_SEEN,
						     parse_rfc822_text, put_section };

static const struct fetch_kind *const kinds[] = {
	&fetch_savedate,    &fetch_emailid,  &fetch_threadid,	 &fetch_preview,
	&fetch_modseq,	    &fetch_flags,    &fetch_uid,	 &fetch_date,
	&fetch_size,	    &fetch_envelope, &fetch_body,	 &fetch_structure,
	&fetch_section,	    &fetch_peek,     &fetch_rfc822,	 &fetch_rfc822_header,
	&fetch_rfc822_text, &fetch_binary,   &fetch_binary_peek, &fetch_binary_size,
};

static const struct {
	struct slice name;
	const struct fetch_kind *kinds[6];
} macros[] = {
	{ S("FAST"), { &fetch_flags, &fetch_date, &fetch_size } },
	{ S("ALL"), { &fetch_flags, &fetch_date, &fetch_size, &fetch_envelope } },
	{ S("FULL"), { &fetch_flags, &fetch_date, &fetch_size, &fetch_envelope, &fetch_body } },
};

/* ---- parsing ------------------------------------------------------------------------- */

static struct fetch_item *add_item(struct fetch *f, const struct fetch_kind *kind)
{
	struct fetch_item *it;

	if (f->n == FETCH_ITEMS_MAX) {
		cur_fail(&f->cmd->c, -EMSGSIZE);
		return &f->items[0];
	}
	it = &f->items[f->n++];
	*it = (struct fetch_item){ .kind = kind };
	f->needs |= kind->needs;
	f->needs_tree |= (kind->needs & FETCH_TREE) != 0;
	return it;
}

static bool in_name(int ch)
{
	return ch == '.' ||
	       (ch >= 0 && (ascii_isalpha((unsigned char)ch) || ascii_isdigit((unsigned char)ch)));
}

static struct slice parse_name(struct cur *c)
{
	const char *at = c->p;

	while (in_name(cur_peek(c))) {
		c->p++;
	}
	return slice_make(at, (size_t)(c->p - at));
}

static const struct fetch_kind *find_kind(struct slice name, bool bracket)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (((kinds[i]->needs & FETCH_BRACKET) != 0) == bracket &&
		    slice_ieq(kinds[i]->name, name)) {
			return kinds[i];
		}
	}
	return NULL;
}

/* fetch-att, its name being read */
static void parse_item(struct fetch *f, struct slice name)
{
	struct cur *c = &f->cmd->c;
	const struct fetch_kind *kind = find_kind(name, cur_peek(c) == '[');
	struct fetch_item *it;

	if (!kind) {
		cur_fail(c, -EINVAL);
		return;
	}
	it = add_item(f, kind);
	if (!c->err && kind->parse) {
		kind->parse(f, it);
	}
}

/* ALL, FAST, FULL; false: none of them. */
static bool parse_macro(struct fetch *f, struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(macros); i++) {
		if (slice_ieq(macros[i].name, name)) {
			for (size_t k = 0; macros[i].kinds[k]; k++) {
				add_item(f, macros[i].kinds[k]);
			}
			return true;
		}
	}
	return false;
}

void fetch_parse_items(struct fetch *f)
{
	struct cur *c = &f->cmd->c;

	if (cur_opt(c, '(')) {
		do {
			parse_item(f, parse_name(c));
		} while (!c->err && cur_opt(c, ' '));
		cur_need(c, ')');
	} else {
		struct slice name = parse_name(c);
		if (!parse_macro(f, name)) {
			parse_item(f, name);
		}
	}
}

bool fetch_asks(const struct fetch *f, const struct fetch_kind *kind)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->items[i].kind == kind) {
			return true;
		}
	}
	return false;
}

void fetch_imply(struct fetch *f, const struct fetch_kind *kind)
{
	if (fetch_asks(f, kind) || f->n == FETCH_ITEMS_MAX) {
		return;
	}
	memmove(&f->items[1], &f->items[0], f->n * sizeof(f->items[0]));
	f->items[0] = (struct fetch_item){ .kind = kind };
	f->n++;
	f->needs |= kind->needs;
}
