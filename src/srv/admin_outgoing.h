/*
 * The verb `reports.outgoing`: the DMARC report about one domain on one day, as
 * it would be sent, and where it may go.
 */
#ifndef SRV_ADMIN_OUTGOING_H
#define SRV_ADMIN_OUTGOING_H

#include <jansson.h>

#include "srv/admin.h"

#define ADMIN_OUTGOING_TIMEOUT_MS 10000 /* of the questions to the DNS */

/*
 * day: since 1970. The first domain behind `after` (empty: the first of all):
 * {"on": bool, "domain", "report_id", "begin", "end", "rows", "messages", "more":
 * bool (rows that had no room), "file": name, "destinations": [{"uri", "state"
 * (report_dest_name)}], "xml": the document, if there is a destination that
 * may have it}; without "domain" that was all. 0, <0 with *e.
 */
CO_FN int admin_outgoing(struct site *s, const struct admin_env *env, uint32_t day,
			 struct slice after, json_t **out, struct err *e);
/* What `status` says of them. */
json_t *admin_outgoing_status(struct site *s);

#endif
