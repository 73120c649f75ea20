/*
 * Building a record: JSON text written as the facts come, each list in a
 * buffer of its own with a maximum; put together when it ends.
 *
 * No tree of JSON objects: text is smaller, and a buffer has a bound. An entry
 * that does not fit is taken back as a whole, so the text is always valid.
 */
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "trace/impl.h"

/* Together less than TRACE_RECORD_MAX. */
#define MEMBERS_MAX (24u * 1024)
#define RCPTS_MAX (64u * 1024)
#define CHECKS_MAX (32u * 1024)
#define LIMITS_MAX 1024
#define KEYS_MAX ((TRACE_RCPTS_MAX + 64) * 2 * (1 + TRACE_HASH))
#define TEXT_ESCAPED_MAX (TRACE_TEXT_MAX * 6 + 8)

static_assert(MEMBERS_MAX + RCPTS_MAX + CHECKS_MAX + LIMITS_MAX + 1024 < TRACE_RECORD_MAX,
	      "a record has room for all of its lists");
static_assert(TEXT_ESCAPED_MAX * 2 + 256 < CHECKS_MAX, "the longest entry fits");

/* ---- text --------------------------------------------------------------- */

static void add_char(struct buf *b, int32_t c)
{
	if (c == '"' || c == '\\') {
		buf_addc(b, '\\');
		buf_addc(b, (char)c);
	} else if (c <= 0) { /* no UTF-8; NUL, which JSON libraries refuse */
		utf8_add(b, 0xfffd);
	} else if (c < 0x20 || c == 0x7f) {
		buf_printf(b, "\\u%04x", (unsigned)c);
	} else {
		utf8_add(b, (uint32_t)c);
	}
}

void trace_json_text(struct buf *b, struct slice s)
{
	const char *end = s.p + MIN(s.n, TRACE_TEXT_MAX);

	buf_addc(b, '"');
	while (s.n) {
		struct slice next = s;
		int32_t c = utf8_next(&next);

		if (next.p > end) {
			utf8_add(b, 0x2026);
			break;
		}
		add_char(b, c);
		s = next;
	}
	buf_addc(b, '"');
}

/* Takes an entry back that had no room. */
static bool settle(struct trace_record *r, struct buf *b, size_t was)
{
	if (b->err) {
		b->err = 0;
		b->n = was;
		r->cut = true;
		return false;
	}
	return true;
}

/* ---- names that are looked for ------------------------------------------ */

/* What stands between < and >, or all of it without blanks. */
static struct slice bare_message_id(struct slice s)
{
	size_t open = slice_chr(s, '<');

	if (open != SIZE_MAX) {
		s = slice_from(s, open + 1);
		s = slice_sub(s, 0, MIN(slice_chr(s, '>'), s.n));
	}
	return slice_trim(s);
}

/* The octets of the name from `at` on, in lower case. */
static void lower_from(char *p, size_t n, size_t at)
{
	for (size_t i = at; i < n; i++) {
		p[i] = (char)ascii_lower((unsigned char)p[i]);
	}
}

int trace_hash(enum trace_by by, struct slice name, unsigned char out[TRACE_HASH])
{
	unsigned char sum[SHA256_DIGEST_LENGTH];
	char text[TRACE_KEY_MAX];
	size_t at;

	name = by == TRACE_BY_MESSAGE_ID ? bare_message_id(name) : slice_trim(name);
	name = slice_sub(name, 0, sizeof(text));
	if (name.n == 0) {
		return 1;
	}
	memcpy(text, name.p, name.n);
	at = by == TRACE_BY_MESSAGE_ID ? slice_rchr(name, '@') : 0;
	if (at != SIZE_MAX) {
		lower_from(text, name.n, at);
	}
	SHA256((const unsigned char *)text, name.n, sum);
	memcpy(out, sum, TRACE_HASH);
	return 0;
}

static bool has_key(const struct trace_record *r, const unsigned char *key)
{
	for (size_t i = 0; i < r->keys.n; i += 1 + TRACE_HASH) {
		if (memcmp(r->keys.p + i, key, 1 + TRACE_HASH) == 0) {
			return true;
		}
	}
	return false;
}

void trace_index(struct trace_record *r, enum trace_by by, struct slice name)
{
	unsigned char key[1 + TRACE_HASH];

	if (!r || trace_hash(by, name, key + 1) != 0) {
		return;
	}
	key[0] = (unsigned char)by;
	if (!has_key(r, key)) {
		size_t was = r->keys.n;

		buf_add(&r->keys, slice_make((char *)key, sizeof(key)));
		settle(r, &r->keys, was);
	}
}

/* ---- building ----------------------------------------------------------- */

struct trace_record *trace_begin(struct trace *t, const char *kind, struct slice id)
{
	struct trace_record *r = t && t->days ? calloc(1, sizeof(*r)) : NULL;

	if (!r) {
		return NULL;
	}
	r->t = t;
	r->kind = kind;
	r->began = clock_wall_ms();
	if (slice_copy(id, r->id, sizeof(r->id)) != 0) {
		BUG("an id that is none");
	}
	list_init(&r->node);
	buf_init(&r->members, MEMBERS_MAX);
	buf_init(&r->rcpts, RCPTS_MAX);
	buf_init(&r->checks, CHECKS_MAX);
	buf_init(&r->limits, LIMITS_MAX);
	buf_init(&r->keys, KEYS_MAX);
	buf_init(&r->row, TRACE_RECORD_MAX);
	trace_index(r, TRACE_BY_ID, id);
	return r;
}

