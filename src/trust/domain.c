/*
 * Names of domains: canonical form through libidn2, organizational domains
 * through libpsl and the list of the publicsuffix package, which the system's
 * updates keep fresh.
 */
#include "trust/domain.h"

#include <errno.h>
#include <idn2.h>
#include <libpsl.h>
#include <pthread.h>

#define LABEL_MAX 63

static bool is_label(struct slice l)
{
	if (l.n == 0 || l.n > LABEL_MAX) {
		return false;
	}
	for (size_t i = 0; i < l.n; i++) {
		unsigned char c = (unsigned char)l.p[i];

		if (!ascii_isalpha(c) && !ascii_isdigit(c) && c != '-' && c != '_') {
			return false;
		}
	}
	return true;
}

static bool is_name(struct slice s)
{
	if (s.n == 0 || s.n > TRUST_DOMAIN_MAX || s.p[s.n - 1] == '.') {
		return false;
	}
	while (s.n > 0) {
		if (!is_label(slice_split(&s, '.'))) {
			return false;
		}
	}
	return true;
}

static int add_a_labels(struct slice s, struct buf *out)
{
	char in[4 * TRUST_DOMAIN_MAX];
	uint8_t *ascii = NULL;

	if (slice_has_nul(s) || slice_copy(s, in, sizeof(in)) < 0 ||
	    idn2_lookup_u8((const uint8_t *)in, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
		    IDN2_OK) {
		return -EINVAL;
	}
	buf_adds(out, (const char *)ascii);
	idn2_free(ascii);
	return 0;
}

int trust_domain_canon(struct slice name, struct buf *out)
{
	size_t at = out->n;
	int r = 0;

	if (name.n && name.p[name.n - 1] == '.') {
		name.n--;
	}
	if (slice_has_8bit(name)) {
		r = add_a_labels(name, out);
	} else {
		buf_add(out, name);
	}
	if (r != 0 || out->err || !is_name(slice_from(buf_slice(out), at))) {
		buf_truncate(out, at);
		return -EINVAL;
	}
	for (size_t i = at; i < out->n; i++) {
		out->p[i] = (char)ascii_lower((unsigned char)out->p[i]);
	}
	return 0;
}

/* ---- public suffixes ------------------------------------------------------ */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static psl_ctx_t *suffixes;

/* The newest of the package's list and the one built into the library. */
static void load_suffixes(void)
{
	suffixes = psl_latest(NULL);
}

bool trust_domain_is_suffix(struct slice name)
{
	char text[TRUST_DOMAIN_MAX + 1];

	pthread_once(&once, load_suffixes);
	if (!suffixes || slice_copy(name, text, sizeof(text)) != 0) {
		return slice_chr(name, '.') == SIZE_MAX;
	}
	return psl_is_public_suffix(suffixes, text) != 0;
}

struct slice trust_domain_org(struct slice name)
{
	char text[TRUST_DOMAIN_MAX + 1];
	const char *org;

	pthread_once(&once, load_suffixes);
	if (!suffixes || slice_copy(name, text, sizeof(text)) != 0) {
		return name;
	}
	org = psl_registrable_domain(suffixes, text);
	return org ? slice_from(name, (size_t)(org - text)) : name;
}

bool trust_domain_within(struct slice a, struct slice b)
{
	return slice_ieq(a, b) || (a.n > b.n && a.p[a.n - b.n - 1] == '.' && slice_iends(a, b));
}
