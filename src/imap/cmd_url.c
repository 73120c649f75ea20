/*
 * cmd_url: GENURLAUTH, RESETKEY and URLFETCH (RFC 4467).
 *
 * A user authorises URLs of their own mailboxes; whoever the URL's access
 * identifier lets in can fetch what it names, and nothing else, whatever
 * other rights they have. Keys are kept by the store, a mailbox each.
 *
 * URLFETCH goes to the loop where the URL's owner lives, checks the token
 * there and copies the octets into a spool; then they are sent from here.
 * A token that is wrong, an account, mailbox or message that does not exist:
 * all give NIL after the same work (THREATS IM-11). Over IMAP nobody is a
 * submission entity, so "submit+" URLs are made, but give NIL here.
 */
#include <stdlib.h>

#include "base/rand.h"
#include "imap/octets.h"
#include "imap/parse.h"
#include "imap/target.h"
#include "imap/url.h"
#include "imap/urlauth.h"
#include "imap/write.h"
#include "io/spool.h"

#define URLS_MAX 1000u /* in one command */
#define MECHANISM S("INTERNAL")

/* ---- who ------------------------------------------------------------------ */

/* The address of a user in a URL: as it stands, or at this domain. */
static bool address(struct slice user, struct slice domain, struct buf *out)
{
	struct buf b = BUF_INIT(2 * AUTH_ADDR_MAX);
	bool ok;

	buf_add(&b, slice_sub(user, 0, AUTH_ADDR_MAX + 1));
	if (slice_chr(user, '@') == SIZE_MAX) {
		buf_addc(&b, '@');
		buf_add(&b, slice_sub(domain, 0, AUTH_ADDR_MAX + 1));
	}
	buf_reset(out);
	ok = !b.err && auth_addr_canon(buf_slice(&b), out) == 0 && !out->err;
	buf_fini(&b);
	return ok;
}

/* May this session use the URL? owner: its user's address. */
static bool lets_in(const struct imap *s, const struct imap_url *u, struct slice owner)
{
	struct slice domain = slice_from(owner, slice_rchr(owner, '@') + 1);
	struct buf who = BUF_INIT(2 * AUTH_ADDR_MAX);
	bool ok = false;

	switch (u->access) {
	case URL_AUTHUSER:
	case URL_ANONYMOUS:
		ok = true;
		break;
	case URL_USER:
		ok = address(u->access_user, domain, &who) &&
		     slice_eq(buf_slice(&who), slice_cstr(s->id.address));
		break;
	case URL_SUBMIT:
	case URL_NO_ACCESS:
		break;
	}
	buf_fini(&who);
	return ok && (!u->expires || u->expire > clock_wall());
}

/* ---- GENURLAUTH ------------------------------------------------------------ */

static bool is_own(const struct imap *s, const struct imap_url *u)
{
	struct buf owner = BUF_INIT(2 * AUTH_ADDR_MAX);
	bool ok = address(u->user, u->host, &owner) &&
		  slice_eq(buf_slice(&owner), slice_cstr(s->id.address));

	buf_fini(&owner);
	return ok;
}

/* A key of one of the user's own mailboxes, on the loop of the account. */
struct key_job {
	struct slice name;
	bool reset;
	unsigned char key[STORE_URL_KEY];
	struct err e;
};

static int take_key(struct store_account *a, void *arg)
{
	struct key_job *j = arg;
	struct store_mailbox *m = NULL;

	co_enter();
	int r = store_mailbox_open(a, j->name, &m, &j->e);

	if (r == STORE_OK) {
		r = j->reset ? store_url_key_reset(m, &j->e)
			     : store_url_key(m, true, j->key, &j->e);
	}
	store_mailbox_close(&m);
	return r;
}

