/*
 * A running server: boot, signals, orderly end (server.h).
 *
 * The first loop's boot coroutine opens the site, lets the caller prepare,
 * binds every port (so that a busy one is reported before anything is
 * served), starts the control socket and then lives on signals. Stopping is
 * the same backwards. Everything acknowledged is durable at any moment, so an
 * end that takes too long may simply be cut.
 */
#include "srv/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "io/listen.h"
#include "smtp/policy.h"
#include "srv/ask.h"
#include "srv/conns.h"
#include "srv/control.h"
#include "store/text.h"

#define GREET_WAIT_MS 1000 /* strangers that speak first are refused */
#define STOP_MS (10 * 1000)
#define FILES_WANTED 65536
#define POOL_THREADS_MIN 4

struct server {
	const struct server_opts *o;
	struct workers workers;
	struct site site;
	struct policy *policy;
	struct dns *dns; /* NULL: not wanted, or the system knows no server */
	struct conns *conns;
	struct control *control;
	struct admin_env admin;
	struct server_ports ports;
	int signal_fd;
	int64_t started;
	int result;
	struct err *e;
};

/* ---- the process -------------------------------------------------------- */

static void harden(void)
{
	struct rlimit core = { 0, 0 }, files;

	umask(077);
	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_CORE, &core);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = MIN(files.rlim_max, (rlim_t)FILES_WANTED);
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* Before any thread: they inherit the mask. fd or -errno. */
static int signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static unsigned cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : (unsigned)MIN(n, WORKERS_MAX);
}

/* ---- ports -------------------------------------------------------------- */

/*
 * SO_REUSEPORT lets the loops share a port, and would also let a second
 * server of the same user share it: so try without it first.
 */
CO_FN static int bind_port(struct server *s, const struct config_listen *l, const char *address,
			   uint16_t port)
{
	struct net_addr a, got;
	int r = net_addr_parse(slice_cstr(address), port, &a);
	int fd;

	if (r != 0) {
		return err_set(s->e, r, "not an address to listen on", "%s", address);
	}
	fd = net_listen(&a, false, s->e);
	if (fd < 0) {
		return fd;
	}
	net_local_addr(fd, &got);
	port = net_addr_port(&got);
	if (s->ports.port[l->protocol] == 0) {
		s->ports.port[l->protocol] = port;
	}
	if (s->workers.n == 1) {
		return conns_listen(s->conns, 0, fd, l);
	}
	close(fd);
	net_addr_parse(slice_cstr(address), port, &a);
	for (size_t i = 0; r == 0 && i < s->workers.n; i++) {
		fd = net_listen(&a, true, s->e);
		r = fd < 0 ? fd : conns_listen(s->conns, i, fd, l);
	}
	return r;
}

/* One loop serves it: whoever delivers over it is one program. */
CO_FN static int bind_socket(struct server *s, const struct config_listen *l)
{
	int fd = net_listen_unix(l->socket, (mode_t)l->socket_mode, s->e);

	return fd < 0 ? fd : conns_listen(s->conns, 0, fd, l);
}

CO_FN static int bind_all(struct server *s)
{
	const struct config *c = s->o->config;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_listens; i++) {
		const struct config_listen *l = &c->listens[i];

		if (c->n_tls == 0 && config_implicit_tls(l->protocol)) {
			continue; /* by default only: config_load saw to it */
		}
		if (l->socket) {
			r = bind_socket(s, l);
		}
		for (size_t a = 0; r == 0 && a < l->n_addresses; a++) {
			for (size_t p = 0; r == 0 && p < l->n_ports; p++) {
				r = bind_port(s, l, l->addresses[a], l->ports[p]);
			}
		}
	}
	return r;
}

/* ---- status ------------------------------------------------------------- */

static json_t *dns_status(const struct server *s)
{
	struct dns_stats n;

	if (!s->dns) {
		return json_pack("{s:b}", "enabled", 0);
	}
	dns_unbound_stats(s->dns, &n);
	return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I}", "enabled", 1, "asked",
			 (json_int_t)n.asked, "failed", (json_int_t)n.failed, "timed_out",
			 (json_int_t)n.timed_out, "refused", (json_int_t)n.refused, "under_way",
			 (json_int_t)n.under_way);
}

