"""What stands in front of us: mail servers over LMTP, proxies that say for whom they connect."""
import email
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import time

import pytest

from conftest import BIN, need, run

ALICE, BOB = "alice@example.test", "bob@example.test"
PASSWORD = "correct horse"
PROTOCOLS = ("smtp", "submissions", "imap", "imaps", "pop3", "lmtp")
LOOPBACK = '{"127.0.0.0/8"}'


def postrider(conf, *args, stdin=None):
    r = subprocess.run([BIN, "--config", str(conf), *args], input=stdin, text=True,
                       capture_output=True, timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    return r


def free_ports(names):
    socks = {n: socket.create_server(("127.0.0.1", 0)) for n in names}
    ports = {n: s.getsockname()[1] for n, s in socks.items()}
    for s in socks.values():
        s.close()
    return ports


class Site:
    """`postrider serve` with a configuration of its own."""

    def __init__(self, tmp_path, listens):
        self.conf = tmp_path / "postrider.conf"
        self.ports = free_ports([n for n in listens if "ports" not in listens[n]])
        postrider(self.conf, "init", "--data", str(tmp_path / "data"), "--hostname", "mail.example.test")
        kept = [l for l in self.conf.read_text().splitlines() if not l.startswith("listen")]
        for name, extra in listens.items():
            where = f'addresses = {{"127.0.0.1"}} ports = {{{self.ports[name]}}}' if name in self.ports else ""
            kept.append(f"listen {name} {{ {where} {extra} }}")
        kept.append("limits { connections_per_ip = 1 }")
        kept.append("dns { enabled = false }")
        self.conf.write_text("\n".join(kept) + "\n")
        postrider(self.conf, "domain", "add", "example.test")
        for user in (ALICE, BOB):
            postrider(self.conf, "account", "add", user, "--password-stdin", stdin=PASSWORD + "\n")
        self.log = open(tmp_path / "log", "w+")
        self.proc = subprocess.Popen([BIN, "--config", str(self.conf), "serve"],
                                     stdout=subprocess.DEVNULL, stderr=self.log)
        end = time.monotonic() + 60
        while "server.listen" not in (tmp_path / "log").read_text():
            assert self.proc.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.02)

    def dial(self, name):
        return socket.create_connection(("127.0.0.1", self.ports[name]), 60)

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
        code = self.proc.wait(30)
        self.log.close()
        assert code == 0


@pytest.fixture
def site(tmp_path):
    made = []

    def make(**listens):
        made.append(Site(tmp_path, listens))
        return made[-1]
    yield make
    for s in made:
        s.stop()


def tls(sock):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock)


def talk(sock, *lines):
    """Says lines one after another, each after an answer; all that was heard."""
    f = sock.makefile("rwb")
    heard = []

    def answer():
        while True:
            line = f.readline()
            heard.append(line)
            if not line or line[3:4] != b"-":
                return
    answer()
    for line in lines:
        f.write(line.encode() + b"\r\n")
        f.flush()
        answer()
    return b"".join(heard)


def inbox(s, user, password=PASSWORD):
    """Every message over POP3 under TLS."""
    sock = s.dial("imaps")
    t = tls(sock)
    f = t.makefile("rwb")
    f.readline()
    out = []
    f.write(b'a LOGIN %s "%s"\r\nb SELECT INBOX\r\nc FETCH 1:* BODY.PEEK[]\r\nd LOGOUT\r\n'
            % (user.encode(), password.encode()))
    f.flush()
    while True:
        line = f.readline()
        m = re.search(rb"\{(\d+)\}\r\n$", line)
        if m:
            out.append(f.read(int(m[1])))
        if not line or line.startswith(b"d "):
            t.close()
            return out


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


MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log
maillog_file_prefixes = /
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = front.example.org
mydestination =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = example.test
virtual_transport = {transport}
"""


class Postfix:
    """A Postfix of our own that delivers example.test by a transport."""

    def __init__(self, dir_, transport):
        self.dir, self.port = dir_, free_ports(["smtp"])["smtp"]
        for sub in ("", "queue", "data"):
            (dir_ / sub).mkdir(exist_ok=True)
        for up in (dir_, *dir_.parents):  # its own user has to get there
            if str(up) not in ("/", "/tmp"):
                os.chmod(up, os.stat(up).st_mode | 0o011)
        shutil.chown(dir_ / "data", "postfix")
        (dir_ / "main.cf").write_text(MAIN.format(dir=dir_, transport=transport))
        (dir_ / "master.cf").write_text(MASTER.format(port=self.port))
        run("postfix", "-c", dir_, "start")

    def wait(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while True:
            text = (self.dir / "log").read_text() if (self.dir / "log").exists() else ""
            if re.search(pattern, text):
                return text
            assert time.monotonic() < end, text
            time.sleep(0.1)

    def stop(self):
        run("postfix", "-c", self.dir, "stop")


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix is started by root only")
@pytest.mark.parametrize("how", ["inet", "unix", "smtp"])
def test_postfix_in_front(site, tmp_path, how):
    need("postfix")
    path = tmp_path / "lmtp.sock"
    s = site(lmtp=f'socket = "{path}" socket_mode = "0666" ports = {{{free_ports("x")["x"]}}} addresses = {{"127.0.0.1"}}',
             smtp="", imaps="")
    lmtp = re.search(r"ports = \{(\d+)\}", s.conf.read_text().split("listen lmtp")[1])[1]
    postrider(s.conf, "account", "quota", BOB, "100")
    p = Postfix(tmp_path / "postfix", {"inet": f"lmtp:inet:127.0.0.1:{lmtp}", "unix": f"lmtp:unix:{path}",
                                       "smtp": f"smtp:[127.0.0.1]:{s.ports['smtp']}"}[how])
    try:
        run("swaks", "--server", "127.0.0.1", "--port", p.port, "--from", "x@example.org",
            "--to", f"{ALICE},{BOB},nobody@example.test", "--body", "z" * 200)
        log = p.wait(r"(?s)(?=.*alice@.*status=sent)(?=.*bob@.*status=)(?=.*nobody@.*status=)")
        assert re.search(r"alice@example.test.*status=sent \(250 2\.0\.0 OK id=", log)
        assert re.search(r"bob@example.test.*status=(deferred|bounced) .*[45]\.2\.2", log)
        assert re.search(r"nobody@example.test.*status=bounced .*5\.1\.1", log)
        got = inbox(s, ALICE)
        assert len(got) == 1 and b"with LMTP" in got[0] if how != "smtp" else b"with ESMTP" in got[0]
        assert inbox(s, BOB) == []
    finally:
        p.stop()


def test_lmtp_from_listed_networks_only(site):
    s = site(lmtp='networks = {"203.0.113.0/24"}', smtp="")
    with s.dial("lmtp") as k:
        assert k.recv(100) == b""
    with s.dial("smtp") as k:
        assert k.recv(100).startswith(b"220 ")


def v1(src):
    return f"PROXY TCP{6 if ':' in src else 4} {src} {'::1' if ':' in src else '127.0.0.1'} 4711 25\r\n".encode()


def v2(src, tlvs=b""):
    body = socket.inet_aton(src) + socket.inet_aton("192.0.2.25") + struct.pack(">HH", 4711, 25) + tlvs
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(body)) + body


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


@pytest.mark.parametrize("junk", [
    b"EHLO nothing.example\r\n", b"PROXY TCP4 203.0.113.9 127.0.0.1 1\r\n", v1("127.0.0.1")[:-2] + b"\n" * 20,
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + b"x" * 70000, b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c" + b"x" * 12])
def test_a_proxy_that_does_not_say_it_right(site, junk):
    s = site(smtp=f"proxy = {LOOPBACK}")
    k = s.dial("smtp")
    try:
        k.sendall(junk)
        assert k.recv(100) == b""
    except ConnectionError:
        pass
    k.close()
    k = s.dial("smtp")
    k.sendall(v1("203.0.113.9"))
    assert greeting(k).startswith(b"220 ")


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
    # of that client there may be one connection
    one = s.dial("smtp")
    talk(one, "XCLIENT ADDR=198.51.100.2", "NOOP")
    two = talk(s.dial("smtp"), "XCLIENT ADDR=198.51.100.2")
    assert b"421 4.7.0 too many connections" in two
    one.close()
