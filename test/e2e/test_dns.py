"""The resolver, SPF and iprev against NSD, and against servers that lie.

What a postmaster asks with `postrider dns lookup` and `postrider trust check`
goes through the running server's resolver, as questions about mail do.
"""
import json
import random
import socket
import subprocess
import threading

import pytest

from conftest import BIN, run
from dns_world import LyingServer, Nsd, record, wire_name

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, TLSA = 1, 2, 5, 6, 12, 15, 16, 28, 52

ZONE = """
@            IN A     192.0.2.1
@            IN MX    10 mail
@            IN MX    20 mail2
@            IN TXT   "v=spf1 mx include:_spf.example.org -all exp=why.example.org"
@            IN TXT   "another text"
mail         IN A     192.0.2.25
mail         IN AAAA  2001:db8::25
mail2        IN A     192.0.2.26
_spf         IN TXT   "v=spf1 ip4:198.51.100.0/24" " ip6:2001:db8:1::/48 ?all"
why          IN TXT   "%{i} may not send for %{d}"
soft         IN TXT   "v=spf1 ~all"
void         IN TXT   "v=spf1 a:n1.example.org a:n2.example.org a:n3.example.org -all"
loop         IN TXT   "v=spf1 include:loop.example.org"
two          IN TXT   "v=spf1 -all"
two          IN TXT   "v=spf1 +all"
outside      IN TXT   "v=spf1 include:nobody.example.net -all"
alias        IN CNAME mail
ring1        IN CNAME ring2
ring2        IN CNAME ring1
xn--bcher-kva IN TXT  "v=spf1 +all"
_25._tcp.mail IN TLSA 3 1 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
"""
ZONE += "".join(f"c{i} IN CNAME c{i + 1}\n" for i in range(100)) + "c100 IN A 192.0.2.1\n"
REVERSE = """
25           IN PTR   mail.example.org.
26           IN PTR   mail.example.org.
27           IN PTR   nobody.example.net.
"""


def ask(server, *args):
    return json.loads(server.cli("--json", *args).stdout)


def lookup(server, name, kind="A"):
    return ask(server, "dns", "lookup", name, kind)


def check(server, ip, helo="", from_=""):
    args = ["trust", "check", "--ip", ip]
    args += ["--helo", helo] if helo else []
    args += ["--from", from_] if from_ else []
    return ask(server, *args)


@pytest.fixture(scope="module")
def nsd(tmp_path_factory):
    with Nsd(tmp_path_factory.mktemp("nsd"), {"example.org": ZONE,
                                              "2.0.192.in-addr.arpa": REVERSE}) as n:
        yield n


@pytest.fixture
def with_dns(fresh):
    """A demo server that asks the given server."""
    made = []

    def make(server):
        s = fresh(name=f"s{len(made)}", args=["--dns", server]).start()
        made.append(s)
        return s
    yield make
    for s in made:
        assert s.stop() in (0, None), s.tail()


@pytest.fixture
def served(with_dns, nsd):
    return with_dns(nsd.server)


def test_what_is_in_the_zone_is_found(served):
    assert lookup(served, "mail.example.org")["records"] == ["192.0.2.25"]
    assert lookup(served, "MAIL.Example.ORG.", "aaaa")["records"] == ["2001:db8::25"]
    assert sorted(lookup(served, "example.org", "MX")["records"]) == \
        ["10 mail.example.org", "20 mail2.example.org"]
    assert lookup(served, "_spf.example.org", "TXT")["records"] == \
        ["v=spf1 ip4:198.51.100.0/24 ip6:2001:db8:1::/48 ?all"]
    assert lookup(served, "_25._tcp.mail.example.org", "TLSA")["records"] == \
        ["3 1 1 " + bytes(range(32)).hex()]
    assert lookup(served, "25.2.0.192.in-addr.arpa", "PTR")["records"] == ["mail.example.org"]
    assert lookup(served, "alias.example.org")["records"] == ["192.0.2.25"]
    assert lookup(served, "no.example.org")["result"] == "no such name"
    assert lookup(served, "mail.example.org", "MX")["result"] == "no data"
    assert not lookup(served, "mail.example.org")["secure"]
    text = served.cli("dns", "lookup", "mail.example.org").stdout
    assert "result: ok\n" in text and "192.0.2.25\n" in text


