/*
 * How often someone may guess (THREATS AU-07).
 *
 * Failures are counted per address prefix (/32 of IPv4, /64 of IPv6) and per
 * user name, in windows of a minute and a day. Each failure is answered
 * later than the one before (2 to 15 s). A prefix that failed 10 times within
 * a minute or 100 times within a day is refused for the rest of the window;
 * a user name is never locked, only slowed down, so that strangers cannot
 * lock its owner out. A success takes back its own attempt and nothing else.
 * Names that do not exist count like those that do.
 *
 * The table has a fixed size: rows of a set are replaced oldest first, and
 * keys are hashed with the process's seed.
 */
#include <stdlib.h>

#include "auth/impl.h"
#include "base/hash.h"

#define MINUTE 60
#define DAY 86400
#define PREFIX_PER_MINUTE 10
#define PREFIX_PER_DAY 100
#define USER_PER_MINUTE 10
#define USER_DELAY_MS 2000
#define DELAY_FIRST_MS 2000
#define DELAY_MAX_MS 15000

int throttle_init(struct throttle *t)
{
	t->rows = calloc((size_t)THROTTLE_SETS * THROTTLE_WAYS, sizeof(*t->rows));
	pthread_mutex_init(&t->lock, NULL);
	return t->rows ? 0 : -ENOMEM;
}

void throttle_fini(struct throttle *t)
{
	free(t->rows);
	t->rows = NULL;
	pthread_mutex_destroy(&t->lock);
}

/* Nothing of another kind hashes to the same bytes; 0 means "no key". */
static uint64_t make_key(char kind, struct slice s)
{
	char b[1 + AUTH_ADDR_MAX + 2];
	size_t n = MIN(s.n, sizeof(b) - 1);
	uint64_t h;

	b[0] = kind;
	if (n > 0) {
		memcpy(b + 1, s.p, n);
	}
	h = hash_slice(slice_make(b, n + 1));
	return h ? h : 1;
}

static uint64_t prefix_key(const struct net_addr *a)
{
	struct slice net = a ? net_addr_network(a, 4) : slice_make(NULL, 0);

	return net.n ? make_key(net.n == 4 ? '4' : '6', net) : 0;
}

/* The row of a key, made if it is new. */
static struct throttle_row *row_of(struct throttle *t, uint64_t key, int64_t now)
{
	struct throttle_row *set = t->rows + (key % THROTTLE_SETS) * THROTTLE_WAYS;
	struct throttle_row *oldest = set;

	for (int i = 0; i < THROTTLE_WAYS; i++) {
		if (set[i].key == key) {
			return &set[i];
		}
		if (set[i].minute < oldest->minute || set[i].key == 0) {
			oldest = &set[i];
		}
	}
	*oldest = (struct throttle_row){ .key = key, .minute = now, .day = now };
	return oldest;
}

static void count(struct throttle_row *r, int64_t now)
{
	if (now - r->minute >= MINUTE) {
		r->minute = now;
		r->in_minute = 0;
	}
	if (now - r->day >= DAY) {
		r->day = now;
		r->in_day = 0;
	}
	r->in_minute = (uint16_t)MIN(r->in_minute + 1, UINT16_MAX);
	r->in_day = (uint16_t)MIN(r->in_day + 1, UINT16_MAX);
}

static int delay_for(unsigned nth)
{
	int ms = DELAY_FIRST_MS;

	for (unsigned i = 1; i < nth && ms < DELAY_MAX_MS; i++) {
		ms *= 2;
	}
	return MIN(ms, DELAY_MAX_MS);
}

void throttle_begin(struct throttle *t, const struct net_addr *peer, struct slice user, int64_t now,
		    struct attempt *out)
{
	struct throttle_row *r;
	unsigned worst;

	*out = (struct attempt){ 0 };
	out->key[0] = prefix_key(peer);
	out->key[1] = make_key('u', user);
	pthread_mutex_lock(&t->lock);
	r = row_of(t, out->key[1], now);
	count(r, now);
	worst = r->in_minute;
	if (r->in_minute > USER_PER_MINUTE) {
		out->before_ms = USER_DELAY_MS;
	}
	if (out->key[0]) {
		r = row_of(t, out->key[0], now);
		count(r, now);
		worst = MAX(worst, r->in_minute);
		/* Whoever is on this host is behind no prefix of its own. */
		out->refuse = !net_addr_is_loopback(peer) &&
			      (r->in_minute > PREFIX_PER_MINUTE || r->in_day > PREFIX_PER_DAY);
	}
	pthread_mutex_unlock(&t->lock);
	out->after_ms = delay_for(worst);
}

void throttle_success(struct throttle *t, const struct attempt *a)
{
	pthread_mutex_lock(&t->lock);
	for (int i = 0; i < 2; i++) {
		struct throttle_row *set = t->rows + (a->key[i] % THROTTLE_SETS) * THROTTLE_WAYS;

		for (int k = 0; a->key[i] && k < THROTTLE_WAYS; k++) {
			if (set[k].key == a->key[i]) {
				set[k].in_minute -= set[k].in_minute > 0;
				set[k].in_day -= set[k].in_day > 0;
			}
		}
	}
	pthread_mutex_unlock(&t->lock);
}
