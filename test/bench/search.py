#!/usr/bin/python3
"""bench search: how fast SEARCH, SORT and FETCH are over a big mailbox.

Starts a release `postrider demo` on free loopback ports, fills INBOX with N
messages (default 50,000; `search.py 5000` for less) by pipelined APPENDs on
several connections, searches once while nothing is indexed, waits until the
server has been quiet for a while, and prints a table of times, first and best
of five, with what the mail and the data directory take. The mail is made by a seeded
generator: a vocabulary of 60,000 words with Zipf's frequencies, headers as
mail has them (ids, signatures, references), a part of it HTML, some with
attachments.

With `--against HOST:PORT:USER:PASSWORD` another IMAP server's empty INBOX gets
the same mail in clear, and its figures stand beside ours.
"""
import base64
import itertools
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("POSTRIDER_BIN", str(ROOT / "build" / "release" / "postrider"))
CONNECTIONS = 4
WINDOW = 16  # APPENDs under way on a connection
QUIET_S = 8  # of no work: the index is done


# ---- mail ------------------------------------------------------------------------


class Mail:
    """Message number i is always the same, for every server."""

    def __init__(self, seed=1):
        rng = random.Random(seed)
        words = set()
        while len(words) < 60000:
            words.add("".join(rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") +
                              rng.choice(["", "", "n", "r", "s"])
                              for _ in range(rng.randint(1, 4))))
        self.words = sorted(words)
        rng.shuffle(self.words)
        self.weights = list(itertools.accumulate(1.0 / (i + 2) ** 1.05
                                                 for i in range(len(self.words))))
        self.text_bytes = 0

    def pick(self, rng, k):
        return rng.choices(self.words, cum_weights=self.weights, k=k)

    def text(self, rng, i):
        w = self.pick(rng, int(min(rng.lognormvariate(5.6, 0.8), 6000)) + 20)
        if i % 5000 == 77:
            w.insert(len(w) // 2, "quixotry")
        lines = [" ".join(w[at:at + 12]) for at in range(0, len(w), 12)]
        return ".\r\n".join(lines) + "\r\n"

    def header(self, rng, i, date):
        a = self.pick(rng, 12)
        noise = base64.b64encode(rng.randbytes(256)).decode()
        sig = "\r\n  ".join(noise[at:at + 70] for at in range(0, len(noise), 70))
        refs = "".join(f"References: <{rng.randrange(2 ** 60):x}@{a[0]}.example>\r\n"
                       for _ in range(i % 2))
        return (f"Return-Path: <{a[1]}@{a[2]}.example>\r\n"
                f"Received: from mx.{a[2]}.example (mx.{a[2]}.example [192.0.2.{i % 250}])\r\n"
                f"  by mx.example.test with ESMTPS id {rng.randrange(2 ** 56):x};\r\n  {date}\r\n"
                f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={a[2]}.example; s=s1;\r\n"
                f"  h=from:to:subject:date; b={sig}\r\n"
                f"From: {a[3].title()} {a[4].title()} <{a[1]}@{a[2]}.example>\r\n"
                f"To: {a[5].title()} <alice@example.test>\r\n"
                f"Subject: {'Re: ' if i % 3 == 0 else ''}{' '.join(a[6:10])}\r\n"
                f"Date: {date}\r\nMessage-ID: <{rng.randrange(2 ** 80):x}@{a[2]}.example>\r\n"
                f"{refs}X-Mailer: {a[10]} 1.{i % 7}\r\nMIME-Version: 1.0\r\n")

    def make(self, i):
        rng = random.Random(i)
        at = 1700000000 + i * 600 + rng.randrange(100000)
        date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(at))
        head, text = self.header(rng, i, date), self.text(rng, i)
        self.text_bytes += len(head) + len(text)
        if i % 10 == 3:
            html = "<p style=\"margin: 0\">" + text.replace("\r\n", "</p>\r\n<p>") + "</p>"
            self.text_bytes += len(text)
            body = ("Content-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n"
                    f"Content-Type: text/plain\r\n\r\n{text}\r\n--bb\r\n"
                    f"Content-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n--bb--\r\n")
        elif i % 25 == 7:
            blob = base64.encodebytes(rng.randbytes(rng.randrange(10000, 90000)))
            body = ("Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n"
                    f"Content-Type: text/plain\r\n\r\n{text}\r\n--bb\r\n"
                    "Content-Type: application/pdf; name=a.pdf\r\n"
                    "Content-Transfer-Encoding: base64\r\n\r\n"
                    + blob.decode().replace("\n", "\r\n") + "--bb--\r\n")
        else:
            body = "Content-Type: text/plain\r\n\r\n" + text
        return (head + body).encode(), at


