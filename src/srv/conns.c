/*
 * Connections from accept to their end (conns.h).
 *
 * A connection's job is in the list of the worker it is on at that moment;
 * the list is touched on that worker's thread only. Moving is: detach the
 * stream, leave the list, post the job to the other loop, which takes it into
 * its list and starts a new coroutine for it. Counters are under one mutex.
 */
#include "srv/conns.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/table.h"
#include "imap/imap.h"
#include "io/proxy.h"
#include "pop3/pop3.h"
#include "smtp/smtp.h"
#include "srv/tls_set.h"

#define HANDSHAKE_MS (30 * 1000)
#define PROXY_MS (5 * 1000) /* for a header; its protocol's text: at least 3 s */
#define STOP_POLL_MS 10
#define CROWD_MS (10 * 1000)
/* Of all places, how many strangers' mail may take (THREATS RS-02). */
#define SMTP_SHARE(max) ((max) - (max) / 5)

/* Connections of one network (/32 of IPv4, /64 of IPv6): one customer's, mostly. */
struct prefix {
	char key[8];
	size_t key_len;
	unsigned n;
};

struct side { /* what belongs to one worker's thread */
	struct list jobs;
	struct list listeners;
};

struct conns {
	struct conns_opts o;
	struct side side[WORKERS_MAX];
	atomic_bool stopping;
	pthread_mutex_t lock; /* guards what follows */
	struct tls_set *tls;
	struct table prefixes;
	struct conns_stats stats;
};

struct listener {
	struct list node;
	struct conns *conns;
	size_t index;
	const struct config_listen *l;
	int fd;
	struct co *co;
};

struct job {
	struct list node;
	struct co_post post;
	struct conns *conns;
	size_t index; /* the worker it is on */
	const struct config_listen *l;
	enum srv_protocol protocol;
	bool proxied; /* a PROXY header comes first */
	bool dropped; /* to make room for another */
	int fd;	      /* until the stream has it */
	struct net_addr peer;
	struct net_addr local;
	struct prefix *prefix; /* NULL: not counted */
	struct tls_set *tls;
	struct session *session;
	struct co *co;
	int64_t start;
};

static bool is_stopping(void *arg)
{
	struct conns *c = arg;

	return atomic_load(&c->stopping);
}

int conns_new(const struct conns_opts *o, struct conns **out)
{
	struct conns *c = calloc(1, sizeof(*c));

	if (!c) {
		return -ENOMEM;
	}
	c->o = *o;
	c->o.env.stopping = is_stopping;
	c->o.env.stopping_arg = c;
	for (size_t i = 0; i < WORKERS_MAX; i++) {
		list_init(&c->side[i].jobs);
		list_init(&c->side[i].listeners);
	}
	pthread_mutex_init(&c->lock, NULL);
	table_init(&c->prefixes);
	*out = c;
	return 0;
}

void conns_free(struct conns **cp)
{
	struct conns *c = TAKE_PTR(*cp);

	if (!c) {
		return;
	}
	tls_set_unref(&c->tls);
	table_fini(&c->prefixes);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void conns_set_tls(struct conns *c, struct tls_set *set)
{
	struct tls_set *old;

	pthread_mutex_lock(&c->lock);
	old = c->tls;
	c->tls = set;
	pthread_mutex_unlock(&c->lock);
	tls_set_unref(&old);
}

void conns_stats(struct conns *c, struct conns_stats *out)
{
	pthread_mutex_lock(&c->lock);
	*out = c->stats;
	pthread_mutex_unlock(&c->lock);
}

/* ---- counting ----------------------------------------------------------- */

/* Under the lock. NULL with *full when the prefix has its share already. */
static struct prefix *prefix_take(struct conns *c, const struct net_addr *a, bool *full)
{
	struct slice key = net_addr_network(a, 4);
	struct prefix *p = table_get(&c->prefixes, key);

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p) {
			*full = true;
			return NULL;
		}
		memcpy(p->key, key.p, key.n);
		p->key_len = key.n;
		if (table_put(&c->prefixes, slice_make(p->key, p->key_len), p, NULL)) {
			free(p);
			*full = true;
			return NULL;
		}
	}
	if (p->n >= c->o.max_per_ip) {
		*full = true;
		return NULL;
	}
	p->n++;
	return p;
}

