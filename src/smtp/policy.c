/*
 * Rates, greylisting, first visits and block lists.
 *
 * All of it is rows of one table: a hashed key (with the process's seed, so
 * that nobody chooses where he lands), when it was first and last seen, and a
 * count. A set of rows is full: the one seen longest ago goes, so that a
 * flood costs others their memory of a sender at worst.
 */
#include "smtp/policy.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"

#define SETS 16384
#define WAYS 4
#define MINUTE 60
#define DAY 86400
#define GREY_KNOWN (35 * DAY) /* after each visit */
#define GREY_RETRY (2 * DAY)  /* who does not come again by then is new */
#define FIRST_KNOWN (180 * DAY)
#define KEY_MAX 1024
#define TEXT_MAX 200

struct row {
	uint64_t key; /* 0: free */
	int64_t first;
	int64_t last;
	uint32_t n;
};

struct policy {
	struct policy_opts o;
	pthread_mutex_t lock;
	struct row *rows;
};

int policy_new(const struct policy_opts *o, struct policy **out)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (p) {
		p->rows = calloc((size_t)SETS * WAYS, sizeof(*p->rows));
	}
	if (!p || !p->rows) {
		free(p);
		return -ENOMEM;
	}
	p->o = *o;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

void policy_free(struct policy **pp)
{
	struct policy *p = TAKE_PTR(*pp);

	if (p) {
		pthread_mutex_destroy(&p->lock);
		free(p->rows);
		free(p);
	}
}

/* ---- rows ----------------------------------------------------------------- */

/* kind keeps the keys of one use apart from another's. */
static uint64_t make_key(char kind, const struct net_addr *peer, size_t v4, struct slice a,
			 struct slice b)
{
	struct slice net = net_addr_network(peer, v4);
	struct buf text = BUF_INIT(KEY_MAX);
	uint64_t h;

	buf_addc(&text, kind);
	buf_addc(&text, (char)net.n);
	buf_add(&text, net);
	for (size_t i = 0; i < a.n; i++) {
		buf_addc(&text, (char)ascii_lower((unsigned char)a.p[i]));
	}
	buf_addc(&text, '\0');
	buf_add(&text, b);
	h = hash_slice(buf_slice(&text));
	buf_fini(&text);
	return h ? h : 1;
}

/* The row of this key; a new one has first == last == now and n == 0. A row
 * older than `life` seconds counts as gone. Under the lock. */
static struct row *row_of(struct policy *p, uint64_t key, int64_t now, int64_t life)
{
	struct row *set = &p->rows[(key % SETS) * WAYS], *old = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].key == key) {
			old = &set[i];
			break;
		}
		if (set[i].last < old->last || (set[i].key == 0 && old->key != 0)) {
			old = &set[i];
		}
	}
	if (old->key != key || now - old->last > life || now < old->first) {
		*old = (struct row){ key, now, now, 0 };
	}
	return old;
}

/* ---- rates ---------------------------------------------------------------- */

static bool count(struct policy *p, char kind, unsigned max, const struct net_addr *peer,
		  int64_t now)
{
	struct row *r;
	bool ok;

	if (!p || max == 0 || peer->len == 0 || net_addr_is_loopback(peer)) {
		return true;
	}
	pthread_mutex_lock(&p->lock);
	r = row_of(p, make_key(kind, peer, 4, S(""), S("")), now, MINUTE);
	if (now - r->first >= MINUTE) {
		r->first = now;
		r->n = 0;
	}
	r->last = now;
	ok = r->n < max;
	r->n += ok;
	pthread_mutex_unlock(&p->lock);
	return ok;
}

bool policy_connect(struct policy *p, const struct net_addr *peer, int64_t now)
{
	return count(p, 'c', p ? p->o.connections_per_minute : 0, peer, now);
}

bool policy_mail(struct policy *p, const struct net_addr *peer, int64_t now)
{
	return count(p, 'm', p ? p->o.messages_per_minute : 0, peer, now);
}

/* ---- first visits --------------------------------------------------------- */

unsigned policy_greylist(struct policy *p, const struct net_addr *peer, struct slice from,
			 struct slice rcpt, int64_t now)
{
	unsigned wait = 0;
	uint64_t key;
	struct row *r;

