"""imaptest, Dovecot's tester of IMAP servers, where somebody has built it.

IMAPTEST names the program; its scripted tests are looked for in `tests` beside
it, or where IMAPTEST_TESTS says. IMAPTEST_SECONDS is the length of a stress run
(10). Whatever fails and does not stand below, with its reason, fails here; what
stands below and does not fail any more fails too, so that the lists stay true.
"""
import contextlib
import os
import pathlib
import random
import re
import resource
import subprocess

import pytest

from conftest import ALICE, BOB, CAROL
from imap_relay import Relay

IMAPTEST = os.environ.get("IMAPTEST")
SECONDS = int(os.environ.get("IMAPTEST_SECONDS", "10"))
OUTPUT_MAX = 64 << 20   # imaptest can fall into a loop that prints

pytestmark = pytest.mark.skipif(not IMAPTEST, reason="IMAPTEST does not name a built imaptest")

# Scripted tests that do not pass: group -> why.
EVERYWHERE = {
    "id": "sends 31 KiB in one line before login (30 pairs of 1024 octets, the most that RFC 2971 3.3 "
          "allows); we take 8 KiB there (RFC 7162 4), so that nobody without an account can make us hold "
          "more. After login we take them",
    "search-partial": "asks for PARTIAL 4:2 and expects 2:4 back: what comes back is the range as it was "
                      "asked for (RFC 5267 4.4 \"the original range\", 5 \"the requested range\")",
    "sort-partial": "as search-partial",
}
VANISHED = "waits for EXPUNGE where QRESYNC has VANISHED (RFC 7162 3.2.10)"
EXPECTED = {
    "rev1": {**EVERYWHERE},
    "rev2": {**EVERYWHERE},
    "rev2-qresync": {
        **EVERYWHERE,
        **dict.fromkeys(["close", "expunge", "expunge2", "fetch", "move", "search-context-update",
                         "search-context-update2", "search-context-update3", "search-sets"], VANISHED),
        "esearch-condstore": "wants FETCH MODSEQ to be what enables CONDSTORE, and so to tell HIGHESTMODSEQ; "
                             "ENABLE QRESYNC has done it, and SELECT has told (RFC 7162 3.1)",
    },
}
# Complaints outside a test's own checks: pattern -> why.
NOISE = {
    r"Unexpected BYE: \* BYE \[TOOBIG\]": "the test id, see above",
    r"Keyword used without being in FLAGS: NIL": "imaptest takes the keyword named NIL for the "
                                                 "absence of one; an atom may be spelled so",
}
# With QRESYNC only.
NOISE_QRESYNC = {
    r"FETCH didn't return UID while QRESYNC was enabled: .*FETCH \(FLAGS \(\) INTERNALDATE":
        "the test fetch asks for ALL, which has no UID (RFC 7162 3.2.4)",
}

# Scripts that lack something they need: group -> (text, instead).
MENDED = {
    "urlauth2": ("connections: 2\n", "connections: 2\nmessages: 2\n"),  # it fetches messages 1 and 2
}


def set_of(numbers):
    """["1", "2", "4"] as 1:2,4; variables ($uid1) count by the number in their names."""
    out = []
    for n in numbers:
        i = int(re.sub(r"\D", "", n))
        if out and out[-1][2] + 1 == i:
            out[-1] = (out[-1][0], n, i)
        else:
            out.append((n, n, i))
    return ",".join(a if a == b else f"{a}:{b}" for a, b, _ in out)


def as_rev2(script):
    """A script with the answers that IMAP4rev2 has instead: ESEARCH for SEARCH (RFC 9051 7.3.4 and
    appendix E, 4), and no \\Recent (appendix E, 3)."""
    out = []
    uid = ""
    for line in script.splitlines(keepends=True):
        found = re.fullmatch(r"\* search *(.*)\n", line)
        if found is None and not line.startswith("*"):
            uid = " uid" if re.match(r"(\d )?(ok )?uid search", line) else ""
        elif re.fullmatch(r"\* (\d+ recent|ok \[unseen \d+\])\n", line):
            continue
        if found is None:
            out.append(re.sub(r"\\recent ?", "", line) if line.startswith("*") else line)
            continue
        numbers = found.group(1).split()
        if numbers and numbers[0].startswith("$"):   # a set does not tell each: ask for them first
            out[-1:] = [f"ok fetch 1:{len(numbers)} uid\n",
                        *(f"* {i + 1} fetch (uid {n})\n" for i, n in enumerate(numbers)), out[-1]]
        out.append(f"* esearch (tag $tag){uid}" + (f" all {set_of(numbers)}\n" if numbers else "\n"))
    return "".join(out)


def as_qresync(script):
    """A script that asks for UID with every FETCH: imaptest wants it in each answer where QRESYNC is
    enabled, and ends the connection without (RFC 7162 3.2.4 asks for it only where nobody has asked
    for what is sent)."""
    script = re.sub(r"^((?:\d )?(?:ok )?fetch \S+) \(", r"\1 (uid ", script, flags=re.M | re.I)
    return re.sub(r"^((?:\d )?(?:ok )?fetch \S+) (?!all|full|fast)([^(\n].*)$", r"\1 (uid \2)", script,
                  flags=re.M | re.I)


