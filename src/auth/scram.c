/* SCRAM, the server's side: see scram.h. */
#include "auth/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <unicode/usprep.h>
#include <unicode/ustring.h>

#include "auth/impl.h"
#include "base/codec.h"
#include "base/rand.h"
#include "base/utf8.h"

/* ---- keys ------------------------------------------------------------------- */

static const EVP_MD *md_of(enum scram_hash h)
{
	return h == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256();
}

size_t scram_len(enum scram_hash h)
{
	return h == SCRAM_SHA1 ? 20 : 32;
}

static bool mac(enum scram_hash h, const unsigned char *key, struct slice text, unsigned char *out)
{
	unsigned n = 0;

	return HMAC(md_of(h), key, (int)scram_len(h), (const unsigned char *)text.p, text.n, out,
		    &n) &&
	       n == scram_len(h);
}

static bool digest(enum scram_hash h, const unsigned char *in, unsigned char *out)
{
	unsigned n = 0;

	return EVP_Digest(in, scram_len(h), out, &n, md_of(h), NULL) == 1 && n == scram_len(h);
}

int scram_derive(enum scram_hash h, struct slice prepared, struct scram_keys *out)
{
	unsigned char salted[SCRAM_KEY_MAX];
	unsigned char client[SCRAM_KEY_MAX];
	bool ok;

	assert(prepared.n <= INT_MAX && out->rounds > 0 && out->salt_n <= sizeof(out->salt));
	ok = PKCS5_PBKDF2_HMAC(prepared.p, (int)prepared.n, out->salt, (int)out->salt_n,
			       (int)out->rounds, md_of(h), (int)scram_len(h), salted) == 1 &&
	     mac(h, salted, S("Client Key"), client) && digest(h, client, out->stored) &&
	     mac(h, salted, S("Server Key"), out->server);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	return ok ? 0 : -ENOMEM;
}

/* One call of ICU into a buffer of cap units; the length, or -1. */
static int32_t prep(const UChar *in, int32_t n, UChar *out, int32_t cap)
{
	UErrorCode err = U_ZERO_ERROR;
	UStringPrepProfile *profile = usprep_openByType(USPREP_RFC4013_SASLPREP, &err);

	n = usprep_prepare(profile, in, n, out, cap, USPREP_DEFAULT, NULL, &err);
	usprep_close(profile);
	return U_SUCCESS(err) ? n : -1;
}

int scram_prepare(struct slice password, struct buf *out)
{
	enum { UNITS = AUTH_PASSWORD_MAX, GROWN = 4 * AUTH_PASSWORD_MAX };
	UErrorCode err = U_ZERO_ERROR;
	UChar *in = malloc((UNITS + GROWN) * sizeof(*in));
	UChar *mid = in + UNITS;
	char *text = buf_reserve(out, 3 * GROWN);
	int32_t n = 0;
	int r = in && text ? 0 : -ENOMEM;

	if (r == 0 && (password.n == 0 || password.n > UNITS || !utf8_valid(password))) {
		r = -EINVAL;
	}
	if (r == 0) {
		u_strFromUTF8(in, UNITS, &n, password.p, (int32_t)password.n, &err);
		n = U_SUCCESS(err) ? prep(in, n, mid, GROWN) : -1;
		r = n > 0 ? 0 : -EINVAL;
	}
	if (r == 0) {
		u_strToUTF8(text, 3 * GROWN, &n, mid, n, &err);
		r = U_SUCCESS(err) ? 0 : -EINVAL;
	}
	if (r == 0) {
		buf_commit(out, (size_t)n);
	}
	if (in) {
		explicit_bzero(in, (UNITS + GROWN) * sizeof(*in));
	}
	free(in);
	return r;
}

/* ---- messages ---------------------------------------------------------------- */

void scram_init(struct scram *x, enum scram_hash h)
{
	*x = (struct scram){ .hash = h };
	buf_init(&x->header, SCRAM_MESSAGE_MAX);
	buf_init(&x->nonce, SCRAM_NONCE_MAX + SCRAM_NONCE);
	buf_init(&x->signed_, 3 * SCRAM_MESSAGE_MAX);
}

