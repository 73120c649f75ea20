"""The commands, the signals, and start-up errors: one clear line each."""
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

from conftest import ALICE, BIN, BOB, message, run


def postrider(*args, stdin=None, env=None, cwd=None):
    return subprocess.run([BIN, *map(str, args)], input=stdin, text=True, capture_output=True,
                          timeout=120, cwd=cwd, env=dict(os.environ, **(env or {})))


def test_domains_accounts_and_aliases_live(fresh):
    s = fresh().start()
    assert s.cli("domain", "add", "Example.NET").returncode == 0
    assert "example.net" in s.cli("domain", "list").stdout
    s.cli("account", "add", "dave@example.net", "--password-stdin", stdin="open sesame\n")
    s.cli("alias", "add", "team@example.net", ALICE, "dave@example.net")
    s.accounts["dave@example.net"] = "open sesame"
    s.send(["team@example.net"], message("to the team"))
    s.send(["dave+lists@example.net"], message("plus"))
    assert len(s.fetch_all("dave@example.net")) == 2
    assert len(s.fetch_all(ALICE)) == 1
    s.cli("account", "password", "dave@example.net", "--password-stdin", stdin="changed\n")
    with pytest.raises(Exception):
        s.imap("dave@example.net")
    s.accounts["dave@example.net"] = "changed"
    assert len(s.fetch_all("dave@example.net")) == 2
    s.cli("account", "rename", "dave@example.net", "david@example.net")
    s.accounts["david@example.net"] = "changed"
    assert len(s.fetch_all("david@example.net")) == 2
    shown = json.loads(s.cli("--json", "account", "show", "david@example.net").stdout)
    assert shown["address"] == "david@example.net"
    assert s.cli("domain", "remove", "example.net", check=False).returncode == 1
    s.cli("alias", "remove", "team@example.net")
    s.cli("account", "remove", "david@example.net")
    s.cli("domain", "remove", "example.net")
    assert "example.net" not in s.cli("domain", "list").stdout
    assert json.loads(s.cli("--json", "status").stdout)
    assert s.stop() == 0


def test_misuse_is_exit_code_2():
    for args in ((), ("nonsense",), ("account",), ("account", "add"), ("demo", "--nonsense")):
        r = postrider(*args)
        assert r.returncode == 2, args
        assert r.stderr.strip()
    assert postrider("--help").returncode == 0
    assert postrider("--version").stdout.startswith("postrider ")


def site(tmp_path, extra="", ports=None):
    """A configuration of its own, made by `init`, on free ports."""
    ports = ports or {}
    socks = []
    for p in ("smtp", "submissions", "imaps"):
        if p not in ports:
            k = socket.socket()
            k.bind(("127.0.0.1", 0))
            ports[p] = k.getsockname()[1]
            socks.append(k)
    for k in socks:
        k.close()
    conf = tmp_path / "postrider.conf"
    r = postrider("--config", conf, "init", "--data", tmp_path / "data", "--hostname", "mail.example.test")
    assert r.returncode == 0, r.stdout + r.stderr
    text = conf.read_text()
    lines = [l for l in text.splitlines() if not l.strip().startswith("listen")]
    lines += [f'listen {p} {{ addresses = {{"127.0.0.1"}} ports = {{{n}}} }}' for p, n in ports.items()]
    conf.write_text("\n".join(lines) + "\ndns { enabled = false }\n" + extra)
    return conf, ports


def tls_file(conf, setting):
    return pathlib.Path(re.search(rf'^\s*{setting} = "(.*)"', conf.read_text(), re.M).group(1))


def serve_fails(conf, *words):
    r = subprocess.run([BIN, "--config", str(conf), "serve"], capture_output=True, text=True, timeout=60)
    assert r.returncode == 1, (r.returncode, r.stderr)
    last = r.stderr.strip().splitlines()
    assert len(last) == 1, r.stderr
    for w in words:
        assert w in last[0], f"{w!r} is not in {last[0]!r}"


def serve(conf):
    return subprocess.Popen([BIN, "--config", str(conf), "serve"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_port(port, proc):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert proc.poll() is None, proc.stderr.read()
            time.sleep(0.02)
    raise AssertionError("port never opened")


def test_init_and_serve_and_signals(tmp_path):
    conf, ports = site(tmp_path)
    assert postrider("--config", conf, "domain", "add", "example.test").returncode == 0
    r = postrider("--config", conf, "account", "add", "zoe@example.test", "--password-stdin", stdin="secret secret\n")
    assert r.returncode == 0, r.stderr
    p = serve(conf)
    try:
        wait_port(ports["imaps"], p)
        # the data directory is locked now, and the command line goes through the server
        serve_fails(conf, str(tmp_path / "data"))
        assert "zoe@example.test" in postrider("--config", conf, "account", "list").stdout

        def serial():
            pem = ssl.get_server_certificate(("127.0.0.1", ports["imaps"]))
            return run("openssl", "x509", "-noout", "-serial", stdin=pem.encode()).stdout
        old = serial()
        tls = tls_file(conf, "certificate").parent
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=mail.example.test", "-keyout", tls / "key.pem", "-out", tls / "cert.pem")
        os.chmod(tls / "key.pem", 0o600)
        p.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while serial() == old:
            assert time.monotonic() < end, "certificate was not reloaded"
            time.sleep(0.05)
        idle = socket.create_connection(("127.0.0.1", ports["smtp"]))
        assert idle.recv(100).startswith(b"220")
        p.send_signal(signal.SIGTERM)
        assert p.wait(20) == 0
        assert idle.recv(1000).startswith(b"421")
        idle.close()
    finally:
        if p.poll() is None:
            p.kill()
        p.wait()
        p.stderr.close()


@pytest.mark.parametrize("line,words", [
    ("nonsense = 1\n", ("nonsense",)),
    ('limits { message_size = "lots" }\n', ("message_size", "lots")),
    ("listen gopher { ports = {70} }\n", ("gopher",)),
    ("listen pop3 { ports = {99999} }\n", ("99999",)),
    ("tls { certificate = \n", ("postrider.conf",)),
])
def test_bad_configuration(tmp_path, line, words):
    conf, _ = site(tmp_path, extra=line)
    serve_fails(conf, "postrider.conf:", *words)


def test_busy_port(tmp_path):
    with socket.socket() as k:
        k.bind(("127.0.0.1", 0))
        k.listen()
        port = k.getsockname()[1]
        conf, _ = site(tmp_path, ports={"smtp": port})
        serve_fails(conf, str(port))


def test_unreadable_key(tmp_path):
    conf, _ = site(tmp_path)
    path = tls_file(conf, "key")
    path.unlink()
    serve_fails(conf, str(path))


def test_key_readable_by_others(tmp_path):
    conf, _ = site(tmp_path)
    path = tls_file(conf, "key")
    path.chmod(0o644)
    serve_fails(conf, str(path))


def test_demo_goes_on_where_it_was(fresh):
    s = fresh().start()
    s.send([BOB], message("remembered"))
    before = s.fetch_all(BOB)
    assert s.stop() == 0
    s.start()
    assert s.fetch_all(BOB) == before
    assert s.stop() == 0


def test_log_lines_of_a_connection_share_an_id(fresh):
    s = fresh().start()
    s.send([BOB], message("logged"))
    assert s.stop() == 0
    lines = [l for l in s.log.read_text().splitlines() if l.startswith("ts=") and "proto=smtp" in l]
    ids = {w.split("=", 1)[1] for l in lines for w in l.split() if w.startswith("sid=")}
    assert len(ids) == 1 and len(lines) >= 2
    assert "remembered" not in s.log.read_text()