def test_what_is_not_answered_is_a_failure(served):
    """NSD refuses what it does not serve; CNAMEs that do not end are no answer."""
    for name in ("nobody.example.net", "ring1.example.org", "c0.example.org"):
        got = lookup(served, name)
        assert got["result"] == "failed", (name, got)
        assert got["problem"] and got["records"] == []
    got = ask(served, "status")["dns"]
    assert got["asked"] >= 3 and got["failed"] >= 3 and got["under_way"] == 0


def test_spf(served):
    def spf(ip, from_):
        return check(served, ip, from_=from_)["spf"]
    got = spf("192.0.2.25", "a@example.org")
    assert (got["result"], got["mechanism"], got["domain"]) == ("pass", "mx", "example.org")
    assert spf("2001:db8::25", "a@example.org")["result"] == "pass"
    assert spf("2001:db8:1:2::3", "a@example.org")["mechanism"] == "include:_spf.example.org"
    got = spf("192.0.2.99", "a@soft.example.org")
    assert (got["result"], got["mechanism"]) == ("softfail", "~all")
    assert spf("192.0.2.1", "a@void.example.org")["result"] == "permerror"
    assert "10 terms" in spf("192.0.2.1", "a@loop.example.org")["problem"]
    assert "more than one" in spf("192.0.2.1", "a@two.example.org")["problem"]
    assert spf("192.0.2.1", "a@outside.example.org")["result"] == "temperror"
    assert spf("192.0.2.1", "a@mail.example.org")["result"] == "none"
    assert spf("192.0.2.1", "a@b\u00fccher.example.org")["domain"] == "xn--bcher-kva.example.org"


def test_fail_is_explained(with_dns, tmp_path):
    zone = ('@ IN TXT "v=spf1 ip4:198.51.100.0/24 -all exp=why.example.org"\n'
            'why IN TXT "%{i} may not send for %{d}"\n')
    with Nsd(tmp_path / "n", {"example.org": zone}) as n:
        s = with_dns(n.server)
        got = check(s, "192.0.2.1", helo="mx.example.org", from_="a@example.org")
        assert got["spf"]["result"] == "fail"
        assert got["spf"]["explanation"] == "192.0.2.1 may not send for example.org"
        assert got["spf-helo"]["result"] == "none"
        assert check(s, "198.51.100.7", helo="example.org")["spf-helo"]["result"] == "pass"
        text = s.cli("trust", "check", "--ip", "192.0.2.1", "--from", "a@example.org").stdout
        assert "spf.result: fail\n" in text and "iprev.result: temperror\n" in text


def test_iprev(served):
    def iprev(ip):
        return check(served, ip, from_="a@example.org")["iprev"]
    assert iprev("192.0.2.25") == {"result": "pass", "name": "mail.example.org"}
    assert iprev("192.0.2.26") == {"result": "fail", "name": "mail.example.org"}
    assert iprev("192.0.2.27")["result"] == "temperror"
    assert iprev("192.0.2.28") == {"result": "permerror"}


def test_nobody_is_asked_without_servers(server):
    r = server.cli("dns", "lookup", "example.org", check=False)
    assert r.returncode == 1 and "no resolver" in r.stderr
    r = server.cli("trust", "check", "--ip", "192.0.2.1", "--from", "a@example.org", check=False)
    assert r.returncode == 1 and "no resolver" in r.stderr
    assert ask(server, "status")["dns"] == {"enabled": False}


def test_misuse(served):
    for args, code in ((("dns",), 2), (("dns", "lookup"), 2), (("trust", "check"), 2),
                       (("trust", "check", "--ip", "192.0.2.1"), 2),
                       (("dns", "lookup", "a..b"), 1), (("dns", "lookup", "a.org", "ANY"), 1),
                       (("trust", "check", "--ip", "x", "--helo", "y"), 1),
                       (("trust", "check", "--ip", "*", "--helo", "y"), 1)):
        r = served.cli(*args, check=False)
        assert r.returncode == code and r.stderr, (args, r)