static void add_status(void *arg, json_t *into)
{
	struct server *s = arg;
	struct conns_stats n;
	json_t *sessions = json_object();

	conns_stats(s->conns, &n);
	json_object_set_new(into, "running", json_true());
	json_object_set_new(into, "pid", json_integer(getpid()));
	json_object_set_new(into, "uptime_seconds",
			    json_integer((clock_mono() - s->started) / NSEC_PER_SEC));
	for (size_t i = 0; i < SRV_PROTOCOLS; i++) {
		json_object_set_new(sessions, srv_protocol_name[i],
				    json_integer(n.per_protocol[i]));
	}
	json_object_set_new(into, "sessions", sessions);
	json_object_set_new(into, "connections",
			    json_pack("{s:i, s:I, s:I}", "open", (int)n.open, "accepted",
				      (json_int_t)n.accepted, "refused", (json_int_t)n.refused));
	json_object_set_new(into, "dns", dns_status(s));
}

static void cut_account(void *arg, uint64_t account)
{
	struct server *s = arg;

	co_enter();
	conns_cut(s->conns, account);
}

/* ---- life --------------------------------------------------------------- */

/* New connections get the new certificates; old ones keep theirs. */
static void reload(struct server *s)
{
	struct tls_set *set = NULL;
	struct err e = ERR_INIT;
	char why[256];

	if (tls_set_new(s->o->config, &set, &e) != 0) {
		log_event(LOG_ERROR, "", "tls.reload_failed",
			  LOG_C("reason", err_str(&e, why, sizeof(why))));
		return;
	}
	conns_set_tls(s->conns, set);
	log_event(LOG_INFO, "", "tls.reloaded");
}

/* Until SIGTERM or SIGINT. */
CO_FN static void live(struct server *s)
{
	struct co_fd in = { 0 };
	struct co_want want = { .kind = CO_READABLE, .fd = &in };
	struct signalfd_siginfo sig;

	if (co_fd_add(&in, s->signal_fd) != 0) {
		return;
	}
	for (;;) {
		ssize_t n = read(s->signal_fd, &sig, sizeof(sig));

		if (n == (ssize_t)sizeof(sig)) {
			if (sig.ssi_signo != SIGHUP) {
				break;
			}
			reload(s);
			continue;
		}
		in.ready_in = false;
		if (co_wait(&want, 1, CLOCK_NEVER) < 0) {
			break;
		}
	}
	co_fd_del(&in);
	log_event(LOG_INFO, "", "server.stopping", LOG_I("signal", sig.ssi_signo));
}

static int make_policy(const struct config *c, struct policy **out, struct err *e)
{
	const struct policy_opts o = {
		.connections_per_minute = c->smtp.connections_per_minute,
		.messages_per_minute = c->smtp.messages_per_minute,
		.first_time_delay = c->smtp.first_time_delay,
		.greylist = c->smtp.greylist,
		.blocklists = (const char *const *)c->smtp.blocklists,
		.n_blocklists = c->smtp.n_blocklists,
	};
	int r = policy_new(&o, out);

	return r ? err_set(e, r, "policy", "out of memory") : 0;
}

/* A machine that knows no DNS server can still serve mail. libunbound puts more
 * on the stack than a coroutine has, so this runs on a thread of the pool. */
static int start_dns(void *arg)
{
	struct server *s = arg;
	struct err e = ERR_INIT;
	int r = ask_resolver(s->o->config, &s->dns, &e);

	if (r == -ENOENT && s->o->config->dns.n_servers == 0 && !s->o->config->dns.trust_anchor) {
		return 0; /* log_start says it */
	}
	if (r != 0 && s->e) {
		*s->e = e;
	}
	return r;
}

CO_FN static int boot(struct server *s)
{
	const struct server_opts *o = s->o;
	struct site_opts so = {
		.config = o->config,
		.loops = s->workers.loop,
		.n_loops = s->workers.n,
		.argon_memory_kib = o->argon_memory_kib,
		.argon_passes = o->argon_passes,
	};
	struct conns_opts co = {
		.workers = &s->workers,
		.max = o->config->limits.connections,
		.max_per_ip = o->config->limits.connections_per_ip,
	};
	struct tls_set *tls = NULL;
	int r = tls_set_new(o->config, &tls, s->e);

	if (r == 0) {
		r = co_offload(start_dns, s);
	}
	if (r == 0) {
		r = site_open(&so, &s->site, s->e);
	}
	if (r == 0) {
		r = make_policy(o->config, &s->policy, s->e);
	}
	if (r != 0) {
		tls_set_unref(&tls);
		return r;
	}
	co.env = (struct proto_env){
		.hostname = o->config->hostname,
		.admin_contact = o->config->admin_contact,
		.store = s->site.store,
		.auth = s->site.auth,
		.trace = s->site.trace,
		.tally = s->site.tally,
		.dns = s->dns,
		.cleartext_loopback = o->cleartext_loopback,
		.share_with_anyone = o->config->share_with_anyone,
		.message_max = o->config->limits.message_size,
		.rcpt_max = o->config->limits.recipients,
		.hide = o->config->hides,
		.n_hide = o->config->n_hides,
		.greet_wait_ms = GREET_WAIT_MS,
		.policy = s->policy,
		.trust_mark_only = o->config->trust.mark_only,
		.spf_fail = o->config->trust.spf_fail,
		.arc_sealers = (const char *const *)o->config->trust.arc_sealers,
		.n_arc_sealers = o->config->trust.n_arc_sealers,
	};
	r = conns_new(&co, &s->conns);
	if (r != 0) {
		tls_set_unref(&tls);
		return r;
	}
	conns_set_tls(s->conns, tls);
	return o->prepare ? o->prepare(o->arg, &s->site, s->e) : 0;
}

