"""A small IMAP client that hides nothing: every response as it came, parsed.

Used where imaplib is too clever or too old: the model test, resynchronising,
IDLE by hand, the big mailbox. Commands go out as text; literals are given as
bytes after the text (`LITERAL+`). Responses come as `Resp`: tag, kind (OK,
FETCH, VANISHED ...), number, arguments as nested lists, the response code.
"""
import select
import socket
import time


class Wrong(AssertionError):
    """The server said something it must not say, or did not say what it must."""


class Atom(bytes):
    """An atom or number; quoted strings and literals are plain bytes."""


class Resp:
    __slots__ = ("raw", "tag", "kind", "number", "args", "code", "text")

    def __init__(self, raw, tag, kind, number, args, code, text):
        self.raw, self.tag, self.kind, self.number = raw, tag, kind, number
        self.args, self.code, self.text = args, code, text

    def __repr__(self):
        return repr(self.raw[:300])

    @property
    def items(self):
        """A FETCH's items by name."""
        flat = self.args[0]
        if len(flat) % 2:
            raise Wrong(f"odd number of fetch items: {self.raw!r}")
        return {flat[i].upper(): flat[i + 1] for i in range(0, len(flat), 2)}


def tokens(raw, i, stop=None):
    """Parses values from raw[i:] up to `stop` or the end: (list, next)."""
    out = []
    n = len(raw)
    while i < n:
        c = raw[i:i + 1]
        if c == stop:
            return out, i + 1
        if c == b" ":
            i += 1
        elif c == b"(":
            value, i = tokens(raw, i + 1, b")")
            out.append(value)
        elif c == b'"':
            j = i + 1
            value = bytearray()
            while raw[j:j + 1] != b'"':
                if j >= n:
                    raise Wrong(f"unterminated string: {raw!r}")
                if raw[j:j + 1] == b"\\":
                    j += 1
                value += raw[j:j + 1]
                j += 1
            out.append(bytes(value))
            i = j + 1
        elif c == b"{" or raw[i:i + 2] == b"~{":
            end = raw.index(b"}\r\n", i)
            size = int(raw[raw.index(b"{", i) + 1:end])
            out.append(raw[end + 3:end + 3 + size])
            i = end + 3 + size
        else:
            j = i
            depth = 0
            while j < n and (depth or raw[j:j + 1] not in b' ()"'):
                depth += (raw[j:j + 1] == b"[") - (raw[j:j + 1] == b"]")
                j += 1
            if j == i:
                raise Wrong(f"cannot parse at {i}: {raw!r}")
            word = Atom(raw[i:j])
            out.append(None if word.upper() == b"NIL" else word)
            i = j
    if stop is not None:
        raise Wrong(f"unbalanced parentheses: {raw!r}")
    return out, i


def parse(raw):
    """raw: a whole response without its last CRLF, literals in place."""
    tag, _, rest = raw.partition(b" ")
    if tag == b"+":
        return Resp(raw, "+", "+", None, [], None, rest)
    word, _, tail = rest.partition(b" ")
    number = None
    if word.isdigit():
        number = int(word)
        word, _, tail = tail.partition(b" ")
    kind = word.decode("ascii").upper()
    code = None
    if kind in ("OK", "NO", "BAD", "BYE", "PREAUTH"):
        if tail.startswith(b"["):
            end = tail.index(b"]")
            code, _ = tokens(tail[1:end], 0)
            tail = tail[end + 2:]
        return Resp(raw, tag.decode(), kind, number, [], code, tail)
    return Resp(raw, tag.decode(), kind, number, tokens(tail, 0)[0], None, b"")


def code_name(resp):
    return resp.code[0].upper().decode() if resp.code else None


def parse_set(text):
    """The numbers of a sequence set without `*`, in the order given."""
    out = []
    for part in text.split(b","):
        lo, _, hi = part.partition(b":")
        a = int(lo)
        b = int(hi) if hi else a
        out += range(min(a, b), max(a, b) + 1)
    return out


class Wire:
    """One connection. `log` keeps the last lines of both directions."""

    def __init__(self, host, port, ctx=None, timeout=60):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ctx:
            self.sock = ctx.wrap_socket(self.sock, server_hostname="localhost")
        self.buf = b""
        self.n = 0
        self.log = []
        self.greeting = self.read()
        if self.greeting.kind != "OK":
            raise Wrong(f"greeting: {self.greeting!r}")

    def close(self):
        self.sock.close()

    def note(self, way, data):
        self.log.append((way, data if len(data) < 400 else data[:400] + b"..."))
        if len(self.log) > 300:
            del self.log[:100]

    def send(self, data):
        self.note("C", data)
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buf += data

    def ready(self, seconds):
        """Is there something to read within that time?"""
        if self.buf:
            return True
        if hasattr(self.sock, "pending") and self.sock.pending():
            return True
        return bool(select.select([self.sock], [], [], max(0, seconds))[0])

    def read_raw(self):
        at = 0
        while True:
            end = self.buf.find(b"\r\n", at)
            if end < 0:
                self._more()
                continue
            if self.buf[end - 1:end] == b"}":
                open_ = self.buf.rfind(b"{", at, end)
                size = self.buf[open_ + 1:end - 1]
                if open_ >= 0 and size.isdigit():
                    at = end + 2 + int(size)
                    while len(self.buf) < at:
                        self._more()
                    continue
            raw, self.buf = self.buf[:end], self.buf[end + 2:]
            self.note("S", raw)
            return raw

    def read(self):
        return parse(self.read_raw())

    def start(self, text, *literals):
        """Sends a command; each `%L` in the text stands for a literal. Its tag."""
        self.n += 1
        tag = f"a{self.n}"
        if isinstance(text, str):
            text = text.encode()
        parts = text.split(b"%L")
        out = tag.encode() + b" " + parts[0]
        for lit, part in zip(literals, parts[1:]):
            out += b"{%d+}\r\n" % len(lit) + lit + part
        self.send(out + b"\r\n")
        return tag

    def finish(self, tag, each=None):
        """Reads up to the tagged reply: (reply, [untagged])."""
        got = []
        while True:
            r = self.read()
            if r.tag == tag:
                return r, got
            if r.tag not in ("*", "+"):
                raise Wrong(f"reply to {r.tag}, waiting for {tag}: {r!r}")
            if each:
                each(r)
            else:
                got.append(r)

    def cmd(self, text, *literals, want="OK"):
        """One command; fails unless the reply is `want` (None: anything)."""
        reply, got = self.finish(self.start(text, *literals))
        if want and reply.kind != want:
            raise Wrong(f"{text!r} was answered {reply!r}, not {want}")
        return reply, got

    def login(self, user, password):
        return self.cmd(f'LOGIN "{user}" "{password}"')

    def capabilities(self):
        _, got = self.cmd("CAPABILITY")
        return {a.decode().upper() for r in got if r.kind == "CAPABILITY" for a in r.args}

    def idle(self):
        tag = self.start("IDLE")
        r = self.read()
        while r.tag != "+":
            r = self.read()
        return tag

    def wait_for(self, kind, seconds=10):
        """The next untagged response of that kind; others are dropped."""
        end = time.monotonic() + seconds
        while self.ready(end - time.monotonic()):
            r = self.read()
            if r.kind == kind:
                return r
        raise Wrong(f"no {kind} within {seconds} s; last: {self.log[-3:]}")
