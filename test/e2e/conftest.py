"""A running demo server for the end-to-end tests, and what they all need.

Each test module gets a server of its own on loopback, on free ports, with its
state in a temporary directory; it is ended by its own pid. POSTRIDER_BIN names
the program under test (default: the release build).
"""
import imaplib
import json
import os
import pathlib
import shutil
import signal
import smtplib
import ssl
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("POSTRIDER_BIN", str(ROOT / "build" / "release" / "postrider"))


class Server:
    """`postrider demo` with its endpoints; start, stop, kill, start again."""

    def __init__(self, dir_, env=None, args=()):
        self.dir = pathlib.Path(dir_)
        self.data = self.dir / "state"
        self.json = self.dir / "endpoints.json"
        self.log = self.dir / "server.log"
        self.env = dict(os.environ, **(env or {}))
        self.args = list(args)
        self.proc = None
        self.ports = {}

    def start(self, wait=True, ports="0"):
        self.json.unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(
                [BIN, "demo", "--dir", str(self.data), "--ports", ports,
                 "--json", str(self.json), *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while not self.json.exists():
            if self.proc.poll() is not None:
                raise AssertionError(f"server ended with {self.proc.returncode}:\n{self.tail()}")
            if time.monotonic() > end:
                raise AssertionError(f"server not ready in {seconds} s:\n{self.tail()}")
            time.sleep(0.01)
        info = json.loads(self.json.read_text())
        self.info = info
        self.host = info["host"]
        self.ports = info["ports"]
        self.ca = info["ca"]
        self.control = info["control"]
        self.accounts = {a["address"]: a["password"] for a in info["accounts"]}

    def tail(self, n=40):
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-n:])

    def stop(self):
        """Orderly end; the exit code."""
        if self.proc is None:
            return None
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        try:
            code = self.proc.wait(30)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise AssertionError(f"server did not stop on SIGTERM:\n{self.tail()}")
        self.proc = None
        return code

    def kill(self):
        self.proc.kill()
        self.proc.wait()
        self.proc = None

    # -- what clients need --

    def password(self, user):
        return self.accounts[user]

    def ssl(self):
        return ssl.create_default_context(cafile=self.ca)

    def cli(self, *args, stdin=None, check=True):
        r = subprocess.run([BIN, "--control", self.control, *args], input=stdin,
                           capture_output=True, text=True, timeout=120)
        if check and r.returncode != 0:
            raise AssertionError(f"postrider {args}: {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def smtp(self):
        return smtplib.SMTP(self.host, self.ports["smtp"], timeout=60)

    def send(self, rcpts, message, sender="sender@example.org", options=("BODY=8BITMIME",)):
        with self.smtp() as s:
            return s.sendmail(sender, rcpts, message, mail_options=options)

    def imap(self, user="alice@example.test"):
        m = imaplib.IMAP4_SSL(self.host, self.ports["imaps"], ssl_context=self.ssl())
        m.login(user, self.password(user))
        return m

    def fetch_all(self, user="alice@example.test", box="INBOX"):
        """Every message of a mailbox, {uid: bytes}, read over IMAP."""
        m = self.imap(user)
        try:
            typ, _ = m.select(box, readonly=True)
            assert typ == "OK"
            typ, data = m.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
            assert typ == "OK"
            out = {}
            for item in data:
                if isinstance(item, tuple):
                    head = item[0].decode()
                    out[int(head.split("UID ")[1].split()[0])] = item[1]
            return out
        finally:
            m.logout()

    def wipe(self, user="alice@example.test"):
        m = self.imap(user)
        m.select("INBOX")
        m.store("1:*", "+FLAGS.SILENT", r"(\Deleted)") if m.status("INBOX", "(MESSAGES)")[1][0].find(b"MESSAGES 0") < 0 else None
        m.expunge()
        m.logout()


def need(program):
    if shutil.which(program) is None:
        pytest.fail(f"{program} is not installed; run ./dev deps")


def run(*args, stdin=None, env=None, timeout=120, check=True, cwd=None):
    r = subprocess.run([str(a) for a in args], input=stdin, capture_output=True,
                       env=dict(os.environ, **(env or {})), timeout=timeout, cwd=cwd)
    if check and r.returncode != 0:
        raise AssertionError(f"{args[0]} ended with {r.returncode}:\n{r.stdout.decode(errors='replace')}"
                             f"{r.stderr.decode(errors='replace')}")
    return r


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="postrider-e2e-") as d:
        s = Server(d).start()
        try:
            yield s
        finally:
            code = s.stop()
            assert code == 0, f"server ended with {code}:\n{s.tail()}"


@pytest.fixture
def fresh():
    """Makes servers of a test's own; whatever still runs is ended."""
    made = []
    with tempfile.TemporaryDirectory(prefix="postrider-e2e-") as d:
        def make(name="s", **kw):
            p = pathlib.Path(d) / name
            p.mkdir(exist_ok=True)
            s = Server(p, **kw)
            made.append(s)
            return s
        yield make
        for s in made:
            if s.proc is not None and s.proc.poll() is None:
                s.kill()


ALICE = "alice@example.test"
BOB = "bob@example.test"
CAROL = "carol@example.test"


def message(subject, body=b"Hello.\r\n", extra=b""):
    return (b"From: Sender <sender@example.org>\r\nTo: alice@example.test\r\n"
            b"Subject: " + subject.encode() + b"\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n"
            b"Message-ID: <" + subject.encode().replace(b" ", b".") + b"@example.org>\r\n"
            + extra + b"\r\n" + body)


def strip_trace(got, sent):
    """What the server put in front of a message must be its trace fields only."""
    assert got.endswith(sent), f"message changed: ...{got[-200:]!r} against ...{sent[-200:]!r}"
    trace = got[:len(got) - len(sent)]
    names = [l.split(b":")[0].lower() for l in trace.split(b"\r\n") if l and l[:1] not in b" \t"]
    assert set(names) <= {b"return-path", b"received"}, trace
    return trace
