"""What stands in front of us: mail servers over LMTP, proxies that say for whom they connect."""
import email
import os
import re
import time

import pytest

from conftest import need, run
from mtas import Postfix
from serve import ALICE, BOB, LOOPBACK, Site, free_ports, inbox, postrider, talk, tls, v1, v2

PROTOCOLS = ("smtp", "submissions", "imap", "imaps", "pop3", "lmtp")


@pytest.fixture
def site(tmp_path):
    made = []

    def make(**listens):
        made.append(Site(tmp_path, listens, ["limits { connections_per_ip = 1 }", "dns { enabled = false }"]))
        return made[-1]
    yield make
    for s in made:
        s.stop()


def test_swaks_delivers_over_lmtp(site, tmp_path):
    need("swaks")
    path = tmp_path / "lmtp.sock"
    s = site(lmtp=f'socket = "{path}" socket_mode = "0600"', imaps="")
    assert os.stat(path).st_mode & 0o777 == 0o600
    common = ["swaks", "--protocol", "LMTP", "--from", "x@example.org", "--header", "Subject: by lmtp"]
    r = run(*common, "--server", "127.0.0.1", "--port", s.ports["lmtp"], "--to", f"{ALICE},{BOB}")
    assert r.stdout.count(b"2.0.0 OK id=") >= 1
    run(*common, "--socket", path, "--to", ALICE)
    got = inbox(s, ALICE)
    assert len(got) == 2 and len(inbox(s, BOB)) == 1
    m = email.message_from_bytes(got[0])
    assert m["Return-Path"] == "<x@example.org>" and "with LMTP" in m["Received"]
    # a server in front of us may name who is not here, and hears it for each
    r = run(*common, "--server", "127.0.0.1", "--port", s.ports["lmtp"], "--to", "nobody@example.test", check=False)
    assert b"550 5.1.1" in r.stdout
    postrider(s.conf, "account", "quota", BOB, "10")
    r = run(*common, "--socket", path, "--to", BOB, check=False)
    assert b" 4" in r.stdout or b" 5" in r.stdout
    assert len(inbox(s, BOB)) == 1


@pytest.mark.parametrize("how", ["inet", "unix", "smtp"])
def test_postfix_in_front(site, tmp_path, how):
    p = Postfix(tmp_path / "postfix")
    path = p.dir / "run/lmtp.sock"
    lmtp = free_ports(["lmtp"])["lmtp"]
    s = site(lmtp=f'socket = "{path}" socket_mode = "0666" ports = {{{lmtp}}} addresses = {{"127.0.0.1"}}',
             smtp="", imaps="")
    postrider(s.conf, "account", "quota", BOB, "100")
    to = {"inet": f"lmtp:inet:127.0.0.1:{lmtp}", "unix": "lmtp:unix:/run/lmtp.sock",
          "smtp": f"smtp:[127.0.0.1]:{s.ports['smtp']}"}[how]
    with p.serve(s.ports["smtp"], transport_maps=f"inline:{{example.test={to}}}", smtp_tls_security_level="none"):
        run("swaks", "--server", "127.0.0.1", "--port", p.port, "--from", "x@example.org",
            "--to", f"{ALICE},{BOB},nobody@example.test", "--body", "z" * 200)
        log = p.wait(r"(?s)(?=.*alice@.*status=sent)(?=.*bob@.*status=)(?=.*nobody@.*status=)")
        assert re.search(r"alice@example.test.*status=sent \(250 2\.0\.0 OK id=", log)
        assert re.search(r"bob@example.test.*status=(deferred|bounced) .*[45]\.2\.2", log)
        assert re.search(r"nobody@example.test.*status=bounced .*5\.1\.1", log)
        got = inbox(s, ALICE)
        assert len(got) == 1 and (b"with ESMTP" if how == "smtp" else b"with LMTP") in got[0]
        assert inbox(s, BOB) == []


def test_lmtp_from_listed_networks_only(site):
    s = site(lmtp='networks = {"203.0.113.0/24"}', smtp="")
    with s.dial("lmtp") as k:
        assert k.recv(100) == b""
    with s.dial("smtp") as k:
        assert k.recv(100).startswith(b"220 ")


def greeting(sock, secure=False):
    sock = tls(sock) if secure else sock
    with sock:
        return sock.recv(200)


