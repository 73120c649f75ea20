/*
 * Password hashes: argon2id (RFC 9106) in PHC strings, on the offload pool.
 *
 * One hash takes tens of megabytes for a tenth of a second, so at most
 * PASSWORD_WORKERS run at a time, PASSWORD_QUEUE wait in order, and the rest
 * is told to come back (THREATS AU-08). For a user that does not exist the
 * same work is done on a hash that nobody's password gives (AU-06). A right
 * answer is remembered for five minutes under a keyed hash of everything it
 * depended on, the stored verifier included, so that a changed password is a
 * different question (AU-12).
 */
#include <argon2.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "auth/impl.h"
#include "base/rand.h"

#define SALT_LEN 16
#define TAG_LEN 32

/* A job of the offload pool. */
struct hash_job {
	struct passwords *p;
	struct slice password;
	const char *phc; /* to verify; or */
	char *phc_out;	 /* to make */
};

struct hash_waiter {
	struct list node;
	struct co_signal turn;
};

bool secret_eq(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *x = a;
	const volatile unsigned char *y = b;
	unsigned char diff = 0;

	for (size_t i = 0; i < n; i++) {
		diff = (unsigned char)(diff | (x[i] ^ y[i]));
	}
	return diff == 0;
}

/* ---- the gate ------------------------------------------------------------- */

CO_FN static int gate_enter(struct passwords *p)
{
	struct hash_waiter w;
	bool wait = false;
	int r = AUTH_OK;

	pthread_mutex_lock(&p->lock);
	if (p->active < PASSWORD_WORKERS) {
		p->active++;
	} else if (p->waiting >= PASSWORD_QUEUE) {
		r = AUTH_BUSY;
	} else {
		co_signal_init(&w.turn);
		list_init(&w.node);
		list_push(&p->queue, &w.node);
		p->waiting++;
		wait = true;
	}
	pthread_mutex_unlock(&p->lock);
	if (wait) {
		co_signal_wait(&w.turn);
	}
	return r;
}

/* Hands the place to the next in the queue, if there is one. */
static void gate_leave(struct passwords *p)
{
	struct list *next;

	pthread_mutex_lock(&p->lock);
	assert(p->active > 0);
	next = list_pop(&p->queue);
	if (next) {
		p->waiting--;
	} else {
		p->active--;
	}
	pthread_mutex_unlock(&p->lock);
	if (next) {
		co_signal_fire(&list_of(next, struct hash_waiter, node)->turn);
	}
}

/* ---- argon2 --------------------------------------------------------------- */

static int make_hash(void *arg)
{
	struct hash_job *j = arg;
	unsigned char salt[SALT_LEN];

	rand_bytes(salt, sizeof(salt));
	if (argon2id_hash_encoded(j->p->passes, j->p->memory_kib, 1, j->password.p, j->password.n,
				  salt, sizeof(salt), TAG_LEN, j->phc_out,
				  AUTH_PHC_MAX) != ARGON2_OK) {
		return -ENOMEM;
	}
	return 0;
}

static int verify_hash(void *arg)
{
	struct hash_job *j = arg;
	int r = argon2id_verify(j->phc, j->password.p, j->password.n);

	if (r == ARGON2_OK) {
		return AUTH_OK;
	}
	return r == ARGON2_MEMORY_ALLOCATION_ERROR ? -ENOMEM : AUTH_FAILED;
}

CO_FN static int run_job(struct passwords *p, int (*fn)(void *arg), void *job)
{
	int r = gate_enter(p);

	if (r == AUTH_OK) {
		r = co_offload(fn, job);
		gate_leave(p);
	}
	return r == -EAGAIN ? AUTH_BUSY : r;
}

int password_hash(struct passwords *p, struct slice password, char phc[AUTH_PHC_MAX])
{
	struct hash_job job = { .p = p, .password = password, .phc_out = phc };

	return run_job(p, make_hash, &job);
}

struct scram_job {
	struct slice prepared;
	struct scram_keys *keys;
};

static int make_keys(void *arg)
{
	struct scram_job *j = arg;
	int r = 0;

	for (int h = 0; r == 0 && h < SCRAM_HASHES; h++) {
		r = scram_derive((enum scram_hash)h, j->prepared, &j->keys[h]);
	}
	return r;
}

