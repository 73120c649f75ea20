/* config: good files, bad files and the exact lines they are refused with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "srv/config.h"

static char path[64];

static int load(const char *content, struct config **out, char *text)
{
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "/tmp/postrider-conf-test-%d.conf", (int)getpid());
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	text[0] = '\0';
	r = config_load(path, out, text);
	unlink(path);
	return r;
}

static void refused(const char *content, const char *line_and_text)
{
	struct config *c = NULL;
	char text[CONFIG_TEXT_MAX];
	char want[CONFIG_TEXT_MAX];

	assert_int_equal(load(content, &c, text), -EINVAL);
	assert_null(c);
	snprintf(want, sizeof(want), "%s:%s", path, line_and_text);
	assert_string_equal(text, want);
}

static void test_empty_file_is_all_defaults(void **state)
{
	struct config *c = NULL;
	char text[CONFIG_TEXT_MAX];

	(void)state;
	assert_int_equal(load("", &c, text), 0);
	assert_string_equal(c->data, "/var/lib/postrider");
	assert_true(c->hostname[0] != '\0');
	assert_int_equal(c->n_tls, 0);
	assert_int_equal(c->n_listens, SRV_PROTOCOLS - 1); /* all but LMTP */
	assert_int_equal(c->listens[SRV_SMTP].n_ports, 2);
	assert_int_equal(c->listens[SRV_SMTP].ports[1], 2525);
	assert_int_equal(c->listens[SRV_IMAPS].ports[0], 993);
	assert_string_equal(c->listens[SRV_IMAPS].addresses[0], "*");
	assert_int_equal(c->limits.message_size, 50 << 20);
	assert_int_equal(c->limits.recipients, 1000);
	assert_int_equal(c->limits.connections, 8192);
	assert_int_equal(c->limits.connections_per_ip, 30);
	assert_int_equal(c->trace.days, 30);
	assert_int_equal(c->trace.size, 1 << 30);
	assert_false(c->share_with_anyone);
	assert_false(c->scram);
	assert_int_equal(c->n_hides, 0);
	assert_int_equal(c->smtp.greylist, 0);
	assert_int_equal(c->smtp.first_time_delay, 15);
	assert_int_equal(c->smtp.messages_per_minute, 200);
	assert_int_equal(c->smtp.connections_per_minute, 120);
	assert_int_equal(c->smtp.n_blocklists, 0);
	assert_false(c->trust.mark_only);
	assert_false(c->trust.dmarc_reports);
	assert_int_equal(c->trust.spf_fail, TRUST_ON_FAIL_JUNK);
	assert_int_equal(c->trust.n_arc_sealers, 0);
	assert_int_equal(c->threads, 0);
	assert_int_equal(c->log_level, LOG_INFO);
	config_free(&c);
	assert_null(c);
}

