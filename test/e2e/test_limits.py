"""Memory is bounded, and a full disk is survived."""
import os
import pathlib
import smtplib
import subprocess
import time

import pytest

from conftest import ALICE, BOB, Server, message, run


def memory(pid):
    """Anonymous and shared memory of a process in bytes (not page cache)."""
    out = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, value = line.split(":")
        out[key] = int(value.split()[0]) * 1024
    return out["Anonymous"] + out.get("Shmem", 0)


def peak_while(pid, act):
    import threading
    peak = [memory(pid)]
    done = threading.Event()

    def watch():
        while not done.wait(0.005):
            peak[0] = max(peak[0], memory(pid))
    t = threading.Thread(target=watch)
    t.start()
    try:
        result = act()
    finally:
        done.set()
        t.join()
    return peak[0], result


def test_50_mb_message_in_16_mib(fresh):
    import hashlib
    s = fresh().start()
    pid = s.info["pid"]
    line = b"%08d " + b"x" * 67 + b"\r\n"
    body = b"".join(line % i for i in range(50_000_000 // 78))
    sent = message("huge", body)
    assert 49_900_000 < len(sent) < 52_000_000
    s.send([BOB], message("warm up"))                # pools and caches exist now
    s.fetch_all(BOB)
    s.fetch_all(ALICE)                               # her password is hashed (19 MiB a thread) now
    base = memory(pid)
    peak, _ = peak_while(pid, lambda: s.send([ALICE], sent))
    print(f"SMTP grew by {(peak - base) / 2**20:.1f} MiB")
    assert peak - base < 16 * 2**20
    peak, got = peak_while(pid, lambda: s.fetch_all(ALICE))
    print(f"IMAP grew by {(peak - base) / 2**20:.1f} MiB")
    assert peak - base < 16 * 2**20
    assert list(got.values())[0].endswith(sent)
    url = f"pop3s://{s.host}:{s.ports['pop3s']}/1"
    peak, r = peak_while(pid, lambda: run("curl", "-sS", "--cacert", s.ca, "--user",
                                          f"{ALICE}:{s.password(ALICE)}", url))
    print(f"POP3 grew by {(peak - base) / 2**20:.1f} MiB")
    assert peak - base < 16 * 2**20
    assert hashlib.sha256(r.stdout).digest() == hashlib.sha256(list(got.values())[0]).digest()
    assert s.stop() == 0


def test_too_big_is_refused_at_mail_and_at_the_end(fresh):
    s = fresh().start()
    with s.smtp() as c:
        c.ehlo("client.example.org")
        limit = int(c.esmtp_features["size"])
        assert c.mail("x@example.org", [f"SIZE={limit + 1}"])[0] == 552
        assert c.mail("x@example.org")[0] == 250
        assert c.rcpt(ALICE)[0] == 250
        code, _ = c.data(b"Subject: big\r\n\r\n" + (b"x" * 998 + b"\r\n") * (limit // 1000 + 100))
        assert code == 552
        assert c.noop()[0] == 250
    assert s.fetch_all(ALICE) == {}
    assert s.stop() == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 GiB of its own (needs root)."""
    where = tmp_path / "disk"
    where.mkdir()
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1024m", "tmpfs", str(where)], capture_output=True)
    if r.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here: " + r.stderr.decode().strip())
    try:
        yield where
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(where)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)


def test_full_disk(small_disk):
    s = Server(small_disk)
    try:
        s.start()
        s.send([BOB], message("kept before"))
        for i in range(20):
            s.send([ALICE], message(f"before {i}", b"x" * 70 + b"\r\n"))
        # somebody else fills the disk to the last byte
        ballast = small_disk / "ballast"
        with open(ballast, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"\1" * 65536)
            except OSError:
                pass
        refused = False
        for i in range(400):
            try:
                s.send([ALICE], message(f"fill {i}", b"%s\r\n" % os.urandom(48000).hex().encode()))
            except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused) as e:
                code = e.smtp_code if hasattr(e, "smtp_code") else list(e.recipients.values())[0][0]
                assert code == 452, e
                refused = True
                break
        assert refused, "mail was taken for ever on a full disk"
        acked = len(s.fetch_all(ALICE))
        assert acked >= 20
        # reading, flags and deleting go on
        assert len(s.fetch_all(BOB)) == 1
        m = s.imap(ALICE)
        m.select("INBOX")
        assert m.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")[0] == "OK"
        assert m.expunge()[0] == "OK"
        m.logout()
        assert s.fetch_all(ALICE) == {}
        # room again: mail flows without a restart
        ballast.unlink()
        end = time.monotonic() + 30
        while True:
            try:
                s.send([ALICE], message("flows again"))
                break
            except smtplib.SMTPException:
                assert time.monotonic() < end, "mail does not flow again\n" + s.tail()
                time.sleep(0.2)
        assert len(s.fetch_all(ALICE)) == 1
        assert s.stop() == 0
        # and everything is still right after a restart
        s.start()
        assert len(s.fetch_all(ALICE)) == 1 and len(s.fetch_all(BOB)) == 1
        assert s.stop() == 0
    finally:
        if s.proc is not None:
            s.kill()


def test_quota(fresh):
    s = fresh().start()
    s.cli("account", "quota", BOB, "100K")
    for i in range(20):
        try:
            s.send([BOB], message(f"quota {i}", b"x" * 900 + b"\r\n" + b"y" * 9000 + b"\r\n"))
        except smtplib.SMTPException as e:
            code = list(e.recipients.values())[0][0] if hasattr(e, "recipients") else e.smtp_code
            assert code in (452, 552)
            break
    else:
        pytest.fail("the quota was never met")
    n = len(s.fetch_all(BOB))
    assert 5 <= n <= 11
    m = s.imap(BOB)
    typ, data = m.append("INBOX", "", None, message("over", b"z" * 20000 + b"\r\n"))
    assert typ == "NO" and b"OVERQUOTA" in data[0]
    m.select("INBOX")
    m.store("1:*", "+FLAGS.SILENT", r"(\Deleted)")
    m.expunge()
    m.logout()
    s.send([BOB], message("room again"))
    assert len(s.fetch_all(BOB)) == 1
    assert s.stop() == 0
