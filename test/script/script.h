/*
 * script: a transcript file, read into settings and steps. README.md has the
 * format.
 */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include "base/arena.h"
#include "rig.h"

enum step_kind {
	STEP_SEND,   /* C: bytes, with what follows in the same segment */
	STEP_EXPECT, /* S: one line */
	STEP_ANY,    /* S*: lines until the next S: matches */
	STEP_ACT,    /* A: something happens elsewhere */
	STEP_CLOSED, /* E: the server has closed by itself */
	STEP_NEW     /* N: the client closes and comes again */
};

struct step {
	enum step_kind kind;
	unsigned line;	   /* in the file */
	struct slice text; /* bytes to send, pattern, or words */
	bool regex;
	enum rig_proto proto; /* STEP_NEW: what it speaks then */
};

struct script {
	struct arena arena;
	enum rig_proto proto;
	bool tls, starttls;
	bool whole; /* not also one byte at a time */
	struct net_addr peer;
	struct slice setup[64]; /* rig_do, before the session starts */
	size_t n_setup;
	struct step *steps;
	size_t n_steps;
};

/* 0; -1 after saying on stderr what is wrong and where. */
int script_read(const char *path, struct script *out);
void script_free(struct script *s);
/* Does this line match the pattern of an S: step? */
bool step_matches(const struct step *st, struct slice line);

#endif
