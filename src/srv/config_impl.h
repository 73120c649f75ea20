/* What the files of the configuration share; nobody else includes this. */
#ifndef SRV_CONFIG_IMPL_H
#define SRV_CONFIG_IMPL_H

#include <confuse.h>

#include "srv/config.h"

/* config_listen.c: the grammar of a listen section, its checks, its values. */
extern cfg_opt_t config_listen_opts[];
void config_check_listens(cfg_t *cfg);
void config_take_listens(struct config *c, cfg_t *cfg);
/* Every protocol but LMTP, on its own ports. */
void config_listen_everywhere(struct config *c);
void config_free_listens(struct config *c);

/* config_trust.c: the section "trust". */
extern cfg_opt_t config_trust_opts[];
void config_check_trust(cfg_t *cfg);
void config_take_trust(struct config *c, cfg_t *cfg);
void config_free_trust(struct config *c);

/* config_smtp.c: the section "smtp". */
extern cfg_opt_t config_smtp_opts[];
void config_check_smtp(cfg_t *cfg);
void config_take_smtp(struct config *c, cfg_t *cfg);
void config_free_smtp(struct config *c);
/* Lists of domains: each is checked, and kept in its canonical form. */
int config_check_domains(cfg_t *cfg, cfg_opt_t *opt);
char **config_take_domains(cfg_t *sec, const char *name, size_t *n_out);
void config_free_domains(char **v, size_t n);

/* config_dns.c: the same of the dns section. */
extern cfg_opt_t config_dns_opts[];
void config_check_dns(cfg_t *cfg);
void config_default_dns(struct config *c);
/* 0, or -EINVAL with the line in text. */
int config_take_dns(struct config *c, cfg_t *sec, const char *path, char text[CONFIG_TEXT_MAX]);
void config_free_dns(struct config *c);

/* config.c */
int config_check_path(cfg_t *cfg, cfg_opt_t *opt);

#endif
