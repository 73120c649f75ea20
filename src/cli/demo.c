/*
 * demo: a whole server on loopback in a second, with three accounts.
 *
 * Everything lives in one directory: --dir keeps it (and the passwords) for
 * the next time, else it is temporary and removed at the end. Logins without
 * TLS are allowed, since only loopback is listened on. Prints all that a mail
 * program needs, and lines to paste; --json writes the same for programs, once
 * everything listens. Nobody on the network is asked anything, unless --dns names
 * a server.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/rand.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "io/tls.h"
#include "srv/admin.h"
#include "srv/server.h"

#define DEMO_DOMAIN "example.test"
#define DEMO_HOST "localhost"
#define DEMO_NAME ("mail." DEMO_DOMAIN)
#define PASSWORD_LEN 26 /* 128 bits */
#define CERT_DAYS 30
#define DAY (24 * 60 * 60)
/* A password hash that is real and yet quick (OWASP's minimum). */
#define ARGON_KIB 19456
#define ARGON_PASSES 2

static const char *const users[] = { "alice", "bob", "carol" };
static const uint16_t offsets[SRV_PROTOCOLS] = {
	[SRV_SMTP] = 25,   [SRV_SUBMISSION] = 587, [SRV_SUBMISSIONS] = 465, [SRV_POP3] = 110,
	[SRV_POP3S] = 995, [SRV_IMAP] = 143,	   [SRV_IMAPS] = 993,
};

struct demo {
	struct cli *c;
	const char *json_path;
	const char *dns; /* the only server that is asked, or NULL */
	char *dir;
	char *tls_dir;
	char *ca;
	char *control;
	char passwords[ARRAY_LEN(users)][PASSWORD_LEN + 1];
	bool wrote_json;
};

/* ---- state -------------------------------------------------------------- */

static bool load_passwords(struct demo *d, const char *path)
{
	json_t *o = json_load_file(path, 0, NULL);
	bool ok = o != NULL;

	for (size_t i = 0; ok && i < ARRAY_LEN(users); i++) {
		const char *p = json_string_value(json_object_get(o, users[i]));

		ok = p && slice_copy(slice_cstr(p), d->passwords[i], sizeof(d->passwords[i])) == 0;
	}
	json_decref(o);
	return ok;
}

static int make_passwords(struct demo *d, const char *path)
{
	json_t *o = json_object();
	char *text;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		rand_text(d->passwords[i], PASSWORD_LEN);
		json_object_set_new(o, users[i], json_string(d->passwords[i]));
	}
	text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	r = text ? files_write(path, slice_cstr(text), 0600) : -ENOMEM;
	free(text);
	return r;
}

static int passwords(struct demo *d)
{
	char *path = files_join(d->dir, "demo-passwords.json");
	int r = load_passwords(d, path) ? 0 : make_passwords(d, path);

	if (r != 0) {
		errno = -r;
		r = cli_fail(d->c, "cannot write %s: %m", path);
	}
	free(path);
	return r;
}

/*
 * Is there a whole certificate from an earlier run, good for a day yet?
 * tls_make_cert writes the key, the chain and the CA in this order. It is
 * kept, so that a program which knows the CA goes on to trust it, and so that
 * a second demo in the same directory (refused later, since the first has it)
 * does not take the first one's CA away.
 */
static bool have_certificate(const struct demo *d)
{
	static const char *const names[] = { "key.pem", "cert.pem", "ca.pem" };
	struct timespec last = { 0 };
	bool ok = true;

	for (size_t i = 0; ok && i < ARRAY_LEN(names); i++) {
		char *path = files_join(d->tls_dir, names[i]);
		struct stat st;

		ok = stat(path, &st) == 0 &&
		     (st.st_mtim.tv_sec > last.tv_sec ||
		      (st.st_mtim.tv_sec == last.tv_sec && st.st_mtim.tv_nsec >= last.tv_nsec));
		last = ok ? st.st_mtim : last;
		free(path);
	}
	return ok && time(NULL) - last.tv_sec < (CERT_DAYS - 1) * DAY;
}

static int make_certificate(struct demo *d)
{
	const char *names[] = { DEMO_HOST, "127.0.0.1", "::1", DEMO_NAME };
	struct err e = ERR_INIT;
	char text[256];

	if (mkdir(d->tls_dir, 0700) != 0 && errno != EEXIST) {
		return cli_fail(d->c, "cannot make %s: %m", d->tls_dir);
	}
	if (have_certificate(d)) {
		return CLI_DONE;
	}
	if (tls_make_cert(d->tls_dir, names, ARRAY_LEN(names), CERT_DAYS, &e) != 0) {
		return cli_fail(d->c, "%s", err_str(&e, text, sizeof(text)));
	}
	return CLI_DONE;
}

