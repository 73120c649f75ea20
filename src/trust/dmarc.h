/*
 * dmarc: does the domain in From stand behind this message, and what does it
 * want done if not? (RFC 7489)
 *
 * From's domains are found once, by dmarc_authors, so that nobody parses them
 * a second time and differently (THREATS AN-03). Alignment is over the MAIL
 * FROM result of SPF, never that of HELO alone unless the reverse-path is
 * empty (RFC 7489 4.1), and over every passing DKIM signature.
 */
#ifndef TRUST_DMARC_H
#define TRUST_DMARC_H

#include "trust/dkim.h"
#include "trust/spf.h"

#define DMARC_AUTHORS_MAX 10 /* different domains in one From */
#define DMARC_RECORD_MAX 4096
#define DMARC_URIS_MAX 10

enum dmarc_policy { DMARC_NONE = 0, DMARC_QUARANTINE = 1, DMARC_REJECT = 2 };
/* "none", "quarantine", "reject". */
const char *dmarc_policy_name(enum dmarc_policy p);

struct dmarc_record {
	enum dmarc_policy policy;	  /* p= */
	enum dmarc_policy sub_policy;	  /* sp=, or p= */
	bool strict_dkim, strict_spf;	  /* adkim=s, aspf=s */
	unsigned percent;		  /* pct= */
	uint32_t interval;		  /* ri=, seconds */
	struct slice rua[DMARC_URIS_MAX]; /* mailto URIs with their "!10m" */
	size_t n_rua;
	struct slice failure_options; /* fo=, "0" if absent */
};
/* RFC 7489 6.3, 6.4; unknown tags are skipped. 0, or -EINVAL (not DMARC, or
 * no usable p= and no rua= either). Slices point into text. */
int dmarc_record_parse(struct slice text, struct dmarc_record *out);

enum dmarc_from {
	DMARC_FROM_OK = 0,	 /* at least one domain */
	DMARC_FROM_MISSING = 1,	 /* no From field, or an empty one */
	DMARC_FROM_REPEATED = 2, /* more than one field, or what some take for one */
	DMARC_FROM_BAD = 3,	 /* no address in it that has a domain */
	DMARC_FROM_MANY = 4	 /* more than DMARC_AUTHORS_MAX domains */
};
struct dmarc_authors {
	struct slice domains[DMARC_AUTHORS_MAX]; /* canonical, each once */
	size_t n;
};
/* The domains of From in a header (any line ends). Memory from the arena. */
enum dmarc_from dmarc_authors(struct slice header, struct arena *a, struct dmarc_authors *out);

struct dmarc_query {
	struct slice author; /* one canonical domain of From */
	/* SPF of MAIL FROM, or of HELO when the reverse-path is empty; NULL:
	 * not asked. */
	const struct spf_outcome *spf;
	const struct dkim_outcome *dkim; /* NULL: not asked */
	unsigned sample;		 /* 0..99, drawn by the caller, for pct= */
};
struct dmarc_outcome {
	enum trust_result result;      /* NONE, PASS, FAIL, TEMPERROR, PERMERROR */
	enum dmarc_policy published;   /* that applies to the author's domain */
	enum dmarc_policy disposition; /* of a FAIL, after sampling; else NONE */
	bool sampled_out;	       /* pct= spared it one step */
	bool spf_aligned, dkim_aligned;
	struct slice author;
	struct slice domain;  /* where the record stands; empty: none */
	struct slice text;    /* the record */
	struct slice problem; /* of TEMPERROR, PERMERROR */
};
/*
 * RFC 7489 6.6. A lookup that fails is TEMPERROR; so is a FAIL when a
 * signature or SPF that would align ended in TEMPERROR. Suspends. Memory from
 * the arena. 0, -ENOMEM, -ECANCELED.
 */
CO_FN int dmarc_check(struct dns *d, const struct dmarc_query *q, int64_t deadline, struct arena *a,
		      struct dmarc_outcome *out);

#endif
