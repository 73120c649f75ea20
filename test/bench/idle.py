#!/usr/bin/python3
"""bench idle: memory of idle IMAP-over-TLS connections in IDLE.

Starts a release `postrider demo` on free loopback ports, opens N connections
(default 2000; `idle.py 10000` for more), logs each in, SELECTs INBOX, enters
IDLE, and prints the server's memory per connection: PSS of the process, and
with the kernel's socket memory estimated from /proc/net/sockstat. Then one
message is delivered, and every connection must hear of it.
"""
import asyncio
import json
import os
import pathlib
import resource
import signal
import smtplib
import ssl
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("POSTRIDER_BIN", str(ROOT / "build" / "release" / "postrider"))


def pss(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no Pss in smaps_rollup")


def page_tables(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmPTE:"):
            return int(line.split()[1]) * 1024
    return 0


async def session(info, ctx, user, gate):
    async with gate:
        r, w = await asyncio.open_connection(info["host"], info["ports"]["imaps"], ssl=ctx,
                                             server_hostname="localhost", limit=4096)
        await r.readline()
        for tag, cmd in (("a", f'LOGIN {user["address"]} "{user["password"]}"'), ("b", "SELECT INBOX")):
            w.write(f"{tag} {cmd}\r\n".encode())
            while True:
                line = await r.readline()
                if not line:
                    raise SystemExit("the server closed a connection")
                if line.startswith(tag.encode() + b" "):
                    if b" OK" not in line:
                        raise SystemExit(line.decode())
                    break
        w.write(b"i IDLE\r\n")
        while not (await r.readline()).startswith(b"+"):
            pass
    return r, w


async def hear(r):
    while b"EXISTS" not in await r.readline():
        pass


async def bench(info, n):
    ctx = ssl.create_default_context(cafile=info["ca"])
    gate = asyncio.Semaphore(32)
    users = info["accounts"]
    first = await asyncio.gather(*(session(info, ctx, users[i % len(users)], gate) for i in range(20)))
    await asyncio.sleep(3)
    pid = info["pid"]
    before, pte = pss(pid), page_tables(pid)
    t = time.monotonic()
    conns = []
    step = 200
    while len(conns) < n:
        k = min(step, n - len(conns))
        conns += await asyncio.gather(*(session(info, ctx, users[i % len(users)], gate) for i in range(k)))
        print(f"\r{len(conns)} connections", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    opened = time.monotonic() - t
    await asyncio.sleep(5)
    after, pte2 = pss(pid), page_tables(pid)
    per = (after - before + pte2 - pte) / n
    t = time.monotonic()
    heard = [asyncio.create_task(hear(r)) for r, _ in first + conns]
    with smtplib.SMTP(info["host"], info["ports"]["smtp"]) as s:
        s.sendmail("x@example.org", [u["address"] for u in users], "Subject: all\r\n\r\nhello\r\n")
    done, missing = await asyncio.wait(heard, timeout=60)
    push = time.monotonic() - t
    print(f"{'idle IMAP+TLS connections':34} {n:>12}")
    print(f"{'opened, logged in, selected':34} {opened:>10.1f} s")
    print(f"{'server PSS before':34} {before / 2**20:>8.1f} MiB")
    print(f"{'server PSS with all idle':34} {after / 2**20:>8.1f} MiB")
    print(f"{'bytes per connection, all told':34} {per:>12.0f}   ({per / 1024:.1f} KiB; aim < 40 KiB; ratio {per / 40960:.2f})")
    print(f"{'heard of one new message':34} {len(done):>7} of {len(heard)}   within {push:.2f} s")
    for _, w in first + conns:
        w.transport.abort()
    return not missing


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
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
            ok = asyncio.run(bench(json.loads(path.read_text()), n))
        finally:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(30)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
