/*
 * Header scanning and submission fixes: see header.h.
 */
#include "smtp/header.h"

#include <stdio.h>

#include "base/rand.h"
#include "mime/header.h"

/* The end of a header line of n octets without its LF. */
static void line_done(struct smtp_header *h)
{
	static const struct slice name = S("received:");

	if (h->line == 0 || (h->line == 1 && h->is_cr)) {
		h->done = true;
	}
	if (h->match == name.n) {
		h->received++;
	}
	h->lines++;
	h->line = 0;
	h->match = 0;
	if (h->lines > SMTP_HEADER_LINES_MAX) {
		h->too_big = true;
	}
}

static void line_octet(struct smtp_header *h, unsigned char c)
{
	static const char name[] = "received:";

	if (h->line == 0) {
		h->is_cr = c == '\r';
	}
	if (h->len == 1) {
		h->folded = c == ' ' || c == '\t';
	}
	if (h->line == h->match && h->match < sizeof(name) - 1 &&
	    ascii_lower(c) == (unsigned char)name[h->match]) {
		h->match++;
	}
	h->line++;
}

void smtp_header_feed(struct smtp_header *h, struct slice data)
{
	smtp_msgid_feed(&h->id, data);
	for (size_t i = 0; i < data.n && !h->done; i++) {
		h->len++;
		if (data.p[i] == '\n') {
			line_done(h);
		} else {
			line_octet(h, (unsigned char)data.p[i]);
		}
		if (h->len > SMTP_HEADER_MAX) {
			h->too_big = true;
		}
	}
}

static void add_missing(bool date, bool id, const char *hostname, int64_t now, struct buf *out)
{
	char text[40];

	if (!date) {
		mime_date_format(now, 0, text);
		buf_printf(out, "Date: %s\r\n", text);
	}
	if (!id) {
		rand_text(text, 24);
		buf_printf(out, "Message-ID: <%s@%s>\r\n", text, hostname);
	}
}

static bool is_field(const struct mime_field *f, struct slice name)
{
	return slice_ieq(f->name, name);
}

enum smtp_fix smtp_header_fix(struct slice header, const char *hostname, int64_t now,
			      struct buf *out)
{
	struct slice rest = header;
	struct mime_field f;
	bool date = false, id = false;
	unsigned from = 0;

	while (mime_field_next(&rest, &f)) {
		date = date || is_field(&f, S("Date"));
		id = id || is_field(&f, S("Message-ID"));
		from += is_field(&f, S("From")) && slice_trim(f.body).n > 0;
	}
	if (from != 1) {
		return from ? SMTP_FIX_MANY_FROM : SMTP_FIX_NO_FROM;
	}
	add_missing(date, id, hostname, now, out);
	rest = header;
	while (mime_field_next(&rest, &f)) {
		if (!is_field(&f, S("Bcc")) && !is_field(&f, S("Resent-Bcc"))) {
			buf_add(out, f.raw);
		}
	}
	buf_add(out, rest);
	return SMTP_FIX_OK;
}
