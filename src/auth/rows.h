/*
 * Rows of the directory: keys, versions, commits. Shared by dir.c (domains),
 * account.c (names) and list.c. Layout: docs/format.md, "Directory".
 */
#ifndef AUTH_ROWS_H
#define AUTH_ROWS_H

#include "auth/impl.h"

#define DIR_ROW_VERSION 1
/* Of an account's row that holds more than the first version knew. */
#define DIR_ACCOUNT_VERSION 2
/* Of a domain's row that holds more than the first version knew. */
#define DIR_DOMAIN_VERSION 2
#define DIR_DOMAIN_PLUS 1
enum dir_more { DIR_SCRAM_SHA256 = 1, DIR_SCRAM_SHA1 = 2, DIR_HIDDEN = 3 };
#define DIR_DISABLED 1 /* flag of an account row */

struct dir_key {
	char b[1 + AUTH_ADDR_MAX];
	size_t n;
};
struct kv_part dir_part(uint64_t id);
struct dir_key dir_key(char kind, struct slice name);
struct dir_key dir_id_key(uint64_t id);
struct slice dir_key_slice(const struct dir_key *k);

/* A cursor behind the row's version; its error says newer or damaged. */
struct cur dir_cur(struct slice value);
int dir_cur_err(const struct cur *c);
/* enum name_kind, or -errno; row and targets may be NULL. */
int dir_read_name(struct slice value, struct account_row *row, struct buf *targets);

/* Adds the canonical name. 0; AUTH_INVALID with *e. */
int dir_canon_domain(struct slice in, struct buf *out, struct err *e);
/* A domain's own row. */
void dir_put_domain(struct kv_batch *b, const struct domain *d);

/* May this name be made (confuse.c)? 0; AUTH_INVALID or AUTH_EXISTS: it could be
 * taken for another; -errno. */
CO_FN int name_check(struct auth *a, const struct domain *d, const struct addr *at, struct err *e);

/* A batch that only commits on top of this version; NULL: no memory, which
 * dir_put, dir_del and dir_commit take. */
struct kv_batch *dir_batch(uint64_t part, uint64_t version);
void dir_put(struct kv_batch *b, const struct dir_key *k, struct buf *v);
void dir_del(struct kv_batch *b, const struct dir_key *k);
/* 0, KV_CONFLICT (look again), or -errno with *e. Frees the batches. */
CO_FN int dir_commit(struct auth *a, struct kv_batch **b, size_t n, struct err *e);
/* A number that was never given out, durable as such. */
CO_FN int dir_take_account_id(struct auth *a, uint64_t *out, struct err *e);

/* Each fills *e and returns its outcome. */
int dir_temp(struct err *e, int r); /* only if r < 0 */
int dir_contended(struct err *e);
int dir_bad_address(struct err *e, struct slice s);
int dir_not_there(struct err *e, const char *text, struct slice s);
int dir_taken(struct err *e, struct slice s);

#endif
