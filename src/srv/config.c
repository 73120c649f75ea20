/*
 * postrider.conf with libconfuse (config.h).
 *
 * libconfuse knows the grammar and says where it stands; what it cannot know
 * (sizes, ports, protocol names) is checked in its validation hooks, so that
 * those errors have file and line too. Only the first error is kept: it is the
 * one to mend.
 */
#include "srv/config_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/log.h"
#include "imap/imap.h"
#include "io/listen.h"
#include "trace/trace.h"

#define TRACE_SIZE_MIN (UINT64_C(1) << 20)
#define SIZE_LIMIT_MAX (UINT64_C(2) << 30) /* of one message */

const char *const srv_protocol_name[SRV_PROTOCOLS] = {
	[SRV_SMTP] = "smtp",
	[SRV_SUBMISSION] = "submission",
	[SRV_SUBMISSIONS] = "submissions",
	[SRV_POP3] = "pop3",
	[SRV_POP3S] = "pop3s",
	[SRV_IMAP] = "imap",
	[SRV_IMAPS] = "imaps",
	[SRV_LMTP] = "lmtp",
};

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* Where the error of the file being read goes (one thread, start-up). */
static char *error_text;
static const char *error_path; /* sections do not always know their file */

int config_parse_size(struct slice s, uint64_t *out)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;
	uint64_t n;

	if (s.n && !ascii_isdigit((unsigned char)s.p[s.n - 1])) {
		const char *u = strchr(units, s.p[s.n - 1] & ~0x20);

		if (!u || *u == '\0') {
			return -EINVAL;
		}
		shift = 10 * (unsigned)(u - units + 1);
		s.n--;
	}
	if (slice_u64(s, &n) != 0 || n > (UINT64_MAX >> 1) >> shift) {
		return -EINVAL;
	}
	*out = n << shift;
	return 0;
}

/* ---- errors and checks -------------------------------------------------- */

/* Behind "no such option": which there are. */
static void add_known(cfg_t *cfg, size_t n)
{
	for (size_t i = 0; cfg->opts[i].name && n < CONFIG_TEXT_MAX; i++) {
		n += (size_t)snprintf(error_text + n, CONFIG_TEXT_MAX - n, "%s%s",
				      i ? ", " : "; expected one of ", cfg->opts[i].name);
	}
}

__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char what[CONFIG_TEXT_MAX / 2];
	int n;

	if (!error_text || error_text[0]) {
		return;
	}
	vsnprintf(what, sizeof(what), fmt, ap);
	n = snprintf(error_text, CONFIG_TEXT_MAX, "%s:%d: %s", error_path, cfg ? cfg->line : 0,
		     what);
	if (n > 0 && cfg && strncmp(fmt, "no such option", 14) == 0) {
		add_known(cfg, (size_t)n);
	}
}

static int check_size(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	uint64_t n;

	if (config_parse_size(slice_cstr(text), &n) != 0) {
		cfg_error(cfg,
			  "%s = \"%s\": expected a size such as \"50M\" or "
			  "\"1G\"",
			  cfg_opt_name(opt), text);
		return -1;
	}
	return 0;
}

static int check_message_size(cfg_t *cfg, cfg_opt_t *opt)
{
	uint64_t n;

	if (check_size(cfg, opt) != 0) {
		return -1;
	}
	config_parse_size(slice_cstr(cfg_opt_getnstr(opt, 0)), &n);
	if (n < 64 * 1024 || n > SIZE_LIMIT_MAX) {
		cfg_error(cfg, "message_size: expected \"64K\" to \"2G\"");
		return -1;
	}
	return 0;
}

static int check_trace_size(cfg_t *cfg, cfg_opt_t *opt)
{
	uint64_t n;

	if (check_size(cfg, opt) != 0) {
		return -1;
	}
	config_parse_size(slice_cstr(cfg_opt_getnstr(opt, 0)), &n);
	if (n < TRACE_SIZE_MIN) {
		cfg_error(cfg, "size: expected \"1M\" or more");
		return -1;
	}
	return 0;
}

static int check_days(cfg_t *cfg, cfg_opt_t *opt)
{
	long n = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	if (n < 0 || n > TRACE_DAYS_MAX) {
		cfg_error(cfg, "days = %ld: expected 0 (no records) to %d", n, TRACE_DAYS_MAX);
		return -1;
	}
	return 0;
}

static int check_count(cfg_t *cfg, cfg_opt_t *opt)
{
	long n = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	if (n < 1 || n > 1000000) {
		cfg_error(cfg, "%s = %ld: expected 1 to 1000000", cfg_opt_name(opt), n);
		return -1;
	}
	return 0;
}

