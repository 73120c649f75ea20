"""DMARC and TLS reports that come by mail: `postrider reports` finds them in the
mailboxes of an account, shows them, and refuses what is meant to hurt it. And what is
gathered for reports of our own, with NSD as the DNS."""
import base64
import gzip
import io
import json
import os
import pathlib
import smtplib
import subprocess
import time
import zipfile

import pytest

from conftest import ALICE, BIN, BOB, ROOT, message
from dns_world import Nsd
from serve import LOOPBACK, Site, talk, v1

CORPUS = ROOT / "test" / "corpus"


def sample(name):
    return (CORPUS / f"trust_report_{name}").read_bytes()


def mail(name, data, ctype="application/gzip", subject="Report domain: example.test"):
    """A report as an attachment, the way large senders mail it."""
    return message(subject, base64.encodebytes(data).replace(b"\n", b"\r\n"),
                   f"MIME-Version: 1.0\r\nContent-Type: {ctype}; name=\"{name}\"\r\n"
                   f"Content-Disposition: attachment; filename=\"{name}\"\r\n"
                   "Content-Transfer-Encoding: base64\r\n".encode())


def reports(server, *args, check=True):
    return json.loads(server.cli("reports", "--json", *args, check=check).stdout)


def test_reports(fresh):
    server = fresh().start()
    google = sample("dmarc/google.xml")
    stem = "big.example!example.test!1767225600!1767311999"

    r = server.cli("reports", ALICE, check=False)
    assert r.returncode == 1 and "there is no report" in r.stderr

    server.send([ALICE], mail(stem + ".xml.gz", gzip.compress(google)))
    r = server.cli("reports", ALICE)
    assert "DMARC: big.example about example.test, 2026-01-01 00:00 to 2026-01-01 23:59 UTC" in r.stdout
    row = next(l for l in r.stdout.splitlines() if l.startswith("  192.0.2.25"))
    assert row.split() == ["192.0.2.25", "42", "none", "aligned", "aligned", "example.test"]
    assert "reports: 1, messages: 45, passed: 42, quarantined: 3, rejected: 0" in r.stdout
    assert r.stderr == ""  # progress is for terminals

    # A zip, a multipart/report about TLS, and things that are none.
    server.send([ALICE], sample("open/zip.eml"))
    server.send([ALICE], sample("open/tls.eml"))
    server.send([ALICE], message("plain"))
    server.send([ALICE], sample("open/about.eml"))
    server.send([ALICE], mail("holiday.zip", b"PK\3\4", "application/zip", "holiday"))
    got = reports(server, ALICE)
    assert [(x["kind"], x["org_name"]) for x in got["reports"]] == [
        ("dmarc", "big.example"), ("dmarc", "Window Mail"), ("tls", "Big Mail")]
    assert got["refused"] == []
    assert got["totals"]["tls_failure_types"] == {"certificate-expired": 5, "starttls-not-supported": 2}
    assert got["reports"][0]["records"][1]["spf_results"] == [
        {"domain": "elsewhere.example", "result": "softfail"}]
    assert got["reports"][2]["policies"][0]["successes"] == 230

    # The same again is not counted again; in another mailbox neither.
    m = server.imap()
    m.select("INBOX")
    assert m.copy("1", "Archive")[0] == "OK"
    m.logout()
    again = reports(server, ALICE)
    assert len(again["reports"]) == 3 and again["totals"]["repeated"] == 1

    assert reports(server, "alice+dmarc@example.test") == again
    assert len(reports(server, "--domain", "EXAMPLE.test", ALICE)["reports"]) == 3
    assert server.cli("reports", "--domain", "other.test", ALICE, check=False).returncode == 1
    assert server.cli("reports", "--since", "2099-01-01", ALICE, check=False).returncode == 1
    assert len(reports(server, "--since", "1h", ALICE)["reports"]) == 3
    assert "there is no such account" in server.cli("reports", "x@example.test", check=False).stderr
    assert server.cli("reports", check=False).returncode == 2
    assert server.cli("reports", "--since", "yesterday", ALICE, check=False).returncode == 2


def test_enemies(fresh):
    """Bombs, entities, lies: one clear line each, and nothing else is harmed."""
    server = fresh().start()
    z = io.BytesIO()
    with zipfile.ZipFile(z, "w", zipfile.ZIP_DEFLATED) as f:
        f.writestr("a.xml", b"<feedback>" + b" " * 200_000_000)
    name = "a!example.test!1!2.xml.gz"
    server.send([BOB], mail(name, gzip.compress(b"<feedback>" + b" " * 200_000_000)))
    server.send([BOB], mail(name, z.getvalue()))
    server.send([BOB], mail(name, gzip.compress(sample("dmarc/laughs.xml"))))
    server.send([BOB], mail(name, gzip.compress(sample("dmarc/external.xml"))))
    server.send([BOB], mail(name, b"no gzip"))
    server.send([BOB], mail(name, gzip.compress(sample("tls/deep.json"))))
    server.send([BOB], mail(name, gzip.compress(sample("dmarc/controls.xml"))))
    got = reports(server, BOB)
    assert [x["why"] for x in got["refused"]] == [
        "it is a bomb: it unpacks to far too much",
        "it is a bomb: it unpacks to far too much",
        "its XML declares a document type or entities",
        "its XML declares a document type or entities",
        "it is neither XML nor JSON",
        "it is neither XML nor JSON",
    ]
    assert got["refused"][0]["where"] == "INBOX, message 1"
    text = server.cli("reports", BOB).stdout
    assert "refused: INBOX, message 3: its XML declares a document type or entities" in text
    assert "DMARC: Yo\\u{202e}del\\u{85} about example.test" in text
    assert "\u202e" not in text and "\x85" not in text
    assert server.cli("status").returncode == 0


