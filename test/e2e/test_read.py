"""Programs nobody here wrote read mail: curl, mbsync, mutt, fetchmail,
getmail, mpop, imaplib, poplib."""
import imaplib
import os
import pathlib
import poplib
import re
import shlex
import time
import uuid

import pytest

from conftest import ALICE, BOB, CAROL, message, need, run, strip_trace


@pytest.fixture(scope="module")
def mail(server):
    """Three messages in carol's mailbox."""
    sent = [message(f"read {i} {uuid.uuid4().hex}", b"body %d\r\n.dot\r\n" % i) for i in range(3)]
    for m in sent:
        server.send([CAROL], m)
    return sent


def check_files(paths, mail):
    got = [pathlib.Path(p).read_bytes() for p in paths]
    assert len(got) == len(mail)
    for m in mail:
        lf = m.replace(b"\r\n", b"\n")
        assert any(g.replace(b"\r\n", b"\n").endswith(lf) for g in got), got


@pytest.mark.parametrize("scheme", ["imap", "imap+tls", "imaps"])
def test_curl_imap(server, mail, scheme):
    need("curl")
    base = ["curl", "-sS", "--cacert", server.ca, "--user", f"{CAROL}:{server.password(CAROL)}"]
    if scheme == "imaps":
        url = f"imaps://{server.host}:{server.ports['imaps']}"
    else:
        url = f"imap://{server.host}:{server.ports['imap']}"
        if scheme == "imap+tls":
            base.append("--ssl-reqd")
    assert b"INBOX" in run(*base, url).stdout
    for i, m in enumerate(mail, 1):
        strip_trace(run(*base, f"{url}/INBOX;UID={i}").stdout, m)
    assert b"* SEARCH 2" in run(*base, f"{url}/INBOX?SUBJECT%20%22read%201%22").stdout


@pytest.mark.parametrize("scheme", ["pop3", "pop3+tls", "pop3s"])
def test_curl_pop3(server, mail, scheme):
    need("curl")
    base = ["curl", "-sS", "--cacert", server.ca, "--user", f"{CAROL}:{server.password(CAROL)}"]
    if scheme == "pop3s":
        url = f"pop3s://{server.host}:{server.ports['pop3s']}"
    else:
        url = f"pop3://{server.host}:{server.ports['pop3']}"
        if scheme == "pop3+tls":
            base.append("--ssl-reqd")
    assert len(run(*base, url).stdout.split(b"\r\n")) >= 3
    for i, m in enumerate(mail, 1):
        strip_trace(run(*base, f"{url}/{i}").stdout, m)


def test_mbsync_both_ways(server, mail, tmp_path):
    need("mbsync")
    rc = tmp_path / "mbsyncrc"
    box = tmp_path / "mail"
    box.mkdir()
    rc.write_text(f"""IMAPAccount a
Host {server.host}
Port {server.ports['imaps']}
User {CAROL}
Pass {server.password(CAROL)}
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
Patterns *
Create Both
Expunge Both
SyncState *
""")
    env = {"HOME": str(tmp_path)}
    run("mbsync", "-c", rc, "-a", env=env)
    files = [p for d in ("new", "cur") for p in (box / "INBOX" / d).iterdir()]
    for f in files:                             # mbsync's own mark of what it copied
        f.write_bytes(re.sub(rb"X-TUID: [^\n]*\n", b"", f.read_bytes()))
    check_files(files, mail)
    # a new local folder with a message goes up; a local flag too
    (box / "Projects").mkdir()
    for d in ("cur", "new", "tmp"):
        (box / "Projects" / d).mkdir()
    up = b"From: carol@example.test\nSubject: uploaded\n\nhello\n"
    (box / "Projects" / "cur" / "1.up.host:2,S").write_bytes(up)
    run("mbsync", "-c", rc, "-a", env=env)
    got = list(server.fetch_all(CAROL, "Projects").values())
    assert len(got) == 1 and b"Subject: uploaded" in got[0]
    m = server.imap(CAROL)
    m.select("Projects", readonly=True)
    assert rb"\Seen" in m.fetch("1", "(FLAGS)")[1][0]
    m.logout()


