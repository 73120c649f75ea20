/*
 * admin: what the commands do, as JSON requests against an open site.
 *
 * The same code serves the control socket (srv/control.h) and a command that
 * opened the data directory itself. A request is an object with "verb" and
 * the verb's members; an answer is {"ok":true,"data":...} or
 * {"ok":false,"error":"text for a human","code":"exists"|"notfound"|
 * "invalid"|"notempty"|"temporary"}. Unknown verbs, missing or wrong members
 * are "invalid". Passwords come in requests and never go out or into logs.
 *
 * Verbs: status; domain.add domain; domain.list; domain.remove domain;
 * domain.catchall domain target; account.add address password [quota_bytes
 * quota_messages]; account.list; account.show address; account.remove
 * address; account.password address password; account.quota address
 * quota_bytes quota_messages; account.capabilities address [hide show clear]
 * (comma lists of names that IMAP does not announce); account.rename address to; alias.add address
 * targets[]; alias.list; alias.remove address; check; trace what
 * [since limit] (admin_trace.h); reports.next address [since after] (admin_reports.h);
 * reports.outgoing after [day] (admin_outgoing.h); trust.check and dns.lookup (ask.h).
 */
#ifndef SRV_ADMIN_H
#define SRV_ADMIN_H

#include <jansson.h>

#include "srv/site.h"

/* What only the server knows; NULL where a command runs alone. */
struct admin_env {
	/* Adds members to the object `status` answers with. May be NULL. */
	void (*status)(void *arg, json_t *into);
	/* Ends the account's sessions; its login holds no longer. May suspend.
	 * May be NULL. */
	void (*cut)(void *arg, uint64_t account);
	void *arg;
	struct dns *dns; /* or NULL */
	const struct config *config;
};
/* Never NULL but when out of memory; the caller decrefs. */
CO_FN json_t *admin_call(struct site *s, const struct admin_env *env, const json_t *request);

#endif
