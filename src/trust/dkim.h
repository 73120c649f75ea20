/*
 * dkim: signatures of domains over messages (RFC 6376, 8301, 8463).
 *
 * Verifying is done in three steps, so that the body is read once whatever
 * the number of signatures: new (header known) - body (any pieces) - end (asks
 * the DNS for the keys). rsa-sha256 and ed25519-sha256; rsa-sha1 and keys
 * under 1024 bits never pass (RFC 8301), nor does a body longer than l= says,
 * nor a second From that is not signed (THREATS AN-02).
 *
 * Words: PASS; FAIL, it was checked and does not hold (body or header changed,
 * expired); POLICY, it holds for less than it seems to (l=, a second Subject);
 * PERMERROR, it cannot be used (syntax, algorithm, no key or a bad one);
 * TEMPERROR, the key could not be had. There is one result for each signature.
 */
#ifndef TRUST_DKIM_H
#define TRUST_DKIM_H

#include "base/buf.h"
#include "trust/trust.h"

#define DKIM_SIGNATURES_MAX 10 /* verified; those behind are not looked at */
#define DKIM_RSA_BITS_MIN 1024
#define DKIM_RSA_BITS_MAX 4096

struct dkim_result {
	enum trust_result result;
	/* Whatever the result: what was said. Only a PASS makes it true. */
	struct slice domain;	/* d=, lower case A-labels; empty if unreadable */
	struct slice selector;	/* s= */
	struct slice identity;	/* i=, or "@" and the domain */
	struct slice algorithm; /* a= */
	struct slice b;		/* the first 8 characters of b= (header.b, RFC 6008) */
	unsigned bits;		/* of an RSA key; 0 else */
	bool testing;		/* the key says t=y: a signature that does not pass is
				   no worse than none (RFC 6376 3.6.1) */
	struct slice reason;	/* not PASS: what is wrong, for people */
};
struct dkim_outcome {
	struct dkim_result *results; /* in the order of the header, top first */
	size_t n;
	size_t skipped; /* signatures beyond the limit */
};
struct dkim_verifier;
/*
 * header: the message's header with its empty line, CRLF line ends; is used
 * until dkim_verifier_free. 0 (also without any signature) or -ENOMEM.
 */
int dkim_verifier_new(struct slice header, int64_t now, struct dkim_verifier **out);
/* Is there anything that body octets are needed for? */
bool dkim_verifier_wants_body(const struct dkim_verifier *v);
/* The body in any pieces. Pure computation, up to 10 ns an octet: between
 * pieces of 64 KiB others should get their turn (co_breathe). */
void dkim_verifier_body(struct dkim_verifier *v, struct slice data);
/* Asks for keys, checks; long headers are hashed off the loop. Suspends;
 * deadline as in dns_query, for all of it. Slices of *out live in the arena.
 * 0, -ENOMEM, -ECANCELED. Once. */
CO_FN int dkim_verifier_end(struct dkim_verifier *v, struct dns *d, int64_t deadline,
			    struct arena *a, struct dkim_outcome *out);
/* Sets NULL; accepts NULL. */
void dkim_verifier_free(struct dkim_verifier **vp);

/* ---- signing -------------------------------------------------------------- */

struct dkim_key; /* a private key */
/* PEM (PKCS #8 or traditional), RSA of at least 1024 bits or Ed25519. 0 and
 * *out; -EINVAL with *e; -ENOMEM. */
int dkim_key_parse(struct slice pem, struct dkim_key **out, struct err *e);
/* A new one: rsa_bits 2048..4096, or 0 for Ed25519. */
int dkim_key_make(unsigned rsa_bits, struct dkim_key **out, struct err *e);
/* PKCS #8 PEM into out. 0 or -ENOMEM. */
int dkim_key_pem(const struct dkim_key *k, struct buf *out);
/* The TXT record's text ("v=DKIM1; k=...; p=...") into out. 0 or -ENOMEM. */
int dkim_key_record(const struct dkim_key *k, struct buf *out);
void dkim_key_free(struct dkim_key **kp);

struct dkim_sign_opts {
	const struct dkim_key *key;
	struct slice domain; /* A-labels */
	struct slice selector;
	int64_t now; /* unix seconds, t= */
};
struct dkim_signer;
/* header as above; header and key are used until dkim_signer_free. Signs the
 * fields of RFC 6376 5.4.1 that are there and oversigns From, To, Cc, Subject,
 * Date, Content-Type. 0; -EINVAL (no From, a first line that begins with white
 * space, more than 1000 fields to be named,
 * more than 10000 in all, domain or selector is no name); -ENOMEM. */
int dkim_signer_new(struct slice header, const struct dkim_sign_opts *o, struct dkim_signer **out);
void dkim_signer_body(struct dkim_signer *s, struct slice data);
/* The whole field "DKIM-Signature: ...CRLF", folded, to put in front of the
 * message, into out. 0 or -ENOMEM, -EIO (the library failed). RSA of 2048 bits
 * takes 1 ms, of 4096 bits 5 ms of CPU: for co_offload. Once. */
int dkim_signer_end(struct dkim_signer *s, struct buf *out, struct err *e);
void dkim_signer_free(struct dkim_signer **sp);

#endif
