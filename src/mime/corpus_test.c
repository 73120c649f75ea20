/*
 * corpus_test: every message in test/corpus/messages against the parse that
 * another parser wrote down for it, once with LF and once with CRLF.
 *
 * Compared: the part tree (kinds, nesting, offsets of header, body, end), all
 * header fields (names, order, offsets, decoded values: texts, addresses,
 * dates, content types with parameters), and decoded bodies. Where we read
 * otherwise on purpose, the table `known` says where and why, and the test
 * fails if a place in it does not differ (any more): the list cannot rot.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/codec.h"
#include "base/utf8.h"
#include "mime/charset.h"
#include "mime/test_util.h"

enum { LF = 1, CRLF = 2, BOTH = 3 };

static const char COMMENT_ONLY[] =
	"an address that is only a comment is no address; they make it a name";
static const char NO_DOMAIN[] = "a lone word is a mailbox without a domain, which ENVELOPE can say "
				"(RFC 3501 7.4.2); they make it a name";
static const char COMMENT[] = "a comment is not part of a phrase (RFC 5322 3.2.2); they keep it";
static const char BAD_TIME[] = "the hour is written l8 with a letter: we read 8:14:23 +1000, they "
			       "read second 232 and no zone";
static const char ENCODED_MESSAGE[] =
	"message/rfc822 in base64 is against RFC 2046 5.2.1: offsets into the "
	"decoded text are none into the message, so it stays encoded here";
static const char RAW_8BIT[] = "unlabelled 8-bit text is windows-1252 here; they make it U+FFFD";

/* One place: the message, the part (IMAP-like, "0" the root), what. */
static struct known {
	const char *file;
	const char *part;
	const char *what;
	unsigned forms;
	const char *why;
	unsigned seen;
} known[] = {
#include "mime/corpus_known.h"
};

struct ctx {
	const char *file;
	unsigned form;
	struct slice msg;
	char part[64];
};

static unsigned compared, unexpected;

/* The row for a place, or NULL. */
static struct known *known_row(const struct ctx *c, const char *what)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].file, c->file) == 0 && strcmp(known[i].part, c->part) == 0 &&
		    strcmp(known[i].what, what) == 0 && (known[i].forms & c->form)) {
			return &known[i];
		}
	}
	return NULL;
}

/* Is theirs like ours, but for U+FFFD where we have one character? */
static bool same_but_8bit(struct slice ours, const char *theirs)
{
	struct slice want = slice_cstr(theirs);

	while (ours.n && want.n) {
		int32_t a = utf8_next(&ours);
		int32_t b = utf8_next(&want);

		if (a != b && (b != 0xfffd || a < 0x80)) {
			return false;
		}
	}
	return ours.n == want.n;
}

static void differ(struct ctx *c, const char *what, struct slice got, const char *want)
{
	struct known *row = known_row(c, what);

	if (row && (row->why != RAW_8BIT || same_but_8bit(got, want))) {
		row->seen |= c->form;
		return;
	}
	unexpected++;
	print_error("%s (%s) part %s %s:\n  ours   \"%.*s\"\n  theirs \"%s\"\n", c->file,
		    c->form == LF ? "LF" : "CRLF", c->part, what, (int)(got.n < 300 ? got.n : 300),
		    got.p ? got.p : "", want);
}

static void check_number(struct ctx *c, const char *what, uint64_t got, const json_t *want)
{
	char ours[32], theirs[32];

	compared++;
	if ((json_int_t)got != json_integer_value(want) || !json_is_integer(want)) {
		snprintf(ours, sizeof(ours), "%llu", (unsigned long long)got);
		snprintf(theirs, sizeof(theirs), "%lld", (long long)json_integer_value(want));
		differ(c, what, slice_cstr(ours), theirs);
	}
}

static struct slice json_slice(const json_t *s)
{
	return slice_make(json_string_value(s), json_string_length(s));
}