void scram_fini(struct scram *x)
{
	buf_fini(&x->header);
	buf_fini(&x->nonce);
	buf_fini(&x->signed_);
	explicit_bzero(x, sizeof(*x));
}

/* saslname: UTF-8 without NUL, "," as =2C and "=" as =3D. RFC 5802 5.1 */
static int unescape(struct slice in, char out[SCRAM_NAME_MAX + 1], size_t *n_out)
{
	size_t n = 0;

	if (in.n == 0 || !utf8_valid(in) || slice_has_nul(in)) {
		return -EINVAL;
	}
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];
		if (c == '=') {
			struct slice code = slice_sub(in, i + 1, 2);
			if (!slice_eq(code, S("2C")) && !slice_eq(code, S("3D"))) {
				return -EINVAL;
			}
			c = code.p[0] == '2' ? ',' : '=';
			i += 2;
		}
		if (n == SCRAM_NAME_MAX) {
			return -EINVAL;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	*n_out = n;
	return 0;
}

/* printable = %x21-2B / %x2D-7E */
static bool is_nonce(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x21 || c > 0x7e || c == ',') {
			return false;
		}
	}
	return s.n > 0 && s.n <= SCRAM_NONCE_MAX + SCRAM_NONCE;
}

/* The next attribute, if it is this one. An empty slice may be its value; p
 * NULL: it is not there. */
static struct slice attribute(struct slice *rest, char name)
{
	struct slice whole;

	if (rest->n < 2 || rest->p[0] != name || rest->p[1] != '=') {
		return slice_make(NULL, 0);
	}
	whole = slice_split(rest, ',');
	return slice_from(whole, 2);
}

/* gs2-cbind-flag = ("p=" cb-name) / "n" / "y"; cb-name = 1*(ALPHA / DIGIT / "." / "-") */
static int binding_flag(struct scram *x, struct slice in)
{
	struct slice name = slice_from(in, 2);

	if (slice_eq(in, S("n")) || slice_eq(in, S("y"))) {
		x->flag = in.p[0] == 'n' ? SCRAM_NO_BINDING : SCRAM_COULD_BIND;
		return 0;
	}
	if (!slice_starts(in, S("p=")) || name.n == 0 ||
	    slice_copy(name, x->type, sizeof(x->type)) < 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if (!ascii_isalpha(c) && !ascii_isdigit(c) && c != '.' && c != '-') {
			return -EINVAL;
		}
	}
	x->flag = SCRAM_BINDS;
	return 0;
}

/*
 * client-first-message = gs2-cbind-flag "," [ "a=" saslname ] ","
 *                        "n=" saslname "," "r=" c-nonce [ "," extensions ]
 */
int scram_first(struct scram *x, struct slice in)
{
	struct slice rest = in;
	struct slice authzid;
	struct slice value;

	if (in.n > SCRAM_MESSAGE_MAX / 2 || slice_has_nul(in) || slice_chr(in, ',') == SIZE_MAX ||
	    binding_flag(x, slice_split(&rest, ',')) < 0 || slice_chr(rest, ',') == SIZE_MAX) {
		return -EINVAL;
	}
	authzid = slice_split(&rest, ',');
	if (authzid.n > 0 && (!slice_starts(authzid, S("a=")) ||
			      unescape(slice_from(authzid, 2), x->authzid, &x->authzid_n) < 0)) {
		return -EINVAL;
	}
	buf_add(&x->header, slice_sub(in, 0, (size_t)(rest.p - in.p)));
	buf_add(&x->signed_, rest);
	buf_addc(&x->signed_, ',');
	/* An "m=" in front is an extension that must be understood. */
	value = attribute(&rest, 'n');
	if (!value.p || unescape(value, x->user, &x->user_n) < 0) {
		return -EINVAL;
	}
	value = attribute(&rest, 'r');
	if (!value.p || value.n > SCRAM_NONCE_MAX || !is_nonce(value)) {
		return -EINVAL;
	}
	buf_add(&x->nonce, value);
	return x->nonce.err || x->signed_.err || x->header.err ? -EINVAL : 0;
}

