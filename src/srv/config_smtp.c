/* The section "smtp": the measure of strangers. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "srv/config_impl.h"
#include "trust/domain.h"

#define COUNT_MAX 1000000
#define DELAY_MAX 120 /* seconds; clients wait 10 minutes at least */
#define GREYLIST_MAX 3600

cfg_opt_t config_smtp_opts[] = { CFG_INT("connections_per_minute", 120, CFGF_NONE),
				 CFG_INT("messages_per_minute", 200, CFGF_NONE),
				 CFG_INT("first_time_delay", 15, CFGF_NONE),
				 CFG_INT("greylist", 0, CFGF_NONE),
				 CFG_STR_LIST("blocklists", NULL, CFGF_NODEFAULT),
				 CFG_END() };

static int check_range(cfg_t *cfg, cfg_opt_t *opt, long max)
{
	long n = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	if (n < 0 || n > max) {
		cfg_error(cfg, "%s = %ld: expected 0 (off) to %ld", cfg_opt_name(opt), n, max);
		return -1;
	}
	return 0;
}

static int check_rate(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, COUNT_MAX);
}

static int check_delay(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, DELAY_MAX);
}

static int check_greylist(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, GREYLIST_MAX);
}

int config_check_domains(cfg_t *cfg, cfg_opt_t *opt)
{
	for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
		const char *name = cfg_opt_getnstr(opt, i);
		struct buf b = BUF_INIT(1024);
		int r = trust_domain_canon(slice_cstr(name), &b);

		buf_fini(&b);
		if (r != 0) {
			cfg_error(cfg, "%s: \"%.100s\": expected a domain", cfg_opt_name(opt),
				  name);
			return -1;
		}
	}
	return 0;
}

char **config_take_domains(cfg_t *sec, const char *name, size_t *n_out)
{
	unsigned n = cfg_size(sec, name);
	char **v = calloc(n ? n : 1, sizeof(*v));

	if (!v) {
		BUG("out of memory");
	}
	for (unsigned i = 0; i < n; i++) {
		struct buf b = BUF_INIT(1024);

		trust_domain_canon(slice_cstr(cfg_getnstr(sec, name, i)), &b);
		v[i] = strdup(buf_cstr(&b));
		if (!v[i]) {
			BUG("out of memory");
		}
		buf_fini(&b);
	}
	*n_out = n;
	return v;
}

void config_free_domains(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i]);
	}
	free(v);
}

void config_check_smtp(cfg_t *cfg)
{
	cfg_set_validate_func(cfg, "smtp|connections_per_minute", check_rate);
	cfg_set_validate_func(cfg, "smtp|messages_per_minute", check_rate);
	cfg_set_validate_func(cfg, "smtp|first_time_delay", check_delay);
	cfg_set_validate_func(cfg, "smtp|greylist", check_greylist);
	cfg_set_validate_func(cfg, "smtp|blocklists", config_check_domains);
}

void config_take_smtp(struct config *c, cfg_t *cfg)
{
	cfg_t *sec = cfg_getsec(cfg, "smtp");

	c->smtp.connections_per_minute = (unsigned)cfg_getint(sec, "connections_per_minute");
	c->smtp.messages_per_minute = (unsigned)cfg_getint(sec, "messages_per_minute");
	c->smtp.first_time_delay = (unsigned)cfg_getint(sec, "first_time_delay");
	c->smtp.greylist = (unsigned)cfg_getint(sec, "greylist");
	c->smtp.blocklists = config_take_domains(sec, "blocklists", &c->smtp.n_blocklists);
}

void config_free_smtp(struct config *c)
{
	config_free_domains(c->smtp.blocklists, c->smtp.n_blocklists);
}
