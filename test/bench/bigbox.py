#!/usr/bin/python3
"""bench bigbox: commands over a mailbox of 200,000 messages.

Fills a mailbox, then runs COPY, FETCH, SEARCH, STORE, SORT and THREAD over all
of it, one after another, while two other sessions on the same account (so on
the same loop) send NOOP every 10 ms. For each: the time, how far the server's
memory went up over what it had before (anonymous memory, sampled), and the
worst NOOP. `bigbox.py 50000` for another size, `--fill append|copy` to fill by
other means than MULTIAPPEND.
"""
import json
import multiprocessing
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "e2e"))
from imap_wire import Wire, parse  # noqa: E402

BIN = os.environ.get("POSTRIDER_BIN", str(ROOT / "build" / "release" / "postrider"))
WORDS = ("invoice meeting report train garden budget weather lunch contract holiday server ticket "
         "printer summary release window carpet planet bottle engine").split()


def anonymous(pid):
    """Anonymous and shared memory of a process in bytes."""
    out = 0
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            out += int(line.split()[1]) * 1024
    return out


def mail(i, rnd):
    """Message i of threads of up to eight, a few words of text."""
    root = i - i % 8
    refs = f"References: <{root}.big@example.org>\r\nIn-Reply-To: <{i - 1}.big@example.org>\r\n" if i % 8 else ""
    return (f"From: Sender {i % 997} <sender{i % 997}@example.org>\r\nTo: alice@example.test\r\n"
            f"Subject: {'Re: ' if i % 8 else ''}{WORDS[root // 8 % 20]} {root}\r\n"
            f"Date: {1 + i // 10000 % 28:02} Nov 2025 {i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02} +0000\r\n"
            f"Message-ID: <{i}.big@example.org>\r\n{refs}\r\n"
            f"{' '.join(rnd.choices(WORDS, k=12))}\r\nnumber n{i}x\r\n").encode()


class Probe:
    """NOOP every 10 ms from a process of its own; the worst answer since asked."""

    def __init__(self, host, port, user, password, box):
        self.worst = multiprocessing.Value("d", 0.0)
        self.stop = multiprocessing.Event()
        self.p = multiprocessing.Process(target=self.run, args=(host, port, user, password, box), daemon=True)
        self.p.start()

    def run(self, host, port, user, password, box):
        w = Wire(host, port)
        w.login(user, password)
        if box:
            w.cmd(f"SELECT {box}")
        while not self.stop.wait(0.01):
            t = time.monotonic()
            w.cmd("NOOP")
            self.worst.value = max(self.worst.value, time.monotonic() - t)

    def take(self):
        v, self.worst.value = self.worst.value, 0.0
        return v

    def end(self):
        self.stop.set()
        self.p.join(20)


class Peak:
    """The most memory a process has while we look, every 2 ms."""

    def __init__(self, pid):
        self.pid, self.done = pid, threading.Event()
        self.base = self.top = anonymous(pid)
        self.t = threading.Thread(target=self.look)
        self.t.start()

    def look(self):
        while not self.done.wait(0.002):
            self.top = max(self.top, anonymous(self.pid))

    def end(self):
        self.done.set()
        self.t.join()
        return max(0, self.top - self.base)


def drain(w, text):
    """Runs a command and throws the answers away: (tagged reply, octets read)."""
    tag = w.start(text).encode()
    total, tail = 0, b"\r\n"
    while True:
        data = w.sock.recv(1 << 18)
        if not data:
            raise SystemExit(f"{text}: connection closed")
        total += len(data)
        tail = (tail + data)[-300:] if len(data) < 300 else data[-300:]
        at = tail.rfind(b"\r\n" + tag + b" ")
        if at >= 0 and tail.endswith(b"\r\n"):
            return parse(tail[at + 2:-2]), total


