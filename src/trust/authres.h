/*
 * authres: the Authentication-Results field (RFC 8601): ours written, forged
 * ones found.
 *
 * Everything a stranger chose (addresses, selectors, reasons) goes in as a
 * value that cannot end the field or start another result: tokens where it is
 * a token, quoted strings else (THREATS AN-04).
 */
#ifndef TRUST_AUTHRES_H
#define TRUST_AUTHRES_H

#include "base/buf.h"
#include "trust/trust.h"

/* "Authentication-Results: id" without a line end; out has at most what its
 * max allows, and its sticky error tells. */
void authres_begin(struct buf *out, struct slice id);
/* ";\r\n\tmethod=result", and reason="..." if it is not empty. */
void authres_method(struct buf *out, const char *method, enum trust_result r, struct slice reason);
/* " ptype.property=value" of the last method; nothing for an empty value. */
void authres_property(struct buf *out, const char *name, struct slice value);
/* " (text)": a comment; odd octets are left out. */
void authres_comment(struct buf *out, struct slice text);
/* "; none" if no method was added, and the line end. */
void authres_end(struct buf *out);

/*
 * Does this field's body (folded) claim to be from `id`: the first token or
 * quoted string behind comments and white space, compared without case; a
 * body that cannot be read is taken as a claim.
 */
bool authres_claims(struct slice body, struct slice id);
/*
 * Does this field's body (behind "i=N;" of ARC-Authentication-Results, or the
 * whole of Authentication-Results) give the method this result? Only what
 * stands where a result stands counts: not what is in values, quoted strings
 * and comments, which the sender of the message may have chosen.
 */
bool authres_says(struct slice body, const char *method, enum trust_result r);

/*
 * The header without Authentication-Results fields that claim to be from id
 * (RFC 8601 5), appended to out; all else byte for byte. How many were left
 * out; 0: nothing was appended, use the header as it is.
 */
size_t authres_strip(struct slice header, struct slice id, struct buf *out);

#endif
