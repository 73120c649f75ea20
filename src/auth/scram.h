/*
 * scram: SCRAM (RFC 5802, RFC 7677), the server's side: keys and messages.
 *
 * Pure: bytes in, bytes out. Who the user is, whether there are too many tries
 * and what binds the connection is login.c's and sasl.c's business. An exchange
 * is: scram_first (who is it?), scram_challenge (with that user's keys, or
 * with such as nobody has), scram_final. Everything is strict (THREATS AU-09):
 * base64 without slack, attributes in their order, no extension that must be
 * understood.
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "base/buf.h"

enum scram_hash { SCRAM_SHA256, SCRAM_SHA1, SCRAM_HASHES };

#define SCRAM_KEY_MAX 32
#define SCRAM_SALT 16
#define SCRAM_ROUNDS 15000   /* RFC 7677 4: at least 4096 */
#define SCRAM_NONCE 26	     /* ours: 128 bits in letters of rand_text */
#define SCRAM_NONCE_MAX 256  /* theirs */
#define SCRAM_NAME_MAX 255   /* after unescaping; as PLAIN's */
#define SCRAM_BINDING_MAX 64 /* of the channel */
#define SCRAM_MESSAGE_MAX 2048

/* What an account keeps instead of its password. */
struct scram_keys {
	uint32_t rounds; /* 0: none */
	uint32_t salt_n;
	unsigned char salt[32];
	unsigned char stored[SCRAM_KEY_MAX];
	unsigned char server[SCRAM_KEY_MAX];
};

/* Of keys and hashes: 32 or 20. */
size_t scram_len(enum scram_hash h);
/* A password as SCRAM's clients hash it: SASLprep (RFC 4013). 0; -EINVAL: it
 * has characters that no client would take; -ENOMEM. */
int scram_prepare(struct slice password, struct buf *out);
/*
 * The keys of a prepared password; out->salt and out->rounds are set. Takes
 * ten milliseconds: on the offload pool. 0 or -ENOMEM.
 */
int scram_derive(enum scram_hash h, struct slice prepared, struct scram_keys *out);

enum scram_flag { SCRAM_NO_BINDING, SCRAM_COULD_BIND, SCRAM_BINDS }; /* n, y, p= */

struct scram {
	enum scram_hash hash;
	enum scram_flag flag;
	char type[32]; /* of the binding, "" none */
	char user[SCRAM_NAME_MAX + 1];
	size_t user_n;
	char authzid[SCRAM_NAME_MAX + 1];
	size_t authzid_n;
	struct buf header;  /* gs2 header, then the channel's bytes: what c= holds */
	struct buf nonce;   /* theirs, then theirs and ours */
	struct buf signed_; /* the AuthMessage, as far as it has come */
	struct scram_keys keys;
};
void scram_init(struct scram *x, enum scram_hash h);
/* Wipes. */
void scram_fini(struct scram *x);

/* client-first-message. 0; -EINVAL: it is none. */
int scram_first(struct scram *x, struct slice in);
/* Adds server-first-message. binding: the channel's bytes where x->flag is
 * SCRAM_BINDS. ours: our nonce; NULL: a new one. 0 or -ENOMEM. */
int scram_challenge(struct scram *x, const struct scram_keys *keys, struct slice binding,
		    const char *ours, struct buf *out);
/*
 * client-final-message. 1: the client has the key, and server-final-message
 * is added to out; 0: it has not, or answers for another channel or exchange;
 * -EINVAL: it is no such message; -ENOMEM.
 */
int scram_final(struct scram *x, struct slice in, struct buf *out);

#endif
