/*
 * spool: a message on its way in, before it is in the store.
 *
 * Up to SPOOL_MEM_MAX bytes stay in memory; beyond that an unlinked temporary
 * file (O_TMPFILE) in `dir` takes everything. Written once, then read as often
 * as needed. Disk writes and reads go through the offload pool. Nothing
 * survives a crash, and nothing need: no promise was made yet.
 */
#ifndef IO_SPOOL_H
#define IO_SPOOL_H

#include "base/buf.h"
#include "base/err.h"
#include "co/co.h"

#define SPOOL_MEM_MAX (256u * 1024)

struct spool;

/* dir must outlive the spool. 0, -ENOMEM. */
int spool_new(const char *dir, uint64_t max, struct spool **out);
void spool_free(struct spool **sp);
/* 0, -EMSGSIZE (above max; what was there stays), -ENOSPC, -EIO, -errno. */
CO_FN int spool_write(struct spool *s, struct slice data, struct err *e);
uint64_t spool_size(const struct spool *s);
/* Up to n bytes from off into p: bytes read, 0 at the end, -errno. */
CO_FN ssize_t spool_read(struct spool *s, uint64_t off, char *p, size_t n, struct err *e);

#endif