/* null means empty or absent here. */
static void check_text(struct ctx *c, const char *what, struct slice got, const json_t *want)
{
	compared++;
	if (!slice_eq(got, json_slice(want))) {
		differ(c, what, got, json_is_string(want) ? json_string_value(want) : "null");
	}
}

static void check_itext(struct ctx *c, const char *what, struct slice got, const json_t *want)
{
	compared++;
	if (!slice_ieq(got, json_slice(want))) {
		differ(c, what, got, json_is_string(want) ? json_string_value(want) : "null");
	}
}

/* ---- values of fields ---------------------------------------------------- */

static struct slice bare_id(struct slice s)
{
	if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>') {
		return slice_sub(s, 1, s.n - 2);
	}
	return s;
}

static void value_text(struct ctx *c, const char *what, struct slice name, struct slice body,
		       const json_t *want)
{
	struct buf flat = BUF_INIT(TEST_MAX);
	struct buf text = BUF_INIT(TEST_MAX);
	struct slice got;

	mime_unfold(body, &flat);
	mime_decode_text(buf_slice(&flat), &text);
	got = buf_slice(&text);
	/* They give identifiers without their brackets. */
	if (slice_ieq(name, S("Message-ID")) || slice_ieq(name, S("Content-ID")) ||
	    slice_ieq(name, S("Return-Path"))) {
		got = bare_id(got);
	}
	check_text(c, what, got, want);
	buf_fini(&flat);
	buf_fini(&text);
}

static void one_address(struct ctx *c, const char *what, const struct mime_addr *ad,
			const json_t *want)
{
	struct buf name = BUF_INIT(TEST_MAX);
	struct buf spec = BUF_INIT(TEST_MAX);

	mime_decode_text(ad->name, &name);
	mime_addr_spec(ad, &spec);
	check_text(c, what, buf_slice(&name), json_object_get(want, "name"));
	check_text(c, what, buf_slice(&spec), json_object_get(want, "address"));
	buf_fini(&name);
	buf_fini(&spec);
}

static void value_address(struct ctx *c, const char *what, struct slice body, const json_t *want)
{
	const json_t *list = json_object_get(want, "List");
	const struct mime_addr *ad;
	struct arena a;
	size_t n = 0;

	assert_true(json_is_array(list));
	arena_init(&a, MIME_TREE_MAX);
	for (ad = mime_addr_parse(body, &a); ad; ad = ad->next) {
		const json_t *one = json_array_get(list, n++);

		if (one) {
			one_address(c, what, ad, one);
		}
	}
	compared++;
	if (n != json_array_size(list)) {
		differ(c, what, S("another number of addresses"), "");
	}
	arena_fini(&a);
}

static void value_date(struct ctx *c, const char *what, struct slice body, const json_t *want)
{
	char got[64] = "unreadable", theirs[64];
	struct mime_date d;
	json_int_t zone, v[6];
	static const char *const keys[6] = { "year", "month", "day", "hour", "minute", "second" };

	for (int i = 0; i < 6; i++) {
		v[i] = json_integer_value(json_object_get(want, keys[i]));
	}
	zone = json_integer_value(json_object_get(want, "tz_hour")) * 60 +
	       json_integer_value(json_object_get(want, "tz_minute"));
	if (json_is_true(json_object_get(want, "tz_before_gmt"))) {
		zone = -zone;
	}
	snprintf(theirs, sizeof(theirs), "%d-%d-%d %d:%d:%d %d", (int)v[0], (int)v[1], (int)v[2],
		 (int)v[3], (int)v[4], (int)v[5], (int)zone);
	if (mime_date_parse(body, &d) == 0) {
		snprintf(got, sizeof(got), "%d-%d-%d %d:%d:%d %d", d.year, d.month, d.day, d.hour,
			 d.minute, d.second, d.zone);
	}
	compared++;
	if (strcmp(got, theirs) != 0) {
		differ(c, what, slice_cstr(got), theirs);
	}
}

