/* The rig's DNS and its measure of strangers: actions of README.md. */
#ifndef SCRIPT_RIG_TRUST_H
#define SCRIPT_RIG_TRUST_H

#include "line/session.h"
#include "smtp/policy.h"

#define RIG_WORD_MAX 128

struct rig_trust {
	struct dns *dns;
	struct policy *policy;
	struct policy_opts opts;
	const char *list, *sealer;
	char blocklist[RIG_WORD_MAX], arc_sealer[RIG_WORD_MAX];
};

/* 0; -EINVAL: wrong words; 1: no action of this kind. */
int rig_trust_do(struct rig_trust *t, struct proto_env *env, struct slice verb, struct slice arg,
		 struct slice rest);
void rig_trust_fini(struct rig_trust *t);

#endif
