/*
 * dns: questions to the DNS, asked by coroutines (RFC 1034, 1035, 4035).
 *
 * What asks (SPF, DKIM, DMARC, block lists, later MX and TLSA) sees this
 * interface only. Behind it is libunbound, a validating resolver with a cache
 * of its own (dns_unbound_new), or a table in memory for tests and fuzzers
 * (dns_mem_new). A question suspends its coroutine and nobody else.
 *
 * Nothing that comes back is trusted: RDATA is given as octets, and the
 * readers below check every length (THREATS OU-06).
 */
#ifndef IO_DNS_H
#define IO_DNS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "co/co.h"
#include "io/listen.h"

#define DNS_NAME_MAX 253		/* of a name as text, without the last dot */
#define DNS_LABEL_MAX 63		/* RFC 1035 2.3.4 */
#define DNS_TEXT_MAX (4 * DNS_NAME_MAX) /* of a name with odd octets as \DDD */
#define DNS_RECORDS_MAX 1000		/* of one answer; more are left out */
#define DNS_TIMEOUT_MS 10000		/* of one question, unless the resolver says else */
#define DNS_UNDER_WAY_MAX 1024		/* questions at the same time; more fail at once */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_TLSA = 52
};

enum dns_result {
	DNS_OK = 0,	  /* at least one record */
	DNS_NODATA = 1,	  /* the name exists, but has no record of this type */
	DNS_NXDOMAIN = 2, /* there is no such name */
	DNS_FAIL = 3	  /* no answer to rely on: SERVFAIL, bogus, timeout, no net */
};

struct dns_answer {
	enum dns_result result;
	bool secure;	     /* DNSSEC-validated by us, also for "no such name" */
	bool bogus;	     /* DNS_FAIL because validation failed */
	uint32_t ttl;	     /* seconds */
	struct slice *rdata; /* wire form, names in it uncompressed */
	size_t n;
	const char *why; /* of DNS_FAIL, for people; else NULL */
};

struct dns;
struct dns_ops {
	/* name: checked, as text with odd octets as \DDD, no final dot. */
	int (*query)(struct dns *d, const char *name, enum dns_type type, int64_t deadline,
		     struct arena *a, struct dns_answer *out);
	void (*free)(struct dns *d);
};
struct dns {
	const struct dns_ops *ops;
	int64_t timeout_ms; /* of one question; 0: DNS_TIMEOUT_MS */
};

/*
 * Asks. name: labels separated by dots, any octets (also 8-bit ones) but NUL;
 * one final dot is allowed. deadline: monotonic as in co_wait; 0: none. A
 * question ends as DNS_FAIL after the resolver's timeout in any case. CNAMEs
 * are followed. The answer lives in the arena.
 * 0 and *out (whose result may be any of the above); -EINVAL: the name cannot
 * exist (empty label, label or name too long); -ENOMEM; -ECANCELED.
 * Suspends. d NULL answers DNS_FAIL.
 */
CO_FN int dns_query(struct dns *d, struct slice name, enum dns_type type, int64_t deadline,
		    struct arena *a, struct dns_answer *out);
/* Sets NULL; accepts NULL. Nobody may be asking any more. */
void dns_free(struct dns **dp);

/*
 * What dns_query makes of a name: the form that dns_ops.query gets, appended
 * to out (at most DNS_TEXT_MAX). 0, -EINVAL (as dns_query; nothing added), or
 * out's error.
 */
int dns_name_text(struct slice name, struct buf *out);
/* One label in that form, appended to out. */
void dns_label_text(struct slice label, struct buf *out);
/* A name in that form (a final dot is allowed, "." is the root) as wire octets
 * appended to out. 0, -EINVAL (nothing added), or out's error. */
int dns_name_wire(struct slice text, struct buf *out);

/* ---- resolvers ---------------------------------------------------------- */

struct dns_opts {
	/* "ADDRESS" or "ADDRESS@PORT" of resolvers to forward to; none: those of
	 * /etc/resolv.conf, or recursion from the root when recurse is set. */
	const char *const *forward;
	size_t n_forward;
	bool recurse;
	/* File of DS or DNSKEY records; NULL: the system's, if it is there; "":
	 * nothing is validated. */
	const char *trust_anchor;
	int64_t timeout_ms; /* of one question; 0: DNS_TIMEOUT_MS */
};
/*
 * The resolver of this process, asked from coroutines of any loop. It works on
 * threads of its own and never holds a loop up. 0 and *out; -ENOENT (no servers
 * given, and the system knows none), -EINVAL, -ENOMEM, -errno with *e (what is
 * wrong with which setting).
 */
int dns_unbound_new(const struct dns_opts *o, struct dns **out, struct err *e);
/* "ADDRESS" or "ADDRESS@PORT" (53). 0 or -EINVAL. */
int dns_server_parse(struct slice text, struct net_addr *out);

struct dns_stats {
	uint64_t asked;
	uint64_t failed;    /* SERVFAIL, bogus, ... */
	uint64_t timed_out; /* for who asked */
	uint64_t refused;   /* too many under way */
	size_t under_way;   /* with those that nobody waits for any more */
};
/* d: one of dns_unbound_new. Any thread. */
void dns_unbound_stats(const struct dns *d, struct dns_stats *out);

/* For tests: a table in memory, used by one thread; what is not in it is
 * NXDOMAIN. Every question yields once. */
int dns_mem_new(struct dns **out);
/* Adds one record (wire form; copied). Names compare as the DNS does: without
 * case; odd octets in them are \DDD. 0 or -ENOMEM. */
int dns_mem_add(struct dns *d, const char *name, enum dns_type type, struct slice rdata);
/*
 * The same with the record as people write it: an address; a name (CNAME, NS,
 * PTR); "10 mail.example" (MX); any text (TXT, cut into strings as needed). 0,
 * -ENOMEM, -EINVAL (also for other types).
 */
int dns_mem_text(struct dns *d, const char *name, enum dns_type type, const char *value);
/* Questions for this name and type (type 0: any) end so, instead of what was
 * added. */
int dns_mem_fail(struct dns *d, const char *name, enum dns_type type, enum dns_result result);
/* How many questions were asked so far. */
size_t dns_mem_count(const struct dns *d);

/* ---- reading RDATA: every function is safe on any octets ------------------ */

/* An uncompressed wire name as text (\DDD for odd octets, "." for the root)
 * appended to out. The octets used, or 0: damaged (nothing added). */
size_t dns_rdata_name(struct slice rdata, struct buf *out);
/* A (4 octets) or AAAA (16). 0 or -EINVAL. Port 0. */
int dns_rdata_addr(enum dns_type type, struct slice rdata, struct net_addr *out);
/* RFC 1035 3.3.9; the exchange as text appended to out. 0 or -EINVAL. */
int dns_rdata_mx(struct slice rdata, uint16_t *preference, struct buf *out);
/* The character-strings of a TXT record put together, appended to out (any
 * octets). 0 or -EINVAL. */
int dns_rdata_txt(struct slice rdata, struct buf *out);
/* RFC 6698 2.1. data points into rdata; at least one octet. 0 or -EINVAL. */
struct dns_tlsa {
	uint8_t usage, selector, matching;
	struct slice data;
};
int dns_rdata_tlsa(struct slice rdata, struct dns_tlsa *out);
/* "1.2.0.192.in-addr.arpa" or the nibbles under ip6.arpa, followed by suffix
 * instead when suffix is not empty (block lists, RFC 5782): into out. */
void dns_reverse_name(const struct net_addr *addr, struct slice suffix, struct buf *out);

#endif