	if (!p || p->o.greylist == 0 || peer->len == 0 || net_addr_is_loopback(peer)) {
		return 0;
	}
	key = make_key('g', peer, 3, from, rcpt);
	pthread_mutex_lock(&p->lock);
	r = row_of(p, key, now, GREY_KNOWN);
	/* n: has waited. */
	if (r->n == 0 && now - r->first > GREY_RETRY) {
		*r = (struct row){ key, now, now, 0 };
	}
	if (r->n == 0 && now - r->first < p->o.greylist) {
		wait = (unsigned)(p->o.greylist - (now - r->first));
	} else {
		r->n = 1;
	}
	r->last = now;
	pthread_mutex_unlock(&p->lock);
	return wait;
}

unsigned policy_first_time(struct policy *p, const struct net_addr *peer, struct slice domain,
			   int64_t now)
{
	unsigned wait;

	if (!p || p->o.first_time_delay == 0 || peer->len == 0 || net_addr_is_loopback(peer)) {
		return 0;
	}
	pthread_mutex_lock(&p->lock);
	wait = row_of(p, make_key('f', peer, 3, domain, S("")), now, FIRST_KNOWN)->n
		       ? 0
		       : p->o.first_time_delay;
	pthread_mutex_unlock(&p->lock);
	return wait;
}

void policy_remember(struct policy *p, const struct net_addr *peer, struct slice domain,
		     int64_t now)
{
	struct row *r;

	if (!p || peer->len == 0) {
		return;
	}
	pthread_mutex_lock(&p->lock);
	r = row_of(p, make_key('f', peer, 3, domain, S("")), now, FIRST_KNOWN);
	r->n = 1;
	r->last = now;
	pthread_mutex_unlock(&p->lock);
}

/* ---- block lists ---------------------------------------------------------- */

/* RFC 5782 2.1; 127.255.255.0/24 is how lists refuse a resolver. */
static bool is_listed(const struct dns_answer *ans)
{
	for (size_t i = 0; i < ans->n; i++) {
		struct slice r = ans->rdata[i];

		if (r.n == 4 && r.p[0] == 127 &&
		    !((unsigned char)r.p[1] == 255 && (unsigned char)r.p[2] == 255)) {
			return true;
		}
	}
	return false;
}

/* The first TXT, with nothing in it that a reply line cannot carry. */
static struct slice read_text(const struct dns_answer *ans, struct arena *a)
{
	struct buf b = BUF_INIT(4096);
	struct slice out = S("");

	if (ans->n && dns_rdata_txt(ans->rdata[0], &b) == 0) {
		size_t n = MIN(b.n, (size_t)TEXT_MAX);

		for (size_t i = 0; i < n; i++) {
			if (b.p[i] < ' ' || b.p[i] > '~') {
				b.p[i] = '?';
			}
		}
		out = arena_dup(a, slice_make(b.p, n));
	}
	buf_fini(&b);
	return out;
}

CO_FN static int ask_list(struct dns *d, const struct net_addr *peer, struct slice list,
			  int64_t deadline, struct arena *a, struct policy_block *out)
{
	struct buf name = BUF_INIT(512);
	struct dns_answer ans;
	int r;

	dns_reverse_name(peer, list, &name);
	r = dns_query(d, buf_slice(&name), DNS_A, deadline, a, &ans);
	if (r == 0 && ans.result == DNS_OK && is_listed(&ans)) {
		out->list = list;
		r = dns_query(d, buf_slice(&name), DNS_TXT, deadline, a, &ans);
		if (r == 0 && ans.result == DNS_OK) {
			out->text = read_text(&ans, a);
		}
	}
	buf_fini(&name);
	return r == -EINVAL ? 0 : r;
}

int policy_blocked(struct policy *p, struct dns *d, const struct net_addr *peer, int64_t deadline,
		   struct arena *a, struct policy_block *out)
{
	int r = 0;

	*out = (struct policy_block){ S(""), S("") };
	if (!p || !d || peer->len == 0 || net_addr_is_loopback(peer)) {
		return 0;
	}
	for (size_t i = 0; r == 0 && out->list.n == 0 && i < p->o.n_blocklists; i++) {
		r = ask_list(d, peer, slice_cstr(p->o.blocklists[i]), deadline, a, out);
	}
	return r;
}
