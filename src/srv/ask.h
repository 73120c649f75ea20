/*
 * ask: questions of a postmaster to the DNS, as admin requests.
 *
 * What would the server find if this address sent mail now? The running
 * server answers with its own resolver and cache (srv/admin.c); where none
 * runs a command makes a resolver like the server's (ask_alone).
 *
 * Verbs: trust.check ip [helo] [from]: SPF of both identities, and iprev;
 * dns.lookup name type.
 */
#ifndef SRV_ASK_H
#define SRV_ASK_H

#include <jansson.h>

#include "io/dns.h"
#include "srv/config.h"

/* Is the verb of this request one of these? */
bool ask_knows(const json_t *request);
/*
 * The answer, as admin_call's; NULL when out of memory. d may be NULL: that is
 * the answer then. Suspends.
 */
CO_FN json_t *ask_call(struct dns *d, const struct config *config, const json_t *request);
/* The same from a thread without a loop, with a resolver for this one request. */
json_t *ask_alone(const struct config *config, const json_t *request);

/* The resolver of the configuration; *out NULL if there is to be none. 0, or
 * -errno with *e. */
int ask_resolver(const struct config *c, struct dns **out, struct err *e);

#endif
