"""SMTP over real sockets: cuts at every octet, chunks by the million, connections that break."""
import os
import re
import socket
import ssl
import struct
import threading
import time

import pytest

from conftest import BOB

# Whatever is not CRLF . CRLF (RFC 5321 4.1.1.4) ends no message.
ENDINGS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n.\r",
           b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n"]
TRUE = [(b"\r\n.\r\n", b""), (b"\r\n..\r\n.\r\n", b".\r\n"), (b"\r\n.x\r\n.\r\n", b"x\r\n"),
        (b"\r\n.\n.\r\n.\r\n", None)]


class Client:
    """A connection whose every send is a record (TLS) or a segment of its own."""

    def __init__(self, server, secure=False):
        self.sock = socket.create_connection((server.host, server.ports["smtp"]), 60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        assert self.answer().startswith(b"220 ")
        self.say(b"EHLO x", b"250")
        if secure:
            self.say(b"STARTTLS", b"220")
            context = ssl.create_default_context(cafile=server.ca)
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
            self.file = self.sock.makefile("rb")
            self.say(b"EHLO x", b"250")

    def answer(self):
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                return line

    def say(self, line, want):
        self.sock.sendall(line + b"\r\n")
        got = self.answer()
        assert got.startswith(want), (line, got)
        return got

    def begin(self, rcpt=BOB, extra=b""):
        self.say(b"MAIL FROM:<a@example.org>" + extra, b"250")
        self.say(b"RCPT TO:<" + rcpt.encode() + b">", b"250")

    def reset(self):
        """Breaks off: the server sees a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()


def bodies(server, user=BOB):
    return [m.split(b"\r\n\r\n", 1)[1] if b"\r\n\r\n" in m else b"" for m in server.fetch_all(user).values()]


@pytest.mark.parametrize("secure", [False, True], ids=["clear", "tls"])
def test_endings_cut_at_every_octet(server, secure):
    server.wipe(BOB)
    for end in ENDINGS:
        c = Client(server, secure)  # whose errors are counted
        data = (b"Subject: one\r\n\r\nx" + end + b"MAIL FROM:<b@example.org>\r\nRCPT TO:<bob@example.test>\r\n"
                b"DATA\r\nSubject: two\r\n\r\ny\r\n.\r\n")
        at = data.index(end)
        for cut in range(at, at + len(end) + 1):
            c.begin()
            c.say(b"DATA", b"354")
            c.sock.sendall(data[:cut])
            c.sock.sendall(data[cut:])
            got = c.answer()
            assert got.startswith(b"550 5.5.2"), (end, cut, got)
            c.say(b"RSET", b"250")
        c.say(b"QUIT", b"221")
        c.close()
    assert bodies(server) == []


@pytest.mark.parametrize("secure", [False, True], ids=["clear", "tls"])
def test_true_ends_cut_at_every_octet(server, secure):
    server.wipe(BOB)
    want = []
    for end, rest in TRUE:
        c = Client(server, secure)
        data = b"Subject: one\r\n\r\nx" + end
        for cut in range(data.index(b"x"), len(data) + 1):
            c.begin()
            c.say(b"DATA", b"354")
            c.sock.sendall(data[:cut])
            c.sock.sendall(data[cut:] or b"")
            got = c.answer()
            assert got.startswith(b"550" if rest is None else b"250"), (end, cut, got)
            if rest is not None:
                want.append(b"x\r\n" + rest)
        # and all octets by themselves
        c.begin()
        c.say(b"DATA", b"354")
        for i in range(len(data)):
            c.sock.sendall(data[i:i + 1])
        assert c.answer().startswith(b"550" if rest is None else b"250")
        if rest is not None:
            want.append(b"x\r\n" + rest)
        c.say(b"QUIT", b"221")
        c.close()
    assert sorted(bodies(server)) == sorted(want)


def test_an_end_within_a_chunk_ends_nothing(server):
    server.wipe(BOB)
    c = Client(server)
    for end, _ in TRUE[:3]:
        data = b"Subject: one\r\n\r\nx" + end + b"QUIT\r\n"
        for cut in range(len(data) + 1):
            if cut % 20 == 0 and cut:
                c.say(b"QUIT", b"221")
                c.close()
                c = Client(server)
            c.begin()
            c.sock.sendall(b"BDAT %d\r\n" % cut + data[:cut])
            assert c.answer().startswith(b"250")
            c.sock.sendall(b"BDAT %d LAST\r\n" % (len(data) - cut) + data[cut:])
            assert c.answer().startswith(b"250")
        assert all(b == b"x" + end + b"QUIT\r\n" for b in bodies(server))
        server.wipe(BOB)
    c.close()


def rss(server):
    pid = server.info["pid"]
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) * 1024


def test_a_million_chunks_cost_no_memory(server):
    """BDAT 1 by the million within one message, pipelined; one BDAT 0 after another (THREATS SM-14)."""
    server.wipe(BOB)
    rounds, each = 1000, 1000
    c = Client(server)
    c.begin()
    c.sock.sendall(b"BDAT 14\r\nSubject: m\r\n\r\n")
    assert c.answer().startswith(b"250")
    c.sock.sendall(b"BDAT 1\r\nx" * each)
    for _ in range(each):
        assert c.file.readline().startswith(b"250 ")
    before = rss(server)

    def send():
        for _ in range(rounds - 1):
            c.sock.sendall(b"BDAT 1\r\nx" * each)
        c.sock.sendall(b"BDAT 2 LAST\r\n\r\n")
    t = threading.Thread(target=send)
    t.start()
    for _ in range((rounds - 1) * each):
        assert c.file.readline() == b"250 2.0.0 1 octets received\r\n"
    assert b"2.0.0 OK id=" in c.answer()
    t.join()
    assert rss(server) - before < 32 << 20
    assert [len(b) for b in bodies(server)] == [rounds * each + 2]
    c.begin()
    try:
        for _ in range(1000000):
            c.sock.sendall(b"BDAT 0\r\n")
    except ConnectionError:
        pass
    else:
        pytest.fail("nobody lost patience")
    c.close()


def test_what_is_refused_is_dropped_up_to_a_limit(server):
    c = Client(server)
    c.sock.sendall(b"BDAT 1000000\r\n" + b"NOOP\r\n" * 100000 + b"x" * 400000 + b"NOOP\r\n")
    assert c.answer().startswith(b"503 ") and c.answer().startswith(b"250 ")
    c.sock.sendall(b"BDAT 18446744073709551615\r\n")
    assert c.answer().startswith(b"503 ")
    assert c.file.read() == b""
    c.close()


@pytest.mark.parametrize("go", [
    (b"DATA\r\n", b"Subject: half\r\n\r\nhalf"), (None, b"BDAT 100\r\nSubject: half\r\n\r\n"),
    (None, b"BDAT 100 LAST\r\n"), (None, b"MAIL FROM:<")])
def test_tls_that_ends_within_a_message(server, go):
    """close_notify, then clear text: nothing of either is taken (THREATS SM-16, TL-09)."""
    server.wipe(BOB)
    raw = socket.create_connection((server.host, server.ports["smtp"]), 60)
    f = raw.makefile("rb")
    f.readline()
    raw.sendall(b"EHLO x\r\n")
    while f.readline()[3:4] == b"-":
        pass
    raw.sendall(b"STARTTLS\r\n")
    assert f.readline().startswith(b"220")
    context = ssl.create_default_context(cafile=server.ca)
    inc, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inc, out, server_hostname="localhost")

    def pump(call, *args):
        while True:
            try:
                r = call(*args)
                raw.sendall(out.read())
                return r
            except ssl.SSLWantReadError:
                raw.sendall(out.read())
                inc.write(raw.recv(65536))
    pump(tls.do_handshake)

    def say(line):
        pump(tls.write, line)
        got = b""
        while not re.search(rb"^\d\d\d [^\n]*\n\Z", got, re.M):
            got += pump(tls.read, 65536)
        return got
    assert say(b"EHLO x\r\n").endswith(b"SMTPUTF8\r\n")
    assert say(b"MAIL FROM:<a@example.org>\r\n").startswith(b"250")
    assert say(b"RCPT TO:<bob@example.test>\r\n").startswith(b"250")
    if go[0]:
        assert say(go[0]).startswith(b"354")
    pump(tls.write, go[1])
    try:
        tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    raw.sendall(out.read())
    try:
        raw.sendall(b"x\r\n.\r\nQUIT\r\n")
        while raw.recv(65536):
            pass
    except ConnectionError:
        pass
    f.close()
    raw.close()
    with server.smtp() as s:
        assert s.noop()[0] == 250
    assert bodies(server) == []


STEPS = [b"EHLO x\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<bob@example.test>\r\n", b"DATA\r\n",
         b"Subject: s\r\n", b"\r\nbody\r\n", b".\r\n"]
CHUNKS = STEPS[:3] + [b"BDAT 12\r\n", b"Subject: s\r\n", b"BDAT 5 LAST\r\n", b"\r\nx\r", b"\n"]


@pytest.mark.parametrize("steps", [STEPS, CHUNKS], ids=["data", "bdat"])
@pytest.mark.parametrize("rst", [False, True], ids=["fin", "rst"])
def test_a_client_that_goes_at_each_step(server, steps, rst):
    """Before the end nothing is stored; at the end once or not at all (THREATS SM-17)."""
    server.wipe(BOB)
    done = 0
    for n in range(1, len(steps) + 1):
        c = Client(server)
        for step in steps[1:n]:
            c.sock.sendall(step)
            if step[:4] in (b"MAIL", b"RCPT", b"DATA"):
                c.answer()
        if n == len(steps):
            done += b"OK id=" in c.answer() or b"OK id=" in c.answer()
        c.reset() if rst else c.close()
    assert len(bodies(server)) == done == 1
    # gone before the answer: what was decided is there once
    for _ in range(10):
        c = Client(server)
        c.begin()
        c.say(b"DATA", b"354")
        c.sock.sendall(b"Subject: s\r\n\r\n" + os.urandom(30).hex().encode() + b"\r\n.\r\n")
        c.reset() if rst else c.close()
    with server.smtp() as s:
        assert s.noop()[0] == 250
    time.sleep(0.5)
    got = bodies(server)
    assert len(got) == len(set(got)) and 1 <= len(got) <= 11