def fill(host, port, user, password, box, n, how, threads=4):
    """n messages into a new mailbox; by APPEND, MULTIAPPEND (50 a command) or copying 2,000."""
    w = Wire(host, port)
    w.login(user, password)
    caps = w.capabilities()
    w.cmd(f"CREATE {box}")
    many = 50 if how == "multi" and "MULTIAPPEND" in caps else 1
    first = min(n, 2000) if how == "copy" else n

    def feed(k):
        c = Wire(host, port)
        c.login(user, password)
        rnd = random.Random(k)
        flying = []
        for i in range(k * many, first, threads * many):
            texts = [mail(j, rnd) for j in range(i, min(i + many, first))]
            flying.append(c.start(f"APPEND {box}" + " %L" * len(texts), *texts))
            if len(flying) >= 32 // min(many, 16):
                answer(c, flying.pop(0))
        for tag in flying:
            answer(c, tag)
        c.close()
    ts = [threading.Thread(target=feed, args=(k,)) for k in range(threads)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    have = first
    w.cmd(f"SELECT {box}")
    while have < n:
        part = min(have, n - have)
        w.start(f"COPY 1:{part} {box}")
        w.finish(f"a{w.n}")
        have += part
    w.close()


def answer(c, tag):
    reply, _ = c.finish(tag)
    if reply.kind != "OK":
        raise SystemExit(f"APPEND: {reply!r}")


OPERATIONS = [
    ("SELECT Big", None),
    ("FETCH 1:* (FLAGS)", None),
    ("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)", None),
    ("UID SEARCH UNSEEN", None),
    ("SEARCH SINCE 2-Nov-2025 BEFORE 3-Nov-2025", None),
    ("SEARCH FROM sender500@", None),
    ("SEARCH SUBJECT carpet", None),
    ("SEARCH BODY n77777x", None),
    ("SEARCH TEXT carpet NOT SUBJECT carpet", None),
    ("STORE 1:* +FLAGS (\\Flagged)", None),
    ("STORE 1:* -FLAGS.SILENT (\\Flagged $Big)", None),
    ("SORT (SUBJECT REVERSE DATE) UTF-8 ALL", "SORT"),
    ("SORT (ARRIVAL) UTF-8 ALL", "SORT"),
    ("UID THREAD REFERENCES UTF-8 ALL", "THREAD=REFERENCES"),
    ("THREAD ORDEREDSUBJECT UTF-8 ALL", "THREAD=ORDEREDSUBJECT"),
    ("FETCH 1:* (ENVELOPE)", None),
    ("COPY 1:* Copy", None),
    ("UID MOVE 1:* Moved", None),
    ("STATUS Moved (MESSAGES UNSEEN)", None),
]


def measure(info, n, how, operations=OPERATIONS, say=print):
    """Fills and runs: [(name, seconds, memory growth, worst NOOP, reply)]."""
    host, port, pid = info["host"], info["ports"]["imap"], info["pid"]
    who = info["accounts"][0]
    login = (who["address"], who["password"])
    peak, t = Peak(pid), time.monotonic()
    fill(host, port, *login, "Big", n, how)
    seconds = time.monotonic() - t
    say(f"{f'filled with {n} by {how}':50} {seconds:8.2f} s {peak.end() / 2**20:8.1f} MiB   {n / seconds:.0f}/s")
    w = Wire(host, port, timeout=600)
    w.login(*login)
    caps = w.capabilities()
    for box in ("Copy", "Moved"):
        w.cmd(f"CREATE {box}")
    probes = [Probe(host, port, *login, box) for box in ("INBOX", None)]
    out = []
    for text, cap in operations:
        if cap and cap not in caps:
            continue
        time.sleep(0.3)
        [p.take() for p in probes]
        peak, t = Peak(pid), time.monotonic()
        reply, octets = drain(w, text)
        seconds = time.monotonic() - t
        time.sleep(0.05)
        worst = max(p.take() for p in probes)
        grew = peak.end()
        out.append((text, seconds, grew, worst, reply))
        say(f"{text[:50]:50} {seconds:8.2f} s {grew / 2**20:8.1f} MiB {worst * 1000:8.0f} ms  {octets / 2**20:6.1f} MiB  "
            f"{'' if reply.kind == 'OK' else reply.raw[:80].decode()}")
    for p in probes:
        p.end()
    w.close()
    return out


def main():
    args = sys.argv[1:]
    how = args[args.index("--fill") + 1] if "--fill" in args else "multi"
    n = int(args[0]) if args and args[0].isdigit() else 200000
    with tempfile.TemporaryDirectory(prefix="postrider-bench-") as d:
        path = pathlib.Path(d) / "endpoints.json"
        with open(pathlib.Path(d) / "log", "wb") as log:
            p = subprocess.Popen([BIN, "demo", "--dir", d + "/state", "--ports", "0", "--json", str(path)],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while not path.exists():
                if p.poll() is not None:
                    raise SystemExit(pathlib.Path(d, "log").read_text())
                time.sleep(0.02)
            print(f"{'command':50} {'time':>10} {'memory':>12} {'worst NOOP':>11} {'answer':>9}")
            out = measure(json.loads(path.read_text()), n, how)
        finally:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(60)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
    bad = [o for o in out if o[4].kind != "OK"]
    print(f"{'worst of all':50} {'':10} {max(o[2] for o in out) / 2**20:8.1f} MiB {max(o[3] for o in out) * 1000:8.0f} ms")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