static int make_state(struct demo *d)
{
	int r;

	if (mkdir(d->dir, 0700) != 0 && errno != EEXIST) {
		return cli_fail(d->c, "cannot make the directory %s: %m", d->dir);
	}
	r = passwords(d);
	return r == CLI_DONE ? make_certificate(d) : r;
}

/* ---- what the server asks of us ----------------------------------------- */

/* One account with its password, whether it is there already or not. */
CO_FN static int make_account(struct site *site, const char *user, const char *password,
			      struct err *e)
{
	static const char *const verbs[] = { "account.add", "account.password" };
	char address[64];
	bool ok = false;

	snprintf(address, sizeof(address), "%s@" DEMO_DOMAIN, user);
	for (size_t i = 0; !ok && i < ARRAY_LEN(verbs); i++) {
		json_t *q = json_pack("{s:s, s:s, s:s}", "verb", verbs[i], "address", address,
				      "password", password);
		json_t *a = admin_call(site, NULL, q);

		ok = json_is_true(json_object_get(a, "ok"));
		if (!ok) {
			err_set(e, -EIO, "cannot make the account", "%s: %s", address,
				json_string_value(json_object_get(a, "error")));
		}
		json_decref(a);
		json_decref(q);
	}
	return ok ? 0 : -EIO;
}

static int prepare(void *arg, struct site *site, struct err *e)
{
	struct demo *d = arg;
	json_t *q = json_pack("{s:s, s:s}", "verb", "domain.add", "domain", DEMO_DOMAIN);
	int r = 0;

	co_enter();
	json_decref(admin_call(site, NULL, q)); /* there already: just as well */
	json_decref(q);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(users); i++) {
		r = make_account(site, users[i], d->passwords[i], e);
	}
	return r;
}