static int check_threads(cfg_t *cfg, cfg_opt_t *opt)
{
	long n = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	if (n < 0 || n > 256) {
		cfg_error(cfg,
			  "threads = %ld: expected 0 (one per core) to "
			  "256",
			  n);
		return -1;
	}
	return 0;
}

static int level_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(level_names[i], name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

static int check_level(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (level_of(text) < 0) {
		cfg_error(cfg,
			  "log_level = \"%s\": expected debug, info, warn "
			  "or error",
			  text);
		return -1;
	}
	return 0;
}

/* A name that can stand in a greeting, in its canonical form. 0, -EINVAL. */
static int canon_hostname(const char *text, struct buf *out)
{
	return auth_domain_canon(slice_cstr(text), out);
}

static int check_hostname(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	struct buf b = BUF_INIT(AUTH_ADDR_MAX);
	int r = canon_hostname(text, &b);

	buf_fini(&b);
	if (r != 0) {
		cfg_error(cfg,
			  "hostname = \"%.100s\": expected a host name "
			  "such as mail.example.org",
			  text);
		return -1;
	}
	return 0;
}

/* scheme ":" and printable ASCII (RFC 3986), short enough to be told. */
static int check_uri(cfg_t *cfg, cfg_opt_t *opt)
{
	struct slice text = slice_cstr(cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1));
	size_t colon = slice_chr(text, ':');

	if (text.n > 500 || colon == 0 || colon == SIZE_MAX || colon + 1 == text.n ||
	    !ascii_isalpha((unsigned char)text.p[0]) || !slice_is_printable(text) ||
	    slice_chr(text, ' ') != SIZE_MAX) {
		cfg_error(cfg,
			  "%s = \"%.100s\": expected a URI such as "
			  "mailto:postmaster@example.org",
			  cfg_opt_name(opt), text.p);
		return -1;
	}
	return 0;
}

int config_check_path(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *text = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (!text || text[0] != '/') {
		cfg_error(cfg, "%s = \"%s\": expected an absolute path", cfg_opt_name(opt),
			  text ? text : "");
		return -1;
	}
	return 0;
}

static int check_capabilities(cfg_t *cfg, cfg_opt_t *opt)
{
	for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
		const char *name = cfg_opt_getnstr(opt, i);

		if (!imap_can_hide(slice_cstr(name))) {
			cfg_error(cfg, "capabilities: \"%.100s\" is none that can be hidden", name);
			return -1;
		}
	}
	return 0;
}

/* ---- defaults ----------------------------------------------------------- */

/* The given name (checked), or the machine's if it can stand in a greeting. */
static char *take_hostname(const char *given)
{
	struct buf b = BUF_INIT(AUTH_ADDR_MAX);
	char own[256] = "";
	char *out;

	if (!given && gethostname(own, sizeof(own) - 1) == 0) {
		given = own;
	}
	if (!given || canon_hostname(given, &b) != 0) {
		buf_reset(&b);
		buf_adds(&b, "localhost");
	}
	out = xstrdup(buf_cstr(&b));
	buf_fini(&b);
	return out;
}

/* Everything but what listens. */
static struct config *bare(const char *data, const char *hostname)
{
	struct config *c = xcalloc(1, sizeof(*c));

	c->hostname = take_hostname(hostname);
	c->data = xstrdup(data);
	c->log_level = LOG_INFO;
	c->limits.message_size = UINT64_C(50) << 20;
	c->limits.recipients = 1000;
	c->limits.connections = 8192;
	c->limits.connections_per_ip = 30;
	c->trace.days = 30;
	c->trace.size = TRACE_SIZE_DEFAULT;
	config_default_dns(c);
	return c;
}

struct config *config_default(const char *data, const char *hostname)
{
	struct config *c = bare(data, hostname);

	config_listen_everywhere(c);
	return c;
}

void config_free(struct config **cp)
{
	struct config *c = TAKE_PTR(*cp);

	if (!c) {
		return;
	}
	config_free_listens(c);
	for (size_t i = 0; i < c->n_tls; i++) {
		free(c->tls[i].certificate);
		free(c->tls[i].key);
	}
	for (size_t i = 0; i < c->n_hides; i++) {
		free(c->hides[i].client);
		free(c->hides[i].names);
	}
	config_free_dns(c);
	free(c->hides);
	config_free_trust(c);
	config_free_smtp(c);
	free(c->tls);
	free(c->path);
	free(c->hostname);
	free(c->data);
	free(c->admin_contact);
	free(c);
}

/* ---- reading ------------------------------------------------------------ */

static void take_limits(struct config *c, cfg_t *sec)
{
	const char *text = cfg_getstr(sec, "message_size");

	config_parse_size(slice_cstr(text), &c->limits.message_size);
	text = cfg_getstr(sec, "free_space");
	config_parse_size(slice_cstr(text), &c->limits.free_space);
	c->limits.recipients = (unsigned)cfg_getint(sec, "recipients");
	c->limits.connections = (unsigned)cfg_getint(sec, "connections");
	c->limits.connections_per_ip = (unsigned)cfg_getint(sec, "connections_per_ip");
}

