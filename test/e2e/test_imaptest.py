"""imaptest, Dovecot's tester of IMAP servers, where somebody has built it.

IMAPTEST names the program; its scripted tests are looked for in `tests` beside
it, or where IMAPTEST_TESTS says. IMAPTEST_SECONDS is the length of a stress run
(10). Whatever fails and does not stand below, with its reason, fails here; what
stands below and does not fail any more fails too, so that the lists stay true.
"""
import os
import pathlib
import random
import re
import subprocess

import pytest

from conftest import ALICE, BOB, CAROL

IMAPTEST = os.environ.get("IMAPTEST")
SECONDS = int(os.environ.get("IMAPTEST_SECONDS", "10"))

pytestmark = pytest.mark.skipif(not IMAPTEST, reason="IMAPTEST does not name a built imaptest")

# Scripted tests that do not pass: name -> why.
EXPECTED = {
    "id": "sends 31 KiB in one line before login; we take 8 KiB there, so that nobody without an "
          "account can make us hold more",
    "notify": "expects HIGHESTMODSEQ in the STATUS that NOTIFY SET STATUS gives although its session "
              "has not enabled CONDSTORE or QRESYNC; not yet held against RFC 5465, it may be our fault",
    "search-addresses": "our fault: FROM and the like must also be looked for in the address as ENVELOPE "
                        "has it, without comments (RFC 3501 6.4.4)",
    "search-partial": "asks for PARTIAL 4:2 and expects 2:4 back; we answer with the range as asked; not yet "
                      "held against RFC 9394, it may be our fault",
    "sort-partial": "as search-partial",
}
# imaptest enables QRESYNC with IMAP4rev2, for scripts that were written without: they wait for
# EXPUNGE where VANISHED is due, for answers without MODSEQ, and end the connection at a FETCH by
# number without UID (RFC 7162 3.2.4 says that such a FETCH need not have it). So for rev2 what is
# judged is only that the server stays in step: no BAD, no BYE, no end of its own.
REV2_SERVER_FAULTS = r"Unexpected BYE|\bBAD\b.*internal|Fatal|Panic"
# Complaints outside a test's own checks: pattern -> why.
NOISE = {
    r"Unexpected BYE: \* BYE \[TOOBIG\]": "the test id, see above",
    r"Keyword used without being in FLAGS: NIL": "imaptest takes the keyword named NIL for the "
                                                 "absence of one; an atom may be spelled so",
}


def imaptest(server, user, *args, seconds):
    r = subprocess.run(
        [IMAPTEST, f"host={server.host}", "hostip=127.0.0.1", f"port={server.ports['imap']}",
         f"user={user}", f"pass={server.password(user)}", *args],
        capture_output=True, timeout=seconds, env=dict(os.environ, HOME=str(server.dir)),
        cwd=server.dir)
    return (r.stdout + r.stderr).decode(errors="replace")


def complaints(out):
    return [line[:400] for line in out.splitlines()
            if re.match(r"(Error|Fatal|Panic|Warning): ", line)
            and not any(re.search(p, line) for p in NOISE)]


@pytest.mark.parametrize("rev", ["rev1", "rev2"])
def test_scripted(server, rev):
    tests = os.environ.get("IMAPTEST_TESTS", str(pathlib.Path(IMAPTEST).parent / "tests"))
    if rev == "rev2" and "IMAP4REV2" not in capabilities(server):
        pytest.skip("no IMAP4rev2 here yet")
    args = ["imap4rev2"] if rev == "rev2" else []
    # user2 must have the same password
    server.cli("account", "password", BOB, "--password-stdin", stdin=server.password(ALICE) + "\n")
    out = imaptest(server, ALICE, f"test={tests}", f"user2={BOB}", "seed=1", *args, seconds=300)
    failed = {}
    for block in re.findall(r"^\*\*\* Test .*?\n\n", out + "\n\n", re.M | re.S):
        failed.setdefault(re.match(r"\*\*\* Test (\S+)", block).group(1), block[:1500])
    summary = re.search(r"^(\d+) test groups: (\d+) failed, (\d+) skipped.*", out, re.M)
    assert summary, out[-2000:]
    print("\n".join([summary.group(0), *re.findall(r"^(?:base protocol|extensions): .*", out, re.M)]))
    if rev == "rev2":
        faults = [c for c in complaints(out) if re.search(REV2_SERVER_FAULTS, c)]
        assert not faults, "\n".join(faults)
        return
    new = [text for name, text in failed.items() if name not in EXPECTED]
    assert not new, "\n".join(new)
    assert not complaints(out), "\n".join(complaints(out))
    assert set(EXPECTED) <= set(failed), "passes now: " + ", ".join(set(EXPECTED) - set(failed))


def capabilities(server):
    m = server.imap(CAROL)
    try:
        return {c.upper() for c in m.capability()[1][0].decode().split()}
    finally:
        m.logout()


@pytest.fixture(scope="module")
def mbox(tmp_path_factory):
    """Mail with Message-IDs of its own, as imaptest's bookkeeping wants it."""
    rnd = random.Random(3)
    out = bytearray()
    for i in range(200):
        out += (f"From sender@example.org Fri Feb 22 17:06:23 2008\r\nFrom: Sender {i} <s{i}@example.org>\r\n"
                f"To: alice@example.test\r\nSubject: mail {i}\r\nMessage-ID: <{i}.mbox@example.org>\r\n"
                f"Date: Fri, 22 Feb 2008 17:{i % 60:02}:23 +0200\r\n\r\n").encode()
        for _ in range(rnd.randrange(1, 60)):
            out += b"line " + b"x" * rnd.randrange(70) + b"\r\n"
        out += b"\r\n"
    path = tmp_path_factory.mktemp("mbox") / "mbox"
    path.write_bytes(out)
    return path


@pytest.mark.parametrize("mode", ["plain", "random", "checkpoint", "own_flags", "qresync", "imap4rev2"])
def test_stress(server, mbox, mode):
    """20 clients on one mailbox; imaptest follows all state and complains of errors."""
    caps = capabilities(server)
    if mode == "qresync" and "QRESYNC" not in caps or mode == "imap4rev2" and "IMAP4REV2" not in caps:
        pytest.skip(f"no {mode} here yet")
    args = {"plain": [], "checkpoint": ["checkpoint=1"]}.get(mode, [mode])
    out = imaptest(server, CAROL, "clients=20", f"secs={SECONDS}", f"mbox={mbox}", "msgs=60",
                   f"seed={SECONDS}", *args, seconds=SECONDS + 60)
    print("\n".join(out.splitlines()[-8:]))
    assert re.search(r"^Totals:", out, re.M), out[-2000:]
    assert not complaints(out), "\n".join(complaints(out)[:20])