void trace_str(struct trace_record *r, const char *name, struct slice text)
{
	if (r) {
		size_t was = r->members.n;

		buf_printf(&r->members, ",\"%s\":", name);
		trace_json_text(&r->members, text);
		settle(r, &r->members, was);
	}
}

void trace_int(struct trace_record *r, const char *name, int64_t n)
{
	if (r) {
		size_t was = r->members.n;

		buf_printf(&r->members, ",\"%s\":%" PRId64, name, n);
		settle(r, &r->members, was);
	}
}

void trace_rcpt(struct trace_record *r, struct slice address, struct slice reply)
{
	size_t was;

	if (!r) {
		return;
	}
	was = r->rcpts.n;
	if (r->n_rcpts >= TRACE_RCPTS_MAX) {
		r->more_rcpts++;
		return;
	}
	buf_adds(&r->rcpts, was ? ",{\"to\":" : "{\"to\":");
	trace_json_text(&r->rcpts, address);
	buf_adds(&r->rcpts, ",\"reply\":");
	trace_json_text(&r->rcpts, reply);
	buf_addc(&r->rcpts, '}');
	if (settle(r, &r->rcpts, was)) {
		r->n_rcpts++;
	} else {
		r->more_rcpts++;
	}
}

void trace_check(struct trace_record *r, const char *method, const char *result,
		 struct slice detail)
{
	size_t was;

	if (!r) {
		return;
	}
	was = r->checks.n;
	buf_printf(&r->checks, "%s{\"method\":\"%s\",\"result\":\"%s\"", was ? "," : "", method,
		   result);
	if (detail.n) {
		buf_adds(&r->checks, ",\"detail\":");
		trace_json_text(&r->checks, detail);
	}
	buf_addc(&r->checks, '}');
	settle(r, &r->checks, was);
}

void trace_limit(struct trace_record *r, const char *name)
{
	char text[80];
	size_t was;
	int n = snprintf(text, sizeof(text), "\"%s\"", name);

	if (!r || slice_find(buf_slice(&r->limits), slice_make(text, (size_t)n)) != SIZE_MAX) {
		return;
	}
	was = r->limits.n;
	buf_adds(&r->limits, was ? "," : "");
	buf_adds(&r->limits, text);
	settle(r, &r->limits, was);
}

/* ---- the end ------------------------------------------------------------ */

static void add_list(struct buf *b, const char *name, const struct buf *list)
{
	if (list->n) {
		buf_printf(b, ",\"%s\":[", name);
		buf_add(b, buf_slice(list));
		buf_addc(b, ']');
	}
}

static void compose(struct trace_record *r, const char *outcome)
{
	struct buf *b = &r->row;

	buf_put8(b, TRACE_VERSION);
	buf_printf(b, "{\"kind\":\"%s\",\"id\":", r->kind);
	trace_json_text(b, slice_cstr(r->id));
	buf_printf(b, ",\"began\":%" PRId64 ",\"ended\":%" PRId64 ",\"outcome\":\"%s\"", r->began,
		   clock_wall_ms(), outcome);
	buf_add(b, buf_slice(&r->members));
	add_list(b, "rcpts", &r->rcpts);
	if (r->more_rcpts) {
		buf_printf(b, ",\"more_rcpts\":%u", r->more_rcpts);
	}
	add_list(b, "checks", &r->checks);
	add_list(b, "limits", &r->limits);
	buf_adds(b, r->cut ? ",\"cut\":true}" : "}");
}

static void free_parts(struct trace_record *r)
{
	buf_fini(&r->members);
	buf_fini(&r->rcpts);
	buf_fini(&r->checks);
	buf_fini(&r->limits);
}

void trace_record_free(struct trace_record *r)
{
	if (r) {
		free_parts(r);
		buf_fini(&r->keys);
		buf_fini(&r->row);
		free(r);
	}
}

void trace_drop(struct trace_record **rp)
{
	trace_record_free(TAKE_PTR(*rp));
}

static void wake_writer(void *arg)
{
	struct trace *t = arg;

	co_event_set(&t->wake);
}

/* True: taken. *call: the writer must be called. */
static bool enqueue(struct trace *t, struct trace_record *r, bool *call)
{
	size_t n = r->row.n + r->keys.n;
	bool room;

	pthread_mutex_lock(&t->lock);
	room = r->row.err == 0 && t->waiting + n <= TRACE_QUEUE_MAX;
	*call = room && t->loop && !t->posted;
	if (room) {
		r->stamp = MAX(t->last + 1, clock_wall_ms() * 1000);
		t->last = r->stamp;
		t->waiting += n;
		t->posted = t->posted || *call;
		list_push(&t->queue, &r->node);
	} else {
		t->dropped++;
	}
	pthread_mutex_unlock(&t->lock);
	return room;
}

void trace_end(struct trace_record **rp, const char *outcome, bool accepted)
{
	struct trace_record *r = TAKE_PTR(*rp);
	struct trace *t;
	bool call;

	if (!r) {
		return;
	}
	t = r->t;
	r->accepted = accepted;
	compose(r, outcome);
	free_parts(r);
	if (!enqueue(t, r, &call)) {
		trace_record_free(r);
		return;
	}
	if (call) {
		t->post = (struct co_post){ .fn = wake_writer, .arg = t };
		co_post(t->loop, &t->post);
	}
}