def test_proxy_protocol_before_everything_else(site):
    s = site(**{n: f"proxy = {LOOPBACK}" for n in PROTOCOLS})
    for i, name in enumerate(PROTOCOLS):
        # one address may have one connection, and whether one has ended is seen later
        for header in (v1(f"203.0.113.{i}"), v1(f"2001:db8:{i}::9"), v2(f"198.51.100.{i}", b"\x04\0\x02xx")):
            k = s.dial(name)
            k.sendall(header)
            assert greeting(k, name in ("submissions", "imaps"))[:1] in (b"2", b"+", b"*"), (name, header)
    # what comes in octets, or behind the header in the same segment, is not lost
    k = s.dial("imap")
    for c in v1("203.0.113.99"):
        k.sendall(bytes([c]))
    assert greeting(k).startswith(b"* OK")
    # the client's address is in the trace
    k = s.dial("smtp")
    k.sendall(v1("203.0.113.77"))
    heard = talk(k, "EHLO client.example", "MAIL FROM:<x@example.org>", f"RCPT TO:<{ALICE}>", "DATA",
                 "Subject: proxied\r\n\r\n.", "QUIT")
    assert b"2.0.0 OK id=" in heard
    assert "proxy = " in s.conf.read_text()
    assert b"203.0.113.77" in open(s.log.name, "rb").read()


def test_connections_count_for_the_client(site):
    s = site(smtp=f"proxy = {LOOPBACK}", submissions=f"proxy = {LOOPBACK}")
    first = s.dial("smtp")
    first.sendall(v1("203.0.113.9"))
    assert first.recv(100).startswith(b"220 ")
    second = s.dial("smtp")
    second.sendall(v2("203.0.113.9"))
    assert b"421 4.7.0" in second.recv(100)
    other = s.dial("smtp")
    other.sendall(v1("203.0.113.10"))
    assert other.recv(100).startswith(b"220 ")
    third = s.dial("submissions")
    third.sendall(v1("203.0.113.9"))
    assert third.recv(100) == b""
    for k in (first, second, other, third):
        k.close()


def test_a_proxy_that_does_not_say_it_right(site):
    s = site(smtp=f"proxy = {LOOPBACK}")
    for i, junk in enumerate((
            b"EHLO nothing.example\r\n", b"PROXY TCP4 203.0.113.9 127.0.0.1 1\r\n",
            v1("127.0.0.1")[:-2] + b"\n" * 20, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + b"x" * 70000,
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c" + b"x" * 12)):
        k = s.dial("smtp")
        try:
            k.sendall(junk)
            assert k.recv(100) == b"", junk
        except ConnectionError:
            pass
        k.close()
        k = s.dial("smtp")
        k.sendall(v1(f"203.0.113.{i}"))
        assert greeting(k).startswith(b"220 "), junk


def test_a_slow_header_ends(site):
    s = site(smtp=f"proxy = {LOOPBACK}")
    k = s.dial("smtp")
    k.sendall(b"PROXY TCP4 203")
    start = time.monotonic()
    assert k.recv(100) == b""
    assert time.monotonic() - start < 30
    k.close()


def test_from_elsewhere_nobody_is_believed(site):
    s = site(smtp='proxy = {"203.0.113.0/24"} xclient = {"203.0.113.0/24"}', imaps="")
    k = s.dial("smtp")
    assert k.recv(100).startswith(b"220 ")
    k.sendall(v1("198.51.100.1"))
    assert k.recv(200).startswith(b"500 ")
    heard = talk(s.dial("smtp"), "EHLO x", "XCLIENT ADDR=198.51.100.1", "MAIL FROM:<x@example.org>",
                 f"RCPT TO:<{ALICE}>", "DATA", "Subject: direct\r\n\r\n.", "QUIT")
    assert b"550 5.7.0" in heard and b"XCLIENT NAME" not in heard
    assert b"([127.0.0.1])" in inbox(s, ALICE)[0]


def test_xclient(site):
    s = site(smtp=f"xclient = {LOOPBACK}", imaps="")
    heard = talk(s.dial("smtp"), "EHLO proxy.example", "XCLIENT NAME=client.example ADDR=198.51.100.1",
                 "EHLO client.example", "MAIL FROM:<x@example.org>", f"RCPT TO:<{ALICE}>", "DATA",
                 "Subject: for another\r\n\r\n.", "QUIT")
    assert b"250-XCLIENT NAME ADDR PORT PROTO HELO" in heard
    assert b"(client.example [198.51.100.1])" in inbox(s, ALICE)[0]
    # behind a proxy that passes octets on, the next to speak is the client
    heard = talk(s.dial("smtp"), "XCLIENT ADDR=198.51.100.1", "XCLIENT ADDR=192.0.2.1", "QUIT")
    assert b"550 5.7.0" in heard
    # of that client there may be one connection
    one = s.dial("smtp")
    talk(one, "XCLIENT ADDR=198.51.100.2", "NOOP")
    two = talk(s.dial("smtp"), "XCLIENT ADDR=198.51.100.2")
    assert b"421 4.7.0 too many connections" in two
    one.close()
