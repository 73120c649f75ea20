"""kill -9 under a stream of deliveries: nothing answered 250 is lost, nothing
is there twice, no UID is used again (invariants I1, I2, I5, I6)."""
import os
import random
import smtplib
import threading
import uuid

from conftest import ALICE, BOB

ROUNDS = int(os.environ.get("POSTRIDER_CRASH_ROUNDS", "20"))
SENDERS = 4


def deliver(server, stop, ledger, lock):
    """Sends until the server dies; notes each token before and after."""
    rng = random.Random()
    while not stop.is_set():
        try:
            with smtplib.SMTP(server.host, server.ports["smtp"], timeout=10) as s:
                while not stop.is_set():
                    token = uuid.uuid4().hex
                    size = rng.choice((10, 2000, 20000, 300000))
                    body = f"Subject: {token}\r\n\r\n" + (token * 2 + "\r\n") * (size // 66)
                    with lock:
                        ledger["tried"].add(token)
                    s.sendmail("x@example.org", [ALICE, BOB], body)
                    with lock:
                        ledger["acked"][token] = len(body)
        except (smtplib.SMTPException, OSError):
            if stop.wait(0.01):
                return


def read(server, user):
    m = server.imap(user)
    typ, data = m.select("INBOX", readonly=True)
    validity = int(m.response("UIDVALIDITY")[1][0])
    uidnext = int(m.response("UIDNEXT")[1][0])
    rows = {}
    if int(data[0]):
        for item in m.fetch("1:*", "(UID RFC822.SIZE BODY.PEEK[])")[1]:
            if isinstance(item, tuple):
                words = item[0].decode().replace("(", " ").split()
                uid = int(words[words.index("UID") + 1])
                assert int(words[words.index("RFC822.SIZE") + 1]) == len(item[1])
                rows[uid] = item[1]
    m.logout()
    return validity, uidnext, rows


def check(server, ledger, history):
    for user in (ALICE, BOB):
        validity, uidnext, rows = read(server, user)
        old = history.setdefault(user, {"validity": validity, "uidnext": 0, "uids": {}})
        assert validity == old["validity"], "UIDVALIDITY changed"
        assert uidnext >= old["uidnext"], "UIDNEXT fell"
        assert all(uid < uidnext for uid in rows)
        tokens = {}
        for uid, data in rows.items():
            head, body = data.split(b"\r\n\r\n", 1)
            token = head.split(b"Subject: ")[1].split(b"\r\n")[0].decode()
            assert token not in tokens, f"{token} is there twice"
            tokens[token] = uid
            lines = body.split(b"\r\n")
            assert lines.pop() == b"" and set(lines) <= {(token * 2).encode()}, "message is damaged"
            if token in ledger["acked"]:
                assert len(f"Subject: {token}\r\n\r\n") + len(body) == ledger["acked"][token]
        assert set(tokens) <= ledger["tried"]
        lost = set(ledger["acked"]) - set(tokens)
        assert not lost, f"{len(lost)} acknowledged messages are lost for {user}"
        for uid, token in old["uids"].items():
            assert tokens.get(token) == uid, "a message changed its UID"
        old.update(uidnext=uidnext, uids={u: t for t, u in tokens.items()})


def test_kill_9_under_deliveries(fresh):
    server = fresh().start()
    ledger = {"tried": set(), "acked": {}}
    history = {}
    lock = threading.Lock()
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(ROUNDS):
        stop = threading.Event()
        threads = [threading.Thread(target=deliver, args=(server, stop, ledger, lock)) for _ in range(SENDERS)]
        before = len(ledger["acked"])
        for t in threads:
            t.start()
        stop.wait(rng.uniform(0.05, 0.6))
        server.kill()
        stop.set()
        for t in threads:
            t.join()
        server.start()
        check(server, ledger, history)
        assert len(ledger["acked"]) >= before
    assert len(ledger["acked"]) > ROUNDS, "hardly anything was delivered"
    print(f"{ROUNDS} kills, {len(ledger['acked'])} acknowledged")
    assert server.stop() == 0
