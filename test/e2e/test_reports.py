"""DMARC and TLS reports that come by mail: `postrider reports` finds them in the
mailboxes of an account, shows them, and refuses what is meant to hurt it."""
import base64
import gzip
import io
import json
import pathlib
import subprocess
import zipfile

from conftest import ALICE, BIN, BOB, ROOT, message

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
    assert "1 reports, 45 messages, 42 passed, 3 quarantined" in r.stdout
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


def test_files():
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
    code, got = run(pathlib.Path("/nonexistent"))
    assert code == 1 and "cannot open" in got