static void test_everything_set(void **state)
{
	struct config *c = NULL;
	char text[CONFIG_TEXT_MAX];
	int r = load("# all of it\n"
		     "hostname = \"Mail.Example.ORG\"\n"
		     "data = \"/srv/mail\"\n"
		     "admin_contact = \"mailto:help@example.org\"\n"
		     "threads = 3\nlog_level = warn\n"
		     "tls { certificate = \"/a.pem\" key = \"/b.pem\" }\n"
		     "tls { certificate = \"/c.pem\"\n key = \"/d.pem\" }\n"
		     "listen smtp { addresses = {\"127.0.0.1\", \"::1\"} "
		     "ports = {25, 2525} }\n"
		     "listen imaps { ports = {1993} }\n"
		     "listen pop3 { }\n"
		     "auth { scram = true }\n"
		     "trace { days = 7 size = 2M }\n"
		     "imap { share_with_anyone = true\n"
		     " hide \"Outlook*\" { capabilities = {IDLE, \"compress=deflate\"} }\n"
		     " hide old { capabilities = {\"AUTH=SCRAM-SHA-256\"} }\n}\n"
		     "smtp { greylist = 300 first_time_delay = 0 messages_per_minute = 7\n"
		     " connections_per_minute = 8 blocklists = {BL.example.org} }\n"
		     "trust { dmarc = mark spf_fail = refuse dmarc_reports = true"
		     " arc_sealers = {Lists.Example.ORG, \"b\xc3\xbc.example\"} }\n"
		     "limits { message_size = \"1G\" recipients = 5\n"
		     " connections = 10 connections_per_ip = 2 "
		     "free_space = 1024K }\n",
		     &c, text);

	(void)state;
	assert_string_equal(text, "");
	assert_int_equal(r, 0);
	assert_string_equal(c->hostname, "mail.example.org");
	assert_string_equal(c->data, "/srv/mail");
	assert_string_equal(c->admin_contact, "mailto:help@example.org");
	assert_int_equal(c->threads, 3);
	assert_int_equal(c->log_level, LOG_WARN);
	assert_int_equal(c->n_tls, 2);
	assert_string_equal(c->tls[1].key, "/d.pem");
	assert_int_equal(c->n_listens, 3);
	assert_int_equal(c->listens[0].n_addresses, 2);
	assert_string_equal(c->listens[0].addresses[1], "::1");
	assert_int_equal(c->listens[1].protocol, SRV_IMAPS);
	assert_int_equal(c->listens[1].ports[0], 1993);
	assert_int_equal(c->listens[2].ports[0], 110);
	assert_int_equal(c->limits.message_size, 1 << 30);
	assert_int_equal(c->limits.free_space, 1 << 20);
	assert_int_equal(c->limits.recipients, 5);
	assert_int_equal(c->limits.connections, 10);
	assert_int_equal(c->limits.connections_per_ip, 2);
	assert_true(c->share_with_anyone);
	assert_true(c->scram);
	assert_int_equal(c->smtp.greylist, 300);
	assert_int_equal(c->smtp.first_time_delay, 0);
	assert_int_equal(c->smtp.messages_per_minute, 7);
	assert_int_equal(c->smtp.connections_per_minute, 8);
	assert_int_equal(c->smtp.n_blocklists, 1);
	assert_string_equal(c->smtp.blocklists[0], "bl.example.org");
	assert_true(c->trust.mark_only);
	assert_true(c->trust.dmarc_reports);
	assert_int_equal(c->trust.spf_fail, TRUST_ON_FAIL_REFUSE);
	assert_int_equal(c->trust.n_arc_sealers, 2);
	assert_string_equal(c->trust.arc_sealers[0], "lists.example.org");
	assert_string_equal(c->trust.arc_sealers[1], "xn--b-eha.example");
	assert_int_equal(c->trace.days, 7);
	assert_int_equal(c->trace.size, 2 << 20);
	assert_int_equal(c->n_hides, 2);
	assert_string_equal(c->hides[0].client, "Outlook*");
	assert_string_equal(c->hides[0].names, "IDLE compress=deflate");
	assert_string_equal(c->hides[1].names, "AUTH=SCRAM-SHA-256");
	config_free(&c);
}

static void test_who_may(void **state)
{
	struct config *c = NULL;
	char text[CONFIG_TEXT_MAX];
	struct net_addr a;

	(void)state;
	assert_int_equal(load("listen lmtp { }\n"
			      "listen smtp { proxy = {\"10.0.0.0/8\", \"2001:db8::/32\"} "
			      "xclient = {\"192.0.2.1\"} networks = {\"0.0.0.0/0\"} }\n"
			      "listen imap { proxy = {\"10.0.0.1\"} }\n",
			      &c, text),
			 0);
	assert_int_equal(c->listens[0].protocol, SRV_LMTP);
	assert_int_equal(c->listens[0].ports[0], 24);
	assert_int_equal(c->listens[0].n_addresses, 2);
	assert_string_equal(c->listens[0].addresses[0], "127.0.0.1");
	assert_null(c->listens[0].socket);
	assert_int_equal(net_addr_parse(S("127.8.9.1"), 1, &a), 0);
	assert_true(net_ranges_have(&c->listens[0].networks, &a));
	assert_int_equal(net_addr_parse(S("192.0.2.1"), 1, &a), 0);
	assert_false(net_ranges_have(&c->listens[0].networks, &a));
	assert_int_equal(c->listens[1].proxy.n, 2);
	assert_int_equal(c->listens[1].networks.n, 1);
	assert_true(net_ranges_have(&c->listens[1].xclient, &a));
	assert_int_equal(c->listens[2].proxy.n, 1);
	assert_int_equal(c->listens[2].networks.n, 0);
	config_free(&c);
	assert_int_equal(load("listen lmtp { socket = \"/run/lmtp\" socket_mode = \"0600\" "
			      "networks = {\"10.0.0.0/8\"} }\n",
			      &c, text),
			 0);
	assert_string_equal(c->listens[0].socket, "/run/lmtp");
	assert_int_equal(c->listens[0].socket_mode, 0600);
	assert_int_equal(c->listens[0].n_addresses, 0); /* nothing else was asked for */
	config_free(&c);
	assert_int_equal(load("listen lmtp { socket = \"/run/lmtp\" ports = {2424} }\n", &c, text),
			 0);
	assert_int_equal(c->listens[0].socket_mode, 0660);
	assert_int_equal(c->listens[0].n_addresses, 2);
	config_free(&c);
}

