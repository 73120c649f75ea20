/* What the files of pop3/ share; nobody else includes this. */
#ifndef POP3_INTERNAL_H
#define POP3_INTERNAL_H

#include "auth/auth.h"
#include "line/verb.h"
#include "pop3/pop3.h"
#include "store/store.h"

#define POP3_LINE_MAX 253	      /* RFC 2449 4: 255 with CRLF */
#define POP3_SASL_MAX 12288	      /* one response line (RFC 5034 4) */
#define POP3_CHUNK 16384	      /* message bytes read at a time */
#define POP3_IDLE_MS (10 * 60 * 1000) /* RFC 1939 3: at least 10 minutes */
#define POP3_LOGIN_MS (60 * 1000)
#define POP3_EARLY_ERRORS 3 /* bad lines before login */

enum pop3_state { POP3_AUTHORIZATION = 1, POP3_TRANSACTION = 2 };

struct pop3_session {
	struct session base; /* first */
	enum pop3_state state;
	bool ended;
	bool opening; /* logged in; the maildrop is to be opened at home */
	int64_t login_deadline;
	unsigned failures;
	unsigned errors;
	char user[AUTH_ADDR_MAX + 1]; /* from USER; "" none */
	struct auth_identity id;
	/* TRANSACTION: valid on the account's home loop */
	struct store_account *account;
	struct store_mailbox *mailbox;
	struct store_view *view;
	bool locked;
	uint32_t uidvalidity;
	uint32_t count;
	uint32_t n_deleted;
	bool *deleted; /* [count] */
	uint64_t retrieved;
};

/* The command's argument text, without the blank behind the verb. */
struct pop3_cmd {
	const struct verb *verb;
	struct slice args;
};

/* "+OK text" and "-ERR text"; text has no CR or LF. */
CO_FN int pop3_ok(struct pop3_session *s, const char *text);
CO_FN int pop3_err(struct pop3_session *s, const char *text);

/* auth.c */
bool pop3_login_allowed(const struct pop3_session *s);
CO_FN int pop3_capa(void *session, void *cmd);
CO_FN int pop3_stls(void *session, void *cmd);
CO_FN int pop3_user(void *session, void *cmd);
CO_FN int pop3_pass(void *session, void *cmd);
CO_FN int pop3_auth(void *session, void *cmd);

/* maildrop.c */
/* On the home loop, after login: lock, open, answer the login. */
CO_FN void pop3_open(struct pop3_session *s);
void pop3_close(struct pop3_session *s);
CO_FN int pop3_stat(void *session, void *cmd);
CO_FN int pop3_list(void *session, void *cmd);
CO_FN int pop3_uidl(void *session, void *cmd);
CO_FN int pop3_retr(void *session, void *cmd);
CO_FN int pop3_top(void *session, void *cmd);
CO_FN int pop3_dele(void *session, void *cmd);
CO_FN int pop3_rset(void *session, void *cmd);
CO_FN int pop3_noop(void *session, void *cmd);
CO_FN int pop3_quit(void *session, void *cmd);

#endif
