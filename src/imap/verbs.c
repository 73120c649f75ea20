/*
 * verbs: the table of commands. The dispatcher, CAPABILITY's tests and the
 * documentation read the same rows; states and flags are enforced in
 * imap_verb_for, before a single argument or literal is looked at.
 */
#include "imap/impl.h"

#define PRE IMAP_NOTAUTH
#define IN (IMAP_AUTHED | IMAP_SELECTED)
#define SEL IMAP_SELECTED
#define ANY (PRE | IN)

static const struct verb verbs[] = {
	{ S("CAPABILITY"), ANY, 0, 0, imap_cmd_capability, "what the server can do now" },
	{ S("NOOP"), ANY, 0, 0, imap_cmd_noop, "asks for news" },
	{ S("LOGOUT"), ANY, VERB_NO_SYNC, 0, imap_cmd_logout, "goodbye" },
	{ S("ID"), ANY, 0, 0, imap_cmd_id, "who is who (RFC 2971)" },
	{ S("STARTTLS"), PRE, VERB_NO_SYNC | VERB_LAST, 0, imap_cmd_starttls,
	  "turns the connection into TLS" },
	{ S("AUTHENTICATE"), PRE, VERB_NO_SYNC | VERB_NEEDS_TLS, 0, imap_cmd_authenticate,
	  "logs in by SASL" },
	{ S("LOGIN"), PRE, VERB_NO_SYNC | VERB_NEEDS_TLS, 0, imap_cmd_login,
	  "logs in by user name and password" },
	{ S("COMPRESS"), IN, VERB_NO_SYNC | VERB_LAST, 0, imap_cmd_compress,
	  "compresses the connection (RFC 4978)" },
	{ S("UNAUTHENTICATE"), IN, VERB_NO_SYNC, 0, imap_cmd_unauthenticate,
	  "logs out and stays connected (RFC 8437)" },
	{ S("ENABLE"), IN, 0, 0, imap_cmd_enable, "switches extensions on (RFC 5161)" },
	{ S("SELECT"), IN, VERB_NO_SYNC, 0, imap_cmd_select, "opens a mailbox" },
	{ S("EXAMINE"), IN, VERB_NO_SYNC, 0, imap_cmd_examine, "opens a mailbox read-only" },
	{ S("CREATE"), IN, 0, 0, imap_cmd_create, "makes a mailbox" },
	{ S("DELETE"), IN, 0, 0, imap_cmd_delete, "removes a mailbox" },
	{ S("RENAME"), IN, 0, 0, imap_cmd_rename, "renames a mailbox" },
	{ S("SUBSCRIBE"), IN, 0, 0, imap_cmd_subscribe, "adds a name to the subscriptions" },
	{ S("UNSUBSCRIBE"), IN, 0, 0, imap_cmd_unsubscribe, "takes a name off the subscriptions" },
	{ S("LIST"), IN, 0, 0, imap_cmd_list, "names of mailboxes" },
	{ S("LSUB"), IN, 0, 0, imap_cmd_lsub, "subscribed names" },
	{ S("STATUS"), IN, 0, 0, imap_cmd_status, "counts of a mailbox" },
	{ S("NAMESPACE"), IN, 0, 0, imap_cmd_namespace, "prefixes of names (RFC 2342)" },
	{ S("SETACL"), IN, 0, 0, imap_cmd_setacl, "gives rights to a mailbox (RFC 4314)" },
	{ S("DELETEACL"), IN, 0, 0, imap_cmd_deleteacl, "takes somebody off an access list" },
	{ S("GETACL"), IN, 0, 0, imap_cmd_getacl, "who may do what with a mailbox" },
	{ S("LISTRIGHTS"), IN, 0, 0, imap_cmd_listrights, "which rights can be given" },
	{ S("MYRIGHTS"), IN, 0, 0, imap_cmd_myrights, "what one may do with a mailbox oneself" },
	{ S("GETMETADATA"), IN, 0, 0, imap_cmd_getmetadata, "reads annotations (RFC 5464)" },
	{ S("SETMETADATA"), IN, 0, 0, imap_cmd_setmetadata, "sets annotations" },
	{ S("GETQUOTA"), IN, 0, 0, imap_cmd_getquota, "limits of a quota root (RFC 9208)" },
	{ S("GETQUOTAROOT"), IN, 0, 0, imap_cmd_getquotaroot, "quota roots of a mailbox" },
	{ S("SETQUOTA"), IN, 0, 0, imap_cmd_setquota, "refused: for administrators" },
	{ S("APPEND"), IN, 0, 0, imap_cmd_append, "puts a message into a mailbox" },
	{ S("NOTIFY"), IN, 0, 0, imap_cmd_notify, "chooses what news is told (RFC 5465)" },
	{ S("GENURLAUTH"), IN, 0, 0, imap_cmd_genurlauth, "authorises URLs (RFC 4467)" },
	{ S("RESETKEY"), IN, 0, 0, imap_cmd_resetkey, "takes authorised URLs back" },
	{ S("URLFETCH"), IN, 0, 0, imap_cmd_urlfetch, "what authorised URLs name" },
	{ S("IDLE"), IN, 0, 0, imap_cmd_idle, "waits for news (RFC 2177)" },
	{ S("CHECK"), SEL, 0, 0, imap_cmd_noop, "like NOOP" },
	{ S("CLOSE"), SEL, VERB_NO_SYNC, 0, imap_cmd_close,
	  "expunges quietly and leaves the mailbox" },
	{ S("UNSELECT"), SEL, VERB_NO_SYNC, 0, imap_cmd_unselect, "leaves the mailbox (RFC 3691)" },
	{ S("EXPUNGE"), SEL, IMAP_VERB_UID | IMAP_VERB_OWN, 0, imap_cmd_expunge,
	  "removes messages marked \\Deleted" },
	{ S("SEARCH"), SEL, VERB_USES_SEQS | IMAP_VERB_UID, 0, imap_cmd_search, "finds messages" },
	{ S("SORT"), SEL, VERB_USES_SEQS | IMAP_VERB_UID, 0, imap_cmd_sort,
	  "finds messages, in order (RFC 5256)" },
	{ S("THREAD"), SEL, VERB_USES_SEQS | IMAP_VERB_UID, 0, imap_cmd_thread,
	  "finds messages, by conversation (RFC 5256)" },
	{ S("CANCELUPDATE"), SEL, 0, 0, imap_cmd_cancelupdate,
	  "ends the news of a search (RFC 5267)" },
	{ S("ESEARCH"), IN, 0, 0, imap_cmd_esearch, "finds messages in many mailboxes (RFC 7377)" },
	{ S("FETCH"), SEL, VERB_USES_SEQS | IMAP_VERB_UID, 0, imap_cmd_fetch, "reads messages" },
	{ S("STORE"), SEL, VERB_USES_SEQS | IMAP_VERB_UID, 0, imap_cmd_store, "changes flags" },
	{ S("COPY"), SEL, IMAP_VERB_UID, 0, imap_cmd_copy, "copies messages to a mailbox" },
	{ S("MOVE"), SEL, IMAP_VERB_UID | IMAP_VERB_OWN, 0, imap_cmd_move,
	  "moves messages to a mailbox (RFC 6851)" },
	{ S("REPLACE"), SEL, IMAP_VERB_UID, 0, imap_cmd_replace,
	  "puts a message in place of another (RFC 8508)" },
	{ S("UID"), SEL, 0, 0, imap_cmd_uid,
	  "COPY, EXPUNGE, FETCH, MOVE, REPLACE, SEARCH, SORT, STORE, THREAD by UID" },
};

