"""Bad input on every port gets the protocol's error, never a crash or a hang."""
import os
import socket
import ssl
import time

import pytest

from conftest import ALICE, BOB, message

PLAIN = ("smtp", "submission", "pop3", "imap")
ALL = PLAIN + ("submissions", "pop3s", "imaps")


def connect(server, port):
    k = socket.create_connection((server.host, server.ports[port]), 30)
    k.settimeout(30)
    return k


def drain(k):
    out = b""
    try:
        while True:
            got = k.recv(65536)
            if not got:
                return out
            out += got
            assert len(out) < 10_000_000
    except (ConnectionError, ssl.SSLError):
        return out


@pytest.mark.parametrize("port", ALL)
@pytest.mark.parametrize("junk", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"A" * 600,
    b"\0" * 1000 + b"\r\n", b"A" * 200000, b"\r\n" * 3000, b"\xff\xfe\r\n" * 50, b"a b {99999999999999999999}\r\n" * 30,
    b"((((" * 30000 + b"\r\n"], ids=["http", "hello", "nul", "endless", "empty", "bits", "literal", "brackets"])
def test_junk(server, port, junk):
    k = connect(server, port)
    try:
        k.sendall(junk)
        k.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    out = drain(k)
    k.close()
    assert b"A" * 100 not in out
    if port == "imap" and junk.startswith(b"GET"):
        assert b"BAD" in out