int password_scram(struct passwords *p, struct slice prepared, struct scram_keys keys[SCRAM_HASHES])
{
	struct scram_job job = { prepared, keys };

	return run_job(p, make_keys, &job);
}

/* ---- the cache ------------------------------------------------------------ */

static void add_part(struct buf *b, struct slice s)
{
	buf_varint(b, s.n);
	buf_add(b, s);
}

/* Keyed hash of all inputs. False: no memory. */
static bool inputs_mac(const struct passwords *p, struct slice who, struct slice phc,
		       struct slice password, unsigned char mac[32])
{
	struct buf b = BUF_INIT(4096);
	unsigned n = 0;
	bool ok;

	if (!buf_reserve(&b, 4096)) {
		return false;
	}
	add_part(&b, who);
	add_part(&b, phc);
	add_part(&b, password);
	ok = !b.err && HMAC(EVP_sha256(), p->secret, sizeof(p->secret), (const unsigned char *)b.p,
			    b.n, mac, &n);
	explicit_bzero(b.p, b.cap);
	buf_fini(&b);
	return ok && n == 32;
}

static struct cache_slot *slot_of(struct passwords *p, const unsigned char mac[32])
{
	uint32_t i;

	memcpy(&i, mac, sizeof(i));
	return &p->cache[i % PASSWORD_CACHE];
}

static bool cache_has(struct passwords *p, const unsigned char mac[32])
{
	struct cache_slot *s = slot_of(p, mac);
	bool hit;

	pthread_mutex_lock(&p->lock);
	hit = s->expires > clock_mono() && secret_eq(s->mac, mac, 32);
	pthread_mutex_unlock(&p->lock);
	return hit;
}

static void cache_put(struct passwords *p, const unsigned char mac[32])
{
	struct cache_slot *s = slot_of(p, mac);

	pthread_mutex_lock(&p->lock);
	memcpy(s->mac, mac, 32);
	s->expires = clock_in_ms(PASSWORD_CACHE_MS);
	pthread_mutex_unlock(&p->lock);
}

int password_check(struct passwords *p, struct slice who, struct slice phc, struct slice password)
{
	struct hash_job job = { .p = p, .password = password };
	char stored[AUTH_PHC_MAX];
	unsigned char mac[32];
	bool known = phc.n > 0;
	bool keyed;
	int r;

	if (!known) {
		phc = slice_cstr(p->dummy);
	}
	if (slice_copy(phc, stored, sizeof(stored)) < 0) {
		return AUTH_FAILED;
	}
	keyed = inputs_mac(p, who, phc, password, mac);
	if (keyed && known && cache_has(p, mac)) {
		explicit_bzero(stored, sizeof(stored));
		return AUTH_OK;
	}
	job.phc = stored;
	pthread_mutex_lock(&p->lock);
	p->verified++;
	pthread_mutex_unlock(&p->lock);
	r = run_job(p, verify_hash, &job);
	explicit_bzero(stored, sizeof(stored));
	if (r == AUTH_OK && !known) {
		r = AUTH_FAILED;
	}
	if (r == AUTH_OK && keyed) {
		cache_put(p, mac);
	}
	return r;
}

/* ---- start and end -------------------------------------------------------- */

int passwords_init(struct passwords *p, uint32_t memory_kib, uint32_t passes)
{
	char nobody[32];
	struct hash_job job = { .p = p,
				.password = { nobody, sizeof(nobody) },
				.phc_out = p->dummy };
	int r;

	*p = (struct passwords){ .memory_kib = memory_kib ? memory_kib : 65536,
				 .passes = passes ? passes : 3 };
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->queue);
	rand_bytes(p->secret, sizeof(p->secret));
	rand_bytes(nobody, sizeof(nobody));
	p->cache = calloc(PASSWORD_CACHE, sizeof(*p->cache));
	r = p->cache ? make_hash(&job) : -ENOMEM;
	explicit_bzero(nobody, sizeof(nobody));
	if (r < 0) {
		passwords_fini(p);
	}
	return r;
}

void passwords_fini(struct passwords *p)
{
	assert(p->active == 0 && list_empty(&p->queue));
	free(p->cache);
	p->cache = NULL;
	explicit_bzero(p->secret, sizeof(p->secret));
	pthread_mutex_destroy(&p->lock);
}