# ---- a client ----------------------------------------------------------------------


class Imap:
    def __init__(self, host, port, user, password):
        self.sock = socket.create_connection((host, port), timeout=600)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.f = self.sock.makefile("rb")
        self.n = 0
        self.f.readline()
        self.run(f'LOGIN "{user}" "{password}"')

    def send(self, command):
        self.n += 1
        tag = f"t{self.n}"
        self.sock.sendall(f"{tag} {command}\r\n".encode() if isinstance(command, str)
                          else f"{tag} ".encode() + command)
        return tag

    def wait(self, tag):
        lines = []
        while True:
            line = self.f.readline()
            if not line:
                raise SystemExit("the server closed a connection")
            if line.startswith(tag.encode() + b" "):
                if line.split()[1] != b"OK":
                    raise SystemExit(line.decode())
                return lines
            lines.append(line)

    def run(self, command):
        return self.wait(self.send(command))


def fill_some(imap, mail, numbers, box, count):
    under_way = []
    for i in numbers:
        data, at = mail.make(i)
        date = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(at))
        head = f'APPEND {box} "{date}" {{{len(data)}+}}\r\n'.encode()
        under_way.append(imap.send(head + data + b"\r\n"))
        if len(under_way) >= WINDOW:
            imap.wait(under_way.pop(0))
        count[0] += 1
        count[1] += len(data)
    for tag in under_way:
        imap.wait(tag)


def fill(connect, n, box="INBOX"):
    """n messages on several connections. Octets of mail, of text."""
    mail, count = Mail(), [0, 0]
    threads = [threading.Thread(target=fill_some,
                                args=(connect(), mail, range(k, n, CONNECTIONS), box, count))
               for k in range(CONNECTIONS)]
    began = time.monotonic()
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        threads[0].join(2)
        print(f"\r  {count[0]} of {n} messages, {count[1] / 1e6:.0f} MB, "
              f"{time.monotonic() - began:.0f} s", end="", flush=True)
        if not threads[0].is_alive():
            for t in threads:
                t.join(0.5)
    print()
    return count[1], mail


# ---- measuring ------------------------------------------------------------------------


def cpu(pid):
    total = 0
    for p in [pid] + children(pid):
        try:
            f = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(f[11]) + int(f[12])
        except OSError:
            pass
    return total / os.sysconf("SC_CLK_TCK")