def test_mutt(server, mail, tmp_path):
    need("mutt")
    box = tmp_path / "copy"
    rc = tmp_path / "muttrc"
    rc.write_text(f"""set ssl_starttls=no ssl_force_tls=no
set certificate_file={server.ca}
set imap_user={CAROL}
set imap_pass={server.password(CAROL)}
set imap_authenticators=plain:login
set header_cache=
set confirmappend=no confirmcreate=no copy=no
set mbox_type=Maildir
set sort=mailbox-order
set timeout=5
set delete=no
set move=no
""")
    url = f"imaps://{server.host}:{server.ports['imaps']}/INBOX"
    keys = f'push "<limit>all<enter><tag-pattern>all<enter><tag-prefix><copy-message>{box}<enter><exit>"'
    mutt = shlex.join(["mutt", "-n", "-F", str(rc), "-f", url, "-e", keys])
    # mutt wants a terminal: script(1) gives it one
    run("script", "-qec", mutt, "/dev/null", env={"TERM": "vt100", "HOME": str(tmp_path)}, timeout=60, stdin=b"")
    files = [p for d in ("new", "cur") if (box / d).exists() for p in (box / d).iterdir()]
    assert len(files) == len(mail)


def test_fetchmail(server, mail, tmp_path):
    need("fetchmail")
    out = tmp_path / "out"
    out.mkdir()
    for proto, port in (("pop3", "pop3s"), ("imap", "imaps")):
        rc = tmp_path / f"rc-{proto}"
        rc.write_text(f"""poll {server.host} service {server.ports[port]} protocol {proto}
  user "{CAROL}" password "{server.password(CAROL)}" keep fetchall ssl
  sslcertfile {server.ca} sslcertck sslcommonname localhost
  mda "cat > {out}/$(mktemp -u {proto}XXXXXX)"
""")
        rc.chmod(0o600)
        r = run("fetchmail", "-f", rc, "--nosyslog", "--idfile", tmp_path / "ids",
                "--pidfile", tmp_path / f"pid-{proto}", env={"HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path)}, check=False)
        assert r.returncode == 0, r.stdout + r.stderr
        files = list(out.glob(f"{proto}*"))
        assert len(files) == len(mail), r.stdout + r.stderr
        for m in mail:
            body = m.split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n")
            assert any(body in f.read_bytes() for f in files)


def test_getmail(server, mail, tmp_path):
    need("getmail")
    for proto, port, cls in (("pop3", "pop3s", "SimplePOP3SSLRetriever"), ("imap", "imaps", "SimpleIMAPSSLRetriever")):
        box = tmp_path / f"box-{proto}"
        for d in ("cur", "new", "tmp"):
            (box / d).mkdir(parents=True)
        rc = tmp_path / f"getmailrc-{proto}"
        rc.write_text(f"""[retriever]
type = {cls}
server = {server.host}
port = {server.ports[port]}
username = {CAROL}
password = {server.password(CAROL)}
ca_certs = {server.ca}

[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat > {box}/new/$$")
allow_root_commands = true

[options]
read_all = true
delete = false
delivered_to = false
received = false
""")
        run("getmail", f"--getmaildir={tmp_path}", f"--rcfile={rc}", env={"HOME": str(tmp_path)})
        files = list((box / "new").iterdir())
        for f in files:                         # getmail's own mark over IMAP
            f.write_bytes(re.sub(rb"X-getmail[^\n]*\n", b"", f.read_bytes()))
        check_files(files, mail)


def test_mpop(server, mail, tmp_path):
    need("mpop")
    box = tmp_path / "box"
    for d in ("cur", "new", "tmp"):
        (box / d).mkdir(parents=True)
    rc = tmp_path / "mpoprc"
    rc.write_text(f"""account default
host {server.host}
port {server.ports['pop3s']}
user {CAROL}
password {server.password(CAROL)}
tls on
tls_starttls off
tls_trust_file {server.ca}
keep on
delivery maildir {box}
received_header off
uidls_file {tmp_path}/uidls
""")
    rc.chmod(0o600)
    run("mpop", "-C", rc)
    check_files(list((box / "new").iterdir()), mail)
    # the second run finds nothing new: UIDLs are stable
    run("mpop", "-C", rc)
    assert len(list((box / "new").iterdir())) == len(mail)


def test_poplib_delete_and_reset(server):
    server.wipe(ALICE)
    sent = [message(f"pop {i}") for i in range(3)]
    for m in sent:
        server.send([ALICE], m)

    def login():
        p = poplib.POP3(server.host, server.ports["pop3"])
        p.stls(context=server.ssl())
        p.user(ALICE)
        p.pass_(server.password(ALICE))
        return p
    p = login()
    with pytest.raises(poplib.error_proto, match="IN-USE"):
        login()
    ids = p.uidl()[1]
    assert len(set(x.split()[1] for x in ids)) == 3
    p.dele(2)
    p.close()                                   # no QUIT: nothing is deleted
    time.sleep(0.2)
    p = login()
    assert p.uidl()[1] == ids
    p.dele(1)
    p.rset()
    p.dele(2)
    assert p.top(1, 0)[1][-1] == b""
    p.quit()
    p = login()
    assert [x.split()[1] for x in p.uidl()[1]] == [ids[0].split()[1], ids[2].split()[1]]
    p.quit()


def test_imaplib_everyday(server):
    server.wipe(BOB)
    for i in range(5):
        server.send([BOB], message(f"day {i}"))
    m = server.imap(BOB)
    assert m.select("INBOX")[1] == [b"5"]
    assert m.search(None, "UNSEEN")[1] == [b"1 2 3 4 5"]
    assert m.store("1:2", "+FLAGS", r"(\Seen $Label1)")[0] == "OK"
    assert m.search(None, "KEYWORD", "$Label1")[1] == [b"1 2"]
    assert m.search(None, "UNSEEN")[1] == [b"3 4 5"]
    assert m.search(None, "SUBJECT", '"day 3"')[1] == [b"4"]
    assert m.search(None, "BODY", "hello")[1] == [b"1 2 3 4 5"]
    assert m.search(None, "OR", "SUBJECT", '"day 0"', "NOT", "SMALLER", "1000000")[1] == [b"1"]
    assert m.create("Work/2026")[0] == "OK"
    assert m.copy("1:2", "Work/2026")[0] == "OK"
    assert m.uid("MOVE", "3", "Archive")[0] == "OK"
    assert m.search(None, "ALL")[1] == [b"1 2 3 4"]
    assert m.select("Work/2026", readonly=True)[1] == [b"2"]
    assert rb"\Seen" in m.fetch("1", "(FLAGS)")[1][0]
    assert m.rename("Work/2026", "Work/Old")[0] == "OK"
    names = b" ".join(m.list()[1])
    assert b"Work/Old" in names and b"2026" not in names and rb"\Trash" in names
    assert m.delete("Work/Old")[0] == "OK"
    env = m.select("INBOX") and m.fetch("1", "(ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)")[1][0]
    assert b'"day 0"' in env and b'("text" "plain"' in env.lower().replace(b"(\"text\"", b"(\"text\"")
    m.logout()


def test_idle_hears_of_new_mail(server):
    m = server.imap(ALICE)
    m.select("INBOX")
    m.send(b"i1 IDLE\r\n")
    assert m.readline().startswith(b"+")
    server.send([ALICE], message("wake up"))
    m.sock.settimeout(10)
    seen = b""
    while b"EXISTS" not in seen:
        seen = m.readline()
        assert seen
    m.send(b"DONE\r\n")
    line = m.readline()
    while not line.startswith(b"i1 "):
        line = m.readline()
    assert line.startswith(b"i1 OK")
    m.logout()


def test_two_sessions_agree(server):
    server.wipe(ALICE)
    for i in range(4):
        server.send([ALICE], message(f"two {i}"))
    a, b = server.imap(ALICE), server.imap(ALICE)
    a.select("INBOX")
    b.select("INBOX")
    a.store("2", "+FLAGS", r"(\Deleted)")
    a.expunge()
    # b still numbers four messages during FETCH and hears of the expunge at NOOP
    typ, data = b.fetch("1:4", "(UID FLAGS)")
    if typ == "NO":                             # RFC 5530: what is left was still given
        assert b"EXPUNGEISSUED" in data[0]
        data = b.response("FETCH")[1]
    assert len([d for d in data if d]) >= 3
    b.response("EXPUNGE")
    b.noop()
    assert b.response("EXPUNGE")[1] == [b"2"]
    assert len(b.fetch("1:*", "(UID)")[1]) == 3
    a.logout()
    b.logout()


def test_wrong_passwords_look_the_same(server):
    texts = []
    for user in (ALICE, "nobody@example.test"):
        m = imaplib.IMAP4_SSL(server.host, server.ports["imaps"], ssl_context=server.ssl())
        with pytest.raises(imaplib.IMAP4.error) as e:
            m.login(user, "wrong")
        texts.append(str(e.value))
        m.shutdown()
    assert texts[0] == texts[1]