static void take_trace(struct config *c, cfg_t *sec)
{
	c->trace.days = (unsigned)cfg_getint(sec, "days");
	config_parse_size(slice_cstr(cfg_getstr(sec, "size")), &c->trace.size);
}

bool config_implicit_tls(enum srv_protocol p)
{
	return p == SRV_SUBMISSIONS || p == SRV_POP3S || p == SRV_IMAPS;
}

static int take_tls(struct config *c, cfg_t *cfg, const char *path, char text[CONFIG_TEXT_MAX])
{
	unsigned n = cfg_size(cfg, "tls");

	c->tls = xcalloc(n ? n : 1, sizeof(*c->tls));
	for (unsigned i = 0; i < n; i++) {
		cfg_t *sec = cfg_getnsec(cfg, "tls", i);
		const char *cert = cfg_getstr(sec, "certificate");
		const char *key = cfg_getstr(sec, "key");

		if (!cert || !key) {
			snprintf(text, CONFIG_TEXT_MAX,
				 "%s:%d: tls: expected both certificate and "
				 "key",
				 path, sec->line);
			return -EINVAL;
		}
		c->tls[i].certificate = xstrdup(cert);
		c->tls[i].key = xstrdup(key);
		c->n_tls++;
	}
	return 0;
}

static void take_hides(struct config *c, cfg_t *imap)
{
	unsigned n = cfg_size(imap, "hide");

	c->hides = xcalloc(n ? n : 1, sizeof(*c->hides));
	for (unsigned i = 0; i < n; i++) {
		cfg_t *sec = cfg_getnsec(imap, "hide", i);
		struct buf names = BUF_INIT(64u * 1024);

		for (unsigned k = 0; k < cfg_size(sec, "capabilities"); k++) {
			buf_adds(&names, k ? " " : "");
			buf_adds(&names, cfg_getnstr(sec, "capabilities", k));
		}
		c->hides[i].client = xstrdup(cfg_title(sec));
		c->hides[i].names = xstrdup(buf_cstr(&names));
		c->n_hides++;
		buf_fini(&names);
	}
}

static int take_all(struct config *c, cfg_t *cfg, const char *path, char text[CONFIG_TEXT_MAX])
{
	unsigned n = cfg_size(cfg, "listen");

	c->threads = (unsigned)cfg_getint(cfg, "threads");
	c->log_level = level_of(cfg_getstr(cfg, "log_level"));
	take_limits(c, cfg_getsec(cfg, "limits"));
	c->share_with_anyone = cfg_getbool(cfg_getsec(cfg, "imap"), "share_with_anyone");
	c->scram = cfg_getbool(cfg_getsec(cfg, "auth"), "scram");
	take_hides(c, cfg_getsec(cfg, "imap"));
	take_trace(c, cfg_getsec(cfg, "trace"));
	config_take_listens(c, cfg);
	config_take_trust(c, cfg);
	config_take_smtp(c, cfg);
	if (take_tls(c, cfg, path, text) != 0 ||
	    config_take_dns(c, cfg_getsec(cfg, "dns"), path, text) != 0) {
		return -EINVAL;
	}
	for (size_t i = 0; n && c->n_tls == 0 && i < c->n_listens; i++) {
		if (config_implicit_tls(c->listens[i].protocol)) {
			snprintf(text, CONFIG_TEXT_MAX,
				 "%s: listen %s needs a certificate: expected "
				 "a tls { certificate = ... key = ... } section",
				 path, srv_protocol_name[c->listens[i].protocol]);
			return -EINVAL;
		}
	}
	return 0;
}