static void test_bad_listens(void **state)
{
	(void)state;
	refused("listen smtp { networks = {\"10.0.0.1/8\"} }\n",
		"1: networks: \"10.0.0.1/8\": expected an address or a network such as "
		"\"10.0.0.0/8\" or \"2001:db8::/32\"");
	refused("listen imap { proxy = {\"*\"} }\n",
		"1: proxy: \"*\": expected an address or a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"");
	refused("listen imap { xclient = {\"10.0.0.0/8\"} }\n",
		"1: listen imap: xclient is for smtp, submission, submissions and lmtp only");
	refused("listen lmtp { xclient = {\"10.0.0.0/99\"} }\n",
		"1: xclient: \"10.0.0.0/99\": expected an address or a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"");
	refused("listen smtp { socket = \"/run/x\" }\n", "1: listen smtp: socket is for lmtp only");
	refused("listen smtp { socket_mode = \"0600\" }\n",
		"1: listen smtp: socket_mode is for lmtp only");
	refused("listen lmtp {\n socket = \"x\" }\n",
		"2: socket = \"x\": expected an absolute path");
	refused("listen lmtp { socket_mode = \"660\" }\n",
		"1: socket_mode = \"660\": expected an octal mode such as \"0660\"");
	refused("listen lmtp { socket_mode = \"0888\" }\n",
		"1: socket_mode = \"0888\": expected an octal mode such as \"0660\"");
	refused("listen lmtp { socket_mode = \"07777\" }\n",
		"1: socket_mode = \"07777\": expected an octal mode such as \"0660\"");
	refused("listen lmtp { socket_mode = \"0\" }\n",
		"1: socket_mode = \"0\": expected an octal mode such as \"0660\"");
}

static void test_bad_lines(void **state)
{
	(void)state;
	refused("hostname = \"a.test\"\nnonsense = 1\n",
		"2: no such option 'nonsense'; expected one of hostname, "
		"data, admin_contact, threads, log_level, tls, listen, limits, auth, imap, smtp, trust, trace, dns");
	refused("limits { rcpts = 1 }\n",
		"1: no such option 'rcpts'; expected one of message_size, "
		"free_space, recipients, connections, connections_per_ip");
	refused("hostname = \"not a name\"\n",
		"1: hostname = \"not a name\": expected a host name such as "
		"mail.example.org");
	refused("\n\ndata = \"relative\"\n", "3: data = \"relative\": expected an absolute path");
	refused("admin_contact = \"help@example.org\"\n",
		"1: admin_contact = \"help@example.org\": expected a URI such as "
		"mailto:postmaster@example.org");
	refused("limits {\n message_size = \"lots\"\n}\n",
		"2: message_size = \"lots\": expected a size such as \"50M\" "
		"or \"1G\"");
	refused("limits { message_size = \"1\" }\n", "1: message_size: expected \"64K\" to \"2G\"");
	refused("limits { recipients = 0 }\n", "1: recipients = 0: expected 1 to 1000000");
	refused("trace { days = -1 }\n", "1: days = -1: expected 0 (no records) to 3650");
	refused("trace { days = 3651 }\n", "1: days = 3651: expected 0 (no records) to 3650");
	refused("trace { size = 1000K }\n", "1: size: expected \"1M\" or more");
	refused("trace { size = much }\n",
		"1: size = \"much\": expected a size such as \"50M\" or \"1G\"");
	refused("listen gopher { ports = {70} }\n",
		"1: listen gopher: expected smtp, submission, submissions, "
		"pop3, pop3s, imap, imaps or lmtp");
	refused("listen pop3 {\n ports = {110, 99999}\n}\n", "2: port 99999: expected 1 to 65535");
	refused("listen pop3 { addresses = {\"nowhere\"} }\n",
		"1: address \"nowhere\": expected \"*\", an IPv4 or an IPv6 "
		"address");
	refused("threads = -1\n", "1: threads = -1: expected 0 (one per core) to 256");
	refused("log_level = loud\n", "1: log_level = \"loud\": expected "
				      "debug, info, warn or error");
	refused("smtp { greylist = 4000 }\n", "1: greylist = 4000: expected 0 (off) to 3600");
	refused("smtp { first_time_delay = -1 }\n",
		"1: first_time_delay = -1: expected 0 (off) to 120");
	refused("smtp { blocklists = {\"http://x\"} }\n",
		"1: blocklists: \"http://x\": expected a domain");
	refused("trust { dmarc = maybe }\n", "1: dmarc = \"maybe\": expected enforce or mark");
	refused("trust { spf_fail = cry }\n",
		"1: spf_fail = \"cry\": expected junk, accept or refuse");
	refused("trust {\n arc_sealers = {\"a b\"} }\n",
		"2: arc_sealers: \"a b\": expected a domain");
	refused("tls { certificate = \"/a.pem\" }\n", "1: tls: expected both certificate and key");
	refused("imap { hide x { capabilities = {IMAP4rev1} } }\n",
		"1: capabilities: \"IMAP4rev1\" is none that can be hidden");
	refused("imap {\n hide x { capabilities = {IDLE, NONESUCH} } }\n",
		"2: capabilities: \"NONESUCH\" is none that can be hidden");
	refused("listen imaps { }\n", " listen imaps needs a certificate: expected a tls { "
				      "certificate = ... key = ... } section");
}

static void test_broken_syntax_names_the_file(void **state)
{
	static const char *const files[] = {
		"tls { certificate = \n",
		"hostname \"x\"\n",
		"listen {\n}\n",
		"}",
		"hostname = \"unfinished\n",
		"listen smtp {}\nlisten smtp {}\n",
	};
	struct config *c = NULL;
	char text[CONFIG_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		assert_int_equal(load(files[i], &c, text), -EINVAL);
		assert_null(c);
		assert_memory_equal(text, path, strlen(path));
		assert_int_equal(text[strlen(path)], ':');
		assert_null(strchr(text, '\n'));
	}
}

static void test_missing_file(void **state)
{
	struct config *c = NULL;
	char text[CONFIG_TEXT_MAX];

	(void)state;
	assert_int_equal(config_load("/nonexistent/postrider.conf", &c, text), -ENOENT);
	assert_string_equal(text, "/nonexistent/postrider.conf: cannot be "
				  "read: No such file or directory");
	assert_int_equal(config_load("/tmp", &c, text), -EISDIR);
}

static void test_sizes(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(config_parse_size(S("50M"), &v), 0);
	assert_int_equal(v, 50 << 20);
	assert_int_equal(config_parse_size(S("1g"), &v), 0);
	assert_int_equal(v, 1 << 30);
	assert_int_equal(config_parse_size(S("0"), &v), 0);
	assert_int_equal(v, 0);
	v = 7;
	assert_int_equal(config_parse_size(S("M"), &v), -EINVAL);
	assert_int_equal(config_parse_size(S(""), &v), -EINVAL);
	assert_int_equal(config_parse_size(S("-1"), &v), -EINVAL);
	assert_int_equal(config_parse_size(S("1.5M"), &v), -EINVAL);
	assert_int_equal(config_parse_size(S("99999999999T"), &v), -EINVAL);
	assert_int_equal(v, 7);
}

static void test_dns(void **state)
{
	struct config *c = NULL;
	char text[CONFIG_TEXT_MAX];

	(void)state;
	assert_int_equal(load("", &c, text), 0);
	assert_true(c->dns.enabled && !c->dns.recurse && !c->dns.trust_anchor);
	assert_int_equal(c->dns.n_servers, 0);
	assert_int_equal(c->dns.timeout, 10);
	config_free(&c);
	assert_int_equal(load("dns { servers = {\"192.0.2.1\", \"::1@5353\"} timeout = 3\n"
			      "trust_anchor = none }\n",
			      &c, text),
			 0);
	assert_int_equal(c->dns.n_servers, 2);
	assert_string_equal(c->dns.servers[1], "::1@5353");
	assert_string_equal(c->dns.trust_anchor, "");
	assert_int_equal(c->dns.timeout, 3);
	config_free(&c);
	assert_int_equal(load("dns { recurse = true trust_anchor = \"/k\" }\n", &c, text), 0);
	assert_true(c->dns.recurse);
	assert_string_equal(c->dns.trust_anchor, "/k");
	config_free(&c);
	refused("dns {\n servers = {\"localhost\"}\n}\n",
		"2: servers: \"localhost\": expected an address, or address@port");
	refused("dns {\n timeout = 0\n}\n", "2: timeout = 0: expected 1 to 60 seconds");
	refused("dns {\n trust_anchor = \"root.key\"\n}\n",
		"2: trust_anchor = \"root.key\": expected an absolute path, or none");
	refused("dns {\n recurse = true\n servers = {\"192.0.2.1\"}\n}\n",
		"4: dns: expected either servers or recurse");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_file_is_all_defaults),
		cmocka_unit_test(test_everything_set),
		cmocka_unit_test(test_who_may),
		cmocka_unit_test(test_bad_listens),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_broken_syntax_names_the_file),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_dns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
