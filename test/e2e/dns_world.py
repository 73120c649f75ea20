"""DNS servers for tests, on free ports of loopback: NSD, and one that lies.

Nsd serves zones that a test gives as text, as an ordinary process without
privileges, ended by its own pid. LyingServer answers each question with octets
that a function of the test makes, or not at all.
"""
import pathlib
import shutil
import socket
import socketserver
import struct
import subprocess
import threading
import time

from conftest import need, run

LOOPBACK = "127.0.0.1"
SOA = "@ 300 IN SOA ns.{zone} hostmaster.{zone} 1 3600 600 86400 300\n@ 300 IN NS ns.{zone}\n"


def free_port():
    """A port that is free for UDP and for TCP."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind((LOOPBACK, 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]
    raise AssertionError("no port is free")


def wire_name(name):
    out = b""
    for label in name.rstrip(".").split("."):
        out += bytes([len(label)]) + label.encode()
    return out + b"\0"


def question(name, kind, ident=1):
    return struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + wire_name(name) + \
        struct.pack(">HH", kind, 1)


class Nsd:
    """with Nsd(dir, {"example.org": "text"}) as nsd: ... nsd.server"""

    def __init__(self, dir_, zones):
        self.dir = pathlib.Path(dir_)
        self.dir.mkdir(exist_ok=True)
        self.zones = zones
        self.port = free_port()
        self.server = f"{LOOPBACK}@{self.port}"
        self.proc = None

    def zone_file(self, zone):
        return self.dir / f"{zone}.zone"

    def write(self):
        for zone, text in self.zones.items():
            head = f"$ORIGIN {zone}.\n$TTL 300\n" + SOA.format(zone=zone + ".")
            self.zone_file(zone).write_text(head + text)

    def config(self):
        lines = ["server:", f"  ip-address: {self.server}", "  server-count: 1",
                 '  username: ""', '  chroot: ""', '  database: ""', f'  zonesdir: "{self.dir}"',
                 f'  pidfile: "{self.dir}/nsd.pid"', f'  logfile: "{self.dir}/nsd.log"',
                 f'  xfrdfile: "{self.dir}/xfrd.state"', f'  xfrdir: "{self.dir}"',
                 f'  zonelistfile: "{self.dir}/zone.list"', "remote-control:",
                 "  control-enable: no"]
        for zone in self.zones:
            lines += ["zone:", f"  name: {zone}", f'  zonefile: "{self.zone_file(zone)}"']
        path = self.dir / "nsd.conf"
        path.write_text("\n".join(lines) + "\n")
        return path

    def sign(self, zone):
        """Signs a zone's file in its place; the trust anchor's path."""
        need("ldns-keygen")
        key = run("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", zone,
                  cwd=self.dir).stdout.decode().strip()
        run("ldns-signzone", "-f", self.zone_file(zone), self.zone_file(zone), key, cwd=self.dir)
        return self.dir / f"{key}.ds"

    def start(self):
        program = shutil.which("nsd", path="/usr/sbin:/usr/bin")
        assert program, "nsd is not installed; run ./dev deps"
        self.proc = subprocess.Popen([program, "-d", "-c", str(self.config())],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        self.wait_ready()
        return self

    def wait_ready(self):
        asked = question(next(iter(self.zones)), 6)
        end = time.monotonic() + 60
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            s.connect((LOOPBACK, self.port))
            while time.monotonic() < end:
                assert self.proc.poll() is None, (self.dir / "nsd.log").read_text()
                try:
                    s.send(asked)
                    if s.recv(4096)[3] & 15 == 0:
                        return
                except OSError:
                    time.sleep(0.05)
        raise AssertionError("nsd does not answer")

    def stop(self):
        if self.proc:
            self.proc.terminate()
            try:
                self.proc.wait(10)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
            self.proc = None

    def __enter__(self):
        self.write()
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Question:
    """What a resolver asked, and answers to it."""

    def __init__(self, octets):
        self.octets = octets
        self.ident = octets[:2]
        at = 12
        labels = []
        while octets[at]:
            labels.append(octets[at + 1:at + 1 + octets[at]].decode("latin-1").lower())
            at += octets[at] + 1
        self.labels = labels
        self.name = ".".join(labels)
        self.kind = struct.unpack(">H", octets[at + 1:at + 3])[0]
        self.section = octets[12:at + 5]

    def reply(self, *records, rcode=0, flags=0x8180, ident=None, count=None):
        head = struct.pack(">HHHHH", flags | rcode, 1, len(records) if count is None else count,
                           0, 0)
        return (ident or self.ident) + head + self.section + b"".join(records)


def record(rdata, kind, name=b"\xc0\x0c", ttl=60, length=None):
    return name + struct.pack(">HHIH", kind, 1, ttl, len(rdata) if length is None else length) + rdata


class LyingServer:
    """Answers over UDP with what answer(question) returns: octets, a list of
    datagrams, or None. TCP connections are accepted and never answered."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = 0
        port = free_port()
        self.server = f"{LOOPBACK}@{port}"
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                data, sock = self.request
                try:
                    q = Question(data)
                except IndexError:
                    return
                outer.asked += 1
                out = outer.answer(q)
                for datagram in [out] if isinstance(out, bytes) else out or []:
                    sock.sendto(datagram, self.client_address)

        self.udp = socketserver.ThreadingUDPServer((LOOPBACK, port), Handler)
        self.tcp = socket.create_server((LOOPBACK, port))
        self.thread = threading.Thread(target=self.udp.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.udp.shutdown()
        self.udp.server_close()
        self.tcp.close()
