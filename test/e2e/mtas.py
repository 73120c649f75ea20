"""Mail servers that send to us: Postfix, OpenSMTPD and Exim as Debian has them.

They are unpacked in build/mta (./dev deps), not installed. Each runs in a mount
namespace where /etc/passwd, /etc/group, /run, /var/lib and /var/spool are a
directory of the test, so it has the users and the queue that it wants and never
sees the machine's own. It also has a pid namespace: when its first process is
killed, nothing of it is left. That needs root.
"""
import contextlib
import os
import pathlib
import re
import signal
import smtplib
import socket
import subprocess
import time

import pytest

from conftest import ROOT, run
from serve import free_ports

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/:/usr/sbin/nologin
mail:x:8:8::/:/usr/sbin/nologin
postfix:x:20001:20001::/:/usr/sbin/nologin
opensmtpd:x:20002:20002::/:/usr/sbin/nologin
opensmtpq:x:20003:20003::/:/usr/sbin/nologin
Debian-exim:x:20004:20004::/:/usr/sbin/nologin
nobody:x:65534:65534::/:/usr/sbin/nologin
"""
GROUP = """root:x:0:
daemon:x:1:
mail:x:8:
postfix:x:20001:
opensmtpd:x:20002:
opensmtpq:x:20003:
Debian-exim:x:20004:
postdrop:x:20005:
nogroup:x:65534:
"""
MOUNT = """d=$1; shift
mount --bind "$d/passwd" /etc/passwd
mount --bind "$d/group" /etc/group
mount --bind "$d/run" /run
mount --bind "$d/lib" /var/lib
mount --bind "$d/spool" /var/spool
exec "$@"
"""


class Mta:
    """What is common: the directory, the namespaces, the end."""
    package = None

    def __init__(self, dir_):
        if os.geteuid() != 0:
            pytest.skip("needs root to give a mail server users and directories of its own")
        if subprocess.run(["unshare", "-m", "-p", "-f", "true"], capture_output=True).returncode != 0:
            pytest.skip("this machine forbids mount namespaces")
        self.root = ROOT / "build/mta" / self.package
        if not self.root.is_dir():
            pytest.fail(f"{self.package} is not in build/mta; run ./dev deps")
        self.dir = pathlib.Path(dir_)
        for d in (self.dir, self.dir / "run", self.dir / "lib", self.dir / "spool", self.dir / "conf"):
            d.mkdir()
            d.chmod(0o755)
        (self.dir / "passwd").write_text(PASSWD)
        (self.dir / "group").write_text(GROUP)
        self.log = self.dir / "log"
        self.port = free_ports(["smtp"])["smtp"]
        self.proc = None
        self.configure()

    env = {}

    def inside(self, *argv):
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", MOUNT, "sh",
                str(self.dir), *[str(a) for a in argv]]

    def run(self, *argv, **kw):
        return run(*self.inside(*argv), env=self.env, **kw)

    def start(self, *argv):
        """Until port answers."""
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(self.inside(*argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         env=dict(os.environ, **self.env))
        end = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 10) as k:
                    if k.recv(100).startswith(b"220"):
                        return self
            except OSError:
                pass
            assert self.proc.poll() is None and time.monotonic() < end, self.said()
            time.sleep(0.05)

    def said(self):
        return self.log.read_text(errors="replace")[-6000:]

    def wait(self, pattern, seconds=60):
        """Its log, once that has the pattern."""
        end = time.monotonic() + seconds
        while True:
            text = self.log.read_text(errors="replace")
            if re.search(pattern, text):
                return text
            assert time.monotonic() < end, (pattern, self.said())
            time.sleep(0.05)

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.sender.test", timeout=60)

    def stop(self):
        """Kills the first process of the namespace, and all with it. Killing unshare alone
        is not enough: who changes its uid, as Postfix's master does, is not told of that."""
        if self.proc:
            first = run("pgrep", "-P", self.proc.pid, check=False).stdout.split()
            for pid in first:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            self.proc.kill()
            self.proc.wait()
            self.proc = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Postfix(Mta):
    """Postfix(dir).serve(smtp=port, lmtp=port, certificate=file): relays what it is given.
    The domain lmtp.test goes out by its lmtp(8)."""
    package = "postfix"

    def configure(self):
        self.env = {"LD_LIBRARY_PATH": f"{self.root}/usr/lib/postfix",
                    "PATH": f"{self.root}/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def settings(self, smtp, lmtp, certificate, extra):
        lib, etc = f"{self.root}/usr/lib/postfix", f"{self.dir}/conf"
        return {
            "compatibility_level": "3.6", "myhostname": "postfix.sender.test", "mydestination": "",
            "queue_directory": "/var/spool/postfix", "data_directory": "/var/lib/postfix",
            "daemon_directory": f"{lib}/sbin", "command_directory": f"{self.root}/usr/sbin",
            "shlib_directory": lib, "meta_directory": etc, "mail_owner": "postfix",
            "setgid_group": "postdrop", "alias_maps": "",
            "import_environment": f"MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH={lib}",
            "inet_interfaces": "loopback-only", "inet_protocols": "ipv4", "smtp_bind_address": "127.0.0.1",
            "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "smtpd_recipient_restrictions": "", "disable_dns_lookups": "yes",
            "relayhost": f"[127.0.0.1]:{smtp}", "transport_maps": f"inline:{{lmtp.test=lmtp:inet:127.0.0.1:{lmtp}}}",
            "smtp_tls_security_level": "secure", "smtp_tls_secure_cert_match": "mail.example.test",
            "smtp_tls_CAfile": certificate, "smtp_tls_loglevel": "1", "lmtp_tls_security_level": "none",
            "smtputf8_enable": "yes", "message_size_limit": "60000000",
            "default_destination_recipient_limit": "1000", "smtp_destination_concurrency_limit": "2",
            "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s",
            "maillog_file": "/dev/stdout", "anvil_rate_time_unit": "60s", "biff": "no", **extra}

    def serve(self, smtp, lmtp=0, certificate="", **extra):
        conf = self.dir / "conf"
        conf.joinpath("main.cf").write_text("".join(
            f"{k} = {v}\n" for k, v in self.settings(smtp, lmtp, certificate, extra).items()))
        lines = [f"127.0.0.1:{self.port} inet n - n - - smtpd", "postlog unix-dgram n - n - 1 postlogd"]
        lines += ["cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr"]
        lines += [f"{n} unix - - n - {most} {program}" for n, most, program in (
            ("rewrite", "-", "trivial-rewrite"), ("bounce", 0, "bounce"), ("defer", 0, "bounce"),
            ("trace", 0, "bounce"), ("smtp", "-", "smtp"), ("lmtp", "-", "lmtp"), ("error", "-", "error"),
            ("retry", "-", "error"), ("proxymap", "-", "proxymap"), ("anvil", 1, "anvil"),
            ("scache", 1, "scache"), ("tlsmgr", 1, "tlsmgr"))]
        conf.joinpath("master.cf").write_text("\n".join(lines) + "\n")
        (self.dir / "lib/postfix").mkdir()
        os.chown(self.dir / "lib/postfix", 20001, 20001)
        for name in ("active bounce corrupt defer deferred flush hold incoming private saved trace public "
                     "maildrop pid").split():
            d = self.dir / "spool/postfix" / name
            d.mkdir(parents=True)
            if name != "pid":
                os.chown(d, 20001, 20005 if name in ("public", "maildrop") else 0)
        return self.start(f"{self.root}/usr/lib/postfix/sbin/master", "-c", conf, "-i", "-e", "600")


class Opensmtpd(Mta):
    package = "opensmtpd"

    def configure(self):
        (self.dir / "lib/opensmtpd/empty").mkdir(parents=True)
        (self.dir / "spool/smtpd").mkdir()
        (self.dir / "spool/smtpd").chmod(0o711)

    def serve(self, smtp):
        conf = self.dir / "conf/smtpd.conf"
        conf.write_text(f"""listen on 127.0.0.1 port {self.port} hostname opensmtpd.sender.test
smtp max-message-size "60M"
action "out" relay host "smtp+tls://127.0.0.1:{smtp}" tls no-verify helo opensmtpd.sender.test
match from any for any action "out"
""")
        return self.start(f"{self.root}/usr/sbin/smtpd", "-d", "-f", conf)


class Exim(Mta):
    package = "exim4-daemon-light"

    def configure(self):
        (self.dir / "spool/exim4").mkdir()
        os.chown(self.dir / "spool/exim4", 20004, 20004)

    def serve(self, smtp):
        (self.dir / "lib/exim.conf").write_text(f"""primary_hostname = exim.sender.test
exim_path = {self.root}/usr/sbin/exim4
spool_directory = /var/spool/exim4
log_file_path = /var/spool/exim4/%slog
log_selector = +smtp_confirmation
disable_ipv6 = true
keep_environment =
message_size_limit = 60M
acl_smtp_rcpt = accept
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1 byname
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = {smtp}
  allow_localhost
  max_rcpt = 0
  hosts_try_chunking = *
  hosts_require_tls = *
  tls_verify_hosts =
  tls_try_verify_hosts =
begin retry
* * F,1h,1s
""")
        log = self.dir / "spool/exim4/mainlog"
        self.start(f"{self.root}/usr/sbin/exim4", "-C", "/var/lib/exim.conf", "-bdf", "-q5s", "-oX", f"127.0.0.1.{self.port}")
        self.log = log
        return self
