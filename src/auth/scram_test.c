/*
 * SCRAM: the RFCs' own exchanges; whole exchanges with a client of our own, in
 * clear and bound to real TLS connections; and what must not get in (THREATS
 * AU-01, AU-03, AU-06, AU-09, AU-12).
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/rows.h"
#include "base/codec.h"
#include "co/test_loop.h"
#include "io/test_certs.h"

static struct kv *kv;
static struct auth *auth;

#define BOB "bob@example.test"

static int house_up(void **state)
{
	struct auth_opts o = {
		.argon_memory_kib = 8, .argon_passes = 1, .no_delays = true, .scram = true
	};

	(void)state;
	co_enter();
	assert_int_equal(kv_mem_open(&kv), 0);
	o.kv = kv;
	assert_int_equal(auth_open(&o, &auth, NULL), 0);
	assert_int_equal(auth_domain_add(auth, S("example.test"), NULL), 0);
	assert_int_equal(auth_account_add(auth, S(BOB), S("builder"), NULL, NULL), 0);
	assert_int_equal(auth_account_add(auth, S("eve@example.test"), S("apple"), NULL, NULL), 0);
	return 0;
}

static int house_down(void **state)
{
	(void)state;
	auth_close(&auth);
	kv_close(&kv);
	return 0;
}

/* ---- a client ------------------------------------------------------------------ */

struct client {
	enum scram_hash hash;
	const char *mech;
	const char *user; /* as it goes into n= */
	const char *password;
	const char *header;   /* gs2 header; default "n,," */
	struct slice binding; /* appended to the header in c= */
	struct stream *tls;   /* of the server */
	/* what a test changes in its last message */
	void (*spoil)(struct client *c, struct buf *final);
	const char *last; /* said to the server's signature; default nothing */
	struct buf challenge;
	struct auth_identity id;
};

static void hmac(enum scram_hash h, const unsigned char *key, struct slice text, unsigned char *out)
{
	const EVP_MD *md = h == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256();

	assert_non_null(
		HMAC(md, key, (int)scram_len(h), (const unsigned char *)text.p, text.n, out, NULL));
}

/* The value of an attribute of a server's message. */
static struct slice value_of(struct slice message, const char *name)
{
	while (message.n) {
		struct slice one = slice_split(&message, ',');

		if (slice_starts(one, slice_cstr(name))) {
			return slice_from(one, 2);
		}
	}
	fail_msg("no %s in the message", name);
	return S("");
}

/* client-final-message for this server-first-message; *v is what the server
 * must say then. */
static void client_final(const struct client *c, struct slice first_bare, struct slice challenge,
			 struct buf *final, struct buf *v)
{
	const EVP_MD *md = c->hash == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256();
	size_t n = scram_len(c->hash);
	unsigned char salted[32], key[32], stored[32], sig[32];
	struct buf salt = BUF_INIT(64), text = BUF_INIT(4096), channel = BUF_INIT(256);
	uint32_t rounds;

	assert_int_equal(base64_decode(&salt, value_of(challenge, "s=")), 0);
	assert_int_equal(slice_u32(value_of(challenge, "i="), &rounds), 0);
	assert_int_equal(PKCS5_PBKDF2_HMAC(c->password, (int)strlen(c->password),
					   (const unsigned char *)salt.p, (int)salt.n, (int)rounds,
					   md, (int)n, salted),
			 1);
	buf_adds(&channel, c->header);
	buf_add(&channel, c->binding);
	buf_adds(final, "c=");
	base64_encode(final, buf_slice(&channel));
	buf_adds(final, ",r=");
	buf_add(final, value_of(challenge, "r="));
	buf_add(&text, first_bare);
	buf_addc(&text, ',');
	buf_add(&text, challenge);
	buf_addc(&text, ',');
	buf_add(&text, buf_slice(final));
	hmac(c->hash, salted, S("Client Key"), key);
	assert_int_equal(EVP_Digest(key, n, stored, NULL, md, NULL), 1);
	hmac(c->hash, stored, buf_slice(&text), sig);
	for (size_t i = 0; i < n; i++) {
		key[i] ^= sig[i];
	}
	buf_adds(final, ",p=");
	base64_encode(final, slice_make((char *)key, n));
	hmac(c->hash, salted, S("Server Key"), key);
	hmac(c->hash, key, buf_slice(&text), sig);
	buf_adds(v, "v=");
	base64_encode(v, slice_make((char *)sig, n));
	buf_fini(&salt);
	buf_fini(&text);
	buf_fini(&channel);
}

