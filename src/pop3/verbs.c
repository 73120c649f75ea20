/*
 * The table of POP3 commands (RFC 1939 5-7, RFC 2449, 2595, 5034): where each
 * is allowed and who handles it. session.c dispatches from it.
 */
#include "base/err.h"
#include "pop3/internal.h"

#define ANY (POP3_AUTHORIZATION | POP3_TRANSACTION)

static const struct verb table[] = {
	{ S("CAPA"), ANY, 0, 0, pop3_capa, "what this server can do" },
	{ S("STLS"), POP3_AUTHORIZATION, VERB_LAST, 0, pop3_stls, "start TLS" },
	{ S("USER"), POP3_AUTHORIZATION, VERB_NEEDS_TLS, 0, pop3_user, "name the maildrop" },
	{ S("PASS"), POP3_AUTHORIZATION, VERB_NEEDS_TLS, 0, pop3_pass, "give the password" },
	{ S("AUTH"), POP3_AUTHORIZATION, 0, POP3_SASL_MAX, pop3_auth, "log in by SASL" },
	{ S("STAT"), POP3_TRANSACTION, 0, 0, pop3_stat, "number and size of messages" },
	{ S("LIST"), POP3_TRANSACTION, 0, 0, pop3_list, "sizes" },
	{ S("UIDL"), POP3_TRANSACTION, 0, 0, pop3_uidl, "unique ids" },
	{ S("RETR"), POP3_TRANSACTION, 0, 0, pop3_retr, "a message" },
	{ S("TOP"), POP3_TRANSACTION, 0, 0, pop3_top, "a header and some lines" },
	{ S("DELE"), POP3_TRANSACTION, 0, 0, pop3_dele, "delete a message at QUIT" },
	{ S("RSET"), POP3_TRANSACTION, 0, 0, pop3_rset, "forget deletions" },
	{ S("NOOP"), POP3_TRANSACTION, 0, 0, pop3_noop, "nothing" },
	{ S("QUIT"), ANY, 0, 0, pop3_quit, "delete what is marked and leave" },
};

const struct verb *pop3_verbs(size_t *n_out)
{
	*n_out = ARRAY_LEN(table);
	return table;
}