/* server-first-message = "r=" c-nonce s-nonce "," "s=" salt "," "i=" count */
int scram_challenge(struct scram *x, const struct scram_keys *keys, struct slice binding,
		    const char *ours, struct buf *out)
{
	char fresh[SCRAM_NONCE + 1];
	size_t at = out->n;

	if (!ours) {
		rand_text(fresh, SCRAM_NONCE);
		ours = fresh;
	}
	x->keys = *keys;
	if (x->flag == SCRAM_BINDS) {
		buf_add(&x->header, binding);
	}
	buf_adds(&x->nonce, ours);
	buf_adds(out, "r=");
	buf_add(out, buf_slice(&x->nonce));
	buf_adds(out, ",s=");
	base64_encode(out, slice_make((const char *)keys->salt, keys->salt_n));
	buf_printf(out, ",i=%u", keys->rounds);
	if (!out->err) {
		buf_add(&x->signed_, slice_from(buf_slice(out), at));
		buf_addc(&x->signed_, ',');
	}
	return out->err || x->nonce.err || x->signed_.err || x->header.err ? -ENOMEM : 0;
}

/* The proof is right: H(proof XOR HMAC(StoredKey, AuthMessage)) = StoredKey. */
static int proves(const struct scram *x, struct slice proof)
{
	unsigned char sig[SCRAM_KEY_MAX];
	unsigned char hash[SCRAM_KEY_MAX];
	size_t n = scram_len(x->hash);
	int r;

	if (!mac(x->hash, x->keys.stored, buf_slice(&x->signed_), sig)) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		sig[i] ^= (unsigned char)proof.p[i];
	}
	r = digest(x->hash, sig, hash) ? secret_eq(hash, x->keys.stored, n) : -ENOMEM;
	explicit_bzero(sig, sizeof(sig));
	return r;
}

/* server-final-message = "v=" ServerSignature */
static int server_final(const struct scram *x, struct buf *out)
{
	unsigned char sig[SCRAM_KEY_MAX];

	if (!mac(x->hash, x->keys.server, buf_slice(&x->signed_), sig)) {
		return -ENOMEM;
	}
	buf_adds(out, "v=");
	base64_encode(out, slice_make((const char *)sig, scram_len(x->hash)));
	return out->err;
}

/*
 * client-final-message = "c=" base64 "," "r=" nonce [ "," extensions ]
 *                        "," "p=" base64
 */
int scram_final(struct scram *x, struct slice in, struct buf *out)
{
	struct buf channel = BUF_INIT(SCRAM_MESSAGE_MAX); /* what c= holds */
	struct buf proof = BUF_INIT(SCRAM_MESSAGE_MAX);
	struct slice rest = in;
	struct slice c = attribute(&rest, 'c');
	struct slice nonce = attribute(&rest, 'r');
	size_t at = slice_rchr(in, ',');
	struct slice last = at == SIZE_MAX ? S("") : slice_from(in, at + 1);
	struct slice p = attribute(&last, 'p');
	int r = 0;

	if (in.n > SCRAM_MESSAGE_MAX || at == SIZE_MAX || !c.p || !nonce.p || !p.p ||
	    base64_decode(&channel, c) < 0 || base64_decode(&proof, p) < 0 ||
	    proof.n != scram_len(x->hash)) {
		r = -EINVAL;
	}
	if (r == 0) {
		buf_add(&x->signed_, slice_sub(in, 0, at));
		r = x->signed_.err ? -EINVAL : proves(x, buf_slice(&proof));
	}
	/* Neither of these is secret, and neither alone lets anybody in. */
	if (r == 1 && (!slice_eq(buf_slice(&channel), buf_slice(&x->header)) ||
		       !slice_eq(nonce, buf_slice(&x->nonce)))) {
		r = 0;
	}
	if (r == 1) {
		int e = server_final(x, out);
		r = e < 0 ? e : 1;
	}
	buf_fini(&channel);
	buf_fini(&proof);
	return r;
}