/* A whole exchange. What it came to. */
CO_FN static enum sasl_state run(struct client *c)
{
	struct sasl *s = sasl_new(auth, slice_cstr(c->mech), "imap", NULL, c->tls);
	struct buf bare = BUF_INIT(1024), first = BUF_INIT(1024), final = BUF_INIT(4096);
	struct buf want = BUF_INIT(256), out = BUF_INIT(4096);
	enum sasl_state st;

	assert_non_null(s);
	assert_true(sasl_client_first(s));
	buf_printf(&bare, "n=%s,r=abcdef123456", c->user);
	buf_printf(&first, "%s%s", c->header, buf_cstr(&bare));
	buf_reset(&c->challenge);
	st = sasl_step(s, buf_slice(&first), &c->challenge, &c->id);
	if (st == SASL_CONTINUE) {
		assert_true(slice_starts(buf_slice(&c->challenge), S("r=abcdef123456")));
		client_final(c, buf_slice(&bare), buf_slice(&c->challenge), &final, &want);
		if (c->spoil) {
			c->spoil(c, &final);
		}
		st = sasl_step(s, buf_slice(&final), &out, &c->id);
		assert_int_equal(c->id.account, 0);
	}
	if (st == SASL_CONTINUE) {
		assert_true(slice_eq(buf_slice(&out), buf_slice(&want)));
		st = sasl_step(s, slice_cstr(c->last ? c->last : ""), &out, &c->id);
	} else {
		assert_int_equal(out.n, 0);
	}
	sasl_free(&s);
	buf_fini(&bare);
	buf_fini(&first);
	buf_fini(&final);
	buf_fini(&want);
	buf_fini(&out);
	return st;
}

static const struct client bob = { .hash = SCRAM_SHA256,
				   .mech = "SCRAM-SHA-256",
				   .user = BOB,
				   .password = "builder",
				   .header = "n,,",
				   .binding = { "", 0 },
				   .challenge = { .max = 4096 } };

/* Runs a changed bob. */
CO_FN static enum sasl_state try(struct client c)
{
	enum sasl_state st = run(&c);

	if (st == SASL_DONE) {
		assert_string_equal(c.id.address, BOB);
	} else {
		assert_int_equal(c.id.account, 0);
	}
	buf_fini(&c.challenge);
	return st;
}

/* ---- vectors --------------------------------------------------------------------- */

