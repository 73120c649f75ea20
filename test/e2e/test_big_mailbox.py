"""20,000 messages: every command over all of them in bounded memory.

Times are printed, not judged; `./dev bench bigbox` does the same with 200,000.
"""
import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT / "test" / "bench"))
import bigbox  # noqa: E402

MESSAGES = 20000
MOST = 16 << 20                                 # bytes that one command may need at its peak


def test_commands_over_all(fresh):
    s = fresh().start()
    out = bigbox.measure(s.info, MESSAGES, "copy")
    for text, _, grew, _, reply in out:
        assert reply.kind == "OK", (text, reply)
        assert grew < MOST, f"{text}: the server grew by {grew / 2**20:.1f} MiB"
    # and everything is where it should be: all moved, none doubled or lost
    w = bigbox.Wire(s.host, s.ports["imap"])
    w.login("alice@example.test", s.password("alice@example.test"))
    for box, n in (("Big", 0), ("Copy", MESSAGES), ("Moved", MESSAGES)):
        _, got = w.cmd(f"STATUS {box} (MESSAGES)")
        assert got[0].args[1][1] == str(n).encode(), got
    w.close()
    assert s.stop() == 0
