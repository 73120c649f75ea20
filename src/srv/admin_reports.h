/*
 * The verb `reports.next`: messages of an account that may hold DMARC or TLS
 * reports, whole, some at a time. They are found by their parts' types and
 * names; nothing of them is opened here. Unpacking and parsing what strangers
 * packed is the asking command's, in its own process (trust/report.h).
 */
#ifndef SRV_ADMIN_REPORTS_H
#define SRV_ADMIN_REPORTS_H

#include <jansson.h>

#include "srv/site.h"

#define ADMIN_REPORTS_LOOK_MAX 5000	      /* messages looked at for one answer */
#define ADMIN_REPORTS_BYTES_MAX (512u * 1024) /* of messages in one answer */

/*
 * after: {"mailbox": id, "uid": n, "offset": n}, where the last answer ended;
 * NULL: the beginning. since_ms: only what arrived since. The answer:
 * {"messages": [{"mailbox": name, "uid": n, "arrived": unix seconds,
 * "size": n, "offset": n, "data": base64}], "looked": n, "after": {...}};
 * "after" is missing when that was all. A message longer than an answer comes
 * in pieces; one longer than REPORT_MESSAGE_MAX has no "data".
 * 0; STORE_NOTFOUND; <0 with *e.
 */
CO_FN int admin_reports_next(struct site *s, store_id account, int64_t since_ms,
			     const json_t *after, json_t **out, struct err *e);

#endif
