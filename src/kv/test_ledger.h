/*
 * A workload whose every state is known from one number, for crash tests.
 *
 * Act i is one kv_commit: it stores message i (a row that names a blob, and
 * the blob) and, unless i is a multiple of 5, removes message i-1, which may
 * lie in another partition. So after n acts the store must hold exactly the
 * messages that ledger_holds() names, each with its bytes.
 */
#ifndef KV_TEST_LEDGER_H
#define KV_TEST_LEDGER_H

#include "kv/kv.h"

/* Small segments, no floor. */
struct kv_local_opts ledger_opts(const char *dir);
/* Is message i there after n acts? */
bool ledger_holds(uint64_t i, uint64_t n);
/* The commit of act i: kv_commit's answer, or that of what failed before. */
CO_FN int ledger_act(struct kv *kv, uint64_t i);
/* Removes message i, marked as freeing. */
CO_FN int ledger_remove(struct kv *kv, uint64_t i);
/*
 * Compares all: n acts were acknowledged, one more may have happened. Returns
 * how many there are; fails the test if anything differs.
 */
CO_FN uint64_t ledger_check(struct kv *kv, uint64_t n);

#endif
