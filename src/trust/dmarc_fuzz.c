/* DMARC records, From, and the field that tells of it: any octets. */
#include <stdlib.h>

#include "base/err.h"
#include "trust/authres.h"
#include "trust/dmarc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Whatever was chosen by a stranger: one field, that ends once. */
static void check_field(struct slice value)
{
	struct buf b = BUF_INIT(1u << 20);
	struct slice text;

	authres_begin(&b, S("mx.example.org"));
	authres_method(&b, "spf", TRUST_FAIL, value);
	authres_property(&b, "smtp.mailfrom", value);
	authres_comment(&b, value);
	authres_end(&b);
	text = buf_slice(&b);
	for (size_t i = 0; i < text.n; i++) {
		if ((text.p[i] == '\n' && i + 1 < text.n && text.p[i + 1] != '\t') ||
		    text.p[i] == '\0') {
			abort();
		}
	}
	if (!authres_claims(slice_from(text, sizeof("Authentication-Results:") - 1),
			    S("mx.example.org"))) {
		abort();
	}
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice text = slice_make((const char *)data, n);
	struct buf out = BUF_INIT(1u << 20), again = BUF_INIT(1u << 20);
	struct dmarc_record r;
	struct dmarc_authors v;
	struct arena a;

	arena_init(&a, 1u << 20);
	if (dmarc_record_parse(text, &r) == 0 && (r.percent > 100 || r.n_rua > DMARC_URIS_MAX)) {
		abort();
	}
	if (dmarc_authors(text, &a, &v) == DMARC_FROM_OK && v.n == 0) {
		abort();
	}
	/* What was stripped holds no further claim. */
	if (authres_strip(text, S("mx"), &out) && !out.err &&
	    authres_strip(buf_slice(&out), S("mx"), &again) != 0) {
		abort();
	}
	check_field(text);
	authres_says(text, "dmarc", TRUST_PASS);
	arena_fini(&a);
	buf_fini(&out);
	buf_fini(&again);
	return 0;
}