/* Under the lock. */
static void prefix_give(struct conns *c, struct prefix *p)
{
	if (p && --p->n == 0) {
		table_del(&c->prefixes, slice_make(p->key, p->key_len));
		free(p);
	}
}

/* Under the lock: counts it for this address and no other. False: that has
 * its share already. */
static bool count_for(struct conns *c, struct job *j, const struct net_addr *a)
{
	bool full = false;

	prefix_give(c, j->prefix);
	j->prefix = NULL;
	if (a->len && !net_addr_is_loopback(a)) {
		j->prefix = prefix_take(c, a, &full);
	}
	return !full;
}

static bool is_user_port(enum srv_protocol p)
{
	return p != SRV_SMTP && p != SRV_LMTP;
}

/* Nobody logged in on it, for longer than that. */
static bool is_idler(const struct job *j, int64_t before)
{
	return j->co && !j->dropped && is_user_port(j->protocol) && j->start < before &&
	       (!j->session || session_account(j->session) == 0);
}

/* On j's thread: ends the connection that waited longest for a login here.
 * False: there is none to spare. */
static bool make_room(struct conns *c, const struct job *j)
{
	int64_t patience = c->o.crowd_ms ? c->o.crowd_ms : CROWD_MS;
	int64_t before = clock_mono() - patience * NSEC_PER_MSEC;
	struct job *oldest = NULL;

	list_each(it, &c->side[j->index].jobs) {
		struct job *o = list_of(it, struct job, node);

		if (is_idler(o, before) && (!oldest || o->start < oldest->start)) {
			oldest = o;
		}
	}
	if (oldest) {
		oldest->dropped = true;
		if (oldest->session) {
			oldest->session->crowded = true;
		}
		co_cancel(oldest->co);
	}
	return oldest;
}

/* Under the lock: is there a place for one more of this protocol? */
static bool has_place(struct conns *c, const struct job *j)
{
	if (j->protocol == SRV_SMTP && c->stats.per_protocol[SRV_SMTP] >= SMTP_SHARE(c->o.max)) {
		return false;
	}
	return c->stats.open < c->o.max || (is_user_port(j->protocol) && make_room(c, j));
}

/* May this connection come in? Counts it if so; for whom, a proxy says later. */
static bool admit(struct conns *c, struct job *j)
{
	bool ok;

	pthread_mutex_lock(&c->lock);
	ok = (j->proxied || count_for(c, j, &j->peer)) && has_place(c, j);
	if (!ok) {
		c->stats.refused++;
		prefix_give(c, j->prefix);
	} else {
		c->stats.open++;
		c->stats.accepted++;
		c->stats.per_protocol[j->protocol]++;
		j->tls = tls_set_ref(c->tls);
	}
	pthread_mutex_unlock(&c->lock);
	return ok;
}

/* The connection is another one's than it seemed. False: too many of its. */
static bool recount(struct conns *c, struct job *j, const struct net_addr *a)
{
	bool ok;

	pthread_mutex_lock(&c->lock);
	ok = count_for(c, j, a);
	c->stats.refused += !ok;
	pthread_mutex_unlock(&c->lock);
	return ok;
}

/*
 * session.h: XCLIENT. Proxies pass on what their client says next, so behind
 * it the word is the client's (docs/adr/0098): who is not listed himself says
 * it no more.
 */
static bool rename_session(struct session *s, const struct net_addr *peer)
{
	struct job *j = s->owner;

	if (!recount(j->conns, j, peer)) {
		return false;
	}
	j->peer = *peer;
	if (!net_ranges_have(&j->l->xclient, peer)) {
		s->rename = NULL;
	}
	return true;
}