CO_FN static int open_doors(struct server *s)
{
	char *path;
	int r = bind_all(s);

	if (r != 0) {
		return r;
	}
	if (asprintf(&path, "%s/control.sock", s->o->config->data) < 0) {
		return -ENOMEM;
	}
	s->admin = (struct admin_env){ .status = add_status,
				       .cut = cut_account,
				       .arg = s,
				       .dns = s->dns,
				       .config = s->o->config };
	r = control_start(path, &s->site, &s->admin, &s->control, s->e);
	free(path);
	return r;
}

CO_FN static void close_doors(struct server *s)
{
	unsigned left;

	if (!s->conns) {
		return;
	}
	left = control_stop(&s->control, STOP_MS) + conns_stop(s->conns, STOP_MS);
	if (left) {
		log_event(LOG_WARN, "", "server.cut", LOG_I("sessions", left));
		trace_flush(s->site.trace);
		tally_flush(s->site.tally);
		_exit(0);
	}
}

/* Only now: a start that fails says one line, why. */
static void log_start(const struct server *s)
{
	log_event(LOG_INFO, "", "server.start", LOG_C("version", POSTRIDER_VERSION),
		  LOG_C("hostname", s->o->config->hostname), LOG_C("data", s->o->config->data),
		  LOG_I("loops", s->workers.n));
	if (s->o->config->dns.enabled && !s->dns) {
		log_event(LOG_WARN, "", "dns.none",
			  LOG_C("reason", "no servers are set, and /etc/resolv.conf names none"));
	}
	for (size_t i = 0; i < SRV_PROTOCOLS; i++) {
		if (s->ports.port[i]) {
			log_event(LOG_INFO, "", "server.listen",
				  LOG_C("proto", srv_protocol_name[i]),
				  LOG_I("port", s->ports.port[i]));
		}
	}
}

CO_FN static void serve(struct server *s)
{
	s->result = boot(s);
	if (s->result == 0) {
		s->result = open_doors(s);
	}
	if (s->result == 0) {
		log_start(s);
		store_text_start(s->site.store);
		trace_start(s->site.trace);
		tally_start(s->site.tally);
		if (s->o->ready) {
			s->o->ready(s->o->arg, &s->ports);
		}
		live(s);
	}
	close_doors(s);
	workers_stop(&s->workers);
}

static void main_coroutine(void *arg)
{
	co_enter();
	serve(arg);
}

static int run_loops(struct server *s)
{
	unsigned n = s->o->config->threads ? s->o->config->threads : cores();
	int r = workers_start(&s->workers, n, s->e);

	if (r != 0) {
		return r;
	}
	r = co_pool_start(MAX(cores() * 2, POOL_THREADS_MIN), 0);
	if (r == 0) {
		r = co_spawn("main", main_coroutine, s, NULL);
	}
	if (r != 0) {
		workers_stop(&s->workers);
		s->result = r;
	}
	co_loop_run(s->workers.loop[0]);
	workers_join(&s->workers);
	conns_free(&s->conns);
	policy_free(&s->policy);
	dns_free(&s->dns);
	site_close(&s->site);
	co_pool_stop();
	return s->result;
}

int server_run(const struct server_opts *o, struct err *e)
{
	struct server s = { .o = o, .e = e, .started = clock_mono() };
	int r;

	harden();
	log_setup(STDERR_FILENO, (enum log_level)o->config->log_level);
	tls_init();
	s.signal_fd = signals();
	if (s.signal_fd < 0) {
		return err_set(e, s.signal_fd, "cannot watch for signals", NULL);
	}
	r = run_loops(&s);
	close(s.signal_fd);
	if (r == 0) {
		log_event(LOG_INFO, "", "server.stopped");
	} else if (e && !e->text) {
		err_set(e, r, "cannot start", NULL);
	}
	return r;
}
