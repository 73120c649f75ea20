"""Messages come back byte for byte, over SMTP in, and IMAP and POP3 out."""
import hashlib
import os
import poplib
import uuid

import pytest

from conftest import ALICE, BOB, message, strip_trace

BODIES = {
    "plain": b"one\r\ntwo\r\n",
    "empty body": b"",
    "eight bit": "Grüße, 世界, \u20ac\r\n".encode() + bytes(range(0x80, 0x100)) + b"\r\n",
    "dots": b".\r\n..\r\n...\r\n.x\r\n. \r\nend.\r\n.\r\n",
    "long lines": (b"x" * 998 + b"\r\n") * 20 + b"y" * 5000 + b"\r\n" + b"z" * 100000 + b"\r\n",
    "blank lines": b"\r\n\r\n\r\n",
    "white space": b" \t \r\n\ttab\r\n trailing \t\r\n",
    "from lines": b"From here\r\n>From there\r\n",
    "fifty kilobytes": b"".join(b"%06d %s\r\n" % (i, hashlib.sha256(b"%d" % i).hexdigest().encode()) for i in range(700)),
    "spool": b"".join(b"%06d %s\r\n" % (i, b"-" * 70) for i in range(9000)),
}


def pop3(server, user):
    p = poplib.POP3_SSL(server.host, server.ports["pop3s"], context=server.ssl())
    p.user(user)
    p.pass_(server.password(user))
    return p


def pop3_all(server, user):
    poplib._MAXLINE = 1 << 20
    p = pop3(server, user)
    out = []
    count, total = p.stat()
    sizes = {int(x.split()[0]): int(x.split()[1]) for x in p.list()[1]}
    assert sum(sizes.values()) == total
    for i in range(1, count + 1):
        _, lines, octets = p.retr(i)
        data = b"".join(l + b"\r\n" for l in lines)
        assert len(data) == sizes[i], f"LIST says {sizes[i]}, RETR gave {len(data)}"
        out.append(data)
    p.quit()
    return out


@pytest.mark.parametrize("name", BODIES)
def test_smtp_to_imap_and_pop3(server, name):
    token = uuid.uuid4().hex
    sent = message(token, BODIES[name])
    if b"\r\n" == BODIES[name][-2:] or name == "empty body":
        server.send([ALICE], sent)
    got = [m for m in server.fetch_all(ALICE).values() if token.encode() in m]
    assert len(got) == 1
    trace = strip_trace(got[0], sent)
    assert trace.lower().startswith(b"return-path: <sender@example.org>\r\n")
    assert b"received: from" in trace.lower()
    assert got[0] in pop3_all(server, ALICE)


def test_attachment_of_20_mb(server):
    import base64
    token = uuid.uuid4().hex
    raw = os.urandom(15 * 1024 * 1024)
    body = base64.encodebytes(raw).replace(b"\n", b"\r\n")
    sent = message(token, body, b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n")
    assert len(sent) > 20_000_000
    server.send([BOB], sent)
    got = [m for m in server.fetch_all(BOB).values() if token.encode() in m]
    assert len(got) == 1
    strip_trace(got[0], sent)
    p = [m for m in pop3_all(server, BOB) if token.encode() in m[:2000]]
    assert p == got


@pytest.mark.parametrize("body", [b"no final newline", b"", b"x\r\ny", b"bare\nlf\rcr\r\n"])
def test_append_comes_back_as_it_was(server, body):
    token = uuid.uuid4().hex
    sent = b"Subject: " + token.encode() + b"\r\n\r\n" + body
    m = server.imap(BOB)
    # imaplib rewrites line ends on its own in append(); send the literal by hand
    m.send(b"x1 APPEND INBOX {%d}\r\n" % len(sent))
    assert m.readline().startswith(b"+")
    m.send(sent + b"\r\n")
    line = m.readline()
    while not line.startswith(b"x1 "):
        line = m.readline()
    assert line.startswith(b"x1 OK [APPENDUID "), line
    m.shutdown()
    assert sent in server.fetch_all(BOB).values()
    # POP3 gives the canonical form: CRLF everywhere, also at the end
    canon = sent.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    if not canon.endswith(b"\r\n"):
        canon += b"\r\n"
    assert canon in pop3_all(server, BOB)


def test_partial_fetch(server):
    token = uuid.uuid4().hex
    sent = message(token, b"".join(b"%09d\r\n" % i for i in range(60000)))
    server.send([ALICE], sent)
    m = server.imap(ALICE)
    m.select("INBOX", readonly=True)
    uid = m.uid("SEARCH", "SUBJECT", token)[1][0].split()[-1].decode()
    whole = m.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1]
    for off, n in ((0, 10), (100, 100000), (131070, 10), (262140, 300000), (len(whole) - 5, 50)):
        part = m.uid("FETCH", uid, f"(BODY.PEEK[]<{off}.{n}>)")[1][0][1]
        assert part == whole[off:off + n], (off, n)
    m.logout()


def test_300_recipients(fresh):
    s = fresh().start()
    users = [f"user{i:03d}@example.test" for i in range(300)]
    for u in users:
        s.cli("account", "add", u, "--password-stdin", stdin="secret sauce\n")
    sent = message("three hundred")
    assert s.send(users, sent) == {}
    for u in users[:3] + users[-3:]:
        s.accounts[u] = "secret sauce"
        got = list(s.fetch_all(u).values())
        assert len(got) == 1
        strip_trace(got[0], sent)
    import json
    rows = json.loads(s.cli("--json", "account", "list").stdout)
    assert len(rows) == 303
    assert s.stop() == 0