/* Adds the URL with its token. True; false with the reply set. */
CO_FN static bool authorise(struct imap_cmd *cmd, struct slice text, struct buf *out)
{
	struct imap *s = cmd->s;
	struct key_job j = { .e = ERR_INIT };
	char token[URLAUTH_TOKEN];
	struct imap_url u;
	int r;

	if (imap_url_parse(text, &cmd->arena, &u) != 0 || !u.absolute || !u.mailbox.p) {
		imap_bad(cmd, "Not the URL of a message");
	} else if (u.access == URL_NO_ACCESS) {
		imap_bad(cmd, "Access identifier is missing in the URL");
	} else if (u.token.n) {
		imap_bad(cmd, "URL is authorised already");
	} else if (!u.user.p) {
		imap_bad(cmd, "Owner's name is missing in the URL");
	} else if (!is_own(s, &u)) {
		imap_bad(cmd, "URL is of another user");
	} else if (!imap_mailbox_canon(&cmd->arena, u.mailbox, true, &j.name)) {
		imap_bad(cmd, "No such mailbox");
	}
	if (cmd->reply.n) {
		return false;
	}
	r = imap_on_account(s, s->id.account, take_key, &j, &j.e);
	if (r == STORE_NOTFOUND || r == STORE_GONE) {
		imap_bad(cmd, "No such mailbox");
	} else if (r != STORE_OK) {
		imap_store_no(cmd, r, &j.e);
	} else {
		struct buf full = BUF_INIT(2 * IMAP_URL_MAX);
		urlauth_token(j.key, u.rump, token);
		buf_add(&full, u.rump);
		buf_adds(&full, ":internal:");
		buf_add(&full, slice_make(token, sizeof(token)));
		imap_put_string(out, buf_slice(&full));
		buf_fini(&full);
	}
	return r == STORE_OK;
}

/* genurlauth = "GENURLAUTH" 1*(SP url-rump SP mechanism) */
CO_FN int imap_cmd_genurlauth(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf out = BUF_INIT(IMAP_REPLY_MAX);
	unsigned n = 0;

	buf_adds(&out, "* GENURLAUTH");
	do {
		cur_sp(&cmd->c);
		struct slice url = imap_parse_astring(&cmd->c, &cmd->arena);
		cur_sp(&cmd->c);
		struct slice mechanism = imap_parse_atom(&cmd->c);
		if (cmd->c.err) {
			imap_syntax(cmd);
		} else if (++n > URLS_MAX) {
			imap_no(cmd, "[LIMIT] Too many URLs");
		} else if (!slice_ieq(mechanism, MECHANISM)) {
			imap_no(cmd, "[CANNOT] Mechanism is not known");
		} else {
			buf_addc(&out, ' ');
			authorise(cmd, url, &out);
		}
	} while (cmd->reply.n == 0 && !cur_done(&cmd->c));
	if (cmd->reply.n == 0) {
		buf_adds(&out, "\r\n");
		conn_write(imap_conn(s), buf_slice(&out));
		imap_ok(cmd, "URLs are authorised");
	}
	buf_fini(&out);
	return 0;
}

/* ---- RESETKEY -------------------------------------------------------------- */

static int drop_keys(struct store_account *a, void *arg)
{
	co_enter();
	return store_url_keys_drop(a, arg);
}

CO_FN static int reset_mailbox(struct imap_cmd *cmd, struct slice name)
{
	struct key_job j = { .name = name, .reset = true, .e = ERR_INIT };
	int r = imap_on_account(cmd->s, cmd->s->id.account, take_key, &j, &j.e);

	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &j.e);
	}
	return imap_ok(cmd, "[URLMECH INTERNAL] Its key is new");
}

