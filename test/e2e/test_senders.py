"""Mail servers and libraries that others wrote send to us: swaks, smtplib, nodemailer,
Postfix, OpenSMTPD, Exim. What they say they sent is in the mailbox, octet for octet;
what we refuse they understand."""
import email
import email.policy
import json
import re
import smtplib
import ssl
import time

import pytest

from conftest import ROOT, need, run
from mtas import Exim, Opensmtpd, Postfix
from serve import ALICE, BOB, Site, inbox

CAROL, DAVE, ERIN = "carol@example.test", "dave@example.test", "erin@lmtp.test"
NODE = ROOT / "build/node/node_modules"
BIG = 20_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    s = Site(tmp_path_factory.mktemp("site"), dict(smtp="", lmtp="", imaps=""),
             domains=("example.test", "lmtp.test"), users=(ALICE, BOB, CAROL, DAVE, ERIN))
    yield s
    s.stop()


def mail(subject, body=b"Hello.\r\n", extra=b"", to=ALICE):
    return (b"From: Sender <sender@sender.test>\r\nTo: %s\r\nSubject: %s\r\n"
            b"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s@sender.test>\r\n%s\r\n%s"
            % (to.encode(), subject.encode(), subject.encode().replace(b" ", b"."), extra, body))


def split(message):
    """The header as parsed, the body as it is."""
    head, _, body = message.partition(b"\r\n\r\n")
    return email.message_from_bytes(head, policy=email.policy.compat32), body


def subjects(messages):
    return sorted(str(split(m)[0]["Subject"]) for m in messages)


def one(s, user, subject, seconds=60, **kw):
    """The one message of that subject, once it is there."""
    end = time.monotonic() + seconds
    while True:
        got = [m for m in inbox(s, user, **kw) if split(m)[0]["Subject"] == subject]
        if got or time.monotonic() > end:
            assert len(got) == 1, (subject, len(got))
            return got[0]
        time.sleep(0.1)