def test_large(fresh):
    """One report in several answers of the server, and many messages around it."""
    server = fresh().start()
    row = sample("dmarc/google.xml").split(b"<record>")[1].split(b"</record>")[0]
    head, tail = sample("dmarc/google.xml").split(b"<record>")[0], b"</feedback>"
    rows = [row.replace(b"192.0.2.25", f"10.0.{i >> 8}.{i & 255}".encode()) for i in range(3000)]
    xml = head + b"".join(b"<record>" + r + b"</record>" for r in rows) + tail
    server.send([ALICE], message("before"))
    server.send([ALICE], mail("a!example.test!1!2.xml", xml, "text/xml"))
    server.send([ALICE], sample("open/tls.eml"))
    assert len(xml) > 2 * 512 * 1024
    got = reports(server, ALICE)
    assert [x["kind"] for x in got["reports"]] == ["dmarc", "tls"]
    assert len(got["reports"][0]["records"]) == 3000
    assert got["totals"]["messages"] == 3000 * 42 and got["totals"]["passed"] == 3000 * 42


def test_files(tmp_path):
    """Without a server: messages and bare reports."""
    def run(*names):
        r = subprocess.run([BIN, "reports", "--json", *[str(n) for n in names]],
                           capture_output=True, text=True, timeout=60)
        return r.returncode, json.loads(r.stdout) if r.stdout else r.stderr

    d = CORPUS / "trust_report_open"
    code, got = run(d / "gzip.eml", d / "bare.zip", d / "bare.json")
    assert code == 0 and [x["kind"] for x in got["reports"]] == ["dmarc", "dmarc", "tls"]
    assert got["reports"][0]["where"] == str(d / "gzip.eml")
    code, got = run(d / "bare.xml", d / "two.zip")
    assert code == 1 and len(got["reports"]) == 1
    assert got["refused"][0]["why"] == "the zip holds not just one file"
    code, got = run(d / "about.eml")
    assert code == 1 and "no part of this message" in got["refused"][0]["why"]
    odd = os.fsencode(tmp_path) + b"/\xff.gz"
    with open(odd, "wb") as f:
        f.write(sample("open/bomb.gz"))
    code, got = run(os.fsdecode(odd))
    assert code == 1 and got["refused"][0]["where"] == "(a name that is no UTF-8)"
    code, got = run(pathlib.Path("/nonexistent"))
    assert code == 1 and "cannot open" in got


# -- reports of our own -------------------------------------------------------------

ZONES = {
    "own.example": """
@       IN TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc  IN TXT "v=DMARC1; p=quarantine; sp=reject; aspf=s; rua=mailto:d@own.example!10m"
""",
    "wants.example": """
_dmarc  IN TXT "v=DMARC1; p=none; rua=mailto:agg@collector.example,mailto:x@quiet.example"
""",
    "quiet.example": """
@       IN TXT "nothing about reports here"
""",
    "victim.example": """
_dmarc  IN TXT "v=DMARC1; p=reject; rua=mailto:x@quiet.example"
""",
    "silent.example": """
_dmarc  IN TXT "v=DMARC1; p=none"
""",
    "collector.example": """
wants.example._report._dmarc IN TXT "v=DMARC1"
""",
}


def stranger(site, ip, from_, sender, to=ALICE):
    """A message from that address; the reply to its end."""
    k = site.dial("smtp")
    k.sendall(v1(ip))
    heard = talk(k, "EHLO client.example.org", f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>", "DATA",
                 f"From: {from_}\r\nTo: {to}\r\nSubject: x\r\n\r\nx\r\n.", "QUIT")
    k.close()
    return heard.splitlines()[-2].decode()


def bring(site, data):
    """A whole message of somebody's, as octets."""
    with smtplib.SMTP() as c:
        c.sock = site.dial("smtp")
        c.sock.sendall(v1("192.0.2.1"))
        assert c.getreply()[0] == 220
        c.sendmail("a@own.example", [ALICE], data)


def outgoing(site, day=None):
    return site.ask("reports", "--outgoing", *(["--day", day] if day else []))


def today():
    return time.strftime("%Y-%m-%d", time.gmtime())