const struct verb *imap_verbs(size_t *n_out)
{
	*n_out = ARRAY_LEN(verbs);
	return verbs;
}

const struct verb *imap_verb_for(struct imap_cmd *cmd, struct slice name)
{
	const struct verb *v = verb_find(verbs, ARRAY_LEN(verbs), name);

	if (!v) {
		imap_bad(cmd, "Unknown command");
		return NULL;
	}
	if ((v->states & cmd->s->state) && (cmd->s->enabled & IMAP_EN_UIDONLY) &&
	    (v->flags & IMAP_VERB_UID) && v->run != imap_cmd_expunge) {
		imap_bad(cmd, "[UIDREQUIRED] Message numbers are off");
		return NULL;
	}
	if (v->states & cmd->s->state) {
		if ((v->flags & VERB_NEEDS_TLS) && !imap_privacy(cmd->s)) {
			imap_no(cmd, "[PRIVACYREQUIRED] Use TLS first");
			return NULL;
		}
		return v;
	}
	if (cmd->s->state == IMAP_NOTAUTH) {
		imap_bad(cmd, "Log in first");
	} else if (v->states == PRE) {
		imap_bad(cmd, "Already logged in");
	} else {
		imap_bad(cmd, "Select a mailbox first");
	}
	return NULL;
}

/* "UID" SP (copy / fetch / search / store / ...)        RFC 3501 6.4.8 */
CO_FN int imap_cmd_uid(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	const struct verb *v;
	const char *at;

	cur_sp(&cmd->c);
	at = cmd->c.p;
	while (ascii_isalpha((unsigned char)MAX(cur_peek(&cmd->c), 0))) {
		cur_byte(&cmd->c);
	}
	v = verb_find(verbs, ARRAY_LEN(verbs), slice_make(at, (size_t)(cmd->c.p - at)));
	if (cmd->c.err || !v || !(v->flags & IMAP_VERB_UID)) {
		return imap_bad(cmd, "Unknown UID command");
	}
	cmd->uid = true;
	cmd->verb = v;
	return v->run(session, command);
}
