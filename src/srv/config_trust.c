/* The section "trust": DMARC, SPF and ARC, and what follows from them. */
#include "srv/config_impl.h"

#include <string.h>

#include "base/err.h"

static const char *const on_fail[] = {
	[TRUST_ON_FAIL_JUNK] = "junk",
	[TRUST_ON_FAIL_ACCEPT] = "accept",
	[TRUST_ON_FAIL_REFUSE] = "refuse",
};

cfg_opt_t config_trust_opts[] = { CFG_STR("dmarc", "enforce", CFGF_NONE),
				  CFG_BOOL("dmarc_reports", cfg_false, CFGF_NONE),
				  CFG_STR("spf_fail", "junk", CFGF_NONE),
				  CFG_STR_LIST("arc_sealers", NULL, CFGF_NODEFAULT), CFG_END() };

static const char *last(cfg_opt_t *opt)
{
	return cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
}

static int check_dmarc(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = last(opt);

	if (strcmp(text, "enforce") != 0 && strcmp(text, "mark") != 0) {
		cfg_error(cfg, "dmarc = \"%.100s\": expected enforce or mark", text);
		return -1;
	}
	return 0;
}

/* Which word; ARRAY_LEN(on_fail): none of them. */
static size_t on_fail_of(const char *text)
{
	size_t i = 0;

	while (i < ARRAY_LEN(on_fail) && strcmp(on_fail[i], text) != 0) {
		i++;
	}
	return i;
}

static int check_spf_fail(cfg_t *cfg, cfg_opt_t *opt)
{
	if (on_fail_of(last(opt)) == ARRAY_LEN(on_fail)) {
		cfg_error(cfg, "spf_fail = \"%.100s\": expected junk, accept or refuse", last(opt));
		return -1;
	}
	return 0;
}

void config_check_trust(cfg_t *cfg)
{
	cfg_set_validate_func(cfg, "trust|dmarc", check_dmarc);
	cfg_set_validate_func(cfg, "trust|spf_fail", check_spf_fail);
	cfg_set_validate_func(cfg, "trust|arc_sealers", config_check_domains);
}

void config_take_trust(struct config *c, cfg_t *cfg)
{
	struct config_trust *t = &c->trust;
	cfg_t *sec = cfg_getsec(cfg, "trust");

	t->mark_only = strcmp(cfg_getstr(sec, "dmarc"), "mark") == 0;
	t->dmarc_reports = cfg_getbool(sec, "dmarc_reports");
	t->spf_fail = (enum trust_on_fail)on_fail_of(cfg_getstr(sec, "spf_fail"));
	t->arc_sealers = config_take_domains(sec, "arc_sealers", &t->n_arc_sealers);
}

void config_free_trust(struct config *c)
{
	config_free_domains(c->trust.arc_sealers, c->trust.n_arc_sealers);
}
