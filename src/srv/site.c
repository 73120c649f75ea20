/*
 * Opening a data directory: directories and their modes, the engine, the mail
 * store, the directory of accounts, the decision records, in this order;
 * closing in reverse.
 */
#include "srv/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes dir if it is missing; refuses one that others may enter (OS-01). */
static int private_dir(const char *path, struct err *e)
{
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		return err_set(e, -errno, "cannot make the directory", "%s", path);
	}
	if (lstat(path, &st) != 0) {
		return err_set(e, -errno, "cannot look at the directory", "%s", path);
	}
	if (!S_ISDIR(st.st_mode)) {
		return err_set(e, -ENOTDIR, "not a directory", "%s", path);
	}
	if (st.st_uid != geteuid()) {
		return err_set(e, -EPERM, "the directory belongs to another user", "%s", path);
	}
	if (st.st_mode & 077) {
		return err_set(e, -EPERM, "others may enter the directory (chmod 700 it)", "%s",
			       path);
	}
	return 0;
}

static char *join(const char *dir, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int open_kv(const struct config *c, struct site *s, struct err *e)
{
	struct kv_local_opts o = { .free_floor = c->limits.free_space };
	char *dir = join(c->data, "kv");
	int r;

	if (!dir) {
		return -ENOMEM;
	}
	o.dir = dir;
	r = kv_local_open(&o, &s->kv, e);
	free(dir);
	return r;
}

CO_FN static int open_all(const struct site_opts *o, struct site *s, struct err *e)
{
	struct store_opts so = {
		.loops = o->loops,
		.n_loops = o->n_loops,
		.message_max = o->config->limits.message_size,
	};
	struct auth_opts ao = {
		.argon_memory_kib = o->argon_memory_kib,
		.argon_passes = o->argon_passes,
		.scram = o->config->scram,
	};
	struct trace_opts to = {
		.days = o->config->trace.days,
		.size = o->config->trace.size,
	};
	struct tally_opts lo = { .on = o->config->trust.dmarc_reports };
	int r = private_dir(o->config->data, e);

	if (r != 0) {
		return r;
	}
	s->tmp_dir = join(o->config->data, "tmp");
	r = s->tmp_dir ? private_dir(s->tmp_dir, e) : -ENOMEM;
	if (r != 0) {
		return r;
	}
	r = open_kv(o->config, s, e);
	if (r != 0) {
		return r;
	}
	so.kv = ao.kv = to.kv = lo.kv = s->kv;
	so.tmp_dir = s->tmp_dir;
	r = store_open(&so, &s->store, e);
	r = r ? r : auth_open(&ao, &s->auth, e);
	r = r ? r : trace_open(&to, &s->trace, e);
	return r ? r : tally_open(&lo, &s->tally, e);
}

int site_open(const struct site_opts *o, struct site *out, struct err *e)
{
	struct site s = { 0 };
	int r = open_all(o, &s, e);

	if (r != 0) {
		site_close(&s);
		return r;
	}
	*out = s;
	return 0;
}

void site_close(struct site *s)
{
	co_enter();
	tally_close(&s->tally);
	trace_close(&s->trace);
	auth_close(&s->auth);
	store_close(&s->store);
	kv_close(&s->kv);
	free(s->tmp_dir);
	*s = (struct site){ 0 };
}
