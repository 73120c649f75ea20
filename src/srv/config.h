/*
 * config: postrider.conf (libconfuse syntax), checked once, at the door.
 *
 * Every setting has a default; an empty or missing file (if not named by the
 * user) works. Anything wrong stops start-up with one line: file, line, what
 * stood there and what was expected. Unknown settings are wrong.
 */
#ifndef SRV_CONFIG_H
#define SRV_CONFIG_H

#include "base/err.h"
#include "base/slice.h"
#include "io/range.h"
#include "line/session.h"

#define CONFIG_DEFAULT_PATH "/etc/postrider/postrider.conf"
#define CONFIG_DEFAULT_DATA "/var/lib/postrider"
#define CONFIG_TEXT_MAX 512 /* a whole error line */

enum srv_protocol {
	SRV_SMTP,
	SRV_SUBMISSION,
	SRV_SUBMISSIONS,
	SRV_POP3,
	SRV_POP3S,
	SRV_IMAP,
	SRV_IMAPS,
	SRV_LMTP, /* only where the configuration names it */
	SRV_PROTOCOLS
};
/* "smtp", "submission", ... as in the configuration and the endpoint file. */
extern const char *const srv_protocol_name[SRV_PROTOCOLS];

/* TLS from the first byte (RFC 8314): cannot be without a certificate. */
bool config_implicit_tls(enum srv_protocol p);

struct config_listen {
	enum srv_protocol protocol;
	char **addresses; /* "*", "127.0.0.1", "::1" */
	size_t n_addresses;
	uint16_t *ports; /* 0: a free one (demo only) */
	size_t n_ports;
	char *socket; /* LMTP: a unix socket too; or NULL */
	unsigned socket_mode;
	struct net_ranges networks; /* who may connect; none: everybody */
	struct net_ranges proxy;    /* who says for whom it connects (PROXY) */
	struct net_ranges xclient;  /* SMTP and LMTP: the same with XCLIENT */
};

struct config_tls {
	char *certificate; /* PEM chain */
	char *key;
};

/* What follows from who sent a message (smtp/verify.h). */
struct config_trust {
	bool mark_only; /* dmarc = "mark" */
	bool dmarc_reports;
	enum trust_on_fail spf_fail;
	char **arc_sealers; /* domains, canonical */
	size_t n_arc_sealers;
};

/* The measure of strangers (smtp/policy.h). */
struct config_smtp {
	unsigned connections_per_minute, messages_per_minute;
	unsigned first_time_delay, greylist; /* seconds */
	char **blocklists;
	size_t n_blocklists;
};

struct config {
	char *path;	/* as given; NULL: built-in defaults */
	char *hostname; /* default: the machine's */
	char *data;
	char *admin_contact;	/* a URI, told to IMAP clients; or NULL */
	struct config_tls *tls; /* [0] is the default certificate */
	size_t n_tls;
	struct config_listen *listens; /* default: all but LMTP */
	size_t n_listens;
	bool scram; /* SCRAM is offered; default false */
	struct client_hide *hides;
	size_t n_hides;
	unsigned threads; /* loops; 0: one per core */
	int log_level;	  /* enum log_level; default info */
	struct {
		uint64_t message_size;	     /* 50M */
		unsigned recipients;	     /* 1000 */
		unsigned connections;	     /* in all; 8192 */
		unsigned connections_per_ip; /* 30; loopback exempt */
		uint64_t free_space;	     /* floor; 0: the engine's default */
	} limits;
	bool share_with_anyone; /* imap */
	struct config_smtp smtp;
	struct config_trust trust;
	struct {
		unsigned days; /* 30; 0: no decision records */
		uint64_t size; /* 1G */
	} trace;
	struct {
		bool enabled;	/* default true */
		char **servers; /* "192.0.2.1", "127.0.0.1@5353"; none: the system's */
		size_t n_servers;
		bool recurse;
		char *trust_anchor; /* NULL: the system's; "": nothing is validated */
		unsigned timeout;   /* seconds, of one question */
	} dns;
};

/*
 * Reads and checks. path NULL: CONFIG_DEFAULT_PATH, and the defaults when it
 * does not exist. 0 and *out (config_free), or -EINVAL / -errno with the
 * whole line in text: "FILE:LINE: what, and what was expected".
 */
int config_load(const char *path, struct config **out, char text[CONFIG_TEXT_MAX]);
/* Defaults with this data directory and hostname (both copied). */
struct config *config_default(const char *data, const char *hostname);
void config_free(struct config **cp);
/* "50M", "1G", "4096": bytes, powers of 1024. 0 or -EINVAL. */
int config_parse_size(struct slice s, uint64_t *out);

#endif