/* Of a Received field only the date maps. */
static void value_received(struct ctx *c, const char *what, struct slice body, const json_t *want)
{
	size_t at = slice_rchr(body, ';');

	assert_true(at != SIZE_MAX);
	value_date(c, what, slice_from(body, at + 1), json_object_get(want, "date"));
}

static void check_params(struct ctx *c, const char *what, const struct mime_param *p,
			 const json_t *want)
{
	size_t n = 0;

	for (; p; p = p->next, n++) {
		const json_t *one = json_array_get(want, n);
		struct buf value = BUF_INIT(TEST_MAX);

		mime_decode_text(p->value, &value);
		check_itext(c, what, p->name, json_object_get(one, "name"));
		check_text(c, what, buf_slice(&value), json_object_get(one, "value"));
		buf_fini(&value);
	}
	compared++;
	if (n != json_array_size(want)) {
		differ(c, what, S("another number of parameters"), "");
	}
}

static void value_content(struct ctx *c, const char *what, struct slice name, struct slice body,
			  const json_t *want)
{
	struct slice type = S("unreadable"), subtype = { 0 };
	struct mime_param *params = NULL;
	struct arena a;

	arena_init(&a, MIME_TREE_MAX);
	if (slice_ieq(name, S("Content-Type"))) {
		mime_content_type(body, &a, &type, &subtype, &params);
	} else {
		mime_content_disposition(body, &a, &type, &params);
	}
	check_itext(c, what, type, json_object_get(want, "c_type"));
	check_itext(c, what, subtype, json_object_get(want, "c_subtype"));
	check_params(c, what, params, json_object_get(want, "attributes"));
	arena_fini(&a);
}

static void check_value(struct ctx *c, const char *what, const struct mime_field *f,
			const json_t *want)
{
	const json_t *v;
	struct mime_date d;

	if (json_is_string(want)) {
		assert_string_equal(json_string_value(want), "Empty");
		compared++;
		if (mime_date_parse(f->body, &d) == 0) {
			differ(c, what, S("a date"), "Empty");
		}
	} else if ((v = json_object_get(want, "Text"))) {
		value_text(c, what, f->name, f->body, v);
	} else if ((v = json_object_get(want, "Address"))) {
		value_address(c, what, f->body, v);
	} else if ((v = json_object_get(want, "DateTime"))) {
		value_date(c, what, f->body, v);
	} else if ((v = json_object_get(want, "ContentType"))) {
		value_content(c, what, f->name, f->body, v);
	} else if ((v = json_object_get(want, "Received"))) {
		value_received(c, what, f->body, v);
	} else {
		fail_msg("%s: a kind of value this test does not know", c->file);
	}
}

/* ---- headers ------------------------------------------------------------- */

/* "content_type" or {"other": "X-Foo"}. */
static bool same_name(struct slice ours, const json_t *theirs)
{
	char name[64];

	if (!json_is_string(theirs)) {
		return slice_eq(ours, json_slice(json_object_get(theirs, "other")));
	}
	assert_int_equal(slice_copy(ours, name, sizeof(name)), 0);
	for (char *p = name; *p; p++) {
		*p = *p == '-' ? '_' : *p;
	}
	return slice_ieq(slice_cstr(name), json_slice(theirs));
}

static void check_field(struct ctx *c, const struct mime_field *f, const json_t *want)
{
	char what[64] = "header";
	size_t end = (size_t)(f->raw.p - c->msg.p) + f->raw.n;

	slice_copy(f->name, what, sizeof(what));
	compared++;
	if (!same_name(f->name, json_object_get(want, "name"))) {
		differ(c, what, S("another name"), "");
	}
	check_number(c, what, (size_t)(f->raw.p - c->msg.p), json_object_get(want, "offset_field"));
	check_number(c, what, (size_t)(f->body.p - c->msg.p),
		     json_object_get(want, "offset_start"));
	check_number(c, what, end, json_object_get(want, "offset_end"));
	check_value(c, what, f, json_object_get(want, "value"));
}

