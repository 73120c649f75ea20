/* dkim_key: a private key and its use; dkim_sign.c and arc_seal.c only. */
#ifndef TRUST_DKIM_KEY_H
#define TRUST_DKIM_KEY_H

#include "trust/sig.h"

struct dkim_key {
	EVP_PKEY *pkey;
	bool ed25519; /* or RSA */
};

/* The signature of a hash, in base64, appended. 0, -EIO (the library failed,
 * see *e), -ENOMEM. RSA of 4096 bits takes about 4 ms. */
int dkim_key_sign(const struct dkim_key *k, const unsigned char hash[SIG_HASH_LEN],
		  struct buf *base64, struct err *e);

#endif
