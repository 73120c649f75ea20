"""24,000 messages: every command over all of them in bounded memory.

Times are printed, not judged; `./dev bench bigbox` does the same with 200,000.
"""
import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT / "test" / "bench"))
import bigbox  # noqa: E402

MESSAGES = 24000                                # more than one step of a COPY
MOST = 16 << 20                                 # bytes that one command may need at its peak


def count(w, box):
    _, got = w.cmd(f"STATUS {box} (MESSAGES)")
    return int(got[0].args[1][1])


def test_commands_over_all(fresh):
    s = fresh().start()
    alice = s.info["accounts"][0]["address"]
    out = bigbox.measure(s.info, MESSAGES, "copy")
    for text, _, grew, _, reply in out:
        assert reply.kind == "OK", (text, reply)
        assert grew < MOST, f"{text}: the server grew by {grew / 2**20:.1f} MiB"
    # and everything is where it should be: all moved, none doubled or lost
    w = bigbox.Wire(s.host, s.ports["imap"])
    w.login(alice, s.password(alice))
    assert [count(w, box) for box in ("Big", "Copy", "Moved")] == [0, MESSAGES, MESSAGES]
    # a COPY that comes to the quota half-way takes back what it copied
    s.cli("account", "quota", alice, "0", str(3 * MESSAGES - 1000))
    w.cmd("SELECT Copy")
    reply, _ = w.cmd("COPY 1:* Big", want="NO")
    assert reply.code == [b"OVERQUOTA"], reply
    assert count(w, "Big") == 0
    w.cmd("COPY 1:20000 Big")
    assert count(w, "Big") == 20000
    w.close()
    assert s.stop() == 0
