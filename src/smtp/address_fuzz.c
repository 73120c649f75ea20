/*
 * Fuzzes the pure parsers of MAIL, RCPT and EHLO arguments. What they accept
 * must keep their promises: slices within the input, limits held, valid
 * UTF-8, nothing that could end a header line, and the same reading when read
 * again.
 */
#include "base/err.h"
#include "base/utf8.h"
#include "smtp/address.h"
#include "smtp/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool inside(struct slice s, struct slice all)
{
	return s.n == 0 || (s.p >= all.p && s.p + s.n <= all.p + all.n);
}

static bool no_controls(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) {
			return false;
		}
	}
	return true;
}

/* An accepted path, written again, is read the same. */
static void again(const struct smtp_path *p)
{
	char text[SMTP_PATH_MAX + 2];
	struct smtp_path q;
	struct cur c;

	text[0] = '<';
	memcpy(text + 1, p->addr.p, p->addr.n);
	text[p->addr.n + 1] = '>';
	c = cur_init(slice_make(text, p->addr.n + 2));
	assert(smtp_path_parse(&c, true, &q) == SMTP_ADDR_OK);
	assert(cur_done(&c) && slice_eq(q.addr, p->addr));
	assert(slice_eq(q.domain, p->domain) && q.literal == p->literal);
}

static void check_path(struct slice in, bool utf8)
{
	struct cur c = cur_init(in);
	struct smtp_path p;
	struct smtp_param param;
	int r;

	if (smtp_path_parse(&c, utf8, &p) != SMTP_ADDR_OK) {
		return;
	}
	assert(inside(p.addr, in) || p.addr.n == 0);
	assert(p.addr.n <= SMTP_PATH_MAX && p.local.n <= SMTP_LOCAL_MAX);
	assert(p.domain.n <= SMTP_DOMAIN_MAX && no_controls(p.addr));
	assert(utf8_valid(p.addr) && (utf8 || !slice_has_8bit(p.addr)));
	again(&p);
	while ((r = smtp_param_next(&c, &param)) == 1) {
		assert(inside(param.name, in) && inside(param.value, in));
		assert(param.name.n > 0 && no_controls(param.value));
		smtp_xtext_ok(param.value);
	}
	assert(r != 0 || cur_done(&c));
}

/* Whatever they hold points into the input and keeps within its limits. */
static void check_params(struct slice in)
{
	unsigned all = SMTP_EXT_BIT(SMTP_EXTS) - 1;
	struct cur c = cur_init(in);
	struct smtp_mail_params m;
	struct smtp_rcpt_params r;

	if (smtp_mail_params_parse(&c, all, 1767323045, &m) == SMTP_PARAMS_OK) {
		assert(inside(m.auth, in) && inside(m.envid, in));
		assert(m.envid.n <= SMTP_ENVID_MAX && slice_is_printable(m.envid));
		assert(m.priority >= -9 && m.priority <= 9);
		assert(m.by != SMTP_BY_RETURN || m.by_time > 0);
	}
	c = cur_init(in);
	if (smtp_rcpt_params_parse(&c, all, true, &r) == SMTP_PARAMS_OK) {
		assert(inside(r.orcpt, in) && r.orcpt.n <= SMTP_ORCPT_MAX && no_controls(r.orcpt));
		assert(r.notify == SMTP_NOTIFY_NEVER || !(r.notify & SMTP_NOTIFY_NEVER));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);

	check_path(in, false);
	check_path(in, true);
	check_params(in);
	if (smtp_helo_ok(in)) {
		assert(n <= SMTP_DOMAIN_MAX && slice_is_printable(in));
		assert(slice_chr(in, ' ') == SIZE_MAX);
	}
	return 0;
}
