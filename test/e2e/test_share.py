"""Sharing between accounts, with imaplib: what one shares, another finds,
reads, changes and copies, as far as the rights go, and no longer than that.

Accounts are spread over the server's loops, so of three pairs some cross from
one to another; imap/session_test.c makes sure of that, this of real clients.
"""
import re

import pytest

from conftest import ALICE, BOB, CAROL, message

PAIRS = [(ALICE, BOB), (BOB, CAROL), (CAROL, ALICE)]


def ok(answer):
    typ, data = answer
    assert typ == "OK", data
    return data


def refused(answer, code):
    typ, data = answer
    assert typ == "NO" and data[0].startswith(b"[" + code + b"]"), (typ, data)


def other(owner, box):
    return f'"Other Users/{owner}/{box}"'


def subjects(m):
    data = ok(m.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    return [re.search(rb"Subject: (.*)\r\n", d[1]).group(1).decode() for d in data if isinstance(d, tuple)]


def flags(m, n):
    return set(re.search(rb"FLAGS \((.*?)\)", ok(m.fetch(str(n), "(FLAGS)"))[0]).group(1).split())


def idle_until(m, wanted, lines=50):
    """IDLE until a response has it. imaplib of Python 3.11 has no IDLE."""
    tag = m._new_tag()
    m.send(tag + b" IDLE\r\n")
    assert m.readline().startswith(b"+")
    seen = []
    for _ in range(lines):
        seen.append(m.readline())
        if wanted in seen[-1]:
            break
    else:
        raise AssertionError(f"never heard {wanted}: {seen}")
    m.send(b"DONE\r\n")
    while not m.readline().startswith(tag):
        pass


@pytest.mark.parametrize("owner,guest", PAIRS)
def test_share(server, owner, guest):
    a, b = server.imap(owner), server.imap(guest)
    box, mine = other(owner, "Team"), "Copies"
    caps = ok(b.capability())[0].decode().split()
    assert {"ACL", "LIST-MYRIGHTS"} <= set(caps) and any(re.fullmatch("RIGHTS=[kxte]{4}", c) for c in caps)
    ok(a.create("Team"))
    ok(b.create(mine))
    refused(b.select(box), b"NONEXISTENT")
    ok(a.setacl("Team", guest, "lrswite"))
    assert box.strip('"').encode() in b"".join(ok(b.list('""', '"Other Users/*"')))
    assert ok(b.myrights(box))[0].endswith(b" lrswited")
    assert [b'"Other Users/"'] == re.findall(rb'"Other Users/"', ok(b.namespace())[0])

    # delivered to the one, heard by the other
    ok(a.append("Team", None, None, message("first")))
    ok(b.select(box))
    assert subjects(b) == ["first"]
    ok(a.append("Team", None, None, message("second")))
    idle_until(b, b" 2 EXISTS")
    ok(b.store("2", "+FLAGS", r"(\Flagged $Seen-By-Guest)"))
    ok(a.select("Team"))
    assert {rb"\Flagged", b"$Seen-By-Guest"} <= flags(a, 2)

    # both ways: flags and bytes travel with a copy
    ok(b.copy("1:2", mine))
    ok(b.select(mine))
    assert sorted(subjects(b)) == ["first", "second"]
    assert {rb"\Flagged", b"$Seen-By-Guest"} <= flags(b, 2)
    ok(b.append(mine, r"(\Seen)", None, message("third")))
    ok(b.select(mine))
    typ, data = b.uid("MOVE", "3", box)
    assert typ == "OK", data
    assert sorted(subjects(b)) == ["first", "second"]
    ok(b.append(box, r"(\Seen)", None, message("fourth")))
    ok(a.noop())
    assert sorted(subjects(a)) == ["first", "fourth", "second", "third"]
    assert server.fetch_all(owner, "Team")[1] == message("first")
    assert b"MESSAGES 4" in ok(b.status(box, "(MESSAGES)"))[0]

    # rights that go are gone at once
    ok(b.select(box))
    ok(a.setacl("Team", guest, "-swit"))
    refused(b.store("1", "+FLAGS", r"(\Answered)"), b"NOPERM")
    refused(b.append(box, None, None, message("fifth")), b"NOPERM")
    ok(a.deleteacl("Team", guest))
    with pytest.raises((b.abort, b.error)):
        for _ in range(3):
            ok(b.fetch("1", "(FLAGS)"))
    b = server.imap(guest)
    refused(b.select(box), b"NONEXISTENT")
    assert box.strip('"').encode() not in b"".join(x for x in ok(b.list('""', '"Other Users/*"')) if x)
    ok(b.select(mine))
    assert sorted(subjects(b)) == ["first", "second"]
    for m, name in ((a, "Team"), (b, mine)):
        m.select("INBOX")
        ok(m.delete(name))
        m.logout()