@pytest.mark.parametrize("port,say,go", [
    ("smtp", b"EHLO x\r\n", b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n"),
    ("pop3", b"", b"STLS\r\nUSER alice@example.test\r\n"),
    ("imap", b"", b"a STARTTLS\r\nb CAPABILITY\r\n")])
def test_nothing_is_injected_by_starttls(server, port, say, go):
    """What was sent in clear behind the command goes to the TLS engine: the
    handshake fails, and the clear command is never run (THREATS TL-01)."""
    k = connect(server, port)
    k.recv(1000)
    if say:
        k.sendall(say)
        time.sleep(0.2)
        k.recv(10000)
    k.sendall(go)
    time.sleep(0.2)
    ctx = server.ssl()
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        t = ctx.wrap_socket(k, server_hostname="localhost")
        t.settimeout(5)
        t.recv(100)
        raise AssertionError("handshake went through")
    k.close()


def test_who_speaks_before_the_greeting_is_refused(server):
    """THREATS SM-06. On loopback the server watches for a moment only, so a slow
    client may miss it: one of many tries must not."""
    first = set()
    for _ in range(20):
        with socket.create_connection((server.host, server.ports["smtp"]), 30) as k:
            k.sendall(b"EHLO x\r\nMAIL FROM:<a@example.org>\r\n")
            first.add(k.recv(1000)[:4])
    assert b"554 " in first and first <= {b"554 ", b"220 "}, first
    with server.smtp() as s:                    # who waits is served
        assert s.noop()[0] == 250


SMUGGLE = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\n.\r", b"\r\n.\r", b"\r\n.\r\r\n",
           b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n"]


@pytest.mark.parametrize("end", SMUGGLE)
def test_smuggling(server, end):
    server.wipe(BOB)
    k = connect(server, "smtp")
    f = k.makefile("rb")

    def cmd(line):
        k.sendall(line)
        got = f.readline()
        while got[3:4] == b"-":
            got = f.readline()
        return got
    assert f.readline().startswith(b"220")
    assert cmd(b"EHLO x\r\n").startswith(b"250")
    assert cmd(b"MAIL FROM:<a@example.org>\r\n").startswith(b"250")
    assert cmd(b"RCPT TO:<bob@example.test>\r\n").startswith(b"250")
    assert cmd(b"DATA\r\n").startswith(b"354")
    got = cmd(b"Subject: one\r\n\r\nx" + end + b"MAIL FROM:<b@example.org>\r\nRCPT TO:<bob@example.test>\r\n"
              b"DATA\r\nSubject: two\r\n\r\ny\r\n.\r\n")
    assert got.startswith(b"550"), got
    assert cmd(b"NOOP\r\n").startswith(b"250")
    assert cmd(b"QUIT\r\n").startswith(b"221")
    k.close()
    assert server.fetch_all(BOB) == {}


def test_a_client_that_never_reads_costs_little(server):
    for i in range(3):
        server.send([ALICE], message(f"big {i}", b"x" * 76 + b"\r\n" + os.urandom(1000000).hex().encode() + b"\r\n"))
    k = connect(server, "imap")
    k.recv(1000)
    k.sendall(b"a LOGIN alice@example.test \"%s\"\r\nb SELECT INBOX\r\n" % server.password(ALICE).encode())
    time.sleep(0.3)
    for i in range(50):
        k.sendall(b"f%d FETCH 1:* BODY.PEEK[]\r\n" % i)
    time.sleep(0.5)
    # others are served at once
    t = time.monotonic()
    server.send([BOB], message("meanwhile"))
    assert len([m for m in server.fetch_all(BOB).values() if b"meanwhile" in m]) == 1
    assert time.monotonic() - t < 20
    k.close()


def test_200_connections_come_and_go(server):
    socks = [connect(server, p) for p in PLAIN for _ in range(50)]
    for k in socks:
        assert k.recv(200)
    for k in socks:
        k.close()
    server.send([BOB], message("still here"))


def test_passwords_are_never_logged(server):
    server.imap(ALICE).logout()
    log = server.log.read_bytes()
    # demo prints them once for the user; log lines never hold them
    lines = [l for l in log.splitlines() if l.startswith(b"ts=")]
    assert lines
    for pw in server.accounts.values():
        assert all(pw.encode() not in l for l in lines)


def test_arguments_that_are_no_text(server):
    """Bytes that are no UTF-8, empty values and NULs are refused in words,
    and never cut short or left out."""
    for args in (["domain", "add", b"\xff\xfe"], ["account", "show", b"\xff"],
                 ["alias", "add", "odd@example.test", ALICE, b"\xff"]):
        r = server.cli(*args, check=False)
        assert r.returncode == 1 and "not UTF-8" in r.stderr, r
    assert "odd@" not in server.cli("alias", "list").stdout
    for args in (["--control=", "status"], ["demo", "--dir", ""], ["init", "--hostname="]):
        r = server.cli(*args, check=False)
        assert r.returncode == 2 and "needs a value" in r.stderr, r
    r = server.cli("account", "add", "nul@example.test", "--password-stdin", stdin="pass\0word\n", check=False)
    assert r.returncode == 1 and "NUL" in r.stderr, r
    r = server.cli("account", "add", "x@none.test", "--password-stdin", stdin="password\n", check=False)
    assert r.returncode == 1 and "no such domain here: none.test" in r.stderr, r


def test_a_second_demo_leaves_the_first_alone(server):
    """It is refused, and the first one's CA is still the one on disk."""
    before = open(server.ca, "rb").read()
    r = server.cli("demo", "--dir", str(server.data), "--ports", "0", check=False)
    assert r.returncode == 1, r
    assert open(server.ca, "rb").read() == before
    server.imap(BOB).logout()


def greet(server, port, *commands):
    """A connection, and all that was answered up to the last command's end."""
    k = connect(server, port)
    f = k.makefile("rwb")
    f.readline()
    for c in commands:
        f.write(c + b"\r\n")
        f.flush()
        tag = c.split()[0]
        while port == "imap":
            line = f.readline()
            assert line, c
            if line.startswith((tag + b" ", b"+")):
                break
        else:
            assert f.readline().startswith(b"+OK"), c
    return k, f


def test_a_new_password_ends_the_sessions_of_the_old_one(fresh):
    """Every session that is logged in is told and ended; others go on
    (THREATS AU-12). So it is with an account that is removed."""
    s = fresh().start()

    def sessions(user):
        pw = s.password(user).encode()
        login = b"a LOGIN %s %s" % (user.encode(), pw)
        return {"idle": greet(s, "imap", login, b"b SELECT INBOX", b"c IDLE"),
                "selected": greet(s, "imap", login, b"b SELECT INBOX"),
                "quiet": greet(s, "imap", login),
                "pop3": greet(s, "pop3", b"USER " + user.encode(), b"PASS " + pw)}
    alice, bob = sessions(ALICE), sessions(BOB)
    stranger = greet(s, "imap")
    s.cli("account", "password", ALICE, "--password-stdin", stdin="another\n")
    for name, (k, f) in alice.items():
        said = f.read()
        assert b"your login was withdrawn" in said.lower(), (name, said)
    assert bob["pop3"][1].write(b"NOOP\r\n") and bob["pop3"][1].flush() is None
    assert bob["pop3"][1].readline().startswith(b"+OK")
    with s.smtp() as c:
        assert c.noop()[0] == 250
    s.cli("account", "remove", BOB)
    for name, (k, f) in bob.items():
        said = f.read()
        assert b"withdrawn" in said or b"was deleted" in said, (name, said)
    stranger[1].write(b"z NOOP\r\n")
    stranger[1].flush()
    assert stranger[1].readline().startswith(b"z OK")
    s.accounts[ALICE] = "another"
    s.imap(ALICE).logout()
    assert s.stop() == 0