static void discharge(struct conns *c, struct job *j)
{
	tls_set_unref(&j->tls);
	pthread_mutex_lock(&c->lock);
	c->stats.open--;
	c->stats.per_protocol[j->protocol]--;
	prefix_give(c, j->prefix);
	pthread_mutex_unlock(&c->lock);
}

/* ---- sessions ----------------------------------------------------------- */

CO_FN static int new_session(struct job *j, struct stream **sp)
{
	const struct proto_env *env = &j->conns->o.env;
	struct tls_ctx *tls = tls_set_ctx(j->tls, j->protocol);

	switch (j->protocol) {
	case SRV_SMTP:
		return smtp_session_new(env, SMTP_MX, sp, &j->peer, &j->local, tls, &j->session);
	case SRV_SUBMISSION:
	case SRV_SUBMISSIONS:
		return smtp_session_new(env, SMTP_SUBMISSION, sp, &j->peer, &j->local, tls,
					&j->session);
	case SRV_LMTP:
		return smtp_session_new(env, SMTP_LMTP, sp, &j->peer, &j->local, tls, &j->session);
	case SRV_POP3:
	case SRV_POP3S:
		return pop3_session_new(env, sp, &j->peer, &j->local, tls, &j->session);
	default:
		return imap_session_new(env, sp, &j->peer, &j->local, tls, &j->session);
	}
}

/* The handshake of a port whose TLS is there from the start. */
CO_FN static int handshake(struct job *j, struct stream **sp, struct tls_info *info)
{
	struct tls_ctx *tls = tls_set_ctx(j->tls, j->protocol);
	struct stream *out = NULL;
	struct err e = ERR_INIT;
	char peer[NET_ADDR_TEXT_MAX], why[256];
	int r;

	if (!tls) {
		stream_free(sp);
		return -ENOENT;
	}
	stream_set_deadline(*sp, clock_in_ms(HANDSHAKE_MS));
	r = tls_accept(tls, sp, S(""), &out, info, &e);
	if (r != 0) {
		log_event(LOG_INFO, "", "tls.failed",
			  LOG_C("proto", srv_protocol_name[j->protocol]),
			  LOG_C("peer", net_addr_text(&j->peer, peer)),
			  LOG_C("reason", err_str(&e, why, sizeof(why))));
		return r;
	}
	*sp = out;
	return 0;
}

/* A refusal that a mail program understands. */
static const struct slice too_many[SRV_PROTOCOLS] = {
	[SRV_SMTP] = S("421 4.7.0 too many connections\r\n"),
	[SRV_SUBMISSION] = S("421 4.7.0 too many connections\r\n"),
	[SRV_LMTP] = S("421 4.3.2 too many connections\r\n"),
	[SRV_POP3] = S("-ERR [SYS/TEMP] too many connections\r\n"),
	[SRV_IMAP] = S("* BYE [UNAVAILABLE] too many connections\r\n"),
};

CO_FN static int read_proxy(struct job *j, struct stream *s)
{
	struct proxy_header h;
	int r;

	stream_set_deadline(s, clock_in_ms(PROXY_MS));
	r = proxy_read(s, &h);
	if (r != 0) {
		return r;
	}
	if (!h.known) {
		h.src = j->peer;
		h.dst = j->local;
	} else if (net_addr_is_loopback(&h.src) && !net_addr_is_loopback(&j->peer)) {
		return -EPROTO; /* our own machine is trusted: only it may say so */
	}
	if (!recount(j->conns, j, &h.src)) {
		stream_write(s, too_many[j->protocol]);
		return -EUSERS;
	}
	j->peer = h.src;
	j->local = h.dst;
	return 0;
}

/* For whom is it? A proxy that does not say it right serves nobody. */
CO_FN static int take_proxy(struct job *j, struct stream **sp)
{
	int r = read_proxy(j, *sp);
	char peer[NET_ADDR_TEXT_MAX];

	if (r != 0) {
		log_event(LOG_WARN, "", "proxy.refused",
			  LOG_C("proto", srv_protocol_name[j->protocol]),
			  LOG_C("peer", net_addr_text(&j->peer, peer)), LOG_I("code", r));
		stream_free(sp);
	}
	return r;
}