def test_without_a_server_running(nsd, tmp_path):
    conf = tmp_path / "postrider.conf"
    head = f'data = "{tmp_path}/data"\nhostname = "mx.example.org"\n'
    conf.write_text(head + f'dns {{ servers = {{"{nsd.server}"}} trust_anchor = "none" }}\n')
    got = run(BIN, "--config", conf, "--json", "dns", "lookup", "mail.example.org")
    assert json.loads(got.stdout)["records"] == ["192.0.2.25"]
    got = run(BIN, "--config", conf, "trust", "check", "--ip", "192.0.2.25", "--from",
              "a@example.org")
    assert b"spf.result: pass\n" in got.stdout and b"iprev.result: pass\n" in got.stdout
    assert not (tmp_path / "data").exists()
    # With the root's key nothing is believed that it does not vouch for.
    conf.write_text(head + f'dns {{ servers = {{"{nsd.server}"}} }}\n')
    got = json.loads(run(BIN, "--config", conf, "--json", "dns", "lookup",
                         "mail.example.org").stdout)
    assert got["result"] == "failed" and got["bogus"] and got["records"] == []
    conf.write_text(head + "dns { enabled = false }\n")
    got = run(BIN, "--config", conf, "dns", "lookup", "mail.example.org", check=False)
    assert got.returncode == 1 and b"no resolver" in got.stderr


def test_settings(tmp_path):
    conf = tmp_path / "postrider.conf"
    for line in ('servers = {"localhost"}', 'servers = {"192.0.2.1:53"}', 'servers = {"*"}',
                 'servers = {"192.0.2.1@0"}', "timeout = 0", "timeout = 61",
                 'trust_anchor = "root.key"', 'servers = {"192.0.2.1"} recurse = true',
                 "server = 1"):
        conf.write_text(f'data = "{tmp_path}/data"\ndns {{ {line} }}\n')
        got = run(BIN, "--config", conf, "dns", "lookup", "example.org", check=False)
        assert got.returncode == 1 and b"postrider.conf:" in got.stderr, (line, got)
    conf.write_text('dns { servers = {"192.0.2.1"} trust_anchor = "/nonexistent" }\n')
    got = run(BIN, "--config", conf, "dns", "lookup", "example.org", check=False)
    assert got.returncode == 1 and b"/nonexistent" in got.stderr


def test_dnssec(tmp_path):
    """Signed is secure; changed after that is bogus, and so a failure."""
    zone = "good IN A 192.0.2.1\nevil IN A 192.0.2.2\nevil IN TXT \"v=spf1 +all\"\n"
    n = Nsd(tmp_path / "n", {"example.org": zone})
    n.write()
    anchor = n.sign("example.org")
    signed = n.zone_file("example.org")
    text = signed.read_text()
    assert "192.0.2.2" in text and "+all" in text
    signed.write_text(text.replace("192.0.2.2", "203.0.113.9").replace("+all", "?all"))
    conf = tmp_path / "postrider.conf"
    conf.write_text(f'dns {{ servers = {{"{n.server}"}} trust_anchor = "{anchor}" }}\n')

    def postrider(*args):
        return json.loads(run(BIN, "--config", conf, "--json", *args).stdout)
    n.start()
    try:
        good = postrider("dns", "lookup", "good.example.org")
        assert good["records"] == ["192.0.2.1"] and good["secure"] and not good["bogus"]
        gone = postrider("dns", "lookup", "gone.example.org")
        assert gone["result"] == "no such name" and gone["secure"]
        evil = postrider("dns", "lookup", "evil.example.org")
        assert evil["result"] == "failed" and evil["bogus"] and not evil["secure"]
        got = postrider("trust", "check", "--ip", "192.0.2.1", "--from", "a@evil.example.org")
        assert got["spf"]["result"] == "temperror"
    finally:
        n.stop()


# ---- servers that lie ------------------------------------------------------------------------