/* resetkey = "RESETKEY" [SP mailbox *(SP mechanism)] */
CO_FN int imap_cmd_resetkey(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	bool known = true;
	struct slice name;
	int r;

	if (cur_done(&cmd->c)) {
		r = imap_on_account(s, s->id.account, drop_keys, &e, &e);
		return r == STORE_OK ? imap_ok(cmd, "All keys are removed")
				     : imap_store_no(cmd, r, &e);
	}
	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	while (cur_opt(&cmd->c, ' ')) {
		known = slice_ieq(imap_parse_atom(&cmd->c), MECHANISM) && known;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	return known ? reset_mailbox(cmd, name) : imap_no(cmd, "[CANNOT] Mechanism is not known");
}

/* ---- URLFETCH -------------------------------------------------------------- */

/* One URL, on the loop of its owner. The asking session waits meanwhile. */
struct fetch_job {
	struct store *store;
	uint64_t account; /* 0: there is none */
	struct imap_url url;
	struct spool *spool;
	bool nul;
	struct arena arena;
	struct err e;
};

CO_FN static int into_spool(void *arg, struct slice s)
{
	struct fetch_job *j = arg;

	j->nul = j->nul || slice_has_nul(s);
	return spool_write(j->spool, s, &j->e);
}

/* What the URL names, from an open mailbox. 0, STORE_NOTFOUND, <0. */
CO_FN static int read_message(struct fetch_job *j, struct store_mailbox *m)
{
	const struct imap_url *u = &j->url;
	struct section sec = { .what = SECTION_ALL };
	struct cur c = cur_init(u->section);
	_cleanup_(freep) char *chunk = malloc(IMAP_CHUNK);
	struct store_status st;
	struct mime_tree tree;
	struct octets o;
	uint64_t size;
	int r;

	store_mailbox_get_status(m, &st);
	if (u->section.p) {
		section_parse_spec(&c, &j->arena, &sec);
	}
	if (!chunk || !cur_end(&c) || (u->uidvalidity && u->uidvalidity != st.uidvalidity) ||
	    store_message_size(m, u->uid, &size) != STORE_OK) {
		return chunk ? STORE_NOTFOUND : -ENOMEM;
	}
	r = section_needs_tree(&sec) ? store_tree(m, u->uid, &j->arena, &tree, &j->e) : STORE_OK;
	if (r != STORE_OK) {
		return r;
	}
	r = octets_open(&o, m, u->uid, size, &tree, &sec, false);
	if (r == OCTETS_OK) {
		r = octets_run(&o, u->offset, u->count ? u->count : UINT64_MAX, chunk, into_spool,
			       j);
	}
	octets_close(&o);
	return r > 0 ? STORE_NOTFOUND : r;
}

/* The mailbox and its key; a key of chance where there is none. */
CO_FN static int open_mailbox(struct fetch_job *j, struct store_account *a,
			      struct store_mailbox **m, unsigned char *key)
{
	struct slice name;
	int r = STORE_NOTFOUND;

	rand_bytes(key, STORE_URL_KEY);
	if (a && imap_mailbox_canon(&j->arena, j->url.mailbox, true, &name)) {
		r = store_mailbox_open(a, name, m, &j->e);
	}
	return r == STORE_OK ? store_url_key(*m, false, key, &j->e) : r;
}

static int fetch_there(void *arg)
{
	struct fetch_job *j = arg;
	struct store_account *a = NULL;
	struct store_mailbox *m = NULL;
	unsigned char key[STORE_URL_KEY];
	bool right;
	int r = STORE_NOTFOUND;

	co_enter();
	if (j->account) {
		r = store_account_open(j->store, j->account, &a, &j->e);
	}
	r = r < 0 ? r : open_mailbox(j, a, &m, key);
	right = urlauth_check(key, j->url.rump, j->url.token);
	if (r == STORE_OK) {
		r = right ? read_message(j, m) : STORE_NOTFOUND;
	}
	store_mailbox_close(&m);
	store_account_close(&a);
	return r;
}

/* The account of a URL's owner, 0: none that the session may know of. */
CO_FN static uint64_t owner_of(struct imap *s, const struct imap_url *u, struct arena *arena)
{
	struct buf owner = BUF_INIT(2 * AUTH_ADDR_MAX);
	struct auth_account acc = { 0 };
	bool ok = u->user.p && address(u->user, u->host, &owner) &&
		  auth_account_get(s->base.env->auth, buf_slice(&owner), arena, &acc) == AUTH_OK &&
		  !acc.disabled && lets_in(s, u, buf_slice(&owner));

	buf_fini(&owner);
	return ok ? acc.id : 0;
}

/* Fills the job's spool. 0, or what stands for NIL. */
CO_FN static int fetch_url(struct imap *s, struct slice text, struct fetch_job *j)
{
	struct imap_url *u = &j->url;
	int r = imap_url_parse(text, &j->arena, u);

	if (r != 0 || !u->absolute || !u->mailbox.p || !u->token.n ||
	    !slice_ieq(u->mechanism, MECHANISM)) {
		return STORE_NOTFOUND;
	}
	j->store = s->base.env->store;
	j->account = owner_of(s, u, &j->arena);
	r = spool_new(store_tmp_dir(j->store), store_message_max(j->store), &j->spool);
	return r ? r : co_call(store_home(j->store, j->account), fetch_there, j);
}

/* nstring, or a literal8 where a NUL is in it. 0, <0: the session must end. */
CO_FN static int send_spool(struct imap *s, const struct fetch_job *j)
{
	struct conn *c = imap_conn(s);
	_cleanup_(freep) char *chunk = malloc(IMAP_CHUNK);
	struct err e = ERR_INIT;
	uint64_t size = spool_size(j->spool);

	if (!chunk) {
		return -ENOMEM;
	}
	if (size == 0) {
		conn_write(c, S("\"\""));
		return 0;
	}
	conn_printf(c, "%s{%llu}\r\n", j->nul ? "~" : "", (unsigned long long)size);
	for (uint64_t off = 0; off < size;) {
		ssize_t n = spool_read(j->spool, off, chunk, IMAP_CHUNK, &e);
		if (n <= 0) {
			return n < 0 ? (int)n : -EIO;
		}
		conn_write(c, slice_make(chunk, (size_t)n));
		off += (uint64_t)n;
		if (c->err || co_breathe() < 0) {
			return c->err ? c->err : -ECANCELED;
		}
	}
	return 0;
}

/* SP url-full SP nstring */
CO_FN static int answer(struct imap *s, struct slice url)
{
	struct fetch_job j = { .e = ERR_INIT };
	struct buf b = BUF_INIT(2 * IMAP_LITERAL_MAX);
	char text[256];
	int r;

	arena_init(&j.arena, IMAP_ARENA_MAX);
	r = fetch_url(s, url, &j);
	if (r < 0) {
		conn_log(imap_conn(s), LOG_ERROR, "imap.urlfetch_failed", LOG_I("code", r),
			 LOG_C("err", err_str(&j.e, text, sizeof(text))));
	}
	buf_addc(&b, ' ');
	imap_put_astring(&b, url);
	buf_addc(&b, ' ');
	conn_write(imap_conn(s), buf_slice(&b));
	buf_fini(&b);
	if (r == STORE_OK) {
		r = send_spool(s, &j);
	} else {
		conn_write(imap_conn(s), S("NIL"));
		r = 0;
	}
	spool_free(&j.spool);
	arena_fini(&j.arena);
	return r;
}

/* urlfetch = "URLFETCH" 1*(SP url-full) */
CO_FN int imap_cmd_urlfetch(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct slice *urls = arena_array(&cmd->arena, URLS_MAX, sizeof(urls[0]));
	size_t n = 0;
	int r = 0;

	do {
		cur_sp(&cmd->c);
		struct slice url = imap_parse_astring(&cmd->c, &cmd->arena);
		if (!urls || n == URLS_MAX) {
			return imap_no(cmd, "[LIMIT] Too many URLs");
		}
		urls[n++] = url;
	} while (!cur_done(&cmd->c));
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	conn_write(imap_conn(s), S("* URLFETCH"));
	for (size_t i = 0; i < n && r == 0; i++) {
		r = answer(s, urls[i]);
	}
	conn_write(imap_conn(s), S("\r\n"));
	return r < 0 ? r : imap_ok(cmd, "URLs are fetched");
}

/* ---- the selected mailbox -------------------------------------------------- */

CO_FN static void tell_mechanisms(struct imap *s)
{
	if (imap_privacy(s)) {
		conn_write(imap_conn(s), S("* OK [URLMECH INTERNAL] URLs can be authorised\r\n"));
	}
}

/* Only the user's own mailboxes have keys for them. */
static bool own_selected(const struct imap *s)
{
	return s->account && store_mailbox_account(s->mbox) == s->account;
}

CO_FN void imap_url_selected(struct imap *s)
{
	unsigned char key[STORE_URL_KEY];
	struct err e = ERR_INIT;

	s->url_keys = store_url_keys(s->mbox);
	if (own_selected(s) && store_url_key(s->mbox, false, key, &e) == STORE_OK) {
		tell_mechanisms(s);
	}
}

CO_FN void imap_url_news(struct imap *s)
{
	if (s->url_keys != store_url_keys(s->mbox)) {
		s->url_keys = store_url_keys(s->mbox);
		if (own_selected(s)) {
			tell_mechanisms(s);
		}
	}
}