static const struct vector {
	enum scram_hash hash;
	struct slice salt, first, nonce, challenge, final, server;
} vectors[] = {
	/* RFC 5802 5 */
	{ SCRAM_SHA1, S("QSXCR+Q6sek8bf92"), S("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"),
	  S("3rfcNHYJY1ZVvWVs7j"),
	  S("r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"),
	  S("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="),
	  S("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=") },
	/* RFC 7677 3 */
	{ SCRAM_SHA256, S("W22ZaJ0SNY7soEsUEjb6gQ=="), S("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"),
	  S("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
	  S("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
	  S("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
	  S("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") },
};

static void vector_keys(const struct vector *v, struct scram_keys *out)
{
	struct buf salt = BUF_INIT(64);

	*out = (struct scram_keys){ .rounds = 4096 };
	assert_int_equal(base64_decode(&salt, v->salt), 0);
	memcpy(out->salt, salt.p, salt.n);
	out->salt_n = (uint32_t)salt.n;
	assert_int_equal(scram_derive(v->hash, S("pencil"), out), 0);
	buf_fini(&salt);
}

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct buf out = BUF_INIT(1024);
		struct scram_keys keys;
		char nonce[64];
		struct scram x;

		vector_keys(v, &keys);
		scram_init(&x, v->hash);
		assert_int_equal(scram_first(&x, v->first), 0);
		assert_string_equal(x.user, "user");
		assert_int_equal(slice_copy(v->nonce, nonce, sizeof(nonce)), 0);
		assert_int_equal(scram_challenge(&x, &keys, S(""), nonce, &out), 0);
		assert_true(slice_eq(buf_slice(&out), v->challenge));
		buf_reset(&out);
		assert_int_equal(scram_final(&x, v->final, &out), 1);
		assert_true(slice_eq(buf_slice(&out), v->server));
		scram_fini(&x);
		buf_fini(&out);
	}
}

/* What is no first message; -EINVAL for all. */
static void test_first_is_strict(void **state)
{
	static const struct slice bad[] = {
		S(""),
		S(","),
		S(",,"),
		S("n"),
		S("n,"),
		S("n,,"),
		S("x,,n=bob,r=abc"),
		S("N,,n=bob,r=abc"),
		S("nn,,n=bob,r=abc"),
		S("p,,n=bob,r=abc"),
		S("p=,,n=bob,r=abc"),
		S("p=tls unique,,n=bob,r=abc"),
		S("p=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,,n=bob,r=abc"),
		S("n,b=bob,n=bob,r=abc"),
		S("n,a=,n=bob,r=abc"),
		S("n,,m=must,n=bob,r=abc"),
		S("n,,n=,r=abc"),
		S("n,,n=bob"),
		S("n,,n=bob,"),
		S("n,,n=bob,r="),
		S("n,,n=bob,r=a\x7f"),
		S("n,,n=bob,r=a b"),
		S("n,,r=abc,n=bob"),
		S("n,,n=bob,x=y,r=abc"),
		S("n,,n=bo=b,r=abc"),
		S("n,,n=bo=2,r=abc"),
		S("n,,n=bo=2c,r=abc"),
		S("n,,n=bo=00,r=abc"),
		S("n,,n=bob=,r=abc"),
		S("n,,n=b\0b,r=abc"),
		S("n,,n=b\xff,r=abc"),
		S("n,,n=\xc3,r=abc"),
	};
	char big[2000];
	struct scram x;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		scram_init(&x, SCRAM_SHA256);
		if (scram_first(&x, bad[i]) != -EINVAL) {
			fail_msg("taken: %.*s", SLICE_ARG(bad[i]));
		}
		scram_fini(&x);
	}
	/* a name of 255 octets is one, of 256 not; nonces have 256 */
	memset(big, 'a', sizeof(big));
	for (size_t n = 255; n <= 256; n++) {
		memcpy(big, "n,,n=", 5);
		memset(big + 5, 'a', 400);
		memcpy(big + 5 + n, ",r=abc", 6);
		scram_init(&x, SCRAM_SHA256);
		assert_int_equal(scram_first(&x, slice_make(big, 5 + n + 6)),
				 n == 255 ? 0 : -EINVAL);
		scram_fini(&x);
		memset(big, 'a', sizeof(big));
		memcpy(big, "n,,n=b,r=", 9);
		scram_init(&x, SCRAM_SHA256);
		assert_int_equal(scram_first(&x, slice_make(big, 9 + n + 1)),
				 n == 255 ? 0 : -EINVAL);
		scram_fini(&x);
	}
	scram_init(&x, SCRAM_SHA256);
	assert_int_equal(scram_first(&x, S("n,a=al=3Dx,n=b=2Cob,r=abc,x=y")), 0);
	assert_string_equal(x.user, "b,ob");
	assert_string_equal(x.authzid, "al=x");
	scram_fini(&x);
}

