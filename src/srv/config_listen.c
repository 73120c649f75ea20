/*
 * Sections "listen" of postrider.conf: which protocol, where, and who is let
 * in or believed (config_impl.h).
 */
#include <stdlib.h>
#include <string.h>

#include "srv/config_impl.h"

#define SOCKET_PATH_MAX 107 /* unix(7), less its NUL */

/* A unix socket's mode is octal text, so that nobody writes 660 for 0660. */
cfg_opt_t config_listen_opts[] = { CFG_STR_LIST("addresses", NULL, CFGF_NODEFAULT),
				   CFG_INT_LIST("ports", NULL, CFGF_NODEFAULT),
				   CFG_STR("socket", NULL, CFGF_NODEFAULT),
				   CFG_STR("socket_mode", "0660", CFGF_NONE),
				   CFG_STR_LIST("networks", NULL, CFGF_NODEFAULT),
				   CFG_STR_LIST("proxy", NULL, CFGF_NODEFAULT),
				   CFG_STR_LIST("xclient", NULL, CFGF_NODEFAULT),
				   CFG_END() };

static const uint16_t default_ports[SRV_PROTOCOLS][2] = {
	[SRV_SMTP] = { 25, 2525 }, [SRV_SUBMISSION] = { 587, 0 }, [SRV_SUBMISSIONS] = { 465, 0 },
	[SRV_POP3] = { 110, 0 },   [SRV_POP3S] = { 995, 0 },	  [SRV_IMAP] = { 143, 0 },
	[SRV_IMAPS] = { 993, 0 },  [SRV_LMTP] = { 24, 0 },
};

static int protocol_of(const char *name)
{
	for (int i = 0; i < SRV_PROTOCOLS; i++) {
		if (strcmp(srv_protocol_name[i], name) == 0) {
			return i;
		}
	}
	return -1;
}

/* ---- checks ------------------------------------------------------------- */

static int check_listen(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *sec = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	if (protocol_of(cfg_title(sec)) < 0) {
		cfg_error(cfg,
			  "listen %s: expected smtp, submission, submissions, "
			  "pop3, pop3s, imap, imaps or lmtp",
			  cfg_title(sec));
		return -1;
	}
	return 0;
}

static int check_ports(cfg_t *cfg, cfg_opt_t *opt)
{
	for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
		long port = cfg_opt_getnint(opt, i);

		if (port < 1 || port > 65535) {
			cfg_error(cfg, "port %ld: expected 1 to 65535", port);
			return -1;
		}
	}
	return 0;
}

static int check_addresses(cfg_t *cfg, cfg_opt_t *opt)
{
	struct net_addr a;

	for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
		const char *text = cfg_opt_getnstr(opt, i);

		if (net_addr_parse(slice_cstr(text), 1, &a) != 0) {
			cfg_error(cfg,
				  "address \"%s\": expected \"*\", an IPv4 or "
				  "an IPv6 address",
				  text);
			return -1;
		}
	}
	return 0;
}

static int check_networks(cfg_t *cfg, cfg_opt_t *opt)
{
	struct net_range r;

	for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
		const char *text = cfg_opt_getnstr(opt, i);

		if (net_range_parse(slice_cstr(text), &r) != 0) {
			cfg_error(cfg,
				  "%s: \"%s\": expected an address or a network such as "
				  "\"10.0.0.0/8\" or \"2001:db8::/32\"",
				  cfg_opt_name(opt), text);
			return -1;
		}
	}
	return 0;
}

/* Does this option of the section make sense for its protocol? */
static bool only_for(cfg_t *cfg, cfg_opt_t *opt, const char *which)
{
	cfg_error(cfg, "listen %s: %s is for %s only", cfg_title(cfg), cfg_opt_name(opt), which);
	return false;
}

static int check_xclient(cfg_t *cfg, cfg_opt_t *opt)
{
	switch (protocol_of(cfg_title(cfg))) {
	case SRV_SMTP:
	case SRV_SUBMISSION:
	case SRV_SUBMISSIONS:
	case SRV_LMTP:
		return check_networks(cfg, opt);
	default:
		only_for(cfg, opt, "smtp, submission, submissions and lmtp");
		return -1;
	}
}

static int check_socket(cfg_t *cfg, cfg_opt_t *opt)
{
	if (protocol_of(cfg_title(cfg)) != SRV_LMTP) {
		only_for(cfg, opt, "lmtp");
		return -1;
	}
	if (config_check_path(cfg, opt) != 0) {
		return -1;
	}
	if (slice_cstr(cfg_opt_getnstr(opt, 0)).n > SOCKET_PATH_MAX) {
		cfg_error(cfg, "%s: expected at most %d bytes", cfg_opt_name(opt), SOCKET_PATH_MAX);
		return -1;
	}
	return 0;
}

/* 0ooo. 0 or -EINVAL. */
static int parse_mode(const char *text, unsigned *out)
{
	unsigned n = 0;

	if (text[0] != '0' || text[1] == '\0') {
		return -EINVAL;
	}
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '7' || p - text > 3) {
			return -EINVAL;
		}
		n = n * 8 + (unsigned)(*p - '0');
	}
	*out = n;
	return 0;
}

static int check_mode(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, 0);
	unsigned mode;

	if (protocol_of(cfg_title(cfg)) != SRV_LMTP) {
		only_for(cfg, opt, "lmtp");
		return -1;
	}
	if (parse_mode(text, &mode) != 0) {
		cfg_error(cfg, "socket_mode = \"%s\": expected an octal mode such as \"0660\"",
			  text);
		return -1;
	}
	return 0;
}