static void check_header(struct ctx *c, const struct mime_part *part, const json_t *headers)
{
	struct slice header = slice_sub(c->msg, part->header_off, part->header_len);
	struct mime_field f;
	size_t n = 0;

	while (mime_field_next(&header, &f)) {
		const json_t *one = json_array_get(headers, n++);

		if (one) {
			check_field(c, &f, one);
		}
	}
	compared++;
	if (n != json_array_size(headers)) {
		differ(c, "header", S("another number of fields"), "");
	}
}

/* ---- bodies -------------------------------------------------------------- */

static enum codec_kind codec_of(struct slice encoding)
{
	if (slice_ieq(encoding, S("base64"))) {
		return CODEC_BASE64;
	}
	return slice_ieq(encoding, S("quoted-printable")) ? CODEC_QP : CODEC_IDENTITY;
}

static void check_bytes(struct ctx *c, struct slice got, const json_t *want)
{
	size_t n = json_array_size(want);
	bool same = n == got.n;

	for (size_t i = 0; same && i < n; i++) {
		same = json_integer_value(json_array_get(want, i)) == (unsigned char)got.p[i];
	}
	compared++;
	if (!same) {
		differ(c, "body", got, "other bytes");
	}
}

static void check_leaf(struct ctx *c, const struct mime_part *part, const json_t *body,
		       bool theirs_raw)
{
	struct codec codec = { .kind = theirs_raw ? CODEC_IDENTITY : codec_of(part->encoding) };
	struct slice charset = mime_param_get(part->params, S("charset"));
	struct buf bytes = BUF_INIT(TEST_MAX);
	struct buf text = BUF_INIT(TEST_MAX);
	const json_t *want;

	codec_feed(&codec, &bytes, slice_sub(c->msg, part->body_off, part->body_len));
	codec_end(&codec, &bytes);
	charset_to_utf8(charset, buf_slice(&bytes), &text);
	if ((want = json_object_get(body, "Text")) || (want = json_object_get(body, "Html"))) {
		check_text(c, "body", buf_slice(&text), want);
	} else if ((want = json_object_get(body, "Binary")) ||
		   (want = json_object_get(body, "InlineBinary"))) {
		check_bytes(c, buf_slice(&bytes), want);
	} else {
		differ(c, "kind", S("a leaf"), "something with parts");
	}
	buf_fini(&bytes);
	buf_fini(&text);
}

static void check_part(struct ctx *c, const struct mime_part *part, const json_t *parts,
		       size_t index);

static void check_multipart(struct ctx *c, const struct mime_part *part, const json_t *parts,
			    const json_t *ids)
{
	size_t n = 0;

	for (part = part->children; part; part = part->next) {
		char before[sizeof(c->part)];
		const json_t *id = json_array_get(ids, n++);

		memcpy(before, c->part, sizeof(before));
		snprintf(c->part + strlen(before), sizeof(c->part) - strlen(before), ".%u",
			 (unsigned)n);
		if (id) {
			check_part(c, part, parts, (size_t)json_integer_value(id));
		}
		memcpy(c->part, before, sizeof(before));
	}
	compared++;
	if (n != json_array_size(ids)) {
		differ(c, "parts", S("another number of parts"), "");
	}
}

/* The message inside. One in base64 they decode first, so that nothing in it
 * stands where it stands for us: that alone is the difference. */
static void check_inner(struct ctx *c, const struct mime_part *part, const json_t *parts)
{
	size_t n = strlen(c->part);

	if (codec_of(part->encoding) != CODEC_IDENTITY) {
		differ(c, "encoded message", part->encoding, "decoded");
		return;
	}
	snprintf(c->part + n, sizeof(c->part) - n, "m");
	check_part(c, part->children, parts, 0);
	c->part[n] = 0;
}

