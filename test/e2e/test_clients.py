"""Two-way sync and push with programs nobody here wrote: offlineimap, mbsync,
neomutt, imapflow; and resynchronising as RFC 7162 has it, line by line."""
import json
import re
import shlex

import pytest

from conftest import ALICE, BOB, CAROL, ROOT, message, need, run
from imap_wire import Wire, code_name, parse_set

NODE = ROOT / "build" / "node"


def wire(server, user=ALICE, tls=True):
    w = Wire(server.host, server.ports["imaps" if tls else "imap"], server.ssl() if tls else None)
    w.login(user, server.password(user))
    return w


def capabilities(server):
    w = wire(server)
    try:
        return w.capabilities()
    finally:
        w.close()


def put(w, box, *subjects, flags=""):
    for s in subjects:
        w.cmd(f"APPEND {box} ({flags}) %L", message(s))


def subjects_and_flags(w, box):
    """{subject: flags} of a mailbox, without \\Recent."""
    w.cmd(f"EXAMINE {box}")
    _, got = w.cmd("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    out = {}
    for r in got:
        if r.kind == "FETCH":
            subject = r.items[b"BODY[HEADER.FIELDS (SUBJECT)]"].split(b":")[1].strip().decode()
            out[subject] = {f.decode() for f in r.items[b"FLAGS"]} - {r"\Recent"}
    w.cmd("UNSELECT")
    return out


def clear(w):
    """Only INBOX, empty, and the mailboxes every account begins with."""
    w.cmd("SELECT INBOX")
    w.cmd(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
    w.cmd("CLOSE")
    _, got = w.cmd('LIST "" *')
    for r in got:
        name = r.args[2].decode()
        if name not in ("INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"):
            w.cmd(f'DELETE "{name}"', want=None)


def local(path):
    """{subject: (file, flags)} of a Maildir folder."""
    out = {}
    for d in ("new", "cur"):
        for p in (path / d).iterdir():
            subject = re.search(rb"^Subject: (.*?)\r?$", p.read_bytes(), re.M).group(1).decode()
            assert subject not in out, f"{subject} is there twice"
            out[subject] = (p, set(p.name.partition(":2,")[2]))
    return out


def set_local_flags(path, flags):
    new = path.parent.parent / "cur" / (path.name.partition(":2,")[0] + ":2," + "".join(sorted(flags)))
    path.rename(new)


def add_local(folder, subject, flags="S"):
    (folder / "cur" / f"1.{subject.replace(' ', '_')}.host:2,{flags}").write_bytes(
        message(subject).replace(b"\r\n", b"\n"))


# -- mbsync --

@pytest.fixture
def mbsync(server, tmp_path):
    need("mbsync")
    rc, box = tmp_path / "mbsyncrc", tmp_path / "mail"
    box.mkdir()
    rc.write_text(f"""IMAPAccount a
Host {server.host}
Port {server.ports['imaps']}
User {BOB}
Pass {server.password(BOB)}
SSLType IMAPS
CertificateFile {server.ca}

IMAPStore far
Account a

MaildirStore near
Path {box}/
Inbox {box}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX Work
Create Both
Expunge Both
SyncState *
""")
    return box, lambda: run("mbsync", "-c", rc, "-a", env={"HOME": str(tmp_path)})


def test_mbsync_expunges_and_moves(server, mbsync):
    box, sync = mbsync
    w = wire(server, BOB)
    clear(w)
    put(w, "INBOX", "mb 1", "mb 2", "mb 3", "mb 4", "mb 5", flags=r"\Seen")
    w.cmd("CREATE Work")
    sync()
    assert set(local(box / "INBOX")) == {f"mb {i}" for i in range(1, 6)}
    # moved and expunged there, flagged and deleted here, all at once
    w.cmd("SELECT INBOX")
    w.cmd("UID MOVE 1 Work")
    w.cmd(r"UID STORE 2 +FLAGS (\Deleted)")
    w.cmd("UID EXPUNGE 2")
    w.cmd("UNSELECT")
    here = local(box / "INBOX")
    set_local_flags(here["mb 3"][0], "FS")
    here["mb 4"][0].unlink()
    add_local(box / "Work", "from here")
    sync()
    assert set(local(box / "INBOX")) == {"mb 3", "mb 5"}
    assert set(local(box / "Work")) == {"mb 1", "from here"}
    assert subjects_and_flags(w, "INBOX") == {"mb 3": {r"\Seen", r"\Flagged"}, "mb 5": {r"\Seen"}}
    assert subjects_and_flags(w, "Work") == {"mb 1": {r"\Seen"}, "from here": {r"\Seen"}}
    sync()                                          # nothing left to do, nothing doubled
    assert len(local(box / "Work")) == 2
    clear(w)
    w.close()


# -- offlineimap --

def test_offlineimap_both_ways(server, tmp_path):
    need("offlineimap")
    w = wire(server, CAROL)
    clear(w)
    put(w, "INBOX", "off 1", "off 2", "off 3")
    w.cmd("CREATE Work")
    put(w, "Work", "off 4", flags=r"\Seen \Flagged")
    rc, box = tmp_path / "rc", tmp_path / "mail"
    rc.write_text(f"""[general]
accounts = a
metadata = {tmp_path}/meta
ui = quiet
socktimeout = 20

[Account a]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {box}

[Repository far]
type = IMAP
remotehost = {server.host}
remoteport = {server.ports['imaps']}
remoteuser = {CAROL}
remotepass = {server.password(CAROL)}
ssl = yes
sslcacertfile = {server.ca}
folderfilter = lambda name: name in ('INBOX', 'Work')
""")

    def sync():
        r = run("offlineimap", "-1", "-c", rc, env={"HOME": str(tmp_path)})
        assert b"ERROR" not in r.stderr, r.stderr.decode()
    sync()
    assert set(local(box / "INBOX")) == {"off 1", "off 2", "off 3"}
    assert local(box / "Work")["off 4"][1] == {"F", "S"}
    # flags both ways, new mail both ways, deleted both ways
    here = local(box / "INBOX")
    set_local_flags(here["off 1"][0], "RS")
    here["off 2"][0].unlink()
    add_local(box / "INBOX", "up", "F")
    put(w, "INBOX", "down")
    w.cmd("SELECT INBOX")
    w.cmd(r"UID STORE 3 +FLAGS (\Seen \Deleted)")
    w.cmd("UID EXPUNGE 3")
    w.cmd("UNSELECT")
    sync()
    assert set(local(box / "INBOX")) == {"off 1", "up", "down"}
    assert subjects_and_flags(w, "INBOX") == {"off 1": {r"\Answered", r"\Seen"}, "up": {r"\Flagged"}, "down": set()}
    sync()
    assert len(local(box / "INBOX")) == 3
    clear(w)
    w.close()


# -- neomutt --

def test_neomutt(server, tmp_path):
    need("neomutt")
    w = wire(server, CAROL)
    clear(w)
    put(w, "INBOX", "neo 1", "neo 2", "neo 3")
    w.cmd("CREATE Kept")
    rc = tmp_path / "rc"
    rc.write_text(f"""set ssl_starttls=no ssl_force_tls=yes
set certificate_file={server.ca}
set imap_user={CAROL}
set imap_pass={server.password(CAROL)}
set imap_authenticators=plain:login
set imap_condstore=yes imap_qresync=yes imap_idle=yes
set header_cache={tmp_path}/cache
set confirmappend=no confirmcreate=no copy=no
set folder=imaps://{server.host}:{server.ports['imaps']}
set sort=mailbox-order timeout=5 delete=yes move=no mark_old=no resolve=no
""")

    def neomutt(keys):
        cmd = shlex.join(["neomutt", "-n", "-F", str(rc), "-f", "=INBOX", "-e", f'push "{keys}"'])
        run("script", "-qec", cmd, "/dev/null", env={"TERM": "vt100", "HOME": str(tmp_path)}, timeout=60, stdin=b"")
    neomutt("<first-entry><flag-message><next-entry><delete-message><last-entry>"
            "<save-message>=Kept<enter><sync-mailbox><quit>")
    assert subjects_and_flags(w, "INBOX").keys() == {"neo 1"}
    assert r"\Flagged" in subjects_and_flags(w, "INBOX")["neo 1"]
    assert subjects_and_flags(w, "Kept").keys() == {"neo 3"}
    # what happened meanwhile is there the second time, over the cache
    put(w, "INBOX", "neo 4")
    neomutt("<last-entry><flag-message><sync-mailbox><quit>")
    got = subjects_and_flags(w, "INBOX")
    assert got.keys() == {"neo 1", "neo 4"} and r"\Flagged" in got["neo 4"]
    clear(w)
    w.close()


# -- imapflow --

def test_imapflow(server):
    need("node")
    if not (NODE / "node_modules" / "imapflow").is_dir():
        pytest.fail("imapflow is not installed; run ./dev deps")
    w = wire(server, BOB)
    clear(w)
    w.close()
    where = {"host": server.host, "port": server.ports["imaps"], "user": BOB,
             "pass": server.password(BOB), "ca": str(server.ca)}
    r = run("node", ROOT / "test/e2e/node/imapflow.js", NODE / "node_modules/imapflow", json.dumps(where),
            timeout=60)
    result = json.loads(r.stdout.decode().splitlines()[-1])
    caps = capabilities(server)
    assert bool(result.get("resync")) == ("QRESYNC" in caps), result
    assert result["compressed"] == ("COMPRESS=DEFLATE" in caps), result


# -- by hand --

def test_idle_by_hand(server):
    """New mail, flags and an expunge reach a session in IDLE, in order."""
    a, b = wire(server, CAROL), wire(server, CAROL, tls=False)
    clear(b)
    put(b, "INBOX", "idle 1", "idle 2")
    a.cmd("SELECT INBOX")
    b.cmd("SELECT INBOX")
    tag = a.idle()
    b.cmd(r"STORE 1 +FLAGS (\Flagged)")
    r = a.wait_for("FETCH")
    assert r.number == 1 and rb"\Flagged" in r.items[b"FLAGS"]
    server.send([CAROL], message("idle 3"))
    assert a.wait_for("EXISTS").number == 3
    b.cmd(r"STORE 2 +FLAGS.SILENT (\Deleted)")
    b.cmd("EXPUNGE")
    assert a.wait_for("EXPUNGE").number == 2
    a.send(b"DONE\r\n")
    assert a.finish(tag)[0].kind == "OK"
    clear(b)
    a.close()
    b.close()


def test_resync_by_hand(server):
    """One goes offline, the other works on; SELECT with QRESYNC tells what it missed."""
    if "QRESYNC" not in capabilities(server):
        pytest.skip("no QRESYNC here yet")
    a, b = wire(server), wire(server)
    clear(b)
    put(b, "INBOX", *[f"resync {i}" for i in range(1, 9)])
    a.cmd("ENABLE QRESYNC")
    _, got = a.cmd("SELECT INBOX")
    codes = {code_name(r): r.code[1] for r in got if r.code}
    validity, modseq = int(codes["UIDVALIDITY"]), int(codes["HIGHESTMODSEQ"])
    _, got = a.cmd("FETCH 1:* (UID FLAGS MODSEQ)")
    uids = [int(r.items[b"UID"]) for r in got if r.kind == "FETCH"]
    modseq = max([modseq] + [int(r.items[b"MODSEQ"][0]) for r in got if r.kind == "FETCH"])
    a.close()                                       # offline, without a word
    b.cmd("SELECT INBOX")
    b.cmd(f"UID STORE {uids[0]} +FLAGS (\\Seen)")
    b.cmd(f"UID STORE {uids[1]},{uids[5]} +FLAGS.SILENT (\\Deleted)")
    b.cmd("EXPUNGE")
    b.cmd(f"UID MOVE {uids[7]} Archive")
    put(b, "INBOX", "resync new")
    a = wire(server)
    a.cmd("ENABLE QRESYNC")
    reply, got = a.cmd(f"SELECT INBOX (QRESYNC ({validity} {modseq} {uids[0]}:{uids[-1]}))")
    vanished = [r for r in got if r.kind == "VANISHED"]
    assert [r.args[0] for r in vanished] == [[b"EARLIER"]], got
    assert parse_set(vanished[0].args[1]) == [uids[1], uids[5], uids[7]]
    changed = {int(r.items[b"UID"]): r.items for r in got if r.kind == "FETCH"}
    assert uids[0] in changed and rb"\Seen" in changed[uids[0]][b"FLAGS"]
    assert int(changed[uids[0]][b"MODSEQ"][0]) > modseq
    assert set(changed) <= {uids[0], uids[-1] + 1}
    assert [r.number for r in got if r.kind == "EXISTS"] == [6]
    # from now on expunges are told by UID
    b.cmd(f"UID STORE {uids[2]} +FLAGS.SILENT (\\Deleted)")
    b.cmd("EXPUNGE")
    _, got = a.cmd("NOOP")
    assert [r.args[0] for r in got if r.kind == "VANISHED"] == [str(uids[2]).encode()]
    assert not [r for r in got if r.kind == "EXPUNGE"]
    clear(b)
    a.close()
    b.close()


def test_curl_uploads_and_deletes(server, tmp_path):
    need("curl")
    w = wire(server, CAROL)
    clear(w)
    w.cmd("CREATE Curl")
    f = tmp_path / "m"
    f.write_bytes(message("curled"))
    base = ["curl", "-sS", "--cacert", server.ca, "--user", f"{CAROL}:{server.password(CAROL)}"]
    url = f"imaps://{server.host}:{server.ports['imaps']}"
    run(*base, "-T", f, f"{url}/Curl")
    assert run(*base, f"{url}/Curl;UID=1").stdout == message("curled")
    run(*base, f"{url}/Curl", "-X", r"STORE 1 +FLAGS (\Deleted \Seen)")
    assert subjects_and_flags(w, "Curl") == {"curled": {r"\Deleted", r"\Seen"}}
    run(*base, f"{url}/Curl", "-X", "EXPUNGE")
    assert subjects_and_flags(w, "Curl") == {}
    clear(w)
    w.close()
