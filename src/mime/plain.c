/*
 * plain: see plain.h. What is kept between the pieces is what the decoders
 * keep and one step's bytes on their way; memory is constant.
 */
#include "mime/plain.h"

#include <stdlib.h>

#include "base/codec.h"
#include "mime/charset.h"
#include "mime/html.h"

#define BETWEEN (1u << 20) /* what a step may become on its way */

struct mime_plain {
	struct codec codec;
	struct charset *charset;
	bool is_html;
	struct html html;
	struct buf bytes; /* transfer encoding undone */
	struct buf utf8;
};

static enum codec_kind codec_of(struct slice encoding)
{
	if (slice_ieq(encoding, S("base64"))) {
		return CODEC_BASE64;
	}
	return slice_ieq(encoding, S("quoted-printable")) ? CODEC_QP : CODEC_IDENTITY;
}

struct mime_plain *mime_plain_new(const struct mime_part *part)
{
	struct mime_plain *p = calloc(1, sizeof(*p));
	struct slice charset = mime_param_get(part->params, S("charset"));

	if (!p) {
		return NULL;
	}
	p->codec.kind = codec_of(part->encoding);
	p->is_html = slice_ieq(part->type, S("text")) && slice_ieq(part->subtype, S("html"));
	buf_init(&p->bytes, BETWEEN);
	buf_init(&p->utf8, BETWEEN);
	if (charset_new(charset, &p->charset) != 0 &&
	    charset_new(S("us-ascii"), &p->charset) != 0) {
		mime_plain_free(&p);
	}
	return p;
}

void mime_plain_free(struct mime_plain **pp)
{
	struct mime_plain *p = *pp;

	if (p) {
		charset_free(&p->charset);
		buf_fini(&p->bytes);
		buf_fini(&p->utf8);
		free(p);
		*pp = NULL;
	}
}

static void add_utf8(struct mime_plain *p, struct buf *out)
{
	if (p->is_html) {
		html_feed(&p->html, buf_slice(&p->utf8), out);
	} else {
		buf_add(out, buf_slice(&p->utf8));
	}
	buf_reset(&p->utf8);
}

static void add_bytes(struct mime_plain *p, struct buf *out)
{
	charset_feed(p->charset, buf_slice(&p->bytes), &p->utf8);
	buf_reset(&p->bytes);
	add_utf8(p, out);
}

void mime_plain_feed(struct mime_plain *p, struct slice raw, struct buf *out)
{
	for (; raw.n; raw = slice_from(raw, MIME_PLAIN_STEP)) {
		codec_feed(&p->codec, &p->bytes, slice_sub(raw, 0, MIME_PLAIN_STEP));
		add_bytes(p, out);
	}
}

void mime_plain_end(struct mime_plain *p, struct buf *out)
{
	codec_end(&p->codec, &p->bytes);
	add_bytes(p, out);
	charset_end(p->charset, &p->utf8);
	add_utf8(p, out);
	if (p->is_html) {
		html_end(&p->html, out);
	}
}
