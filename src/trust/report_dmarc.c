/*
 * DMARC aggregate reports: the XML of RFC 7489 appendix C, through expat.
 *
 * Expat calls at each element; a path of names ("record/row/count") says what
 * its text is. Nothing of XML's own language is allowed: a document type, and
 * with it every entity but the five built in, ends the parse. The whole text
 * is one call, so no token is looked at twice (CVE-2023-52425).
 */
#include <expat.h>

#include "base/err.h"
#include "trust/report.h"

#define PATH_MAX_OCTETS 128 /* longer ones are none that we know */

struct reading {
	XML_Parser x;
	struct arena *a;
	struct report_dmarc *out;
	struct report_row *row, **row_end;
	struct report_auth *auth;
	struct report_reason *reason;
	size_t n_auths, n_reasons;
	unsigned depth;
	size_t ends[REPORT_DEPTH_MAX]; /* of the path, at each depth */
	struct buf path;
	struct buf text;
	int r;
	const char *why;
};

static void stop(struct reading *in, int r, const char *why)
{
	if (in->r == 0) {
		in->r = r;
		in->why = why;
	}
	XML_StopParser(in->x, XML_FALSE);
}

/* ---- what is where ------------------------------------------------------------ */

enum target { REPORT, ROW, AUTH, REASON };
#define AT(target, type, member) target, offsetof(type, member)
/* Paths below "feedback". */
static const struct {
	const char *path;
	enum target target;
	size_t offset;
} texts[] = {
	{ "report_metadata/org_name", AT(REPORT, struct report_dmarc, org) },
	{ "report_metadata/email", AT(REPORT, struct report_dmarc, email) },
	{ "report_metadata/extra_contact_info", AT(REPORT, struct report_dmarc, contact) },
	{ "report_metadata/report_id", AT(REPORT, struct report_dmarc, id) },
	{ "policy_published/domain", AT(REPORT, struct report_dmarc, domain) },
	{ "policy_published/adkim", AT(REPORT, struct report_dmarc, adkim) },
	{ "policy_published/aspf", AT(REPORT, struct report_dmarc, aspf) },
	{ "policy_published/p", AT(REPORT, struct report_dmarc, policy) },
	{ "policy_published/sp", AT(REPORT, struct report_dmarc, sub_policy) },
	{ "policy_published/pct", AT(REPORT, struct report_dmarc, pct) },
	{ "policy_published/fo", AT(REPORT, struct report_dmarc, fo) },
	{ "record/row/source_ip", AT(ROW, struct report_row, source) },
	{ "record/row/policy_evaluated/disposition", AT(ROW, struct report_row, disposition) },
	{ "record/row/policy_evaluated/dkim", AT(ROW, struct report_row, dkim) },
	{ "record/row/policy_evaluated/spf", AT(ROW, struct report_row, spf) },
	{ "record/row/policy_evaluated/reason/type", AT(REASON, struct report_reason, type) },
	{ "record/row/policy_evaluated/reason/comment", AT(REASON, struct report_reason, comment) },
	{ "record/identifiers/header_from", AT(ROW, struct report_row, header_from) },
	{ "record/identifiers/envelope_from", AT(ROW, struct report_row, envelope_from) },
	{ "record/identifiers/envelope_to", AT(ROW, struct report_row, envelope_to) },
	{ "record/auth_results/dkim/domain", AT(AUTH, struct report_auth, domain) },
	{ "record/auth_results/dkim/selector", AT(AUTH, struct report_auth, selector) },
	{ "record/auth_results/dkim/result", AT(AUTH, struct report_auth, result) },
	{ "record/auth_results/dkim/human_result", AT(AUTH, struct report_auth, human) },
	{ "record/auth_results/spf/domain", AT(AUTH, struct report_auth, domain) },
	{ "record/auth_results/spf/scope", AT(AUTH, struct report_auth, scope) },
	{ "record/auth_results/spf/result", AT(AUTH, struct report_auth, result) },
	{ "record/auth_results/spf/human_result", AT(AUTH, struct report_auth, human) },
};

static void *target_of(const struct reading *in, enum target t)
{
	switch (t) {
	case REPORT:
		return in->out;
	case ROW:
		return in->row;
	case AUTH:
		return in->auth;
	default:
		return in->reason;
	}
}

/* ---- elements that are more than text ------------------------------------------ */

static void begin_row(struct reading *in)
{
	struct report_row *row = arena_new(in->a, struct report_row);

	if (++in->out->n_rows > REPORT_ROWS_MAX) {
		stop(in, -EMSGSIZE, "it has more records than a report may have");
		return;
	}
	if (row) {
		*in->row_end = in->row = row;
		in->row_end = &row->next;
		in->n_auths = in->n_reasons = 0;
	}
}

static void begin_auth(struct reading *in, struct report_auth **list)
{
	while (*list) {
		list = &(*list)->next;
	}
	in->auth = NULL;
	if (in->n_auths++ < REPORT_AUTHS_MAX) {
		in->auth = *list = arena_new(in->a, struct report_auth);
	}
}

static void begin_reason(struct reading *in)
{
	struct report_reason **list = &in->row->reasons;

	while (*list) {
		list = &(*list)->next;
	}
	in->reason = NULL;
	if (in->n_reasons++ < REPORT_REASONS_MAX) {
		in->reason = *list = arena_new(in->a, struct report_reason);
	}
}