def big_body():
    line = bytes(range(33, 33 + 76)) + b"\r\n"
    return b".leading dot\r\n" + line * (BIG // len(line)) + b".\r\n..\r\n"


def fill(s, user):
    """No room for a small message, until the quota is lifted."""
    with smtplib.SMTP("127.0.0.1", s.ports["smtp"], timeout=60) as c:
        c.sendmail("sender@sender.test", [user], mail("first", (b"x" * 70 + b"\r\n") * 50))
    s.cli("account", "quota", user, "4000")


# ---- programs and libraries --------------------------------------------------------------------


def test_swaks(site, tmp_path):
    """TLS with a certificate that it checks, pipelined, many recipients, bytes of all kinds."""
    need("swaks")
    data = tmp_path / "mail"
    data.write_bytes(mail("swaks all", b"".join(bytes([c]) for c in range(256) if c not in b"\0\r\n") + b"\r\n.x"))
    to = ",".join([ALICE, BOB] + [f"alice+{i}@example.test" for i in range(98)])
    common = ["swaks", "--server", "127.0.0.1", "--port", site.ports["smtp"], "--from", "swaks@sender.test",
              "--ehlo", "swaks.sender.test"]
    r = run(*common, "--to", to, "--data", f"@{data}", "--tls", "--tls-verify", "--tls-ca-path", site.certificate,
            "--pipeline")
    assert r.stdout.count(b" 2.1.5 ") == 100
    assert split(one(site, ALICE, "swaks all"))[1] == split(data.read_bytes())[1] + b"\r\n"
    assert b"ESMTPS" in one(site, BOB, "swaks all")
    r = run(*common, "--to", "nobody@example.test", check=False)
    assert b"550 5.1.1" in r.stdout
    r = run(*common, "--to", "alice%example.test@elsewhere.example", check=False)
    assert re.search(rb"<\*\* 550 5\.\d\.\d", r.stdout)


def test_smtplib(site):
    context = ssl.create_default_context(cafile=site.certificate)
    with smtplib.SMTP("127.0.0.1", site.ports["smtp"], "py.sender.test", timeout=60) as c:
        c._host = "mail.example.test"       # whom the certificate is for
        c.starttls(context=context)
        for i in range(20):
            assert c.sendmail("py@sender.test", [ALICE, BOB], mail(f"smtplib {i}", b".\r\n..\r\n" * i)) == {}
        refused = c.sendmail("py@sender.test", [ALICE, "nobody@example.test"], mail("smtplib some"))
        assert refused["nobody@example.test"][0] == 550
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            c.sendmail("py@sender.test", ["x@elsewhere.example"], mail("no"))
        with pytest.raises(smtplib.SMTPDataError) as e:
            c.sendmail("py@sender.test", [ALICE], mail("no"), mail_options=["BODY=BINARYMIME"])
        assert e.value.smtp_code == 503
        c.rset()
        message = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
        message["From"], message["To"], message["Subject"] = "jürgen@sender.test", ALICE, "smtplib grün"
        message.set_content("größer\n", cte="8bit")
        assert c.send_message(message) == {}
    got = inbox(site, ALICE)
    assert [x for x in subjects(got) if x.startswith("smtplib")][-1] == "smtplib some"
    for i in range(20):
        m = [x for x in got if split(x)[0]["Subject"] == f"smtplib {i}"]
        assert len(m) == 1 and split(m[0])[1] == b".\r\n..\r\n" * i
    wide = [m for m in got if "smtplib grün".encode() in m]
    assert len(wide) == 1 and "größer".encode() in wide[0] and b"with UTF8SMTPS" in wide[0]


def test_nodemailer(site):
    if not (NODE / "nodemailer").is_dir():
        pytest.fail("nodemailer is not installed; run ./dev deps")
    where = {"host": "127.0.0.1", "port": site.ports["smtp"], "ca": site.certificate, "big": 5_000_000}
    out = json.loads(run("node", ROOT / "test/e2e/node/nodemailer.js", NODE / "nodemailer",
                         json.dumps(where)).stdout)
    assert out["verified"] is True
    assert [n for n, said in out["pooled"] if said.startswith("250 2.0.0")] == [2] * 10
    assert out["some"] == [[BOB], ["nobody@example.test"]]
    assert out["nobody"]["code"] == 550 and "5.1.1" in out["nobody"]["said"]
    assert out["relay"]["code"] == 550 and "5.7.1" in out["relay"]["said"]
    assert out["wide"].startswith("250") and out["big"].startswith("250")
    got = [m for m in inbox(site, ALICE) if b"Subject: node " in m]
    assert len(got) == 11 and len([m for m in got if "node ütf8".encode() in m]) == 1
    for m in got:
        if b"multipart" in m:
            parts = [p.get_payload(decode=True) for p in email.message_from_bytes(m).walk() if not p.is_multipart()]
            assert parts[0].replace(b"\r\n", b"\n") == ".\n..\nline of grüße\n.\n".encode()
            assert len(parts[2]) == 5000
    big = email.message_from_bytes(one(site, CAROL, "node big"))
    assert big.get_payload()[-1].get_payload(decode=True) == b"\7" * where["big"] if big.is_multipart() \
        else big.get_payload(decode=True) == b"\7" * where["big"]


# ---- Postfix --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postfix(site, tmp_path_factory):
    with Postfix(tmp_path_factory.mktemp("mta") / "postfix") as p:
        yield p.serve(site.ports["smtp"], site.ports["lmtp"], site.certificate)


def test_postfix_relays(site, postfix):
    """Under TLS with our certificate checked: 7 bit, 8 bit, UTF-8 addresses, dots, long lines."""
    bodies = {"postfix plain": b"Hello.\r\n", "postfix dots": b".\r\n..\r\n.x\r\n\r\n.\r\n",
              "postfix eight": "grüße\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
              "postfix long": b"x" * 990 + b"\r\n", "postfix empty": b""}
    with postfix.smtp() as c:
        for subject, body in bodies.items():
            c.sendmail("sender@sender.test", [ALICE], mail(subject, body), mail_options=["BODY=8BITMIME"])
        c.sendmail("jürgen@sender.test", [ALICE], mail("postfix wide", "ü\r\n".encode()),
                   mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    for subject, body in bodies.items():
        got = one(site, ALICE, subject)
        assert split(got)[1] == body, (subject, got)
        assert b"Received: from postfix.sender.test" in got and b"with ESMTPS" in got
    assert b"with UTF8SMTPS" in one(site, ALICE, "postfix wide")
    assert "Return-Path: <jürgen@sender.test>".encode() in one(site, ALICE, "postfix wide")
    postfix.wait(r"Verified TLS connection established to 127\.0\.0\.1")


def test_postfix_brings_300_recipients_in_one_go(site, postfix):
    """In one pipelined transaction: one copy for all the addresses that are alice; Postfix
    tells the sender about the one that is nobody, in a bounce that we take."""
    to = [f"alice+{i}@example.test" for i in range(300)]
    with postfix.smtp() as c:
        assert c.sendmail(BOB, to[:150] + ["nobody@example.test"] + to[150:], mail("postfix many")) == {}
    one(site, ALICE, "postfix many")
    bounce = one(site, BOB, "Undelivered Mail Returned to Sender")
    assert bounce.startswith(b"Return-Path: <>\r\n")
    parts = list(email.message_from_bytes(bounce).walk())
    assert parts[0].get_param("report-type") == "delivery-status"
    status = [p for p in parts if p.get_content_type() == "message/delivery-status"][0].as_string()
    assert "Final-Recipient: rfc822; nobody@example.test" in status and "Status: 5.1.1" in status
    assert "alice+" not in status


def test_postfix_tries_again(site, postfix):
    """A full mailbox is a temporary failure to it; once there is room, the message comes."""
    fill(site, DAVE)
    with postfix.smtp() as c:
        c.sendmail("sender@sender.test", [DAVE], mail("postfix later", b"y" * 500 + b"\r\n", to=DAVE))
    postfix.wait(r"452 4\.2\.2")
    assert "postfix later" not in subjects(inbox(site, DAVE))
    site.cli("account", "quota", DAVE, "none")
    one(site, DAVE, "postfix later")


def test_postfix_20_megabytes(site, postfix):
    body = big_body()
    with postfix.smtp() as c:
        c.sendmail("sender@sender.test", [CAROL], mail("postfix big", body))
    assert split(one(site, CAROL, "postfix big"))[1] == body


def test_postfix_delivers_over_lmtp(site, postfix):
    """lmtp(8): several recipients with answers of their own, 8 bit, a bounce for one of them."""
    body = "grüße\r\n.\r\n".encode()
    with postfix.smtp() as c:
        c.sendmail(DAVE, [ERIN, "erin+x@lmtp.test", "nobody@lmtp.test"], mail("postfix lmtp", body, to=ERIN),
                   mail_options=["BODY=8BITMIME"])
    got = one(site, ERIN, "postfix lmtp")
    assert split(got)[1] == body and b"with LMTP" in got
    bounce = one(site, DAVE, "Undelivered Mail Returned to Sender")
    assert b"nobody@lmtp.test" in bounce and b"5.1.1" in bounce and b"Final-Recipient: rfc822; erin" not in bounce
    postfix.wait(r"relay=127\.0\.0\.1\[127\.0\.0\.1\]:%d" % site.ports["lmtp"])


# ---- OpenSMTPD and Exim ---------------------------------------------------------------------------


def test_opensmtpd(site, tmp_path):
    """Relays under TLS, 8 bit and big; bounces what we refuse."""
    with Opensmtpd(tmp_path / "opensmtpd").serve(site.ports["smtp"]) as o:
        eight = "grüße\r\n.\r\n..\r\n".encode()
        big = big_body()
        with o.smtp() as c:
            c.sendmail("sender@sender.test", [ALICE, BOB], mail("opensmtpd eight", eight), ["BODY=8BITMIME"])
            c.sendmail("sender@sender.test", [CAROL], mail("opensmtpd big", big))
            c.sendmail("sender@sender.test", [f"alice+{i}@example.test" for i in range(90)], mail("opensmtpd many"))
            c.sendmail(BOB, ["nobody@example.test"], mail("opensmtpd nobody"))
        got = one(site, ALICE, "opensmtpd eight")
        assert split(got)[1] == eight and b"with ESMTPS" in got
        assert split(one(site, BOB, "opensmtpd eight"))[1] == eight
        one(site, ALICE, "opensmtpd many")
        bounce = one(site, BOB, "Delivery status notification: failed")
        assert bounce.startswith(b"Return-Path: <>\r\n") and b"nobody@example.test" in bounce
        assert split(one(site, CAROL, "opensmtpd big"))[1] == big


def test_exim_sends_bdat(site, tmp_path):
    """CHUNKING from a client that uses it by default; bounces what we refuse, brings later what we put off."""
    fill(site, DAVE)
    with Exim(tmp_path / "exim").serve(site.ports["smtp"]) as e:
        eight, big = "grüße\r\n.\r\n..\r\n.x\r\n".encode(), big_body()
        with e.smtp() as c:
            c.sendmail("sender@sender.test", [ALICE, BOB], mail("exim eight", eight), ["BODY=8BITMIME"])
            c.sendmail("sender@sender.test", [CAROL], mail("exim big", big))
            c.sendmail(BOB, ["nobody@example.test"], mail("exim nobody"))
            c.sendmail("sender@sender.test", [DAVE], mail("exim later", b"y" * 500 + b"\r\n"))
        got = one(site, ALICE, "exim eight")
        assert split(got)[1] == eight and b"with ESMTPS" in got
        assert split(one(site, BOB, "exim eight"))[1] == eight
        assert split(one(site, CAROL, "exim big"))[1] == big
        # the K says that it went as chunks
        e.wait(r"=> alice@example\.test .* K C=\"250")
        e.wait(r"== dave@example\.test .* 452 4\.2\.2")
        assert "exim later" not in subjects(inbox(site, DAVE))
        site.cli("account", "quota", DAVE, "none")
        one(site, DAVE, "exim later")
        bounce = one(site, BOB, "Mail delivery failed: returning message to sender")
        assert bounce.startswith(b"Return-Path: <>\r\n") and b"550 5.1.1" in bounce
