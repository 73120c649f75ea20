/* The dns section of postrider.conf: whom the server asks. See config_impl.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/dns.h"
#include "srv/config_impl.h"

cfg_opt_t config_dns_opts[] = { CFG_BOOL("enabled", cfg_true, CFGF_NONE),
				CFG_STR_LIST("servers", NULL, CFGF_NODEFAULT),
				CFG_BOOL("recurse", cfg_false, CFGF_NONE),
				CFG_STR("trust_anchor", NULL, CFGF_NODEFAULT),
				CFG_INT("timeout", DNS_TIMEOUT_MS / 1000, CFGF_NONE),
				CFG_END() };

static int check_servers(cfg_t *cfg, cfg_opt_t *opt)
{
	struct net_addr a;

	for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
		const char *text = cfg_opt_getnstr(opt, i);

		if (dns_server_parse(slice_cstr(text), &a) != 0) {
			cfg_error(cfg,
				  "servers: \"%.100s\": expected an address, or "
				  "address@port",
				  text);
			return -1;
		}
	}
	return 0;
}

static int check_anchor(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (text[0] != '/' && strcmp(text, "none") != 0) {
		cfg_error(cfg, "trust_anchor = \"%.100s\": expected an absolute path, or none",
			  text);
		return -1;
	}
	return 0;
}

static int check_timeout(cfg_t *cfg, cfg_opt_t *opt)
{
	long n = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	if (n < 1 || n > 60) {
		cfg_error(cfg, "timeout = %ld: expected 1 to 60 seconds", n);
		return -1;
	}
	return 0;
}

void config_check_dns(cfg_t *cfg)
{
	cfg_set_validate_func(cfg, "dns|servers", check_servers);
	cfg_set_validate_func(cfg, "dns|trust_anchor", check_anchor);
	cfg_set_validate_func(cfg, "dns|timeout", check_timeout);
}

void config_default_dns(struct config *c)
{
	c->dns.enabled = true;
	c->dns.timeout = DNS_TIMEOUT_MS / 1000;
}

int config_take_dns(struct config *c, cfg_t *sec, const char *path, char text[CONFIG_TEXT_MAX])
{
	const char *anchor = cfg_getstr(sec, "trust_anchor");
	unsigned n = cfg_size(sec, "servers");

	c->dns.enabled = cfg_getbool(sec, "enabled");
	c->dns.recurse = cfg_getbool(sec, "recurse");
	c->dns.timeout = (unsigned)cfg_getint(sec, "timeout");
	if (n > 0 && c->dns.recurse) {
		snprintf(text, CONFIG_TEXT_MAX, "%s:%d: dns: expected either servers or recurse",
			 path, sec->line);
		return -EINVAL;
	}
	c->dns.servers = xcalloc(n ? n : 1, sizeof(*c->dns.servers));
	for (unsigned i = 0; i < n; i++) {
		c->dns.servers[c->dns.n_servers++] = xstrdup(cfg_getnstr(sec, "servers", i));
	}
	if (anchor) {
		c->dns.trust_anchor = xstrdup(strcmp(anchor, "none") == 0 ? "" : anchor);
	}
	return 0;
}

void config_free_dns(struct config *c)
{
	for (size_t i = 0; i < c->dns.n_servers; i++) {
		free(c->dns.servers[i]);
	}
	free(c->dns.servers);
	free(c->dns.trust_anchor);
}