static cfg_t *grammar(void)
{
	static cfg_opt_t tls[] = { CFG_STR("certificate", NULL, CFGF_NODEFAULT),
				   CFG_STR("key", NULL, CFGF_NODEFAULT), CFG_END() };
	static cfg_opt_t limits[] = { CFG_STR("message_size", "50M", CFGF_NONE),
				      CFG_STR("free_space", "0", CFGF_NONE),
				      CFG_INT("recipients", 1000, CFGF_NONE),
				      CFG_INT("connections", 8192, CFGF_NONE),
				      CFG_INT("connections_per_ip", 30, CFGF_NONE),
				      CFG_END() };
	static cfg_opt_t auth[] = { CFG_BOOL("scram", cfg_false, CFGF_NONE), CFG_END() };
	static cfg_opt_t hide[] = { CFG_STR_LIST("capabilities", NULL, CFGF_NODEFAULT), CFG_END() };
	static cfg_opt_t imap[] = {
		CFG_SEC("hide", hide, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_BOOL("share_with_anyone", cfg_false, CFGF_NONE), CFG_END()
	};
	static cfg_opt_t trace[] = { CFG_INT("days", 30, CFGF_NONE),
				     CFG_STR("size", "1G", CFGF_NONE), CFG_END() };
	static cfg_opt_t all[] = { CFG_STR("hostname", NULL, CFGF_NODEFAULT),
				   CFG_STR("data", CONFIG_DEFAULT_DATA, CFGF_NONE),
				   CFG_STR("admin_contact", NULL, CFGF_NODEFAULT),
				   CFG_INT("threads", 0, CFGF_NONE),
				   CFG_STR("log_level", "info", CFGF_NONE),
				   CFG_SEC("tls", tls, CFGF_MULTI),
				   CFG_SEC("listen", config_listen_opts,
					   CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
				   CFG_SEC("limits", limits, CFGF_NONE),
				   CFG_SEC("auth", auth, CFGF_NONE),
				   CFG_SEC("imap", imap, CFGF_NONE),
				   CFG_SEC("smtp", config_smtp_opts, CFGF_NONE),
				   CFG_SEC("trust", config_trust_opts, CFGF_NONE),
				   CFG_SEC("trace", trace, CFGF_NONE),
				   CFG_SEC("dns", config_dns_opts, CFGF_NONE),
				   CFG_END() };
	cfg_t *cfg = cfg_init(all, CFGF_NONE);

	if (!cfg) {
		BUG("out of memory");
	}
	cfg_set_error_function(cfg, on_error);
	cfg_set_validate_func(cfg, "hostname", check_hostname);
	cfg_set_validate_func(cfg, "data", config_check_path);
	cfg_set_validate_func(cfg, "admin_contact", check_uri);
	cfg_set_validate_func(cfg, "threads", check_threads);
	cfg_set_validate_func(cfg, "log_level", check_level);
	config_check_listens(cfg);
	config_check_dns(cfg);
	cfg_set_validate_func(cfg, "tls|certificate", config_check_path);
	cfg_set_validate_func(cfg, "tls|key", config_check_path);
	cfg_set_validate_func(cfg, "imap|hide|capabilities", check_capabilities);
	config_check_trust(cfg);
	config_check_smtp(cfg);
	cfg_set_validate_func(cfg, "limits|message_size", check_message_size);
	cfg_set_validate_func(cfg, "limits|free_space", check_size);
	cfg_set_validate_func(cfg, "limits|recipients", check_count);
	cfg_set_validate_func(cfg, "limits|connections", check_count);
	cfg_set_validate_func(cfg, "limits|connections_per_ip", check_count);
	cfg_set_validate_func(cfg, "trace|days", check_days);
	cfg_set_validate_func(cfg, "trace|size", check_trace_size);
	return cfg;
}

static int cannot_read(const char *path, int code, char *text)
{
	snprintf(text, CONFIG_TEXT_MAX, "%s: cannot be read: %s", path, strerror(-code));
	return code;
}

static int parse(cfg_t *cfg, const char *path, struct config **out, char text[CONFIG_TEXT_MAX])
{
	struct config *c;
	struct stat st;
	int r;

	if (stat(path, &st) != 0) {
		return cannot_read(path, -errno, text);
	}
	if (!S_ISREG(st.st_mode)) {
		return cannot_read(path, -EISDIR, text);
	}
	r = cfg_parse(cfg, path);
	if (r == CFG_FILE_ERROR) {
		return cannot_read(path, -errno, text);
	}
	if (r != CFG_SUCCESS) {
		if (!text[0]) {
			snprintf(text, CONFIG_TEXT_MAX,
				 "%s: not readable as "
				 "a configuration",
				 path);
		}
		return -EINVAL;
	}
	c = bare(cfg_getstr(cfg, "data"), cfg_getstr(cfg, "hostname"));
	c->path = xstrdup(path);
	if (cfg_getstr(cfg, "admin_contact")) {
		c->admin_contact = xstrdup(cfg_getstr(cfg, "admin_contact"));
	}
	r = take_all(c, cfg, path, text);
	if (r != 0) {
		config_free(&c);
		return r;
	}
	*out = c;
	return 0;
}

int config_load(const char *path, struct config **out, char text[CONFIG_TEXT_MAX])
{
	cfg_t *cfg;
	int r;

	text[0] = '\0';
	if (!path) {
		path = CONFIG_DEFAULT_PATH;
		if (access(path, F_OK) != 0 && errno == ENOENT) {
			*out = config_default(CONFIG_DEFAULT_DATA, NULL);
			return 0;
		}
	}
	error_text = text;
	error_path = path;
	cfg = grammar();
	r = parse(cfg, path, out, text);
	cfg_free(cfg);
	error_text = NULL;
	return r;
}
