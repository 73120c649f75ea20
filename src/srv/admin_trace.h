/* The verb `trace`: see admin.h. */
#ifndef SRV_ADMIN_TRACE_H
#define SRV_ADMIN_TRACE_H

#include <jansson.h>

#include "srv/site.h"

#define ADMIN_TRACE_LIMIT 20			/* records, unless more are asked for */
#define ADMIN_TRACE_TEXT_MAX (8u * 1024 * 1024) /* octets of an answer */

/*
 * Records of decisions about `what`: an id, a session, an address of the
 * network, a Message-ID (with or without <>), an address of mail; whatever it
 * may be is looked for. The newest `limit` since since_ms (0: all), oldest
 * first: {"records": [...], "days": N, "more": bool}. NULL and *e when the
 * store or memory fails.
 */
CO_FN json_t *admin_trace(struct site *s, struct slice what, int64_t since_ms, unsigned limit,
			  struct err *e);
/* What `status` says of them. */
json_t *admin_trace_status(struct site *s);

#endif
