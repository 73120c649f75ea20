/*
 * init: a configuration, a data directory and a certificate to begin with.
 *
 * Touches nothing that exists: an existing configuration stops it. Without
 * --certificate a self-signed one is made under <data>/tls; the user is told
 * to replace it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "io/tls.h"

#define CERT_DAYS 825
#define CONF_MAX 8192

struct init {
	struct cli *c;
	const char *path;
	const char *data_arg;
	const char *hostname;
	const char *certificate;
	const char *key;
	char *data;
};

static int make_dir(struct init *in, const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) == 0) {
		return CLI_DONE;
	}
	if (errno == EEXIST && lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		return CLI_DONE;
	}
	return cli_fail(in->c, "cannot make the directory %s: %m", path);
}

/* The certificate's files as absolute paths, made if none were given. */
static int certificate(struct init *in, char **cert, char **key)
{
	const char *names[] = { in->hostname, "localhost", "127.0.0.1", "::1" };
	struct err e = ERR_INIT;
	char text[256];
	char *dir;
	int r;

	if (in->certificate) {
		*cert = files_absolute(in->certificate);
		*key = files_absolute(in->key);
		return CLI_DONE;
	}
	dir = files_join(in->data, "tls");
	*cert = files_join(dir, "cert.pem");
	*key = files_join(dir, "key.pem");
	r = make_dir(in, dir);
	if (r == CLI_DONE && access(*cert, F_OK) != 0 &&
	    tls_make_cert(dir, names, ARRAY_LEN(names), CERT_DAYS, &e) != 0) {
		r = cli_fail(in->c, "%s", err_str(&e, text, sizeof(text)));
	}
	free(dir);
	return r;
}

/* A text in double quotes as libconfuse reads it. */
static void add_quoted(struct buf *b, const char *text)
{
	buf_addc(b, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\') {
			buf_addc(b, '\\');
		}
		buf_addc(b, *text);
	}
	buf_adds(b, "\"\n");
}

static int write_config(struct init *in, const char *cert, const char *key)
{
	struct buf b = BUF_INIT(CONF_MAX);
	int r;

	buf_adds(&b, "# Postrider: see postrider.conf(5). What is not here has "
		     "its default.\nhostname = ");
	add_quoted(&b, in->hostname);
	buf_adds(&b, "data = ");
	add_quoted(&b, in->data);
	buf_adds(&b, "tls {\n  certificate = ");
	add_quoted(&b, cert);
	buf_adds(&b, "  key = ");
	add_quoted(&b, key);
	buf_adds(&b, "}\n");
	r = b.err ? b.err : files_write(in->path, buf_slice(&b), 0644);
	buf_fini(&b);
	if (r != 0) {
		errno = -r;
		return cli_fail(in->c, "cannot write %s: %m", in->path);
	}
	return CLI_DONE;
}

static void tell(const struct init *in)
{
	printf("configuration  %s\ndata           %s\nhostname       %s\n", in->path, in->data,
	       in->hostname);
	if (!in->certificate) {
		printf("certificate    %s/tls/cert.pem (self-signed: replace it "
		       "before others use this server)\n",
		       in->data);
	}
	printf("\nNext:\n"
	       "  postrider --config %s domain add example.org\n"
	       "  postrider --config %s account add you@example.org\n"
	       "  postrider --config %s serve\n",
	       in->path, in->path, in->path);
}

static int run(struct init *in)
{
	char *cert = NULL, *key = NULL;
	int r;

	if (access(in->path, F_OK) == 0) {
		return cli_fail(in->c, "%s exists already; nothing was changed", in->path);
	}
	r = make_dir(in, in->data);
	if (r == CLI_DONE) {
		r = certificate(in, &cert, &key);
	}
	if (r == CLI_DONE) {
		r = write_config(in, cert, key);
	}
	free(cert);
	free(key);
	if (r == CLI_DONE) {
		tell(in);
	}
	return r;
}

int cli_init(struct cli *c)
{
	struct init in = { .c = c, .data_arg = CONFIG_DEFAULT_DATA };
	char host[256] = "localhost";
	const struct cli_option options[] = {
		{ "--data", &in.data_arg, NULL },
		{ "--hostname", &in.hostname, NULL },
		{ "--certificate", &in.certificate, NULL },
		{ "--key", &in.key, NULL },
		{ 0 },
	};
	char *path;
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc || !in.certificate != !in.key) {
		return cli_misuse(c, "init takes --data, --hostname, and "
				     "--certificate together with --key");
	}
	if (!in.hostname) {
		gethostname(host, sizeof(host) - 1);
		in.hostname = host;
	}
	path = files_absolute(c->config ? c->config : CONFIG_DEFAULT_PATH);
	in.path = path;
	in.data = files_absolute(in.data_arg);
	r = run(&in);
	free(in.data);
	free(path);
	return r;
}