/* The right last message but for one thing. 1: taken. */
static int altered(size_t which, const char *from, const char *to)
{
	const struct vector *v = &vectors[which];
	struct buf final = BUF_INIT(4096), out = BUF_INIT(1024);
	size_t at = slice_find(v->final, slice_cstr(from));
	struct scram_keys keys;
	char nonce[64];
	struct scram x;
	int r;

	assert_true(at != SIZE_MAX);
	buf_add(&final, slice_sub(v->final, 0, at));
	buf_adds(&final, to);
	buf_add(&final, slice_from(v->final, at + strlen(from)));
	vector_keys(v, &keys);
	scram_init(&x, v->hash);
	assert_int_equal(scram_first(&x, v->first), 0);
	assert_int_equal(slice_copy(v->nonce, nonce, sizeof(nonce)), 0);
	assert_int_equal(scram_challenge(&x, &keys, S(""), nonce, &out), 0);
	buf_reset(&out);
	r = scram_final(&x, buf_slice(&final), &out);
	if (r != 1) {
		assert_int_equal(out.n, 0);
	}
	scram_fini(&x);
	buf_fini(&final);
	buf_fini(&out);
	return r;
}

static void test_final_is_strict(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		assert_int_equal(altered(i, "c=biws", "c=biws"), 1);
		/* another channel: "y,,", "n,a=bob,", nothing, too much */
		assert_int_equal(altered(i, "c=biws", "c=eSws"), 0);
		assert_int_equal(altered(i, "c=biws", "c=bixhPWJvYiw="), 0);
		assert_int_equal(altered(i, "c=biws", "c="), 0);
		assert_int_equal(altered(i, "c=biws", "c=biwsAA=="), 0);
		/* base64 with slack, in it and behind it */
		assert_int_equal(altered(i, "c=biws", "c=biws===="), -EINVAL);
		assert_int_equal(altered(i, "c=biws", "c=biw s"), -EINVAL);
		assert_int_equal(altered(i, ",p=", ",p=AAAA"), -EINVAL);
		assert_int_equal(altered(i, ",p=", ",p= "), -EINVAL);
		assert_int_equal(altered(i, ",p=", ",p=="), -EINVAL);
		assert_int_equal(altered(i, ",p=", ",q="), -EINVAL);
		assert_int_equal(altered(i, ",p=", ",p=,p="), 0);
		assert_int_equal(altered(i, "c=biws", "x=y,c=biws"), -EINVAL);
		assert_int_equal(altered(i, "c=biws", "m=y,c=biws"), -EINVAL);
		assert_int_equal(altered(i, "c=biws,", ""), -EINVAL);
		assert_int_equal(altered(i, ",r=", ",R="), -EINVAL);
		/* another nonce, or half of one */
		assert_int_equal(altered(i, ",r=", ",r=x"), 0);
		assert_int_equal(altered(i, i ? "%hv" : "3rf", ""), 0);
		assert_int_equal(altered(i, ",p=", ",x=y,p="), 0);
	}
	assert_int_equal(altered(0, "Ts=", "Ts="), 1);
	assert_int_equal(altered(0, "Ts=", "Tt="), -EINVAL); /* pad bits */
	assert_int_equal(altered(0, "Ts=", "Tw="), 0);
	assert_int_equal(altered(0, "p=v0", "p=v1"), 0);
}

/* ---- passwords --------------------------------------------------------------------- */

static void test_prepare(void **state)
{
	static const struct {
		struct slice in, out;
	} good[] = {
		/* RFC 4013 3 */
		{ S("I\xc2\xadX"), S("IX") },
		{ S("user"), S("user") },
		{ S("USER"), S("USER") },
		{ S("\xc2\xaa"), S("a") },
		{ S("\xe2\x85\xa8"), S("IX") },
		{ S("a\xc2\xa0z"), S("a z") },
		{ S("ko\xcc\x88nig"), S("k\xc3\xb6nig") },
	};
	static const struct slice bad[] = { S(""), S("\x07"), S("\xd8\xa7\x31"), S("\xff"),
					    S("\xc2\xad") };
	struct buf out = BUF_INIT(64u * 1024);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		buf_reset(&out);
		assert_int_equal(scram_prepare(good[i].in, &out), 0);
		assert_true(slice_eq(buf_slice(&out), good[i].out));
	}
	buf_reset(&out);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(scram_prepare(bad[i], &out), -EINVAL);
		assert_int_equal(out.n, 0);
	}
	buf_fini(&out);
}