def scripts(where, rev):
    """imaptest's scripts, copied, as `rev` wants them."""
    tests = pathlib.Path(os.environ.get("IMAPTEST_TESTS", pathlib.Path(IMAPTEST).parent / "tests"))
    for f in tests.iterdir():
        if f.is_file():
            text = f.read_bytes().decode("latin-1")
            text = text.replace(*MENDED[f.name]) if f.name in MENDED else text
            if rev != "rev1" and f.suffix != ".mbox":
                text = as_rev2(text)
                text = as_qresync(text) if rev == "rev2-qresync" else text
            (where / f.name).write_bytes(text.encode("latin-1"))
    return where


# imaptest always asks for QRESYNC where it is to ask for IMAP4rev2, and its scripts were written without.
# So there is IMAP4rev2 by itself too: enabled in between, behind imaptest's back.
REVS = {"rev1": [], "rev1-qresync": ["qresync"], "rev2": [], "rev2-qresync": ["imap4rev2"]}


def imaptest(server, rev, user, *args, seconds):
    """Its output. `user` has a password of its own; that of user2, if there is one, is BOB's."""
    port = server.ports["imap"]
    with contextlib.ExitStack() as stack:
        if rev == "rev2":
            port = stack.enter_context(Relay("127.0.0.1", port)).port
        return run_imaptest(server, port, user, *REVS[rev], *args, seconds=seconds)


def run_imaptest(server, port, user, *args, seconds):
    users = server.dir / "imaptest-users"
    users.write_text(f"{user}:{server.password(user)}\n")
    out = server.dir / "imaptest-out"
    with open(out, "wb") as f:
        subprocess.run(
            [IMAPTEST, f"host={server.host}", "hostip=127.0.0.1", f"port={port}",
             f"user={user}", f"userfile={users}", f"pass={server.password(BOB)}", *args],
            stdout=f, stderr=f, timeout=seconds, env=dict(os.environ, HOME=str(server.dir)), cwd=server.dir,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_MAX, OUTPUT_MAX)))
    return out.read_bytes().decode(errors="replace")


def complaints(out, noise):
    """The first lines of all it complained of."""
    found = []
    more = False    # within a complaint that quotes a literal
    for line in out.splitlines():
        head = re.match(r"(Error|Fatal|Panic|Warning): ", line)
        if head and not (more and not re.match(r"Error: \S+\[\d+\]: ", line)):
            found.append(line[:400])
        more = bool(head)
    return [c for c in found if not any(re.search(p, c) for p in noise)]


@pytest.mark.parametrize("rev", ["rev1", "rev2", "rev2-qresync"])
def test_scripted(server, tmp_path, rev):
    m = server.imap(BOB)
    m.create("imaptest")    # imaptest makes this mailbox for its first user only
    m.logout()
    out = imaptest(server, rev, ALICE, f"test={scripts(tmp_path, rev)}", f"user2={BOB}", "seed=1", seconds=300)
    failed = {}
    for block in re.findall(r"^\*\*\* Test .*?\n\n", out + "\n\n", re.M | re.S):
        failed.setdefault(re.match(r"\*\*\* Test (\S+)", block).group(1), block[:1500])
    summary = re.search(r"^(\d+) test groups: (\d+) failed, (\d+) skipped.*", out, re.M)
    assert summary, out[-2000:]
    print("\n".join([summary.group(0), *re.findall(r"^(?:base protocol|extensions): .*", out, re.M)]))
    new = [text for name, text in failed.items() if name not in EXPECTED[rev]]
    assert not new, "\n".join(new)
    found = complaints(out, {**NOISE, **(NOISE_QRESYNC if rev == "rev2-qresync" else {})})
    assert not found, "\n".join(found)
    assert set(EXPECTED[rev]) <= set(failed), "passes now: " + ", ".join(set(EXPECTED[rev]) - set(failed))


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


# What imaptest does not do by itself, and can do without faults of its own. Not SEARCH: building a search
# it falls into an endless loop; not CHECK: it sends that without a mailbox; not "checkpoint": it panics.
MORE = ["random", "copybox=Archive", "UIDFETCH=50", "SORT=30", "THREAD=30", "COPY=40", "MOVE=20", "NOOP=30",
        "MSUBS=10", "COMPRESS=10", "DISCONNECT=5"]
PROFILES = {"plain": [], "random": ["random"], "own_flags": ["own_flags"], "more": MORE}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("rev", REVS)
def test_stress(server, mbox, rev, profile):
    """20 clients on one mailbox; imaptest follows all state and complains of errors."""
    out = imaptest(server, rev, CAROL, "clients=20", f"secs={SECONDS}", f"mbox={mbox}", "msgs=60",
                   f"seed={SECONDS}", *PROFILES[profile], seconds=SECONDS + 60)
    print("\n".join(out.splitlines()[-8:]))
    assert re.search(r"^Totals:", out, re.M), out[-2000:]
    found = complaints(out, NOISE)
    assert not found, "\n".join(found[:20])
