"""Decision records: whatever became of a message, `postrider trace` finds it by
Message-ID, by address and by id, says what was answered, and the log has the id."""
import json
import re
import smtplib
import socket
import subprocess

import pytest

from conftest import ALICE, BIN, BOB, CAROL, message


class Talk:
    """SMTP by hand, line by line."""

    def __init__(self, server, port="smtp"):
        self.k = socket.create_connection((server.host, server.ports[port]), 60)
        self.f = self.k.makefile("rb")
        self.reply()

    def reply(self):
        while True:
            line = self.f.readline()
            if line[3:4] != b"-":
                return line.rstrip(b"\r\n").decode()

    def say(self, line):
        self.k.sendall((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def close(self):
        self.f.close()
        self.k.close()


def traced(server, what, *args):
    r = server.cli("trace", "--json", *args, what)
    return json.loads(r.stdout)


def one(server, what, *args):
    found = traced(server, what, *args)
    assert len(found) == 1, found
    return found[0]


def log_of(server, record):
    """The log line of the decision."""
    lines = [l for l in server.log.read_text(errors="replace").splitlines()
             if re.search(rf"\bid={re.escape(record['id'])}(\s|$)", l) and "event=mail." in l]
    assert len(lines) == 1, lines
    assert f"sid={record['session']}" in lines[0]
    return lines[0]


def send(server, to, name, body=b"Hello.\r\n", options=""):
    """A whole transaction; every reply."""
    t = Talk(server)
    replies = [t.say("EHLO client.example.org"), t.say(f"MAIL FROM:<{name}@example.org>{options}")]
    replies += [t.say(f"RCPT TO:<{a}>") for a in to]
    if replies[-1][0] == "2":
        t.say("DATA")
        t.k.sendall(message(name, body) + b".\r\n")
        replies.append(t.reply())
    t.say("QUIT")
    t.close()
    return replies


def test_accepted(server):
    reply = send(server, [ALICE, BOB], "good")[-1]
    id_ = re.search(r"id=(\S+)", reply)[1]
    r = one(server, id_)
    assert r["outcome"] == "accepted" and r["reply"] == reply
    assert r["peer"] == "127.0.0.1" and r["ehlo"] == "client.example.org" and r["role"] == "smtp"
    assert r["from"] == "good@example.org" and r["message_id"] == "<good@example.org>"
    assert r["rcpts"] == [{"to": ALICE, "reply": "250 2.1.5 OK"}, {"to": BOB, "reply": "250 2.1.5 OK"}]
    assert r["size"] == len(message("good"))
    for what in ("<good@example.org>", "good@example.org", "GOOD@Example.org", id_.split(".")[0]):
        assert one(server, what) == r
    assert r in traced(server, ALICE) and r in traced(server, BOB) and r in traced(server, "127.0.0.1")
    assert "event=mail.accepted" in log_of(server, r)
    text = server.cli("trace", id_).stdout
    for part in ("accepted", "id=" + id_, "127.0.0.1", f"<{ALICE}>  250 2.1.5 OK", reply):
        assert part in text
    received = next(iter(server.fetch_all(BOB).values()))
    assert f"id {id_}".encode() in received


@pytest.mark.parametrize("name,to,reply,limit", [
    ("unknown", ["nobody@example.test"], "550 5.1.1", None),
    ("relay", ["x@example.net"], "550 5.7.1", None),
    ("full", [CAROL], "552 5.2.2", "quota")])
def test_refused_for_recipients(server, name, to, reply, limit):
    server.cli("account", "quota", CAROL, "1")
    got = send(server, to, name)[-1]
    assert got.startswith(reply)
    r = one(server, name + "@example.org")
    assert r["outcome"] == "refused" and r["reply"] == got
    # over quota shows at the end of the data, since no SIZE was declared
    assert r["rcpts"] == [{"to": to[0], "reply": "250 2.1.5 OK" if limit else got}]
    assert r.get("limits") == ([limit] if limit else None)
    assert r in traced(server, to[0]) and one(server, r["id"]) == r
    line = log_of(server, r)
    assert "event=mail.refused" in line and reply in line


def test_too_big(server):
    got = send(server, [], "toobig", options=" SIZE=999999999")[-1]
    r = one(server, "toobig@example.org")
    assert r["outcome"] == "refused" and r["reply"] == got and got.startswith("552 5.3.4")
    assert r["limits"] == ["message_size"]
    assert "event=mail.refused" in log_of(server, r)


def test_bare_lf(server):
    got = send(server, [ALICE], "barelf", b"one\ntwo\r\n")[-1]
    r = one(server, "<barelf@example.org>")
    assert r["outcome"] == "refused" and r["reply"] == got and got.startswith("550 5.5.2")
    assert "event=mail.refused" in log_of(server, r)


def test_broken_off_and_given_up(server):
    t = Talk(server)
    t.say("EHLO client.example.org")
    t.say("MAIL FROM:<first@example.org>")
    t.say(f"RCPT TO:<{ALICE}>")
    t.say("RSET")
    t.say("MAIL FROM:<second@example.org>")
    t.say(f"RCPT TO:<{ALICE}>")
    t.say("DATA")
    t.k.sendall(message("broken", b"half of it"))
    t.close()
    r = one(server, "first@example.org")
    assert r["outcome"] == "abandoned" and "reply" not in r
    assert "event=mail.abandoned" in log_of(server, r)
    for _ in range(600):  # until the server has seen the end
        got = server.cli("trace", "--json", "<broken@example.org>", check=False)
        if got.returncode == 0:
            break
        subprocess.run(["sleep", "0.05"], check=True)
    s = json.loads(got.stdout)[0]
    assert s["outcome"] == "broken_off" and s["from"] == "second@example.org"
    assert s["session"] == r["session"] and s["id"] != r["id"]
    assert "event=mail.broken_off" in log_of(server, s)


def test_cut_without_mail(server):
    t = Talk(server)
    reply = t.say("GET / HTTP/1.1")
    t.close()
    r = [x for x in traced(server, "127.0.0.1", "--limit", "1000") if x["outcome"] == "cut"][-1]
    assert r["reply"] == reply and "from" not in r
    assert "event=session.cut" in "".join(
        l for l in server.log.read_text(errors="replace").splitlines() if f"id={r['id']} " in l)


def test_hostile_text(server):
    """Nothing a peer says reaches the terminal as it is, or makes a record that
    cannot be read."""
    t = Talk(server)
    assert t.say(b"EHLO a\x1b[31m.example.org")[0] == "5"
    t.say("EHLO client.example.org")
    assert t.say(b"MAIL FROM:<\xff\x1b]0;x\x07@example.org>")[0] == "5"
    assert t.say("MAIL FROM:<\u202ehostile@example.org> SMTPUTF8")[0] == "2"
    assert t.say(b"RCPT TO:<\x9b\x80@example.test>")[0] == "5"
    assert t.say(f"RCPT TO:<{ALICE}>")[0] == "2"
    t.say("DATA")
    t.k.sendall(b"Message-ID: <\x1b[2J\xff" + "\u202e".encode() + b"x" * 10240 + b"@example.org>\r\n\r\nx\r\n.\r\n")
    id_ = re.search(r"id=(\S+)", t.reply())[1]
    t.say("QUIT")
    t.close()
    r = one(server, id_)
    assert len(r["message_id"]) <= 513 and r["message_id"].endswith("\u2026")
    for args in (("trace",), ("trace", "--json")):
        out = subprocess.run([BIN, "--control", server.control, *args, id_.split(".")[0]],
                             capture_output=True, timeout=60, check=True).stdout
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", out)
        text = out.decode()  # UTF-8
        assert not re.search("[\u0080-\u009f\u202a-\u202e]", text)
    assert "\\u{202e}hostile@example.org" in server.cli("trace", id_).stdout


def test_a_thousand_recipients(server):
    server.cli("account", "quota", CAROL, "none")
    t = Talk(server)
    t.say("EHLO client.example.org")
    t.say("MAIL FROM:<many@example.org>")
    t.k.sendall(b"".join(b"RCPT TO:<carol+%d@example.test>\r\n" % i for i in range(1001)))
    replies = [t.reply() for _ in range(1001)]
    assert replies[999][0] == "2" and replies[1000].startswith("452 4.5.3")
    t.say("DATA")
    t.k.sendall(message("many") + b".\r\n")
    assert t.reply()[0] == "2"
    t.say("QUIT")
    t.close()
    r = one(server, "many@example.org")
    assert len(r["rcpts"]) + r.get("more_rcpts", 0) == 1001
    assert r["limits"] == ["recipients"]
    assert r in traced(server, "carol+7@example.test") and r in traced(server, CAROL)


def test_submission(server):
    with smtplib.SMTP_SSL(server.host, server.ports["submissions"],
                          context=server.ssl()) as s:
        s.login(ALICE, server.password(ALICE))
        s.sendmail(ALICE, [BOB], b"From: alice@example.test\r\nSubject: x\r\n\r\nx\r\n")
    r = traced(server, ALICE)[-1]
    assert r["account"] == ALICE and r["role"] == "submission" and r["tls"] == "TLSv1.3"
    assert "password" not in json.dumps(r) and server.password(ALICE) not in json.dumps(r)
    # the Message-ID that we gave it
    assert one(server, r["message_id"]) == r and r["message_id"].startswith("<")


def test_what_the_command_says(server):
    r = server.cli("trace", "nobody@nowhere.example", check=False)
    assert r.returncode == 1 and r.stdout == ""
    assert r.stderr == ("postrider: trace: no record of nobody@nowhere.example; "
                        "records are kept for 30 days\n")
    for args in ((), ("a", "b"), ("--since", "yesterday", "a"), ("--limit", "0", "a")):
        assert server.cli("trace", *args, check=False).returncode == 2
    for i in range(3):
        send(server, ["nobody@example.test"], "thrice")
    found = traced(server, "thrice@example.org")
    assert len(found) == 3
    r = server.cli("trace", "--json", "--limit", "2", "thrice@example.org")
    assert json.loads(r.stdout) == found[1:] and "older" in r.stderr
    assert traced(server, "thrice@example.org", "--since", "1h") == found
    r = server.cli("trace", "--since", "0s", "thrice@example.org", check=False)
    assert r.returncode == 1
    status = server.cli("status").stdout
    assert "trace.dropped: 0" in status and "trace.days: 30" in status


def test_restart_and_kill(fresh):
    """An orderly end keeps every record; a kill at most loses the last moment's,
    never mail."""
    s = fresh().start()
    send(s, [ALICE], "before")
    assert s.stop() == 0
    s.start()
    before = one(s, "<before@example.org>")
    # Found, so written: a kill does not take it back.
    send(s, [ALICE], "written")
    written = one(s, "<written@example.org>")
    reply = send(s, [ALICE], "last")[-1]
    s.kill()
    assert reply.startswith("250")
    s.start()
    assert one(s, "<before@example.org>") == before
    assert one(s, "<written@example.org>") == written
    assert sum(b"Subject: last" in m for m in s.fetch_all(ALICE).values()) == 1
    last = s.cli("trace", "--json", "<last@example.org>", check=False)
    assert last.returncode in (0, 1)
    if last.returncode == 0:
        assert json.loads(last.stdout)[0]["reply"] == reply
    assert re.search(r"event=mail\.accepted .*\bid=" + re.search(r"id=(\S+)", reply)[1],
                     s.log.read_text(errors="replace"))


def test_without_a_server(fresh):
    s = fresh().start()
    send(s, ["nobody@example.test"], "alone")
    record = one(s, "alone@example.org")
    assert s.stop() == 0
    conf = s.dir / "postrider.conf"

    def trace(days):
        conf.write_text(f'data = "{s.data}"\nhostname = "mx.example.test"\ntrace {{ days = {days} }}\n')
        return subprocess.run([BIN, "--config", str(conf), "trace", "--json", "alone@example.org"],
                              capture_output=True, text=True, timeout=60)
    assert json.loads(trace(7).stdout) == [record]
    assert json.loads(trace(0).stdout) == [record]  # it goes when a server runs like that