/* ---- whole exchanges ----------------------------------------------------------------- */

#define TRY(...)                                                       \
	({                                                             \
		struct client c_ = bob;                                \
		const struct client d_ = { __VA_ARGS__ };              \
		c_.hash = d_.hash;                                     \
		c_.mech = d_.mech ? d_.mech : c_.mech;                 \
		c_.user = d_.user ? d_.user : c_.user;                 \
		c_.password = d_.password ? d_.password : c_.password; \
		c_.header = d_.header ? d_.header : c_.header;         \
		c_.spoil = d_.spoil;                                   \
		c_.last = d_.last;                                     \
		try(c_);                                               \
	})

static void test_right_and_wrong(void **state)
{
	(void)state;
	co_enter();
	assert_int_equal(TRY(), SASL_DONE);
	assert_int_equal(TRY(.hash = SCRAM_SHA1, .mech = "scram-sha-1"), SASL_DONE);
	assert_int_equal(TRY(.user = "BOB@Example.TEST"), SASL_DONE);
	assert_int_equal(TRY(.user = "bob"), SASL_DONE);
	assert_int_equal(TRY(.header = "n,a=bob@example.test,"), SASL_DONE);
	assert_int_equal(TRY(.header = "y,,"), SASL_DONE); /* no TLS: nothing to bind to */
	assert_int_equal(TRY(.password = "Builder"), SASL_FAIL);
	assert_int_equal(TRY(.password = "apple"), SASL_FAIL);
	assert_int_equal(TRY(.user = "eve@example.test"), SASL_FAIL);
	assert_int_equal(TRY(.user = "nobody@example.test"), SASL_FAIL);
	assert_int_equal(TRY(.user = "bob@elsewhere.test"), SASL_FAIL);
	assert_int_equal(TRY(.user = "%n*)(uid=3D../../"), SASL_FAIL);
	assert_int_equal(TRY(.user = "%n*)(uid=*"), SASL_BAD);
	assert_int_equal(TRY(.user = "@@@"), SASL_FAIL);
	/* the right password, for somebody else */
	assert_int_equal(TRY(.header = "n,a=eve@example.test,"), SASL_DENIED);
	assert_int_equal(TRY(.header = "n,a=eve@example.test,", .password = "x"), SASL_FAIL);
	/* the last word is nothing */
	assert_int_equal(TRY(.last = "x"), SASL_BAD);
	/* without TLS there is no -PLUS, and nothing to bind to */
	assert_null(sasl_new(auth, S("SCRAM-SHA-256-PLUS"), "imap", NULL, NULL));
	assert_int_equal(TRY(.header = "p=tls-exporter,,"), SASL_FAIL);
	assert_int_equal(TRY(.header = "p=tls-unique,,"), SASL_FAIL);
}

