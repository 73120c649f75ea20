/*
 * `postrider trust sign`, `key` and `record`: DKIM signatures, keys and their
 * records, for a postmaster to look at and to publish.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/files.h"
#include "cli/trust.h"
#include "trust/dkim.h"

#define KEY_FILE_MAX 65536
#define FIELD_MAX 65536
#define PIECE 65536
#define RSA_BITS 2048

static int read_key(const struct cli *c, const char *path, struct dkim_key **out)
{
	struct err e = ERR_INIT;
	struct buf pem;
	char text[256];
	int r = trust_read(c, path, KEY_FILE_MAX, &pem);

	if (r != CLI_DONE) {
		return r;
	}
	r = dkim_key_parse(buf_slice(&pem), out, &e);
	if (pem.p) {
		explicit_bzero(pem.p, pem.n);
	}
	buf_fini(&pem);
	return r < 0 ? cli_fail(c, "%s: %s", path, err_str(&e, text, sizeof(text))) : CLI_DONE;
}

/* The text of the TXT record, on a line. */
static int print_record(const struct cli *c, const struct dkim_key *k)
{
	struct buf text = BUF_INIT(TRUST_RECORD_TEXT_MAX);
	int r = dkim_key_record(k, &text);

	if (r < 0) {
		r = cli_fail(c, "%s", strerror(-r));
	} else if (c->json) {
		json_t *o = json_pack("{s:s}", "record", buf_cstr(&text));

		json_dumpf(o, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(o);
	} else {
		puts(buf_cstr(&text));
	}
	buf_fini(&text);
	return r;
}

/* ---- sign -------------------------------------------------------------------------- */

struct signing {
	const char *key, *domain, *selector;
};

/* The field, with the message's own line ends. */
static void print_field(struct slice field, bool lf)
{
	for (size_t i = 0; i < field.n; i++) {
		bool end = field.p[i] == '\r' && i + 1 < field.n && field.p[i + 1] == '\n';

		if (!lf || !end) {
			putchar(field.p[i]);
		}
	}
}

static int make_field(const struct cli *c, const struct signing *s, const struct dkim_key *k,
		      struct slice header, struct slice body, struct buf *out)
{
	struct dkim_sign_opts o = { .key = k,
				    .domain = slice_cstr(s->domain),
				    .selector = slice_cstr(s->selector),
				    .now = clock_wall() };
	struct dkim_signer *signer = NULL;
	struct err e = ERR_INIT;
	char text[256];
	int r = dkim_signer_new(header, &o, &signer);

	if (r == -EINVAL) {
		return cli_fail(c, "the message has no From (or far too many fields), or the "
				   "domain or selector is no name");
	}
	if (r < 0) {
		return cli_fail(c, "%s", strerror(-r));
	}
	for (size_t i = 0; i < body.n; i += PIECE) {
		dkim_signer_body(signer, slice_sub(body, i, PIECE));
	}
	r = dkim_signer_end(signer, out, &e);
	dkim_signer_free(&signer);
	return r < 0 ? cli_fail(c, "%s", err_str(&e, text, sizeof(text))) : CLI_DONE;
}

static int sign(const struct cli *c, const struct signing *s, const char *path)
{
	struct buf message, field = BUF_INIT(FIELD_MAX);
	struct dkim_key *k = NULL;
	size_t at;
	bool lf;
	int r = read_key(c, s->key, &k);

	if (r != CLI_DONE) {
		return r;
	}
	r = trust_read_message(c, path, &message, &at, &lf);
	if (r == CLI_DONE) {
		r = make_field(c, s, k, slice_sub(buf_slice(&message), 0, at),
			       slice_from(buf_slice(&message), at), &field);
		if (r == CLI_DONE) {
			print_field(buf_slice(&field), lf);
			print_field(buf_slice(&message), lf);
		}
		buf_fini(&message);
	}
	buf_fini(&field);
	dkim_key_free(&k);
	return r;
}

int cli_trust_sign(struct cli *c)
{
	struct signing s = { 0 };
	const struct cli_option options[] = { { "--key", &s.key, NULL },
					      { "--domain", &s.domain, NULL },
					      { "--selector", &s.selector, NULL },
					      { 0 } };
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (!s.key || !s.domain || !s.selector || c->argc > 1) {
		return cli_misuse(c, "usage: postrider trust sign --key FILE --domain NAME "
				     "--selector NAME [FILE]");
	}
	return sign(c, &s, c->argc ? c->argv[0] : NULL);
}

/* ---- key, record --------------------------------------------------------------------- */

static int write_key(const struct cli *c, const struct dkim_key *k, const char *path)
{
	struct buf pem = BUF_INIT(KEY_FILE_MAX);
	int r = dkim_key_pem(k, &pem);

	if (r == 0 && access(path, F_OK) == 0) {
		r = -EEXIST;
	}
	if (r == 0) {
		r = files_write(path, buf_slice(&pem), 0600);
	}
	if (pem.p) {
		explicit_bzero(pem.p, pem.n);
	}
	buf_fini(&pem);
	return r < 0 ? cli_fail(c, "%s: %s", path, strerror(-r)) : CLI_DONE;
}

static int parse_kind(const struct cli *c, const char *type, uint32_t *bits)
{
	struct slice s = slice_cstr(type);

	*bits = RSA_BITS;
	if (!type) {
		return CLI_DONE;
	}
	if (slice_eq(s, S("ed25519"))) {
		*bits = 0;
		return CLI_DONE;
	}
	if (slice_u32(s, bits) < 0 || *bits == 0) {
		return cli_misuse(c, "--type is ed25519, or a number of bits");
	}
	return CLI_DONE;
}

int cli_trust_key(struct cli *c)
{
	const char *type = NULL;
	const struct cli_option options[] = { { "--type", &type, NULL }, { 0 } };
	struct dkim_key *k = NULL;
	struct err e = ERR_INIT;
	char text[256];
	uint32_t bits;
	int r = cli_options(c, options);

	if (r == CLI_DONE) {
		r = parse_kind(c, type, &bits);
	}
	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc != 1) {
		return cli_misuse(c, "usage: postrider trust key [--type ed25519|BITS] FILE");
	}
	if (dkim_key_make(bits, &k, &e) < 0) {
		return cli_fail(c, "%s", err_str(&e, text, sizeof(text)));
	}
	r = write_key(c, k, c->argv[0]);
	if (r == CLI_DONE) {
		r = print_record(c, k);
	}
	dkim_key_free(&k);
	return r;
}

int cli_trust_record(struct cli *c)
{
	struct dkim_key *k = NULL;
	const struct cli_option options[] = { { 0 } };
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc != 1) {
		return cli_misuse(c, "usage: postrider trust record FILE");
	}
	r = read_key(c, c->argv[0], &k);
	if (r == CLI_DONE) {
		r = print_record(c, k);
		dkim_key_free(&k);
	}
	return r;
}
