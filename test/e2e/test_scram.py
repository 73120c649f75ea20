"""SCRAM (RFC 5802, RFC 7677) over IMAP, POP3 and submission: a client made of
hashlib, in clear and bound to the connection, and those of others (GNU SASL in
msmtp, Cyrus SASL in mbsync)."""
import base64
import hashlib
import hmac
import imaplib
import os
import poplib
import re
import smtplib

import pytest

from conftest import ALICE, BOB, need, run

HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}


class Scram:
    """A client: answer() takes a challenge and gives the next message."""

    def __init__(self, mech, user, password, cert=None, header=None):
        self.hash = HASHES[mech.removesuffix("-PLUS")]
        self.user, self.password = user, password
        plus = mech.endswith("-PLUS")
        self.header = header or ("p=tls-server-end-point,," if plus else "n,,")
        self.channel = hashlib.sha256(cert).digest() if plus else b""
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.step = 0
        self.trusted = False

    def mac(self, key, text):
        return hmac.new(key, text, self.hash).digest()

    def answer(self, challenge=b""):
        self.step += 1
        if self.step == 1:
            self.bare = f"n={self.user},r={self.nonce}"
            return self.header + self.bare
        challenge = challenge.decode()
        if self.step == 2:
            r, s, i = (x[2:] for x in challenge.split(","))
            assert r.startswith(self.nonce) and len(r) > len(self.nonce) and int(i) >= 4096
            salted = hashlib.pbkdf2_hmac(self.hash, self.password.encode(), base64.b64decode(s), int(i))
            key = self.mac(salted, b"Client Key")
            c = base64.b64encode(self.header.encode() + self.channel).decode()
            final = f"c={c},r={r}"
            text = f"{self.bare},{challenge},{final}".encode()
            sig = self.mac(hashlib.new(self.hash, key).digest(), text)
            self.want = base64.b64encode(self.mac(self.mac(salted, b"Server Key"), text)).decode()
            proof = bytes(a ^ b for a, b in zip(key, sig))
            return final + ",p=" + base64.b64encode(proof).decode()
        assert challenge == "v=" + self.want
        self.trusted = True
        return ""


def imap(server, mech, user, password, **kw):
    m = imaplib.IMAP4_SSL(server.host, server.ports["imaps"], ssl_context=server.ssl())
    try:
        assert f"AUTH={mech}" in m.capabilities
        c = Scram(mech, user, password, m.sock.getpeercert(True), **kw)
        m.authenticate(mech, lambda challenge: c.answer(challenge).encode())
        assert c.trusted
        assert m.select("INBOX")[0] == "OK"
        m.logout()
    finally:
        m.sock.close()


def pop3(server, mech, user, password, **kw):
    p = poplib.POP3_SSL(server.host, server.ports["pop3s"], context=server.ssl())
    try:
        assert mech in p.capa()["SASL"]
        c = Scram(mech, user, password, p.sock.getpeercert(True), **kw)
        r = p._shortcmd("AUTH " + mech + " " + base64.b64encode(c.answer().encode()).decode())
        while r.startswith(b"+ "):
            r = p._shortcmd(base64.b64encode(c.answer(base64.b64decode(r[2:])).encode()).decode())
        assert c.trusted and r.startswith(b"+OK")
        p.quit()
    finally:
        p.close()


def smtp(server, mech, user, password, **kw):
    with smtplib.SMTP_SSL(server.host, server.ports["submissions"], context=server.ssl()) as s:
        s.ehlo("client.example.org")
        assert mech in s.esmtp_features["auth"].split()
        c = Scram(mech, user, password, s.sock.getpeercert(True), **kw)
        code, _ = s.auth(mech, lambda challenge=None: c.answer(challenge or b""))
        assert code == 235 and c.trusted
        s.sendmail(user, [BOB], f"From: {user}\r\nSubject: {mech}\r\n\r\nby SCRAM\r\n")


PROTOCOLS = [imap, pop3, smtp]
MECHS = ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
REFUSED = (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPAuthenticationError)


@pytest.mark.parametrize("mech", MECHS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_right(server, protocol, mech):
    protocol(server, mech, ALICE, server.password(ALICE))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_wrong(fresh, protocol):
    server = fresh().start()
    password = server.password(ALICE)
    with pytest.raises(REFUSED):
        protocol(server, "SCRAM-SHA-256", ALICE, password + "x")
    with pytest.raises(REFUSED):  # a downgrade: -PLUS was on offer
        protocol(server, "SCRAM-SHA-256", ALICE, password, header="y,,")
    protocol(server, "SCRAM-SHA-256", ALICE, password)


def test_a_new_password_makes_new_keys(server):
    server.cli("account", "add", "dan@example.test", "--password-stdin", stdin="first\n")
    imap(server, "SCRAM-SHA-256", "dan@example.test", "first")
    server.cli("account", "password", "dan@example.test", "--password-stdin", stdin="second\n")
    with pytest.raises(REFUSED):
        imap(server, "SCRAM-SHA-256", "dan@example.test", "first")
    imap(server, "SCRAM-SHA-256-PLUS", "dan@example.test", "second")


def test_no_plus_in_clear(server):
    m = imaplib.IMAP4(server.host, server.ports["imap"])
    assert "AUTH=SCRAM-SHA-256" in m.capabilities
    assert not [c for c in m.capabilities if c.endswith("-PLUS")]
    m.logout()


@pytest.mark.parametrize("mech", ["scram-sha-1", "scram-sha-256"])
def test_msmtp(server, tmp_path, mech):
    """GNU SASL's client."""
    need("msmtp")
    rc = tmp_path / "msmtprc"
    rc.write_text(f"account default\nhost {server.host}\nport {server.ports['submissions']}\n"
                  f"tls on\ntls_starttls off\ntls_trust_file {server.ca}\nauth {mech}\n"
                  f"user {ALICE}\npassword {server.password(ALICE)}\nfrom {ALICE}\n")
    rc.chmod(0o600)
    run("msmtp", "-C", rc, BOB, stdin=f"From: {ALICE}\nSubject: {mech}\n\nby msmtp\n".encode())
    assert any(mech.encode() in m for m in server.fetch_all(BOB).values())


def test_mbsync(server, tmp_path):
    """Cyrus SASL's client."""
    need("mbsync")
    rc = tmp_path / "mbsyncrc"
    (tmp_path / "mail").mkdir()
    rc.write_text(f"IMAPAccount a\nHost {server.host}\nPort {server.ports['imaps']}\nUser {BOB}\n"
                  f"Pass {server.password(BOB)}\nSSLType IMAPS\nCertificateFile {server.ca}\n"
                  "AuthMechs SCRAM-SHA-256\n\nIMAPStore far\nAccount a\n\nMaildirStore near\n"
                  f"Path {tmp_path}/mail/\nInbox {tmp_path}/mail/INBOX\n\n"
                  "Channel c\nFar :far:\nNear :near:\nCreate Near\nPatterns INBOX\nSyncState *\n")
    r = run("mbsync", "-V", "-c", rc, "c", check=False)
    said = (r.stdout + r.stderr).decode(errors="replace")
    if re.search("no mechanism|No worthy mechs|no such mechanism", said, re.I):
        pytest.skip("this Cyrus SASL has no SCRAM")
    assert r.returncode == 0, said
