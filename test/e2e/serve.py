"""`postrider serve` with a configuration of a test's own, and clients for it.

Site makes a data directory, domains and accounts, starts the server on free
ports of loopback and ends it by its own pid. v1() and v2() make headers of the
PROXY protocol; Forwarder lets a program that cannot say one come from another
address; inbox() reads what arrived.
"""
import json
import pathlib
import re
import smtplib
import socket
import ssl
import struct
import subprocess
import threading
import time

from conftest import BIN

ALICE, BOB = "alice@example.test", "bob@example.test"
PASSWORD = "correct horse"
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
    """listens: {protocol: more settings of its section}; settings: further lines."""

    def __init__(self, dir_, listens, settings=(), domains=("example.test",), users=(ALICE, BOB)):
        self.dir = pathlib.Path(dir_)
        self.dir.mkdir(exist_ok=True)
        self.conf = self.dir / "postrider.conf"
        self.ports = free_ports([n for n in listens if "ports" not in listens[n]])
        postrider(self.conf, "init", "--data", str(self.dir / "data"), "--hostname", "mail.example.test")
        kept = [l for l in self.conf.read_text().splitlines() if not l.startswith("listen")]
        self.certificate = re.search(r'certificate\s*=\s*"([^"]+)"', "\n".join(kept))[1]
        for name, extra in listens.items():
            where = f'addresses = {{"127.0.0.1"}} ports = {{{self.ports[name]}}}' if name in self.ports else ""
            kept.append(f"listen {name} {{ {where} {extra} }}")
        kept += settings
        self.conf.write_text("\n".join(kept) + "\n")
        for domain in domains:
            postrider(self.conf, "domain", "add", domain)
        for user in users:
            postrider(self.conf, "account", "add", user, "--password-stdin", stdin=PASSWORD + "\n")
        self.start()

    def start(self):
        path = self.dir / "log"
        self.log = open(path, "w+")
        self.proc = subprocess.Popen([BIN, "--config", str(self.conf), "serve"], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=self.log)
        end = time.monotonic() + 60
        while "server.listen" not in path.read_text():
            assert self.proc.poll() is None and time.monotonic() < end, path.read_text()
            time.sleep(0.02)

    def cli(self, *args, stdin=None):
        return postrider(self.conf, *args, stdin=stdin)

    def ask(self, *args):
        return json.loads(self.cli("--json", *args).stdout)

    def lines(self, event):
        """The log's lines of one event."""
        return [l for l in open(self.log.name, errors="replace") if f"event={event} " in l]

    def rss(self):
        """Resident memory, in KiB."""
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.proc.pid}/status").read_text())[1])

    def dial(self, name):
        return socket.create_connection(("127.0.0.1", self.ports[name]), 60)

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
        code = self.proc.wait(30)
        self.log.close()
        assert code == 0, pathlib.Path(self.log.name).read_text()[-4000:]


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


def inbox(s, user, password=PASSWORD, box="INBOX"):
    """Every message of a mailbox, as octets, over IMAP under TLS."""
    t = tls(s.dial("imaps"))
    f = t.makefile("rwb")
    f.readline()
    out = []
    f.write(b'a LOGIN %s "%s"\r\nb EXAMINE %s\r\nc FETCH 1:* BODY.PEEK[]\r\nd LOGOUT\r\n'
            % (user.encode(), password.encode(), box.encode()))
    f.flush()
    while True:
        line = f.readline()
        m = re.search(rb"\{(\d+)\}\r\n$", line)
        if m:
            out.append(f.read(int(m[1])))
        if not line or line.startswith(b"d "):
            t.close()
            return out


def arrived(s, user, want, seconds=60, **kw):
    """The mailbox once it has want messages, or whatever it has after that time."""
    end = time.monotonic() + seconds
    while True:
        got = inbox(s, user, **kw)
        if len(got) >= want or time.monotonic() > end:
            return got
        time.sleep(0.1)


def v1(src):
    return f"PROXY TCP{6 if ':' in src else 4} {src} {'::1' if ':' in src else '127.0.0.1'} 4711 25\r\n".encode()


def v2(src, tlvs=b""):
    body = socket.inet_aton(src) + socket.inet_aton("192.0.2.25") + struct.pack(">HH", 4711, 25) + tlvs
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(body)) + body


class Forwarder:
    """with Forwarder(port, "192.0.2.1") as f: who connects to f.port comes from there."""

    def __init__(self, to, source):
        self.to, self.header = to, v1(source)
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    def accept(self):
        while True:
            try:
                a, _ = self.sock.accept()
            except OSError:
                return
            b = socket.create_connection(("127.0.0.1", self.to))
            b.sendall(self.header)
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self.copy, args=(x, y), daemon=True).start()

    @staticmethod
    def copy(a, b):
        try:
            while got := a.recv(65536):
                b.sendall(got)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            for k in (a, b):
                k.close()

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class SMTP(smtplib.SMTP):
    """smtplib from another address: SMTP(site, "192.0.2.1", "its.name")."""

    def __init__(self, s, source, helo="client.example", port="smtp"):
        self.source = source
        super().__init__("127.0.0.1", s.ports[port], local_hostname=helo, timeout=60)

    def _get_socket(self, host, port, timeout):
        k = super()._get_socket(host, port, timeout)
        k.sendall(v1(self.source))
        return k

    def bring(self, sender, rcpt, message):
        """One transaction as it is said, nothing checked by this side: (code, text) of the
        answer that ended it. sender is the whole reverse-path."""
        self.ehlo_or_helo_if_needed()
        code, text = self.docmd(f"MAIL FROM:{sender}")
        if code == 250:
            code, text = self.docmd(f"RCPT TO:<{rcpt}>")
        if code == 250:
            code, text = self.data(message)
        if code >= 400:
            self.rset()
        return code, text.decode()