static void spoil_replay(struct client *c, struct buf *final)
{
	(void)c;
	buf_reset(final);
	buf_adds(final, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
			"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
}

static void spoil_nothing(struct client *c, struct buf *final)
{
	(void)c;
	buf_reset(final);
}

static void spoil_tail(struct client *c, struct buf *final)
{
	(void)c;
	buf_adds(final, "AAAA");
}

static void test_spoilt(void **state)
{
	(void)state;
	co_enter();
	assert_int_equal(TRY(.spoil = spoil_replay), SASL_FAIL);
	assert_int_equal(TRY(.spoil = spoil_nothing), SASL_BAD);
	assert_int_equal(TRY(.spoil = spoil_tail), SASL_BAD);
}

/* Steps too many, and exchanges that are dropped anywhere, leave nothing. */
static void test_steps(void **state)
{
	struct auth_identity id = { 0 };
	struct buf out = BUF_INIT(4096);
	struct sasl *s;

	(void)state;
	co_enter();
	for (int i = 0; i < 1000; i++) {
		s = sasl_new(auth, S("SCRAM-SHA-256"), "imap", NULL, NULL);
		buf_reset(&out);
		assert_int_equal(sasl_step(s, S("n,,n=bob,r=x"), &out, &id), SASL_CONTINUE);
		sasl_free(&s);
	}
	s = sasl_new(auth, S("SCRAM-SHA-256"), "imap", NULL, NULL);
	assert_int_equal(sasl_step(s, S(""), &out, &id), SASL_BAD);
	assert_int_equal(sasl_step(s, S("n,,n=bob,r=x"), &out, &id), SASL_BAD);
	assert_int_equal(sasl_step(s, S(""), &out, &id), SASL_BAD);
	assert_int_equal(sasl_step(s, S(""), &out, &id), SASL_BAD);
	assert_int_equal(id.account, 0);
	sasl_free(&s);
	buf_fini(&out);
}

/* ---- nobody can tell (AU-06) ----------------------------------------------------------- */

/* The salt that this name is given. */
CO_FN static void salt_of(const char *user, char out[64])
{
	struct sasl *s = sasl_new(auth, S("SCRAM-SHA-256"), "imap", NULL, NULL);
	struct buf first = BUF_INIT(512), challenge = BUF_INIT(1024);
	struct auth_identity id;

	buf_printf(&first, "n,,n=%s,r=abc", user);
	assert_int_equal(sasl_step(s, buf_slice(&first), &challenge, &id), SASL_CONTINUE);
	assert_true(slice_ends(buf_slice(&challenge), S(",i=15000")));
	assert_int_equal(slice_copy(value_of(buf_slice(&challenge), "s="), out, 64), 0);
	assert_int_equal(strlen(out), 24);
	sasl_free(&s);
	buf_fini(&first);
	buf_fini(&challenge);
}

static void test_nobody_can_tell(void **state)
{
	struct auth_opts o = {
		.kv = kv, .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true, .scram = true
	};
	char a[64], b[64];

	(void)state;
	co_enter();
	salt_of("dan@example.test", a);
	salt_of("DAN@example.TEST", b);
	assert_string_equal(a, b);
	salt_of("dora@example.test", b);
	assert_string_not_equal(a, b);
	salt_of(BOB, b);
	assert_string_not_equal(a, b);
	/* nor by a start of the server, nor by the account's coming and going */
	auth_close(&auth);
	assert_int_equal(auth_open(&o, &auth, NULL), 0);
	salt_of("dan@example.test", b);
	assert_string_equal(a, b);
	assert_int_equal(auth_account_add(auth, S("dan@example.test"), S("desk"), NULL, NULL), 0);
	salt_of("dan@example.test", b);
	assert_string_equal(a, b);
	assert_int_equal(auth_account_password(auth, S("dan@example.test"), S("lamp"), NULL), 0);
	salt_of("dan@example.test", b);
	assert_string_equal(a, b);
	assert_int_equal(auth_account_disable(auth, S("dan@example.test"), true, NULL), 0);
	salt_of("dan@example.test", b);
	assert_string_equal(a, b);
	assert_int_equal(auth_account_remove(auth, S("dan@example.test"), NULL, NULL), 0);
	salt_of("dan@example.test", b);
	assert_string_equal(a, b);
}

/* ---- keys come and go with the password (AU-12) -------------------------------------------- */

static int login(struct slice password)
{
	struct auth_request q = { .protocol = "imap", .user = S(BOB), .password = password };
	struct auth_identity id;

	co_enter();
	return auth_login(auth, &q, &id);
}

static void spoil_by_change(struct client *c, struct buf *final)
{
	(void)c, (void) final;
	co_enter();
	assert_int_equal(auth_account_password(auth, S(BOB), S("changed"), NULL), 0);
}

static void spoil_by_disabling(struct client *c, struct buf *final)
{
	(void)c, (void) final;
	co_enter();
	assert_int_equal(auth_account_disable(auth, S(BOB), true, NULL), 0);
}

static void test_changes_hold_at_once(void **state)
{
	(void)state;
	co_enter();
	assert_int_equal(TRY(.spoil = spoil_by_change), SASL_FAIL);
	assert_int_equal(TRY(), SASL_FAIL);
	assert_int_equal(TRY(.password = "changed"), SASL_DONE);
	assert_int_equal(TRY(.password = "changed", .spoil = spoil_by_disabling), SASL_FAIL);
	assert_int_equal(auth_account_disable(auth, S(BOB), false, NULL), 0);
	assert_int_equal(TRY(.password = "changed"), SASL_DONE);
	assert_int_equal(auth_account_rename(auth, S(BOB), S("rob@example.test"), NULL), 0);
	assert_int_equal(TRY(.password = "changed"), SASL_FAIL);
	assert_int_equal(auth_account_rename(auth, S("rob@example.test"), S(BOB), NULL), 0);
	assert_int_equal(TRY(.password = "changed"), SASL_DONE);
}

static int count_keys(void *arg, struct slice key, struct slice value)
{
	if (key.n > 1 && key.p[0] == 'N' && value.p[0] == DIR_ACCOUNT_VERSION) {
		(*(int *)arg)++;
	}
	return 0;
}

CO_FN static int accounts_with_keys(void)
{
	struct kv_part part = { .kind = 'd', .a = 1 };
	int n = 0;

	assert_int_equal(kv_scan(kv, part, S(""), S(""), count_keys, &n), 0);
	return n;
}

/* Where SCRAM is off nothing is kept, and rows are as they always were; once
 * it is on, the next login with the password makes the keys. */
static void test_on_and_off(void **state)
{
	struct auth_opts o = {
		.kv = kv, .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true
	};
	struct buf names = BUF_INIT(256);

	(void)state;
	co_enter();
	assert_int_equal(accounts_with_keys(), 2);
	auth_close(&auth);
	assert_int_equal(auth_open(&o, &auth, NULL), 0);
	sasl_mechanisms(auth, NULL, &names);
	assert_string_equal(buf_cstr(&names), "PLAIN LOGIN");
	assert_null(sasl_new(auth, S("SCRAM-SHA-256"), "imap", NULL, NULL));
	assert_int_equal(auth_account_password(auth, S(BOB), S("changed"), NULL), 0);
	assert_int_equal(accounts_with_keys(), 1); /* eve's, untouched */
	assert_int_equal(login(S("changed")), AUTH_OK);
	assert_int_equal(accounts_with_keys(), 1);
	assert_int_equal(auth_scram_on(auth, NULL), 0);
	buf_reset(&names);
	sasl_mechanisms(auth, NULL, &names);
	assert_string_equal(buf_cstr(&names), "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
	assert_int_equal(TRY(.password = "changed"), SASL_FAIL);
	assert_int_equal(login(S("wrong")), AUTH_FAILED);
	assert_int_equal(accounts_with_keys(), 1);
	assert_int_equal(login(S("changed")), AUTH_OK);
	assert_int_equal(accounts_with_keys(), 2);
	assert_int_equal(TRY(.password = "changed"), SASL_DONE);
	buf_fini(&names);
}

static int find_plain(void *arg, struct slice key, struct slice value)
{
	(void)key;
	*(bool *)arg |= slice_find(value, S("builder")) != SIZE_MAX;
	return 0;
}

static void test_no_password_is_stored(void **state)
{
	struct kv_part part = { .kind = 'd', .a = 1 };
	bool found = false;

	(void)state;
	co_enter();
	assert_int_equal(kv_scan(kv, part, S(""), S(""), find_plain, &found), 0);
	assert_false(found);
}

/* ---- bound to a connection -------------------------------------------------------------- */

struct bound {
	struct tls_ctx *ctx;
	struct stream *raw[2];
	struct stream *end[2]; /* server, client */
};

static void accept_body(void *arg)
{
	struct bound *b = arg;

	co_enter();
	assert_int_equal(tls_accept(b->ctx, &b->raw[0], S(""), &b->end[0], NULL, NULL), 0);
}

CO_FN static void bound_up(struct bound *b)
{
	const char *dirs[] = { main_dir };
	struct co *c = NULL;

	*b = (struct bound){ .ctx = ctx_of(dirs, 1, "imap", NULL) };
	assert_int_equal(stream_sock_pair(&b->raw[0], &b->raw[1]), 0);
	assert_int_equal(co_spawn("accept", accept_body, b, &c), 0);
	assert_int_equal(tls_connect(NULL, NULL, &b->raw[1], &b->end[1], NULL), 0);
	assert_int_equal(co_join(&c), 0);
}

static void bound_down(struct bound *b)
{
	stream_free(&b->end[0]);
	stream_free(&b->end[1]);
	tls_ctx_unref(&b->ctx);
}

/* The client binds by this type; what it takes for the channel comes from
 * `through`, its end of a connection. */
CO_FN static enum sasl_state bind_by(struct bound *b, struct bound *through, const char *mech,
				     const char *header, int kind)
{
	unsigned char bytes[TLS_BINDING_MAX];
	struct client c = bob;
	size_t n = 0;

	if (kind >= 0) {
		assert_int_equal(tls_binding_get(through->end[1], (enum tls_binding)kind, bytes,
						 &n),
				 0);
	}
	c.hash = strstr(mech, "SHA-1") ? SCRAM_SHA1 : SCRAM_SHA256;
	c.mech = mech;
	c.header = header;
	c.binding = slice_make((char *)bytes, n);
	c.tls = b->end[0];
	return try(c);
}

static void binding(void *arg)
{
	static const char *const mechs[] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS" };
	struct buf names = BUF_INIT(256);
	struct bound a, b;

	(void)arg;
	co_enter();
	bound_up(&a);
	bound_up(&b);
	sasl_mechanisms(auth, a.end[0], &names);
	assert_string_equal(buf_cstr(&names), "SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS "
					      "SCRAM-SHA-1 PLAIN LOGIN");
	for (size_t i = 0; i < 2; i++) {
		const char *m = mechs[i];
		assert_int_equal(bind_by(&a, &a, m, "p=tls-exporter,,", TLS_EXPORTER), SASL_DONE);
		assert_int_equal(bind_by(&a, &a, m, "p=tls-server-end-point,,",
					 TLS_SERVER_END_POINT),
				 SASL_DONE);
		/* somebody in between, with the server's certificate even */
		assert_int_equal(bind_by(&a, &b, m, "p=tls-exporter,,", TLS_EXPORTER), SASL_FAIL);
		assert_int_equal(bind_by(&a, &a, m, "p=tls-exporter,,", TLS_SERVER_END_POINT),
				 SASL_FAIL);
		assert_int_equal(bind_by(&a, &a, m, "p=tls-exporter,,", -1), SASL_FAIL);
		/* types that we do not have, or that are none */
		assert_int_equal(bind_by(&a, &a, m, "p=tls-unique,,", TLS_EXPORTER), SASL_FAIL);
		assert_int_equal(bind_by(&a, &a, m, "p=TLS-EXPORTER,,", TLS_EXPORTER), SASL_FAIL);
		/* -PLUS without a binding */
		assert_int_equal(bind_by(&a, &a, m, "n,,", -1), SASL_FAIL);
		assert_int_equal(bind_by(&a, &a, m, "y,,", -1), SASL_FAIL);
	}
	/* without -PLUS: "n" is a choice, "y" a downgrade, "p" a contradiction */
	assert_int_equal(bind_by(&a, &a, "SCRAM-SHA-256", "n,,", -1), SASL_DONE);
	assert_int_equal(bind_by(&a, &a, "SCRAM-SHA-256", "y,,", -1), SASL_FAIL);
	assert_int_equal(bind_by(&a, &a, "SCRAM-SHA-256", "p=tls-exporter,,", TLS_EXPORTER),
			 SASL_FAIL);
	bound_down(&a);
	bound_down(&b);
	buf_fini(&names);
}

static void test_binding(void **state)
{
	(void)state;
	test_run_loop(binding, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, house_up, house_down)
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_first_is_strict),
		cmocka_unit_test(test_final_is_strict),
		cmocka_unit_test(test_prepare),
		T(test_right_and_wrong),
		T(test_spoilt),
		T(test_steps),
		T(test_nobody_can_tell),
		T(test_changes_hold_at_once),
		T(test_on_and_off),
		T(test_no_password_is_stored),
		T(test_binding),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
