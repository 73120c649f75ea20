/* since: a moment as people give it to --since. */
#ifndef CLI_SINCE_H
#define CLI_SINCE_H

#include "base/slice.h"

/*
 * "90s", "30m", "2h", "7d": so long before now; "2026-01-02", followed or not by
 * "T" or a blank and "03:04" or "03:04:05": that moment, UTC, "Z" behind it or
 * not. now and *out in milliseconds since 1970. 0; -EINVAL.
 */
int cli_since_parse(struct slice text, int64_t now, int64_t *out);

#endif
