"""DKIM and ARC against programs nobody here wrote.

opendkim and dkimpy check what `postrider trust sign` signed; what they signed
passes `postrider trust verify`, and does not after any of a list of changes.
Keys come from a file of records, for us and for them.
"""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import BIN
from dns_world import Nsd

dkim = pytest.importorskip("dkim")

DOMAIN = "example.org"
MESSAGE = (
    b"Received: from a (b [192.0.2.1])\r\n by c; Tue, 14 Nov 2023 22:13:21 +0000\r\n"
    b"From: Joe SixPack <joe@example.org>\r\n"
    b"To: Suzie Q <suzie@example.net>\r\n"
    b"Subject: Is  dinner\r\n\tready?\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"\r\n"
    b"Hi.\r\n"
    b"\r\n"
    b"We lost  the game. \t\r\n"
    b"Are you hungry yet? \xc3\xbc\r\n"
    b"\r\n"
    b"\r\n")
CANONS = ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"]


def opendkim_program():
    path = shutil.which("opendkim", path=f"{os.environ['PATH']}:/usr/sbin")
    return path or pytest.fail("opendkim is not installed; run ./dev deps")


class World:
    """Keys, their records, and everybody's tools."""

    def __init__(self, dir_):
        self.dir = pathlib.Path(dir_)
        self.records = {}
        self.keys = {}
        for selector, kind in (("rsa", "2048"), ("ed", "ed25519"), ("other", "2048")):
            self.keys[selector] = self.dir / f"{selector}.pem"
            self.records[f"{selector}._domainkey.{DOMAIN}"] = self.postrider(
                "trust", "key", "--type", kind, self.keys[selector]).decode().strip()
        self.records[f"gone._domainkey.{DOMAIN}"] = "v=DKIM1; p="
        self.publish()

    def publish(self):
        """Everything in self.records, as both sides read it."""
        self.file = self.dir / "records.txt"
        self.file.write_text("".join(f"{n} TXT {t}\n" for n, t in self.records.items()))
        self.opendkim_file = self.dir / "records.opendkim"
        self.opendkim_file.write_text("".join(f"{n} {t}\n" for n, t in self.records.items()))

    def postrider(self, *args, stdin=b""):
        done = subprocess.run([BIN, *map(str, args)], input=stdin, capture_output=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def verify(self, message):
        return json.loads(self.postrider("trust", "verify", "--json", "--records", self.file,
                                         stdin=message))

    def sign(self, selector, message=MESSAGE):
        return self.postrider("trust", "sign", "--key", self.keys[selector], "--domain", DOMAIN,
                              "--selector", selector, stdin=message)

    def dns(self, name, timeout=5):
        """For dkimpy."""
        name = name.decode() if isinstance(name, bytes) else name
        return self.records.get(name.rstrip("."), "").encode() or None

    def raw_key(self, selector):
        """As dkimpy wants it: PEM for RSA, the seed in base64 for Ed25519."""
        pem = self.keys[selector].read_bytes()
        if selector == "rsa":
            return pem
        der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
        return base64.b64encode(der[-32:])

    def opendkim(self, config, message):
        conf, file = self.dir / "opendkim.conf", self.dir / "message.eml"
        conf.write_text(config + "RequireSafeKeys no\n")
        file.write_bytes(message)
        done = subprocess.run([opendkim_program(), "-x", conf, "-t", file, "-vv"],
                              capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode()

    def opendkim_verifies(self, message):
        return self.opendkim(f"Mode v\nTestDNSData file:{self.opendkim_file}\n", message)

    def opendkim_sign(self, selector, canon, extra="", message=MESSAGE):
        algorithm = "ed25519-sha256" if selector == "ed" else "rsa-sha256"
        out = self.opendkim(
            f"Mode s\nDomain {DOMAIN}\nSelector {selector}\nKeyFile {self.keys[selector]}\n"
            f"SignatureAlgorithm {algorithm}\nCanonicalization {canon}\n{extra}"
            "SignHeaders From,To,Subject,Date,Message-ID,MIME-Version,Content-Type\n"
            "InternalHosts 0.0.0.0/0\n", message)
        value = re.search(r"hname='DKIM-Signature' hvalue='(.*?)'", out, re.S)
        assert value, out
        return b"DKIM-Signature: " + value[1].replace("\n", "\r\n").encode() + b"\r\n" + message

    def dkimpy_sign(self, selector, canon, message=MESSAGE, **more):
        header, body = canon.encode().split(b"/")
        algorithm = b"ed25519-sha256" if selector == "ed" else b"rsa-sha256"
        return dkim.sign(message, selector.encode(), DOMAIN.encode(), self.raw_key(selector),
                         canonicalize=(header, body), signature_algorithm=algorithm,
                         **more) + message


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("dkim"))


def only(result):
    assert len(result["dkim"]) == 1
    return result["dkim"][0]


# ---- what we sign ---------------------------------------------------------------------


@pytest.mark.parametrize("selector", ["rsa", "ed"])
def test_opendkim_verifies_ours(world, selector):
    signed = world.sign(selector)
    assert signed.endswith(MESSAGE)
    assert "dkim=pass" in world.opendkim_verifies(signed)
    assert "dkim=fail" in world.opendkim_verifies(signed.replace(b"lost", b"won"))


@pytest.mark.parametrize("selector", ["rsa", "ed"])
def test_dkimpy_verifies_ours(world, selector):
    signed = world.sign(selector)
    assert dkim.verify(signed, dnsfunc=world.dns)
    assert not dkim.verify(signed.replace(b"lost", b"won"), dnsfunc=world.dns)
    assert not dkim.verify(b"Subject: another\r\n" + signed, dnsfunc=world.dns)
    assert not dkim.verify(b"Cc: another\r\n" + signed, dnsfunc=world.dns)


def test_we_verify_ours(world):
    """Also a file with bare line feeds, as files are; and two signatures."""
    text = MESSAGE.replace(b"\r\n", b"\n")
    signed = world.sign("rsa", text)
    assert b"\r" not in signed
    assert only(world.verify(signed))["result"] == "pass"
    twice = world.verify(world.sign("ed", signed))
    assert [d["result"] for d in twice["dkim"]] == ["pass", "pass"]
    assert [d["algorithm"] for d in twice["dkim"]] == ["ed25519-sha256", "rsa-sha256"]
    assert [d["bits"] for d in twice["dkim"]] == [0, 2048]
    assert twice["arc"]["result"] == "none"


@pytest.mark.parametrize("body", [b"", b"\r\n", b"x", b"x\r\n\r\n", b" \t\r\n", b" x \r\n \r\n"])
@pytest.mark.parametrize("canon", CANONS)
def test_odd_bodies(world, canon, body):
    message = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    assert only(world.verify(world.dkimpy_sign("rsa", canon, message)))["result"] == "pass"
    assert dkim.verify(world.sign("rsa", message), dnsfunc=world.dns)


# ---- what they sign --------------------------------------------------------------------


@pytest.mark.parametrize("selector,canon", [("rsa", c) for c in CANONS] +
                         [("ed", c) for c in CANONS if c.startswith("relaxed")])
def test_we_verify_opendkim(world, selector, canon):
    """opendkim 2.11 beta hashes something else for Ed25519 over simple headers:
    neither dkimpy nor opendkim itself takes those."""
    got = only(world.verify(world.opendkim_sign(selector, canon)))
    assert got["result"] == "pass", got
    assert (got["domain"], got["selector"]) == (DOMAIN, selector)


@pytest.mark.parametrize("canon", CANONS)
@pytest.mark.parametrize("selector", ["rsa", "ed"])
def test_we_verify_dkimpy(world, selector, canon):
    got = only(world.verify(world.dkimpy_sign(selector, canon)))
    assert got["result"] == "pass", got


def test_length(world):
    """l= for the whole body is fine; with anything behind it, it is not."""
    signed = world.dkimpy_sign("rsa", "relaxed/relaxed", length=True)
    assert only(world.verify(signed))["result"] == "pass"
    got = only(world.verify(signed + b"Buy!\r\n"))
    assert got["result"] == "policy" and got["reason"].startswith("l= covers "), got
    assert dkim.verify(signed + b"Buy!\r\n", dnsfunc=world.dns)


# ---- changes ----------------------------------------------------------------------------


def sub(pattern, to, count=1):
    def change(message):
        out, n = re.subn(pattern, to, message, count=count, flags=re.S)
        assert n, pattern
        return out
    return change


CHANGES = {
    "body octet": sub(rb"lost", b"Lost"),
    "appended body": lambda m: m + b"PS\r\n",
    "body cut": sub(rb"Are you hungry.*", b""),
    "From": sub(rb"joe@", b"eve@"),
    "From's name": sub(rb"Joe SixPack", b"Joe"),
    "second From": sub(rb"From:", b"From: eve@evil.test\r\nFrom:"),
    "second From on top": lambda m: b"From: eve@evil.test\r\n" + m,
    "second Subject on top": lambda m: b"Subject: Buy!\r\n" + m,
    "second Content-Type on top": lambda m: b"Content-Type: text/html\r\n" + m,
    "no Subject": sub(rb"\r\nSubject: [^\r]*\r\n\t[^\r]*", b""),
    "no Date": sub(rb"\r\nDate: [^\r]*", b""),
    "b=": sub(rb"([ \t])b=(...)", rb"\1b=AAA"),
    "b= shorter": sub(rb"([ \t])b=....", rb"\1b="),
    "bh=": sub(rb"bh=....", b"bh=AAAA"),
    "bh= of nothing": sub(rb"bh=[^;]*", b"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    "d=": sub(rb"d=example.org", b"d=example.net"),
    "d= below": sub(rb"d=example.org", b"d=sub.example.org"),
    "d= with NUL": sub(rb"d=example.org", b"d=example.org\0.evil.test"),
    "d= quoted": sub(rb"d=example.org", b'd="example.org"'),
    "d= twice": sub(rb"d=example.org", b"d=example.org; d=example.org"),
    "s=": sub(rb"s=(rsa|ed);", b"s=other;"),
    "s= of a revoked key": sub(rb"s=(rsa|ed);", b"s=gone;"),
    "a=rsa-sha1": sub(rb"a=[a-z0-9]*-sha256", b"a=rsa-sha1"),
    "another a=": lambda m: m.replace(b"a=rsa-", b"a=ed25519-", 1) if b"a=rsa-" in m
    else m.replace(b"a=ed25519-", b"a=rsa-", 1),
    "c=": lambda m: m.replace(b"c=relaxed/", b"c=simple/", 1) if b"c=relaxed/" in m
    else m.replace(b"c=simple/", b"c=relaxed/", 1),
    "v=": sub(rb"v=1", b"v=2"),
    "h= without From": sub(rb"(?i)h=([a-z0-9:\- \t\r\n]*);",
                           lambda m: re.sub(rb"(?i)\bfrom\b", b"x-from", m[0])),
    "h= longer": sub(rb"(?i)(h=[a-z]+)", rb"\1:x-more"),
    "l=": sub(rb"v=1;", b"v=1; l=4;"),
    "x= past": sub(rb"v=1;", b"v=1; x=1000000000;"),
    "i= elsewhere": sub(rb"v=1;", b"v=1; i=@evil.test;"),
}


@pytest.fixture(scope="module")
def signed_by_others(world):
    made = (world.opendkim_sign("rsa", "relaxed/relaxed", "OversignHeaders From\n"),
            world.opendkim_sign("ed", "relaxed/simple"),
            world.dkimpy_sign("rsa", "relaxed/simple"),
            world.dkimpy_sign("ed", "simple/relaxed"))
    for signed in made:
        assert only(world.verify(signed))["result"] == "pass"
    return made


@pytest.mark.parametrize("change", CHANGES)
def test_changes(world, signed_by_others, change):
    """Nothing that opendkim or dkimpy signed passes when it was changed."""
    for signed in signed_by_others:
        got = only(world.verify(CHANGES[change](signed)))
        assert got["result"] in ("fail", "permerror", "policy"), got
        assert got["reason"], got


def test_other_keys(world):
    """The record is of another key, too short, or not one at all."""
    signed = world.opendkim_sign("rsa", "relaxed/relaxed")
    name = f"rsa._domainkey.{DOMAIN}"
    good = world.records[name]
    short = subprocess.run(["openssl", "genrsa", "-traditional", "512"], capture_output=True,
                           check=True).stdout
    short = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=short,
                           capture_output=True, check=True).stdout
    try:
        for record, reason in (
                (world.records[f"other._domainkey.{DOMAIN}"], "does not fit"),
                (world.records[f"ed._domainkey.{DOMAIN}"], "another kind"),
                ("v=DKIM1; p=" + base64.b64encode(short).decode(), "fewer than 1024"),
                ("v=DKIM1; h=sha1; " + good[9:], "SHA-256"),
                ("v=spf1 -all", "DKIM1")):
            world.records[name] = record
            world.publish()
            got = only(world.verify(signed))
            assert got["result"] != "pass" and reason in got["reason"], got
        world.records[name] = good.replace("v=DKIM1;", "v=DKIM1; t=y;")
        world.publish()
        got = only(world.verify(signed))
        assert got["result"] == "pass" and got["testing"]
    finally:
        world.records[name] = good
        world.publish()


def test_thousand_signatures(world):
    signed = world.dkimpy_sign("rsa", "relaxed/relaxed")
    junk = signed[:signed.index(b"Received:")].replace(b"bh=", b"bh=AAAA")
    got = world.verify(junk * 1000 + signed)
    assert len(got["dkim"]) == 10 and got["skipped"] == 991
    assert all(d["result"] != "pass" for d in got["dkim"])


# ---- ARC ----------------------------------------------------------------------------------


def arc_sign(world, message):
    lines = dkim.arc_sign(message, b"rsa", DOMAIN.encode(), world.raw_key("rsa"),
                          b"mx.example.org")
    assert lines
    return b"".join(lines)


def results(message):
    return b"Authentication-Results: mx.example.org; arc=none;\r\n spf=pass\r\n" + message


def test_arc_of_dkimpy(world):
    first = arc_sign(world, results(MESSAGE))
    one = first + results(MESSAGE)
    got = world.verify(one)["arc"]
    assert got["result"] == "pass", got
    assert (got["instance"], got["sealer"], got["covers_from"]) == (1, DOMAIN, True)
    assert got["reported"].startswith("mx.example.org")
    two = first + results(MESSAGE).replace(b"arc=none", b"arc=pass")
    two = arc_sign(world, two) + two
    got = world.verify(two)["arc"]
    assert (got["result"], got["instance"], got["oldest_pass"]) == ("pass", 2, 0), got
    # A list changes the subject and seals: only its own signature holds.
    changed = one.replace(b"Is  dinner", b"[list] Is dinner")
    assert world.verify(changed)["arc"]["result"] == "fail"


@pytest.mark.parametrize("change", [
    sub(rb"lost", b"won"), sub(rb"joe@", b"eve@"), sub(rb"cv=none", b"cv=pass"),
    sub(rb"spf=pass", b"spf=fail"), sub(rb"i=1", b"i=2"),
    lambda m: b"From: eve@evil.test\r\n" + m,
    sub(rb"ARC-Seal:", b"ARC-Seal: i=1; a=rsa-sha256; b=AAAA; cv=none; d=a.b; s=c\r\nARC-Seal:"),
    sub(rb"ARC-Message-Signature:.*?\r\n(?=[A-Z])", b"")])
def test_arc_changes(world, change):
    message = results(MESSAGE)
    got = world.verify(change(arc_sign(world, message) + message))["arc"]
    assert got["result"] == "fail" and got["reason"], got


# ---- the DNS ------------------------------------------------------------------------------


def test_keys_from_the_dns(world, tmp_path):
    """Keys as they are published: in several strings, behind a CNAME, in a ring."""
    def strings(text):
        return " ".join(f'"{text[i:i + 200]}"' for i in range(0, len(text), 200))

    zone = "".join(f"{n}. IN TXT {strings(t)}\n" for n, t in world.records.items())
    zone += f"alias._domainkey IN CNAME rsa._domainkey.{DOMAIN}.\n"
    zone += "ring._domainkey IN CNAME ring2._domainkey\nring2._domainkey IN CNAME ring._domainkey\n"
    conf = tmp_path / "postrider.conf"
    key = world.keys["rsa"]

    def verify(message):
        return json.loads(world.postrider("--config", conf, "trust", "verify", "--json",
                                          stdin=message))

    with Nsd(tmp_path / "nsd", {DOMAIN: zone}) as nsd:
        conf.write_text(f'dns {{ servers = {{"{nsd.server}"}} trust_anchor = "none" timeout = 5 }}\n')
        for selector, want in (("rsa", "pass"), ("ed", "pass"), ("alias", "pass"),
                               ("other", "fail"), ("gone", "permerror"), ("none", "permerror"),
                               ("ring", "temperror")):
            signed = world.sign("ed") if selector == "ed" else world.postrider(
                "trust", "sign", "--key", key, "--domain", DOMAIN, "--selector", selector,
                stdin=MESSAGE)
            got = only(verify(signed))
            assert got["result"] == want, (selector, got)
        message = results(MESSAGE)
        assert verify(arc_sign(world, message) + message)["arc"]["result"] == "pass"
    # Nobody answers any more.
    got = verify(arc_sign(world, message) + message)["arc"]
    assert (got["result"], got["temporary"]) == ("fail", True), got
    got = only(verify(world.sign("rsa")))
    assert got["result"] == "temperror", got


# ---- the commands ----------------------------------------------------------------------------


def fails(*args, code=1, stdin=b""):
    done = subprocess.run([BIN, "trust", *map(str, args)], input=stdin, capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stderr.decode()


def test_command_lines(world, tmp_path):
    key, text = tmp_path / "k.pem", tmp_path / "records"
    record = world.postrider("trust", "key", "--type", "ed25519", key).decode()
    assert record.startswith("v=DKIM1; k=ed25519; p=")
    assert key.stat().st_mode & 0o777 == 0o600
    assert world.postrider("trust", "record", key).decode() == record
    assert json.loads(world.postrider("trust", "record", key, "--json"))["record"] == record.strip()
    assert "exists" in fails("key", key)
    assert "2048 to 4096" in fails("key", "--type", "1024", tmp_path / "new.pem")
    fails("key", "--type", "rot13", tmp_path / "new.pem", code=2)
    fails("key", code=2)
    fails("record", code=2)
    fails("record", text, code=1)
    fails("nonsense", code=2)
    fails(code=2)
    fails("sign", "--key", key, code=2)
    fails("verify", "--records", code=2)
    fails("verify", "--records", world.file, "one", "two", code=2)
    text.write_text("a.b TXT x\nno record\n")
    assert f"{text}:2:" in fails("verify", "--records", text, stdin=MESSAGE)
    signing = ("sign", "--key", key, "--domain", DOMAIN, "--selector")
    assert "no From" in fails(*signing, "s", stdin=b"To: x\n\nx\n")
    assert "no name" in fails(*signing, "s;l=0", stdin=MESSAGE)
    text.write_text("not a key\n")
    assert "private key" in fails("sign", "--key", text, "--domain", "a.b", "--selector", "s",
                                  stdin=MESSAGE)


def test_plain_output(world):
    signed = world.sign("rsa")
    file = world.dir / "plain.eml"
    file.write_bytes(signed)
    out = world.postrider("trust", "verify", "--records", world.file, file).decode().splitlines()
    assert out == [f"dkim=pass d={DOMAIN} s=rsa a=rsa-sha256 i=@{DOMAIN} (2048 bits)", "arc=none"]
    out = world.postrider("trust", "verify", "--records", world.file, "-", stdin=MESSAGE).decode()
    assert out == "dkim=none\narc=none\n"
    out = world.postrider("trust", "verify", "--records", world.file,
                          stdin=signed.replace(b"lost", b"won")).decode()
    assert out.startswith("dkim=fail ") and ": the body was changed" in out
    # What a stranger wrote cannot move the cursor of a terminal.
    out = world.postrider("trust", "verify", "--records", world.file,
                          stdin=signed.replace(b"v=1;", b"v=1; i=\x1b[2J@example.org;"))
    assert b"\x1b" not in out and b"dkim=permerror" in out