def test_gathering(tmp_path):
    with Nsd(tmp_path / "nsd", ZONES) as nsd:
        s = Site(tmp_path / "s", {"smtp": f"proxy = {LOOPBACK}", "imaps": ""},
                 [f'dns {{ servers = {{"{nsd.server}"}} trust_anchor = none }}',
                  "trust { dmarc_reports = true }", "smtp { first_time_delay = 0 }"])
        try:
            began = today()
            assert outgoing(s, began) == []
            for _ in range(3):
                assert stranger(s, "192.0.2.1", "a@own.example", "a@own.example")[:3] == "250"
            assert stranger(s, "198.51.100.9", "a@own.example", "b@bulk.example")[:3] == "250"
            assert stranger(s, "198.51.100.9", "a@sub.own.example", "")[:3] == "550"
            assert stranger(s, "2001:db8::9", "a@wants.example", "a@wants.example")[:3] == "250"
            assert stranger(s, "198.51.100.9", "a@victim.example", "a@wants.example")[:3] == "550"
            assert stranger(s, "198.51.100.9", "a@silent.example", "a@silent.example")[:3] == "250"
            assert stranger(s, "198.51.100.9", "a@nothing.example", "a@silent.example")[:3] == "250"
            got = {r["domain"]: r for r in outgoing(s, began)}
            if today() != began:
                pytest.skip("midnight")
            assert sorted(got) == ["own.example", "victim.example", "wants.example"]
            assert got["own.example"]["messages"] == 5 and got["own.example"]["rows"] == 3
            assert got["own.example"]["destinations"] == [
                {"uri": "mailto:d@own.example!10m", "state": "own"}]
            assert got["wants.example"]["destinations"] == [
                {"uri": "mailto:agg@collector.example", "state": "wanted"},
                {"uri": "mailto:x@quiet.example", "state": "refused"}]
            # Whoever was not asked gets nothing.
            assert "xml" not in got["victim.example"]
            assert "it goes nowhere" in s.cli("reports", "--outgoing", "--day", began).stdout

            # Our own reader of reports, with the name that it would be sent under.
            r = got["own.example"]
            assert r["file"] == f"mail.example.test!own.example!{r['begin']}!{r['end']}.xml.gz"
            (tmp_path / r["file"]).write_bytes(gzip.compress(r["xml"].encode()))
            d = json.loads(s.cli("reports", "--json", str(tmp_path / r["file"])).stdout)["reports"][0]
            assert (d["p"], d["sp"], d["aspf"], d["adkim"], d["pct"]) == (
                "quarantine", "reject", "s", "r", "100")
            assert d["end"] - d["begin"] == 86399 and d["errors"] == []
            rows = {(x["source_ip"], x["header_from"]): x for x in d["records"]}
            good = rows["192.0.2.1", "own.example"]
            assert (good["count"], good["disposition"], good["spf"], good["dkim"]) == (3, "none", "pass", "fail")
            assert good["spf_results"] == [{"domain": "own.example", "scope": "mfrom", "result": "pass"}]
            assert good["envelope_to"] == "example.test" and good["envelope_from"] == "own.example"
            bad = rows["198.51.100.9", "own.example"]
            assert (bad["count"], bad["disposition"], bad["spf"]) == (1, "quarantine", "fail")
            assert rows["198.51.100.9", "sub.own.example"]["disposition"] == "reject"
            assert rows["198.51.100.9", "sub.own.example"]["spf_results"][0]["scope"] == "helo"
            assert s.ask("status")["reports"]["messages"] == 7

            # It is there after a restart; without a server nobody can ask the DNS.
            s.stop()
            alone = {r["domain"]: r for r in outgoing(s, began)}
            assert alone["own.example"]["xml"] == r["xml"]
            assert alone["wants.example"]["destinations"][0]["state"] == "unknown"
            assert "xml" not in alone["wants.example"]
            s.start()
            assert {r["domain"]: r for r in outgoing(s, began)} == got
            assert outgoing(s) == []  # yesterday
        finally:
            s.stop()


def test_gathering_is_off_by_default(tmp_path):
    """Then there is nothing to show. And a command without a server reads mail itself."""
    with Nsd(tmp_path / "nsd", ZONES) as nsd:
        s = Site(tmp_path / "s", {"smtp": f"proxy = {LOOPBACK}"},
                 [f'dns {{ servers = {{"{nsd.server}"}} trust_anchor = none }}',
                  "smtp { first_time_delay = 0 }"])
        try:
            assert stranger(s, "192.0.2.1", "a@own.example", "a@own.example")[:3] == "250"
            assert outgoing(s, today()) == []
            assert s.ask("status")["reports"] == {"gathered": False, "rows": 0, "messages": 0,
                                                  "waiting": 0, "dropped": 0}
            for args in (["--outgoing", "--day", today()], ["--outgoing", "--day", "2h"],
                         ["--outgoing", ALICE], ["--day", today(), ALICE],
                         ["--outgoing", "--since", "2h"]):
                r = subprocess.run([BIN, "--config", str(s.conf), "reports", *args],
                                   capture_output=True, text=True, timeout=60)
                assert r.returncode == (1 if args == ["--outgoing", "--day", today()] else 2), r
            bring(s, sample("open/zip.eml"))
            served = s.ask("reports", ALICE)
            assert [r["org_name"] for r in served["reports"]] == ["Window Mail"]
            s.stop()
            assert s.ask("reports", ALICE) == served
            s.start()
        finally:
            s.stop()