static void begin_what(struct reading *in, struct slice path)
{
	if (slice_eq(path, S("record"))) {
		begin_row(in);
	} else if (!in->row) {
		return;
	} else if (slice_eq(path, S("record/auth_results/dkim"))) {
		begin_auth(in, &in->row->dkim_results);
	} else if (slice_eq(path, S("record/auth_results/spf"))) {
		begin_auth(in, &in->row->spf_results);
	} else if (slice_eq(path, S("record/row/policy_evaluated/reason"))) {
		begin_reason(in);
	}
}

static void take_number(struct reading *in, struct slice path, struct slice text)
{
	uint64_t n;

	if (slice_u64(text, &n) != 0 || n > INT64_MAX) {
		return; /* missing, as it were */
	}
	if (slice_eq(path, S("report_metadata/date_range/begin"))) {
		in->out->begin = (int64_t)n;
	} else if (slice_eq(path, S("report_metadata/date_range/end"))) {
		in->out->end = (int64_t)n;
	} else if (slice_eq(path, S("record/row/count")) && in->row) {
		in->row->count = n;
	}
}

static void take_text(struct reading *in, struct slice path)
{
	struct slice text = slice_trim(buf_slice(&in->text));
	struct report_dmarc *out = in->out;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (slice_eq(path, slice_cstr(texts[i].path))) {
			char *p = target_of(in, texts[i].target);

			if (p) {
				*(struct slice *)(void *)(p + texts[i].offset) =
					arena_dup(in->a, text);
			}
			return;
		}
	}
	if (slice_eq(path, S("report_metadata/error")) && out->n_errors < REPORT_ERRORS_MAX) {
		out->errors[out->n_errors++] = arena_dup(in->a, text);
	} else {
		take_number(in, path, text);
	}
}

/* ---- expat's calls --------------------------------------------------------------- */

/* The path without its first name, which is "feedback". */
static struct slice path_of(const struct reading *in)
{
	return in->depth > 1 ? slice_from(buf_slice(&in->path), in->ends[0] + 1) : S("");
}

static void XMLCALL on_begin(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *in = arg;
	struct slice full = slice_cstr(name);
	size_t colon = slice_rchr(full, ':');

	(void)attributes;
	if (in->r != 0) {
		return; /* expat ends an empty element that it was stopped in */
	}
	if (in->depth == REPORT_DEPTH_MAX) {
		stop(in, -EMSGSIZE, "its elements are nested too deep");
		return;
	}
	full = colon == SIZE_MAX ? full : slice_from(full, colon + 1);
	if (in->depth == 0 && !slice_eq(full, S("feedback"))) {
		stop(in, -EINVAL, "it is XML, but no DMARC report");
		return;
	}
	/* A long name becomes one that we do not know. */
	buf_addc(&in->path, '/');
	buf_add(&in->path, full.n < PATH_MAX_OCTETS / 4 ? full : S("?"));
	in->ends[in->depth++] = in->path.n;
	buf_reset(&in->text);
	begin_what(in, path_of(in));
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reading *in = arg;

	(void)name;
	if (in->r != 0) {
		return;
	}
	take_text(in, path_of(in));
	buf_reset(&in->text);
	in->depth--;
	buf_truncate(&in->path, in->depth ? in->ends[in->depth - 1] : 0);
	if (arena_err(in->a)) {
		stop(in, arena_err(in->a), "it needs more memory than a report may have");
	}
}

static void XMLCALL on_text(void *arg, const XML_Char *p, int n)
{
	struct reading *in = arg;

	buf_add(&in->text, slice_make(p, (size_t)n));
	if (in->text.err) {
		stop(in, -EMSGSIZE, "a text in it is longer than any in a report");
	}
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
			       const XML_Char *public, int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	stop(arg, -EINVAL, "its XML declares a document type or entities");
}

static void set_calls(struct reading *in)
{
	XML_SetUserData(in->x, in);
	XML_SetElementHandler(in->x, on_begin, on_end);
	XML_SetCharacterDataHandler(in->x, on_text);
	XML_SetStartDoctypeDeclHandler(in->x, on_doctype);
	XML_SetParamEntityParsing(in->x, XML_PARAM_ENTITY_PARSING_NEVER);
}

static int read_all(struct reading *in, struct slice xml)
{
	if (XML_Parse(in->x, xml.p, (int)xml.n, XML_TRUE) == XML_STATUS_ERROR && in->r == 0) {
		in->r = XML_GetErrorCode(in->x) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EINVAL;
		in->why = XML_ErrorString(XML_GetErrorCode(in->x));
	}
	if (in->r == 0 && (in->out->domain.n == 0 || in->out->end == 0)) {
		in->r = -EINVAL;
		in->why = "it names no domain, or no period";
	}
	return in->r;
}

int report_dmarc_parse(struct slice xml, struct arena *a, struct report_dmarc *out,
		       const char **why)
{
	struct reading in = {
		.a = a,
		.out = out,
		.row_end = &out->rows,
		.path = BUF_INIT(PATH_MAX_OCTETS * REPORT_DEPTH_MAX),
		.text = BUF_INIT(REPORT_TEXT_MAX),
	};

	*out = (struct report_dmarc){ 0 };
	if (xml.n > REPORT_XML_MAX) {
		*why = "it is larger than a report may be";
		return -EMSGSIZE;
	}
	in.x = XML_ParserCreate(NULL);
	if (!in.x) {
		*why = "no memory";
		return -ENOMEM;
	}
	set_calls(&in);
	read_all(&in, xml);
	XML_ParserFree(in.x);
	buf_fini(&in.path);
	buf_fini(&in.text);
	*why = in.why;
	return in.r;
}
