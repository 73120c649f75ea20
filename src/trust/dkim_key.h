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

/* ---- pieces of signature fields (dkim_sign.c) -------------------------------- */

/* The names for h=, separated by colons, appended: what RFC 6376 5.4.1 says to
 * sign, once more than it is there where readers look. 0, -EINVAL (more than
 * SIG_NAMES_MAX), -ENOMEM. */
int dkim_sign_names(const struct fields *f, struct buf *out);
/* Not if its first line would go on with ours (it begins with white space). */
bool dkim_can_prepend(struct slice header);
/* Such a list, folded, behind "\th=" or alike. */
void dkim_sign_add_names(struct slice names, struct buf *out);
/* base64, folded. */
void dkim_sign_add_folded(struct slice base64, struct buf *out);

#endif
