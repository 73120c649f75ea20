/*
 * cmd_search: SEARCH (RFC 3501 6.4.4, RFC 9051 6.4.4, RFC 4731). Answered with
 * ESEARCH where RETURN stands or the session speaks IMAP4rev2.
 */
#include "imap/find.h"

/* search = "SEARCH" [search-return-opts] SP search-program */
CO_FN int imap_cmd_search(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct find f;

	find_init(&f, cmd);
	if (find_return(&f)) {
		if (!f.ret.given && imap_rev2(s)) {
			f.ret = (struct search_return){ .given = true, .opts = SEARCH_RET_ALL };
		}
		if (find_keys(&f, false, imap_view_star(s, false), imap_view_star(s, true)) &&
		    find_run(&f)) {
			if (f.ret.given) {
				esearch_write(&f, cmd->uid, NULL, 0);
			} else {
				esearch_write_plain(&f, S("SEARCH"));
			}
			find_done(&f, NULL, "Searched");
		}
	}
	find_fini(&f);
	return 0;
}