def children(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    kids = [int(x) for x in text.split()]
    return kids + [x for k in kids for x in children(k)]


def wait_quiet(pid):
    began, last, since = time.monotonic(), cpu(pid), time.monotonic()
    first = last
    while time.monotonic() - since < QUIET_S:
        time.sleep(1)
        now = cpu(pid)
        if now - last > 0.03:
            since = time.monotonic()
        last = now
    return since - began, last - first


def disk(path):
    return sum(f.stat().st_blocks * 512 for f in pathlib.Path(path).rglob("*") if f.is_file())


def commands(mail):
    rare, common = mail.words[30000], mail.words[2]
    return [
        ("TEXT, absent word", "SEARCH TEXT qqzzqqzz"),
        ("BODY, absent word", "SEARCH BODY qqzzqqzz"),
        ("BODY, rare word", "SEARCH BODY quixotry"),
        ("BODY, middle of a rare word", "SEARCH BODY uixotr"),
        ("BODY, uncommon word", f"SEARCH BODY {rare}"),
        ("BODY, common word", f"SEARCH BODY {common}"),
        ("BODY, two words", f'SEARCH BODY "{mail.words[40]} {mail.words[50]}"'),
        ("BODY, phrase of common words", f'SEARCH BODY "{mail.words[2]} {mail.words[3]}"'),
        ("BODY, phrase of three", f'SEARCH BODY "{mail.words[2]} {mail.words[3]} {mail.words[5]}"'),
        ("TEXT, phrase of common words", f'SEARCH TEXT "{mail.words[2]} {mail.words[3]}"'),
        ("HEADER, common word", 'SEARCH HEADER Received "mx.example.test"'),
        ("HEADER X-Mailer, common word", f'SEARCH HEADER X-Mailer "{mail.words[2]}"'),
        ("SUBJECT", f"SEARCH SUBJECT {mail.words[900]}"),
        ("FROM", f"SEARCH FROM {mail.words[900]}"),
        ("HEADER X-Mailer", f'SEARCH HEADER X-Mailer "{mail.words[900]}"'),
        ("SENTSINCE", "SEARCH SENTSINCE 1-Jan-2024"),
        ("SORT DATE", "SORT (DATE) UTF-8 ALL"),
        ("SORT SUBJECT", "SORT (SUBJECT) UTF-8 ALL"),
        ("THREAD REFERENCES", "THREAD REFERENCES UTF-8 ALL"),
        ("FETCH 1:* FLAGS", "FETCH 1:* FLAGS"),
    ]


def timed(imap, command):
    t = time.monotonic()
    try:
        lines = imap.run(command)
    except SystemExit as e:
        if b"BAD" in str(e).encode():
            return None, None
        raise
    hits = sum(len(x.split()) - 2 for x in lines if x.startswith((b"* SEARCH", b"* SORT")))
    return (time.monotonic() - t) * 1000, hits


def measure(connect, mail):
    out = {}
    for name, command in commands(mail):
        imap = connect()
        imap.run("SELECT INBOX")
        first, hits = timed(imap, command)
        if first is None:
            out[name] = ("-", "-", "-")
            continue
        rest = [timed(imap, command)[0] for _ in range(5 if first < 2000 else 1)]
        out[name] = (f"{first:.1f}", f"{min(rest):.1f}", hits)
        imap.sock.close()
    return out


# ---- servers ---------------------------------------------------------------------------


def ours(n, tmp):
    info_path, err_path = os.path.join(tmp, "demo.json"), os.path.join(tmp, "stderr")
    with open(err_path, "wb") as err:
        proc = subprocess.Popen([BIN, "demo", "--json", info_path, "--ports", "0", "--dir",
                                 os.path.join(tmp, "data")], stdout=subprocess.DEVNULL, stderr=err)
    try:
        while not os.path.exists(info_path) or not os.path.getsize(info_path):
            if proc.poll() is not None:
                raise SystemExit(f"the demo did not start:\n{pathlib.Path(err_path).read_text()}")
            time.sleep(0.05)
        info = json.loads(pathlib.Path(info_path).read_text())
        user = info["accounts"][0]

        def connect():
            return Imap(info["host"], info["ports"]["imap"], user["address"], user["password"])

        print("postrider: filling")
        octets, mail = fill(connect, n)
        before = disk(os.path.join(tmp, "data"))
        imap = connect()
        imap.run("SELECT INBOX")
        first, _ = timed(imap, "SEARCH BODY qqzzqqzz")
        seconds, used = wait_quiet(info["pid"])
        after = disk(os.path.join(tmp, "data"))
        print(f"  first search, nothing indexed: {first:.0f} ms; index done after another "
              f"{seconds:.0f} s, {used:.1f} s of CPU ({used / n * 1000:.2f} ms a message)")
        print(f"  mail {octets / 1e6:.0f} MB, text of it {mail.text_bytes / 1e6:.0f} MB; data "
              f"directory {before / 1e6:.0f} MB, with the index {after / 1e6:.0f} MB")
        return measure(connect, mail), mail
    finally:
        if proc.poll() is None:
            proc.send_signal(signal.SIGTERM)
            proc.wait()


def other(n, where):
    host, port, user, password = where.split(":")

    def connect():
        return Imap(host, int(port), user, password)

    print(f"{host}:{port}: filling")
    _, mail = fill(connect, n)
    return measure(connect, mail)


def main():
    args = sys.argv[1:]
    where = None
    if "--against" in args:
        at = args.index("--against")
        where = args[at + 1]
        del args[at:at + 2]
    n = int(args[0]) if args else 50000
    with tempfile.TemporaryDirectory(prefix="postrider-search-") as tmp:
        us, _ = ours(n, tmp)
    them = other(n, where) if where else None
    print(f"\n{'milliseconds':<30} {'first':>9} {'best':>9} {'hits':>7}"
          + (f"   {'theirs':>9} {'best':>9} {'hits':>7}" if them else ""))
    for name, (first, best, hits) in us.items():
        line = f"{name:<30} {first:>9} {best:>9} {hits:>7}"
        if them:
            line += "   {:>9} {:>9} {:>7}".format(*them[name])
        print(line)


if __name__ == "__main__":
    main()
