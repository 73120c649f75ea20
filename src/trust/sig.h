/*
 * sig: one signature field (DKIM-Signature, ARC-Message-Signature, ARC-Seal):
 * read, hashed, checked. What dkim_verify.c and arc_verify.c share; nobody
 * else includes this.
 *
 * A signature goes through stages and keeps its verdict: result is NONE as
 * long as nothing is decided, and what decides first stays (RFC 6376 6.1).
 * Words: PERMERROR for what cannot be used (syntax, algorithm, no or bad key),
 * FAIL for what was checked and does not hold, POLICY for what holds but
 * leaves too much unsigned, TEMPERROR for a key that could not be had.
 */
#ifndef TRUST_SIG_H
#define TRUST_SIG_H

#include <openssl/evp.h>

#include "trust/canon.h"
#include "trust/dkim.h"
#include "trust/fields.h"
#include "trust/tags.h"

#define SIG_FIELD_MAX 32768 /* octets of one signature field */
#define SIG_NAMES_MAX 1000  /* in h= */
#define SIG_HASH_LEN 32
#define SIG_B_MAX (DKIM_RSA_BITS_MAX / 8)
#define SIG_IDENTITY_MAX 1024
#define SIG_SKEW 300 /* seconds that clocks may differ (t=, x=) */
/* Headers longer than this are hashed off the loop: 64 KiB are 0.5 ms for each
 * signature, and there may be ten of them. */
#define SIG_OFFLOAD_OCTETS (64 * 1024)

enum sig_kind { SIG_DKIM, SIG_AMS, SIG_SEAL };
enum sig_algorithm { SIG_RSA_SHA256, SIG_ED25519_SHA256 };

struct sig {
	const struct field *field;
	enum sig_kind kind;
	enum trust_result result;
	struct slice reason; /* static, or in the arena of sig_read */
	struct tags tags;
	enum sig_algorithm algorithm;
	enum canon header, body;
	struct slice domain, selector, identity; /* in the arena */
	struct slice names;			 /* h= */
	unsigned char b[SIG_B_MAX];
	size_t b_len;
	unsigned char bh[SIG_HASH_LEN];
	bool has_length;
	uint64_t length;   /* l= */
	unsigned instance; /* ARC: i= */
	bool strict_names; /* t=s matters: i= is below d= */
	unsigned bits;	   /* of the key that was used */
	bool testing;
};

/* Decides, unless something else has. why is static. */
void sig_decide(struct sig *s, enum trust_result r, const char *why);

/*
 * Reads a field of this kind; a syntax error is a verdict. Slices of *out
 * point into the field or the arena. 0 or -ENOMEM.
 */
int sig_read(const struct field *f, enum sig_kind kind, int64_t now, struct arena *a,
	     struct sig *out);

/* ---- hashes ----------------------------------------------------------------- */

/* Both canonical bodies, each hashed once whatever the number of signatures. */
struct sig_body {
	struct {
		EVP_MD_CTX *md; /* NULL: nobody wants it */
		struct canon_sink sink;
		struct canon_body body;
		unsigned char sum[SIG_HASH_LEN];
	} way[2];    /* by enum canon */
	bool broken; /* the library failed */
	bool ended;
};
/* 0 or -ENOMEM. */
int sig_body_want(struct sig_body *b, enum canon how);
bool sig_body_wanted(const struct sig_body *b);
void sig_body_feed(struct sig_body *b, struct slice piece);
/* Idempotent. */
void sig_body_end(struct sig_body *b);
void sig_body_fini(struct sig_body *b);
/* Decides FAIL or POLICY if bh= or l= do not fit. */
void sig_check_body(struct sig *s, const struct sig_body *b, struct arena *a);

/* A canonical field into a hash; cut and last as in canon.h. */
void sig_hash_field(EVP_MD_CTX *md, enum canon how, const struct field *f, struct slice cut,
		    bool last);
/*
 * The hash that b= signs, over the fields that h= names and the field itself.
 * Leaves the selection open (fields_partly). False: the library failed.
 */
bool sig_hash_header(const struct sig *s, struct fields *f, unsigned char out[SIG_HASH_LEN]);

/* Runs fn(arg) off the loop if heavy, else (or if there is no room) here. */
CO_FN void sig_run(int (*fn)(void *arg), void *arg, bool heavy);

/* ---- keys ------------------------------------------------------------------- */

#define SIG_KEY_RECORDS_MAX 5 /* TXT records of one name that are looked at */
#define SIG_KEY_TEXT_MAX 4096 /* octets of one record; 4096 bits need 750 */

struct sig_key {
	EVP_PKEY *pkey;		  /* NULL: not usable, and result says how */
	enum trust_result result; /* NONE or PERMERROR */
	const char *why;
	enum sig_algorithm algorithm;
	unsigned bits; /* RSA */
	bool testing;  /* t=y */
	bool strict;   /* t=s */
};
/* Reads the text of a record (RFC 6376 3.6.1). Pure. sig_key_fini frees. */
void sig_key_read(struct slice text, struct sig_key *out);
void sig_key_fini(struct sig_key *k);

struct sig_keys; /* what one name has */
/* A list of those that were asked for already; NULL to begin with. */
void sig_keys_free(struct sig_keys **list);
/*
 * The keys for this signature; asks the DNS once for each name. Suspends. 0
 * and *out, -ENOMEM, -ECANCELED.
 */
CO_FN int sig_keys_get(struct sig_keys **list, struct dns *d, const struct sig *s, int64_t deadline,
		       const struct sig_keys **out);
/* When all questions of a message must be answered; 0 as in dns_query. */
int64_t sig_deadline(const struct dns *d, int64_t deadline);
/* Checks b= over the hash with those keys (at most 5): decides, PASS too. */
void sig_check(struct sig *s, const struct sig_keys *k, const unsigned char hash[SIG_HASH_LEN]);

#endif