static json_t *endpoints(const struct demo *d, const struct server_ports *p)
{
	json_t *ports = json_object();
	json_t *accounts = json_array();

	for (size_t i = 0; i < SRV_PROTOCOLS; i++) {
		if (p->port[i] == 0) {
			continue;
		}
		json_object_set_new(ports, srv_protocol_name[i], json_integer(p->port[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		char address[64];

		snprintf(address, sizeof(address), "%s@" DEMO_DOMAIN, users[i]);
		json_array_append_new(accounts, json_pack("{s:s, s:s}", "address", address,
							  "password", d->passwords[i]));
	}
	return json_pack("{s:s, s:o, s:s, s:s, s:o, s:s, s:i}", "host", DEMO_HOST, "ports", ports,
			 "ca", d->ca, "domain", DEMO_DOMAIN, "accounts", accounts, "control",
			 d->control, "pid", (int)getpid());
}

static void write_json(struct demo *d, const struct server_ports *p)
{
	json_t *o = endpoints(d, p);
	char *text = json_dumps(o, JSON_INDENT(2));
	int r = text ? files_write(d->json_path, slice_cstr(text), 0600) : -ENOMEM;

	free(text);
	json_decref(o);
	d->wrote_json = r == 0;
	if (r != 0) {
		errno = -r;
		cli_fail(d->c, "cannot write %s: %m", d->json_path);
	}
}

static void print_all(const struct demo *d, const struct server_ports *p)
{
	printf("Postrider demo is running. Ctrl-C ends it.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		printf("  account      %s@" DEMO_DOMAIN "  password %s\n", users[i],
		       d->passwords[i]);
	}
	printf("  host         " DEMO_HOST "\n");
	for (size_t i = 0; i < SRV_PROTOCOLS; i++) {
		if (p->port[i]) {
			printf("  %-12s %u\n", srv_protocol_name[i], p->port[i]);
		}
	}
	printf("  CA           %s\n  control      %s\n\n", d->ca, d->control);
	printf("Send a mail:\n"
	       "  printf 'Subject: hello\\n\\nIt works.\\n' | curl -sS "
	       "smtp://" DEMO_HOST ":%u --mail-from me@example.org "
	       "--mail-rcpt alice@" DEMO_DOMAIN " --crlf -T -\n"
	       "  swaks --server " DEMO_HOST ":%u --from me@example.org "
	       "--to alice@" DEMO_DOMAIN "\n"
	       "Read it:\n"
	       "  curl -sS --cacert %s -u 'alice@" DEMO_DOMAIN ":%s' "
	       "'imaps://" DEMO_HOST ":%u/INBOX;UID=1'\n"
	       "  curl -sS --cacert %s -u 'alice@" DEMO_DOMAIN ":%s' "
	       "pop3s://" DEMO_HOST ":%u/1\n",
	       p->port[SRV_SMTP], p->port[SRV_SMTP], d->ca, d->passwords[0], p->port[SRV_IMAPS],
	       d->ca, d->passwords[0], p->port[SRV_POP3S]);
	fflush(stdout);
}

static void ready(void *arg, const struct server_ports *ports)
{
	struct demo *d = arg;

	print_all(d, ports);
	if (d->json_path) {
		write_json(d, ports);
	}
}

/* ---- running ------------------------------------------------------------ */

/* The default configuration, on loopback and on the demo's ports. */
static struct config *demo_config(const struct demo *d, unsigned base)
{
	struct config *f = config_default(d->dir, DEMO_NAME);

	f->dns.enabled = d->dns != NULL;
	if (d->dns) {
		f->dns.servers = xcalloc(1, sizeof(*f->dns.servers));
		f->dns.servers[0] = xstrdup(d->dns);
		f->dns.n_servers = 1;
		f->dns.trust_anchor = xstrdup(""); /* whose zones are not signed */
	}
	f->scram = true; /* its passwords cannot be guessed */
	for (size_t i = 0; i < f->n_listens; i++) {
		struct config_listen *l = &f->listens[i];

		for (size_t k = 0; k < l->n_addresses; k++) {
			free(l->addresses[k]);
		}
		l->addresses[0] = xstrdup("127.0.0.1");
		l->n_addresses = 1;
		l->ports[0] = (uint16_t)(base ? base + offsets[l->protocol] : 0);
		l->n_ports = 1;
	}
	for (size_t i = 0; i < f->n_tls; i++) {
		free(f->tls[i].certificate);
		free(f->tls[i].key);
	}
	free(f->tls);
	f->tls = xcalloc(1, sizeof(*f->tls));
	f->n_tls = 1;
	f->tls[0].certificate = files_join(d->tls_dir, "cert.pem");
	f->tls[0].key = files_join(d->tls_dir, "key.pem");
	return f;
}

static int serve_demo(struct demo *d, unsigned base)
{
	struct config *f = demo_config(d, base);
	struct server_opts o = {
		.config = f,
		.cleartext_loopback = true,
		.argon_memory_kib = ARGON_KIB,
		.argon_passes = ARGON_PASSES,
		.prepare = prepare,
		.ready = ready,
		.arg = d,
	};
	struct err e = ERR_INIT;
	char text[256];
	int r = CLI_DONE;

	if (server_run(&o, &e) != 0) {
		r = cli_fail(d->c, "%s", err_str(&e, text, sizeof(text)));
	}
	if (d->wrote_json) {
		unlink(d->json_path);
	}
	config_free(&f);
	return r;
}

static int run(struct demo *d, const char *dir, unsigned base)
{
	char tmp[] = "/tmp/postrider-demo-XXXXXX";
	int r;

	if (!dir && !mkdtemp(tmp)) {
		return cli_fail(d->c, "cannot make a directory in /tmp: %m");
	}
	d->dir = files_absolute(dir ? dir : tmp);
	d->tls_dir = files_join(d->dir, "tls");
	d->ca = files_join(d->tls_dir, "ca.pem");
	d->control = files_join(d->dir, "control.sock");
	r = make_state(d);
	if (r == CLI_DONE) {
		r = serve_demo(d, base);
	}
	if (!dir) {
		files_remove_tree(d->dir);
	}
	free(d->dir);
	free(d->tls_dir);
	free(d->ca);
	free(d->control);
	explicit_bzero(d->passwords, sizeof(d->passwords));
	return r;
}

int cli_demo(struct cli *c)
{
	struct demo d = { .c = c };
	const char *dir = NULL, *ports = "10000";
	uint32_t base;
	const struct cli_option options[] = {
		{ "--dir", &dir, NULL },
		{ "--ports", &ports, NULL },
		{ "--json", &d.json_path, NULL },
		{ "--dns", &d.dns, NULL },
		{ 0 },
	};
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc || slice_u32(slice_cstr(ports), &base) != 0 || base > 65535 - 995) {
		return cli_misuse(c, "demo takes --dir DIR, --ports BASE (0 to "
				     "64540), --json FILE and --dns ADDRESS[@PORT]");
	}
	return run(&d, dir, base);
}
