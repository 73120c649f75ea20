"""Programs nobody here wrote send mail: swaks, msmtp, curl, smtplib."""
import smtplib
import uuid

import pytest

from conftest import ALICE, BOB, message, need, run, strip_trace


def arrived(server, token, user=BOB):
    return [m for m in server.fetch_all(user).values() if token.encode() in m]


def swaks(server, port, *args):
    need("swaks")
    token = uuid.uuid4().hex
    r = run("swaks", "--server", server.host, "--port", server.ports[port],
            "--from", "alice@example.test", "--to", BOB,
            "--header", f"Subject: {token}", "--body", "sent by swaks", *args)
    assert b"250" in r.stdout
    assert len(arrived(server, token)) == 1


def test_swaks_port_25(server):
    swaks(server, "smtp")


def test_swaks_port_25_starttls(server):
    swaks(server, "smtp", "--tls", "--tls-verify", "--tls-ca-path", server.ca)


@pytest.mark.parametrize("mech", ["PLAIN", "LOGIN"])
def test_swaks_submission_starttls(server, mech):
    swaks(server, "submission", "--tls", "--auth", mech, "--auth-user", ALICE,
          "--auth-password", server.password(ALICE))


def test_swaks_submissions(server):
    swaks(server, "submissions", "--tls-on-connect", "--auth", "PLAIN", "--auth-user", ALICE,
          "--auth-password", server.password(ALICE))


def test_swaks_pipelining(server):
    swaks(server, "smtp", "--pipeline")


@pytest.mark.parametrize("port,starttls", [("submission", "on"), ("submissions", "off")])
def test_msmtp(server, tmp_path, port, starttls):
    need("msmtp")
    token = uuid.uuid4().hex
    rc = tmp_path / "msmtprc"
    rc.write_text(f"account default\nhost {server.host}\nport {server.ports[port]}\nfrom {ALICE}\n"
                  f"auth on\nuser {ALICE}\npassword {server.password(ALICE)}\ntls on\n"
                  f"tls_starttls {starttls}\ntls_trust_file {server.ca}\n")
    rc.chmod(0o600)
    mail = f"From: {ALICE}\nTo: {BOB}\nSubject: {token}\n\nsent by msmtp\n.\n..dots\n".encode()
    run("msmtp", "-C", rc, BOB, stdin=mail)
    got = arrived(server, token)
    assert len(got) == 1
    assert got[0].endswith(b"sent by msmtp\r\n.\r\n..dots\r\n")


@pytest.mark.parametrize("url", ["smtp", "smtp+ssl", "smtps"])
def test_curl(server, tmp_path, url):
    need("curl")
    token = uuid.uuid4().hex
    mail = tmp_path / "mail"
    sent = message(token, b"sent by curl\r\n.leading dot\r\n").replace(b"sender@example.org", ALICE.encode())
    mail.write_bytes(sent)
    args = ["curl", "-sS", "--cacert", server.ca, "--mail-from", ALICE, "--mail-rcpt", BOB,
            "--upload-file", mail, "--user", f"{ALICE}:{server.password(ALICE)}"]
    if url == "smtp":
        args = args[:-2] + [f"smtp://{server.host}:{server.ports['smtp']}"]
    elif url == "smtp+ssl":
        args += ["--ssl-reqd", f"smtp://{server.host}:{server.ports['submission']}"]
    else:
        args += [f"smtps://{server.host}:{server.ports['submissions']}"]
    run(*args)
    got = arrived(server, token)
    assert len(got) == 1
    strip_trace(got[0], sent)


def test_smtplib_all_ports(server):
    for port in ("smtp", "submission", "submissions"):
        token = uuid.uuid4().hex
        if port == "submissions":
            s = smtplib.SMTP_SSL(server.host, server.ports[port], context=server.ssl())
        else:
            s = smtplib.SMTP(server.host, server.ports[port])
        with s:
            if port != "submissions":
                s.starttls(context=server.ssl())
            if port != "smtp":
                s.login(ALICE, server.password(ALICE))
            assert s.sendmail(ALICE, [BOB], message(token).replace(b"sender@example.org", ALICE.encode())) == {}
        assert len(arrived(server, token)) == 1


def test_unknown_user_and_relaying_are_refused(server):
    with server.smtp() as s:
        s.ehlo("client.example.org")
        assert s.mail("x@example.org")[0] == 250
        assert s.rcpt("nobody@example.test")[0] == 550
        assert s.rcpt("someone@example.net")[0] == 550
        assert s.rcpt(ALICE)[0] == 250


def test_submission_to_a_remote_address_is_refused_clearly(server):
    with smtplib.SMTP_SSL(server.host, server.ports["submissions"], context=server.ssl()) as s:
        s.login(ALICE, server.password(ALICE))
        s.mail(ALICE)
        code, text = s.rcpt("someone@example.net")
        assert code == 550 and len(text) > 10


def test_wrong_password_is_refused(server):
    with smtplib.SMTP_SSL(server.host, server.ports["submissions"], context=server.ssl()) as s:
        with pytest.raises(smtplib.SMTPAuthenticationError) as e:
            s.login(ALICE, "wrong")
        assert e.value.smtp_code == 535


def test_no_login_without_tls_from_afar_is_decided_by_the_server(server):
    """demo allows clear logins over loopback; AUTH is never offered on port 25."""
    with server.smtp() as s:
        s.ehlo("client.example.org")
        assert not s.has_extn("auth")
        assert s.has_extn("starttls") and s.has_extn("pipelining") and s.has_extn("8bitmime")
        assert s.has_extn("smtputf8") and s.has_extn("enhancedstatuscodes") and s.has_extn("size")
