/*
 * Which part of a message is a report, and opening it: transfer encoding,
 * gzip or zip, then XML or JSON by what is there, whatever was announced.
 */
#include "base/codec.h"
#include "base/err.h"
#include "trust/report.h"

#define NAME_MARKS_MIN 3 /* "!" in receiver!domain!begin!end.xml.gz */

static int fail(const char **why, int r, const char *text)
{
	*why = text;
	return r;
}

/* ---- which part ------------------------------------------------------------------- */

static bool is_type(const struct mime_part *p, struct slice type, struct slice subtype)
{
	return slice_ieq(p->type, type) && slice_ieq(p->subtype, subtype);
}

/* The types that RFC 7489 and 8460 name, and what is written instead. */
static bool may_hold_report(const struct mime_part *p)
{
	static const struct slice subtypes[] = {
		S("gzip"), S("x-gzip"),		  S("gzip-compressed"), S("x-gunzip"),
		S("zip"),  S("x-zip-compressed"), S("x-zip"),		S("xml"),
		S("json"), S("octet-stream")
	};

	if (is_type(p, S("text"), S("xml"))) {
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(subtypes); i++) {
		if (is_type(p, S("application"), subtypes[i])) {
			return true;
		}
	}
	return false;
}

static bool has_report_name(const struct mime_part *p)
{
	static const struct slice ends[] = { S(".xml"), S(".xml.gz"),  S(".zip"),
					     S(".gz"),	S(".json.gz"), S(".json") };
	struct slice name = mime_param_get(p->disposition_params, S("filename"));
	size_t marks = 0;

	if (name.n == 0) {
		name = mime_param_get(p->params, S("name"));
	}
	for (size_t i = 0; i < name.n; i++) {
		marks += name.p[i] == '!';
	}
	for (size_t i = 0; marks >= NAME_MARKS_MIN && i < ARRAY_LEN(ends); i++) {
		if (slice_iends(name, ends[i])) {
			return true;
		}
	}
	return false;
}

/* RFC 7489 7.2.1.1, RFC 8460 5.3. */
static bool has_report_subject(const struct mime_tree *t)
{
	struct slice s = t->root->envelope ? slice_trim(t->root->envelope->subject) : S("");

	return slice_istarts(s, S("Report Domain:"));
}

static bool is_report(const struct mime_tree *t, const struct mime_part *p)
{
	if (p->kind != MIME_LEAF) {
		return false;
	}
	if (is_type(p, S("application"), S("tlsrpt+gzip")) ||
	    is_type(p, S("application"), S("tlsrpt+json"))) {
		return true;
	}
	return may_hold_report(p) && (has_report_name(p) || has_report_subject(t));
}

/* In the order of the message, never into a message within it. */
static const struct mime_part *step(const struct mime_part *p)
{
	if (p->kind == MIME_MULTIPART && p->children) {
		return p->children;
	}
	while (p && !p->next) {
		p = p->parent;
	}
	return p ? p->next : NULL;
}

const struct mime_part *report_next_part(const struct mime_tree *t, const struct mime_part *at)
{
	const struct mime_part *p = at ? step(at) : t->root;

	while (p && !is_report(t, p)) {
		p = step(p);
	}
	return p;
}

/* ---- opening ------------------------------------------------------------------------ */

static struct slice skip_blank(struct slice s)
{
	if (slice_starts(s, S("\xef\xbb\xbf"))) {
		s = slice_from(s, 3);
	}
	return slice_trim(s);
}

static int open_text(struct slice data, struct arena *a, struct report *out, const char **why)
{
	struct slice text = skip_blank(data);

	if (slice_starts(text, S("{"))) {
		out->kind = REPORT_TLS;
		return report_tls_parse(text, a, &out->tls, why);
	}
	/* UTF-16 begins with its mark: expat reads that. */
	if (slice_starts(text, S("<")) || slice_starts(data, S("\xff\xfe")) ||
	    slice_starts(data, S("\xfe\xff"))) {
		out->kind = REPORT_DMARC;
		return report_dmarc_parse(text.p[0] == '<' ? text : data, a, &out->dmarc, why);
	}
	return fail(why, -EINVAL, "it is neither XML nor JSON");
}

int report_open(struct slice data, struct arena *a, struct report *out, const char **why)
{
	struct buf plain = BUF_INIT(REPORT_XML_MAX);
	int r = report_unpack(data, &plain, why);

	*out = (struct report){ 0 };
	if (r == 1) {
		r = open_text(data, a, out, why);
	} else if (r == 0) {
		/* Once only: nothing is packed twice but by enemies. */
		r = open_text(buf_slice(&plain), a, out, why);
	}
	buf_fini(&plain);
	return r;
}

static enum codec_kind encoding_of(const struct mime_part *p)
{
	return slice_ieq(p->encoding, S("base64"))	       ? CODEC_BASE64
	       : slice_ieq(p->encoding, S("quoted-printable")) ? CODEC_QP
							       : CODEC_IDENTITY;
}

int report_open_part(const struct mime_part *p, struct slice raw, struct arena *a,
		     struct report *out, const char **why)
{
	struct codec c = { .kind = encoding_of(p) };
	struct buf data = BUF_INIT(REPORT_MESSAGE_MAX);
	int r;

	codec_feed(&c, &data, raw);
	codec_end(&c, &data);
	r = data.err ? fail(why, data.err, "it is larger than a report may be")
		     : report_open(buf_slice(&data), a, out, why);
	buf_fini(&data);
	return r;
}
