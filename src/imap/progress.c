/*
 * progress: a word now and then in a long command (RFC 9585), so that nobody
 * takes a server that works for one that is dead.
 *
 * Loops over messages call imap_progress for each; what it costs is a look at
 * the clock. Called by commands that answer at their end only; FETCH says
 * enough anyway, and IDLE is no work.
 */
#include <inttypes.h>

#include "imap/impl.h"

#define PROGRESS_MS (10 * 1000) /* RFC 9585 3: every 10 to 15 seconds */

CO_FN void imap_progress(struct imap_cmd *cmd, uint64_t done, uint64_t total)
{
	struct conn *c = imap_conn(cmd->s);
	int64_t every = cmd->s->base.env->progress_ms;
	int64_t now = clock_mono();
	bool due = every < 0 || (cmd->progress_at && now >= cmd->progress_at);

	if (cmd->progress_at == 0 || due) {
		cmd->progress_at = clock_in_ms(every > 0 ? every : PROGRESS_MS);
	}
	if (due && done < total && cmd->tag.n) {
		/* A "]" would end the response code for who looks no further: then NIL. */
		bool plain = slice_chr(cmd->tag, ']') == SIZE_MAX;
		const char *quote = plain ? "\"" : "";
		struct slice tag = plain ? cmd->tag : S("NIL");

		conn_printf(c, "* OK [INPROGRESS (%s%.*s%s %" PRIu64 " %" PRIu64 ")] Working\r\n",
			    quote, SLICE_ARG(tag), quote, done, total);
		conn_flush(c);
	}
}