/* From a socket to a session that can be run. */
CO_FN static int open_session(struct job *j)
{
	struct tls_info info = { 0 };
	struct stream *s = NULL;
	int r = stream_sock_new(j->fd, &s);

	if (r != 0) {
		return r;
	}
	j->fd = -1;
	if (j->proxied) {
		r = take_proxy(j, &s);
	}
	if (r == 0 && config_implicit_tls(j->protocol)) {
		r = handshake(j, &s, &info);
	}
	if (r == 0) {
		r = new_session(j, &s);
	}
	if (r == 0 && net_ranges_have(&j->l->xclient, &j->peer)) {
		j->session->rename = rename_session;
		j->session->owner = j;
	}
	if (r == 0 && config_implicit_tls(j->protocol)) {
		j->session->conn.tls_active = true;
		j->session->conn.tls_info = info;
	}
	return r;
}

static void end_job(struct job *j)
{
	list_del(&j->node);
	session_free(&j->session);
	if (j->fd >= 0) {
		close(j->fd);
	}
	discharge(j->conns, j);
	free(j);
}

static void run_job(void *arg);

/* On the thread of worker j->index: into its list, and on it goes. */
static void adopt_job(void *arg)
{
	struct job *j = arg;

	list_push(&j->conns->side[j->index].jobs, &j->node);
	if (co_spawn("session", run_job, j, NULL) != 0) {
		end_job(j);
	}
}

static size_t index_of(const struct conns *c, const struct co_loop *loop)
{
	for (size_t i = 0; i < c->o.workers->n; i++) {
		if (c->o.workers->loop[i] == loop) {
			return i;
		}
	}
	BUG("a session wants to move to a loop that is no worker");
}

/* Hands the session to its home's loop; nothing of j is touched after. */
CO_FN static int move_job(struct job *j)
{
	struct co_loop *to = session_home(j->session);
	int r = stream_detach(j->session->conn.s);

	if (r != 0) {
		return r;
	}
	list_del(&j->node);
	j->co = NULL;
	j->index = index_of(j->conns, to);
	j->post = (struct co_post){ .fn = adopt_job, .arg = j };
	co_post(to, &j->post);
	return 0;
}

CO_FN static void run_job_co(struct job *j)
{
	int r;

	j->co = co_self();
	r = j->session ? stream_attach(j->session->conn.s) : open_session(j);
	if (r == 0 && (is_stopping(j->conns) || j->session->revoked)) {
		co_cancel(j->co); /* it was told between lists, or too early */
	}
	if (r == 0 && session_run(j->session) == SESSION_MOVE && move_job(j) == 0) {
		return;
	}
	end_job(j);
}

static void run_job(void *arg)
{
	co_enter();
	run_job_co(arg);
}