def lie(q):
    """The first label says how."""
    how = q.labels[0]
    if how.startswith("ok"):
        return q.reply(record(bytes([192, 0, 2, 1]), A)) if q.kind == A else q.reply()
    if how.startswith("spf"):
        text = b"v=spf1 mx a -all"
        if q.kind == TXT:
            return q.reply(record(bytes([len(text)]) + text, TXT))
        return q.reply(record(b"\0", q.kind))
    if how == "txt":  # its string is longer than it is
        return q.reply(record(b"\xffv=spf1 +all", TXT))
    if how.startswith("cut"):  # cut<n>: RDATA of n octets
        return q.reply(record(b"\3\1\1\0"[:int(how[3:])], q.kind))
    if how == "long":  # the length lies
        return q.reply(record(b"\0\0", q.kind, length=4000))
    if how == "count":
        return q.reply(record(bytes([192, 0, 2, 1]), A), count=500)
    if how == "pointer":  # a name that points at itself
        return q.reply(record(b"\0\1\xc0" + bytes([12 + len(q.section) + 14]), MX))
    if how == "head":
        return q.octets[:12]
    if how == "random":
        return q.ident + random.Random(1).randbytes(500)
    if how == "loop":
        return q.reply(record(wire_name(q.name), CNAME))
    if how.startswith("chain"):  # without an end, each one a new question
        n = int(how[5:])
        return q.reply(record(wire_name(f"chain{n + 1}.example.org"), CNAME))
    if how == "hundred":  # all of them at once
        out, at = [], q.name
        for i in range(100):
            out.append(record(wire_name(f"h{i}.org"), CNAME, name=wire_name(at)))
            at = f"h{i}.org"
        return q.reply(*out, record(bytes([192, 0, 2, 1]), A, name=wire_name(at)))
    if how == "many":
        return q.reply(*[record(bytes([192, 0, 2, i]), A) for i in range(200)])
    if how == "other":  # of a name that nobody asked for
        return q.reply(record(bytes([192, 0, 2, 1]), A, name=wire_name("bank.example")))
    if how == "truncated":
        return q.reply(flags=0x8380)
    if how == "ids":
        return [q.reply(record(bytes([192, 0, 2, 1]), A), ident=bytes([i, 255 - i]))
                for i in range(200)]
    return None


def test_malformed_answers_do_no_harm(with_dns):
    with LyingServer(lie) as liar:
        s = with_dns(liar.server)
        for how, kind in [(f"cut{n}", k) for n in (0, 1, 2, 3)
                          for k in ("MX", "TLSA", "AAAA")]:
            got = lookup(s, f"{how}.example.org", kind)
            # What the resolver lets through our own readers refuse.
            assert got["result"] == "failed" or got["records"][0].startswith("damaged: "), got
        for how in ("long", "count", "head", "random", "loop", "chain0", "hundred"):
            got = lookup(s, f"{how}.example.org")
            assert got["result"] == "failed" and got["records"] == [], (how, got)
        assert lookup(s, "pointer.example.org", "MX")["result"] == "failed"
        assert lookup(s, "other.example.org")["records"] == []
        assert len(lookup(s, "many.example.org")["records"]) == 200
        assert lookup(s, "txt.example.org", "TXT")["records"] == \
            ["damaged: " + b"\xffv=spf1 +all".hex()]
        assert check(s, "192.0.2.1", from_="a@txt.example.org")["spf"]["result"] == "none"
        got = check(s, "192.0.2.1", from_="a@spf.example.org")
        assert got["spf"]["result"] == "temperror"
        assert lookup(s, "ok.example.org")["records"] == ["192.0.2.1"]
        with s.smtp() as c:
            assert c.noop()[0] == 250


def test_silence_delays_nobody_else(with_dns):
    """While questions wait for servers that say nothing, or nothing that counts,
    mail goes through; then they fail, each when its time is up."""
    names = [f"silent{i}.example.org" for i in range(10)]
    names += ["ids.example.org", "truncated.example.org"]
    with LyingServer(lie) as liar:
        s = with_dns(liar.server)
        asking = []
        for name in names:
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(60)
            c.connect(s.control)
            c.sendall(json.dumps({"verb": "dns.lookup", "name": name, "type": "A"}).encode()
                      + b"\n")
            asking.append(c)
        while ask(s, "status")["dns"]["under_way"] < len(names):
            pass
        for i in range(10):
            s.send(["alice@example.test"], b"Subject: %d\r\n\r\nnot late\r\n" % i)
        assert len(s.fetch_all()) == 10
        # All of that was done before the first of them was answered.
        assert ask(s, "status")["dns"]["timed_out"] == 0
        for c in asking:
            reply = json.loads(c.makefile().readline())
            assert reply["ok"] and reply["data"]["result"] == "failed", reply
            c.close()
        assert ask(s, "status")["dns"]["failed"] + ask(s, "status")["dns"]["timed_out"] \
            >= len(names)


def test_the_server_stops_while_it_asks(with_dns):
    with LyingServer(lie) as liar:
        s = with_dns(liar.server)
        asking = [subprocess.Popen([BIN, "--control", s.control, "dns", "lookup",
                                    f"silent{i}.example.org"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL) for i in range(5)]
        while ask(s, "status")["dns"]["under_way"] < 5:
            pass
        assert s.stop() == 0
        for p in asking:
            assert p.wait(60) != 0