static void check_part(struct ctx *c, const struct mime_part *part, const json_t *parts,
		       size_t index)
{
	const json_t *p = json_array_get(parts, index);
	const json_t *body = json_object_get(p, "body");
	const json_t *multipart = json_object_get(body, "Multipart");
	const json_t *message = json_object_get(body, "Message");

	assert_non_null(p);
	check_number(c, "offset_header", part->header_off, json_object_get(p, "offset_header"));
	check_number(c, "offset_body", part->body_off, json_object_get(p, "offset_body"));
	check_number(c, "offset_end", part->body_off + part->body_len,
		     json_object_get(p, "offset_end"));
	check_header(c, part, json_object_get(p, "headers"));
	if (part->kind == MIME_MULTIPART && multipart) {
		check_multipart(c, part, parts, multipart);
	} else if (part->kind == MIME_MESSAGE && message) {
		check_inner(c, part, json_object_get(message, "parts"));
	} else if (part->kind == MIME_LEAF) {
		check_leaf(c, part, body, json_is_true(json_object_get(p, "is_encoding_problem")));
	} else {
		differ(c, "kind", S("something with parts"), "another kind");
	}
}

/* ---- messages ------------------------------------------------------------ */

static void read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[1024];
	ssize_t n;

	if (fd < 0) {
		fail_msg("%s: cannot open", path);
	}
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		buf_add(out, slice_make(chunk, (size_t)n));
	}
	assert_int_equal(n, 0);
	close(fd);
}

/* LF: without any CR. CRLF: what is LF alone made CRLF. */
static void make_form(struct slice raw, unsigned form, struct buf *out)
{
	for (size_t i = 0; i < raw.n; i++) {
		char ch = raw.p[i];

		if (form == CRLF && ch == '\n' && (i == 0 || raw.p[i - 1] != '\r')) {
			buf_addc(out, '\r');
		}
		if (form == CRLF || ch != '\r') {
			buf_addc(out, ch);
		}
	}
}

static void check_message(const char *dir, const char *file, unsigned form)
{
	struct ctx c = { .file = file, .form = form, .part = "0" };
	struct buf raw = BUF_INIT(TEST_MAX);
	struct buf msg = BUF_INIT(TEST_MAX);
	struct mime_tree t;
	struct arena a;
	json_error_t e;
	json_t *want;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.eml", dir, file);
	read_file(path, &raw);
	make_form(buf_slice(&raw), form, &msg);
	c.msg = buf_slice(&msg);
	snprintf(path, sizeof(path), "%s/%s.%s", dir, file, form == LF ? "json" : "crlf.json");
	want = json_load_file(path, JSON_ALLOW_NUL, &e);
	if (!want) {
		fail_msg("%s: %s", path, e.text);
	}
	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_parse(c.msg, &a, &t), 0);
	check_part(&c, t.root, json_object_get(want, "parts"), 0);
	arena_fini(&a);
	json_decref(want);
	buf_fini(&raw);
	buf_fini(&msg);
}

static unsigned check_folder(const char *dir, const char *folder)
{
	struct dirent **names;
	char path[512];
	unsigned count = 0;
	int n;

	snprintf(path, sizeof(path), "%s/%s", dir, folder);
	n = scandir(path, &names, NULL, alphasort);
	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		struct slice name = slice_cstr(names[i]->d_name);
		char file[300];

		if (slice_ends(name, S(".eml"))) {
			snprintf(file, sizeof(file), "%s/%.*s", folder, (int)name.n - 4, name.p);
			check_message(dir, file, LF);
			check_message(dir, file, CRLF);
			count++;
		}
		free(names[i]);
	}
	free(names);
	return count;
}

static const char *messages;

static void test_messages(void **state)
{
	(void)state;
	assert_int_equal(check_folder(messages, "rfc"), 10);
	assert_int_equal(check_folder(messages, "legacy"), 54);
	print_message("%u values compared\n", compared);
	assert_true(compared > 10000);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].seen != known[i].forms) {
			print_error("%s part %s %s differs no more: %s\n", known[i].file,
				    known[i].part, known[i].what, known[i].why);
			unexpected++;
		}
	}
	assert_int_equal(unexpected, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_messages) };

	if (argc != 2) {
		fprintf(stderr, "usage: %s MESSAGES\n", argv[0]);
		return 2;
	}
	messages = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