/* Says so, if it can be said at once. */
static void refuse(int fd, enum srv_protocol p)
{
	if (too_many[p].n &&
	    send(fd, too_many[p].p, too_many[p].n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		/* Nobody is there to be told. */
	}
	close(fd);
}

/* Whoever comes over a unix socket was let in by its mode. */
static bool may_enter(const struct listener *l, const struct net_addr *peer)
{
	const struct net_ranges *r = &l->l->networks;

	if (peer->len == 0 || r->n == 0 || net_ranges_have(r, peer)) {
		return true;
	}
	pthread_mutex_lock(&l->conns->lock);
	l->conns->stats.refused++;
	pthread_mutex_unlock(&l->conns->lock);
	return false;
}

static void on_conn(void *arg, int fd, const struct net_addr *peer)
{
	struct listener *l = arg;
	struct job *j = may_enter(l, peer) ? calloc(1, sizeof(*j)) : NULL;

	if (!j) {
		close(fd);
		return;
	}
	j->conns = l->conns;
	j->index = l->index;
	j->l = l->l;
	j->protocol = l->l->protocol;
	j->proxied = net_ranges_have(&l->l->proxy, peer);
	j->fd = fd;
	j->peer = *peer;
	j->start = clock_mono();
	list_init(&j->node);
	net_local_addr(fd, &j->local);
	if (!admit(l->conns, j)) {
		free(j);
		refuse(fd, l->l->protocol);
		return;
	}
	adopt_job(j);
}

/* ---- listening ---------------------------------------------------------- */

static void run_listener(void *arg)
{
	struct listener *l = arg;
	int r;

	co_enter();
	l->co = co_self();
	r = net_accept_loop(l->fd, on_conn, l);
	if (!is_stopping(l->conns)) {
		log_event(LOG_ERROR, "", "listen.failed",
			  LOG_C("proto", srv_protocol_name[l->l->protocol]), LOG_I("code", r));
	}
	close(l->fd);
	list_del(&l->node);
	free(l);
}

static int start_listener(void *arg)
{
	struct listener *l = arg;
	struct listener *mine = malloc(sizeof(*mine));
	int r;

	if (!mine) {
		return -ENOMEM;
	}
	*mine = *l;
	list_push(&l->conns->side[l->index].listeners, &mine->node);
	r = co_spawn("listener", run_listener, mine, NULL);
	if (r != 0) {
		list_del(&mine->node);
		free(mine);
	}
	return r;
}

int conns_listen(struct conns *c, size_t index, int fd, const struct config_listen *l)
{
	struct listener one = { .conns = c, .index = index, .fd = fd, .l = l };
	int r = co_call(c->o.workers->loop[index], start_listener, &one);

	if (r != 0) {
		close(fd);
	}
	return r;
}

/* ---- cutting ------------------------------------------------------------ */

struct cut_side {
	struct conns *c;
	size_t index;
	uint64_t account;
};

static int cut_side(void *arg)
{
	struct cut_side *s = arg;

	list_each_safe(it, &s->c->side[s->index].jobs) {
		struct job *j = list_of(it, struct job, node);

		if (!j->session || session_account(j->session) != s->account) {
			continue;
		}
		j->session->revoked = true;
		if (j->co) {
			co_cancel(j->co);
		}
	}
	return 0;
}

/*
 * Twice: a session that moves just now, from a worker not yet visited to one
 * that was, is in no list at that moment; what is posted to a loop is run in
 * order, so the second visit finds it.
 */
void conns_cut(struct conns *c, uint64_t account)
{
	assert(account != 0);
	for (size_t i = 0; i < 2 * c->o.workers->n; i++) {
		struct cut_side s = { c, i % c->o.workers->n, account };

		co_call(c->o.workers->loop[s.index], cut_side, &s);
	}
}

/* ---- stopping ----------------------------------------------------------- */

struct stop_side {
	struct conns *c;
	size_t index;
};

static int stop_side(void *arg)
{
	struct stop_side *s = arg;
	struct side *side = &s->c->side[s->index];

	list_each_safe(it, &side->listeners) {
		struct listener *l = list_of(it, struct listener, node);

		if (l->co) {
			co_cancel(l->co);
		}
	}
	list_each_safe(it, &side->jobs) {
		struct job *j = list_of(it, struct job, node);

		if (j->co) {
			co_cancel(j->co);
		}
	}
	return 0;
}

unsigned conns_stop(struct conns *c, int64_t ms)
{
	int64_t end = clock_in_ms(ms);
	struct conns_stats now;

	atomic_store(&c->stopping, true);
	do {
		/* Again and again: a job may be between two workers' lists. */
		for (size_t i = 0; i < c->o.workers->n; i++) {
			struct stop_side s = { c, i };

			co_call(c->o.workers->loop[i], stop_side, &s);
		}
		co_sleep(STOP_POLL_MS);
		conns_stats(c, &now);
	} while (now.open && clock_mono() < end);
	return now.open;
}
