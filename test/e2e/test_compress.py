"""COMPRESS=DEFLATE (RFC 4978): Python's imaplib over its zlib, in clear and over
TLS, against the running server."""
import imaplib
import zlib

import pytest

from conftest import ALICE, BOB


class Packed:
    """imaplib's socket and file, with DEFLATE between."""

    def __init__(self, sock):
        self.sock = sock
        self.into = zlib.decompressobj(-15)
        self.out = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.text = b""
        self.wire_in = self.wire_out = self.plain_in = 0

    def sendall(self, data):
        packed = self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH)
        self.wire_out += len(packed)
        self.sock.sendall(packed)

    def fill(self):
        data = self.sock.recv(65536)
        self.wire_in += len(data)
        plain = self.into.decompress(data)
        self.plain_in += len(plain)
        self.text += plain
        return bool(data)

    def readline(self, limit=-1):
        while b"\n" not in self.text and self.fill():
            pass
        n = self.text.find(b"\n") + 1 or len(self.text)
        line, self.text = self.text[:n], self.text[n:]
        return line

    def read(self, n):
        while len(self.text) < n and self.fill():
            pass
        data, self.text = self.text[:n], self.text[n:]
        return data

    def close(self):
        self.sock.close()


def compress(m):
    typ, data = m._simple_command("COMPRESS", "DEFLATE")
    assert typ == "OK", data
    m.file.close()
    m.sock = m.file = Packed(m.sock)
    return m.sock


imaplib.Commands.setdefault("COMPRESS", ("AUTH", "SELECTED"))
imaplib.Commands.setdefault("UNAUTHENTICATE", ("AUTH", "SELECTED"))


@pytest.fixture(params=["imap", "imaps"])
def client(request, server):
    if request.param == "imap":
        m = imaplib.IMAP4(server.host, server.ports["imap"])
        m.login(ALICE, server.password(ALICE))
    else:
        m = server.imap(ALICE)
    yield m
    m.sock.close()


def capabilities(m):
    return m.capability()[1][0].split()


def test_a_session(client):
    assert b"COMPRESS=DEFLATE" in capabilities(client)
    link = compress(client)
    assert b"COMPRESS=DEFLATE" not in capabilities(client)
    typ, data = client._simple_command("COMPRESS", "DEFLATE")
    assert typ == "NO" and b"[COMPRESSIONACTIVE]" in data[0]
    body = b"From: a@example.org\r\nSubject: big\r\n\r\n" + b"The same line again.\r\n" * 40000
    typ, data = client.append("INBOX", None, None, body)
    assert typ == "OK"
    assert link.wire_out < len(body) / 50
    client.select("INBOX")
    n = client.search(None, "ALL")[1][0].split()[-1]
    before = link.wire_in
    typ, data = client.fetch(n, "(BODY.PEEK[])")
    assert typ == "OK" and data[0][1] == body
    assert link.wire_in - before < len(body) / 50
    # pipelined, in one packet: nothing waits for the network that is here already
    client.sock.sendall(b"".join(b"p%d NOOP\r\n" % i for i in range(500)))
    for i in range(500):
        while not (line := client.sock.readline()).startswith(b"p%d " % i):
            assert line.startswith(b"* ")


def test_nonsense_ends_the_connection(client):
    link = compress(client)
    link.sock.sendall(b"a1 NOOP\r\n")
    while link.fill():
        pass
    assert link.text.startswith(b"* BYE ")


def test_a_bomb_ends_the_connection(client):
    link = compress(client)
    link.sendall(b"b1 NOOP (")
    try:
        for _ in range(1024):
            link.sock.sendall(link.out.compress(b"(" * (1 << 20)))
        while link.fill():
            pass
    except OSError:
        return
    assert b"OK" not in link.text


def test_another_user_compresses_again(client, server):
    for _ in range(3):
        link = compress(client)
        assert client.noop()[0] == "OK"
        tag = client._new_tag()
        link.sock.sendall(link.out.compress(tag + b" UNAUTHENTICATE\r\n") +
                          link.out.flush(zlib.Z_FINISH))
        while not link.into.eof:
            assert link.fill()
        assert link.text.split(b"\r\n")[-2].startswith(tag + b" OK ")
        assert link.into.unused_data == b""
        client.sock = link.sock
        client.file = client.sock.makefile("rb")
        client.state = "NONAUTH"
        client.login(BOB, server.password(BOB))
        assert b"COMPRESS=DEFLATE" in capabilities(client)