void config_check_listens(cfg_t *cfg)
{
	cfg_set_validate_func(cfg, "listen", check_listen);
	cfg_set_validate_func(cfg, "listen|ports", check_ports);
	cfg_set_validate_func(cfg, "listen|addresses", check_addresses);
	cfg_set_validate_func(cfg, "listen|socket", check_socket);
	cfg_set_validate_func(cfg, "listen|socket_mode", check_mode);
	cfg_set_validate_func(cfg, "listen|networks", check_networks);
	cfg_set_validate_func(cfg, "listen|proxy", check_networks);
	cfg_set_validate_func(cfg, "listen|xclient", check_xclient);
}

/* ---- values ------------------------------------------------------------- */

static void set_addresses(struct config_listen *l, const char *const *v, size_t n)
{
	for (size_t i = 0; i < l->n_addresses; i++) {
		free(l->addresses[i]);
	}
	free(l->addresses);
	l->addresses = xcalloc(n ? n : 1, sizeof(*l->addresses));
	l->n_addresses = n;
	for (size_t i = 0; i < n; i++) {
		l->addresses[i] = xstrdup(v[i]);
	}
}

static void set_ranges(struct net_ranges *r, const char *const *v, size_t n)
{
	free(r->v);
	r->v = xcalloc(n ? n : 1, sizeof(*r->v));
	r->n = n;
	for (size_t i = 0; i < n; i++) {
		if (net_range_parse(slice_cstr(v[i]), &r->v[i]) != 0) {
			BUG("a network that was checked");
		}
	}
}

static void set_ports(struct config_listen *l, const uint16_t *ports, size_t n)
{
	free(l->ports);
	l->ports = xcalloc(n ? n : 1, sizeof(*l->ports));
	memcpy(l->ports, ports, n * sizeof(*ports));
	l->n_ports = n;
}

static void default_listen(struct config_listen *l, enum srv_protocol p)
{
	static const char *const all[] = { "*" };
	static const char *const own[] = { "127.0.0.1", "::1" };
	static const char *const near[] = { "127.0.0.0/8", "::1" };

	l->protocol = p;
	set_ports(l, default_ports[p], default_ports[p][1] ? 2 : 1);
	if (p == SRV_LMTP) {
		/* RFC 2033 5: not over wide area networks */
		set_addresses(l, own, ARRAY_LEN(own));
		set_ranges(&l->networks, near, ARRAY_LEN(near));
	} else {
		set_addresses(l, all, ARRAY_LEN(all));
	}
}

void config_listen_everywhere(struct config *c)
{
	c->listens = xcalloc(SRV_PROTOCOLS, sizeof(*c->listens));
	for (size_t i = 0; i < SRV_PROTOCOLS; i++) {
		if (i != SRV_LMTP) {
			default_listen(&c->listens[c->n_listens++], (enum srv_protocol)i);
		}
	}
}

/* The texts of a list; free() it. */
static const char **texts(cfg_t *sec, const char *name, size_t *n)
{
	const char **v;

	*n = cfg_size(sec, name);
	v = xcalloc(*n ? *n : 1, sizeof(*v));
	for (size_t i = 0; i < *n; i++) {
		v[i] = cfg_getnstr(sec, name, (unsigned)i);
	}
	return v;
}

static void take_ranges(struct net_ranges *r, cfg_t *sec, const char *name)
{
	size_t n;
	const char **v = texts(sec, name, &n);

	if (n) {
		set_ranges(r, v, n);
	}
	free(v);
}

static void take_ports(struct config_listen *l, cfg_t *sec)
{
	unsigned n = cfg_size(sec, "ports");
	uint16_t *ports = xcalloc(n ? n : 1, sizeof(*ports));

	for (unsigned i = 0; i < n; i++) {
		ports[i] = (uint16_t)cfg_getnint(sec, "ports", i);
	}
	if (n) {
		set_ports(l, ports, n);
	}
	free(ports);
}

static void take_listen(struct config_listen *l, cfg_t *sec)
{
	size_t n;
	const char **v = texts(sec, "addresses", &n);

	default_listen(l, (enum srv_protocol)protocol_of(cfg_title(sec)));
	if (n) {
		set_addresses(l, v, n);
	}
	free(v);
	take_ports(l, sec);
	take_ranges(&l->networks, sec, "networks");
	take_ranges(&l->proxy, sec, "proxy");
	take_ranges(&l->xclient, sec, "xclient");
	if (!cfg_getstr(sec, "socket")) {
		return;
	}
	l->socket = xstrdup(cfg_getstr(sec, "socket"));
	parse_mode(cfg_getstr(sec, "socket_mode"), &l->socket_mode);
	if (n == 0 && cfg_size(sec, "ports") == 0) {
		/* only the socket was asked for */
		set_addresses(l, NULL, 0);
	}
}

void config_take_listens(struct config *c, cfg_t *cfg)
{
	unsigned n = cfg_size(cfg, "listen");

	if (n == 0) {
		config_listen_everywhere(c);
		return;
	}
	c->listens = xcalloc(n, sizeof(*c->listens));
	for (unsigned i = 0; i < n; i++) {
		take_listen(&c->listens[i], cfg_getnsec(cfg, "listen", i));
		c->n_listens++;
	}
}

void config_free_listens(struct config *c)
{
	for (size_t i = 0; i < c->n_listens; i++) {
		struct config_listen *l = &c->listens[i];

		set_addresses(l, NULL, 0);
		free(l->addresses);
		free(l->ports);
		free(l->socket);
		free(l->networks.v);
		free(l->proxy.v);
		free(l->xclient.v);
	}
	free(c->listens);
}
