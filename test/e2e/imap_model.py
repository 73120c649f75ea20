"""The reference model of test_imap_model.py: mailboxes as they must be, and
what each session has been told of them.

`Box` and `Msg` are the truth: commands run one at a time, so it is always
known. `Session` reads every response and holds it against the truth and
against what was said before; whatever does not fit raises `Wrong`. Mod-sequences
are not predicted: a change leaves bounds (`floor`, `ceil`) for the new value,
and the first value told becomes the only one that may be told (RFC 7162).
"""
import time

from imap_wire import Atom, Wire, Wrong, code_name, parse_set

INF = 1 << 63
SEEN = r"\seen"
DELETED = r"\deleted"
RECENT = r"\recent"


class Bye(Exception):
    """The server ended the session; right only if its mailbox is dead."""


class Msg:
    __slots__ = ("uid", "subject", "size", "flags", "modseq", "floor", "ceil", "alts", "owner", "ids",
                 "touched")

    def __init__(self, uid, subject, size, flags, floor, ids=None):
        self.uid, self.subject, self.size, self.flags = uid, subject, size, frozenset(flags)
        self.modseq, self.floor, self.ceil, self.alts = None, floor, INF, set()
        self.owner = None                   # who has it \Recent: a session, "?" or nobody yet
        self.touched = 0                    # how often flags were stored
        self.ids = ids if ids is not None else {}  # EMAILID and THREADID; copies share them

    def above(self, value):
        """Is the mod-sequence greater than value? None: not known."""
        if self.modseq is not None:
            return self.modseq > value
        if self.floor >= value and all(a > value for a in self.alts):
            return True
        return False if self.ceil <= value else None


class Box:
    def __init__(self, name):
        self.name = name
        self.uidvalidity = None
        self.uidnext = 1
        self.msgs = {}                      # by UID, ascending
        self.grave = {}
        self.high = 0                       # the highest mod-sequence anybody was told
        self.changed_above = -1             # HIGHESTMODSEQ must be above that now
        self.dead = False

    def add(self, uid, subject, size, flags, ids=None):
        if uid < self.uidnext:
            raise Wrong(f"{self.name}: new UID {uid} below UIDNEXT {self.uidnext}")
        self.msgs[uid] = Msg(uid, subject, size, flags, self.high, ids)
        self.uidnext = uid + 1
        self.changed_above = self.high
        return self.msgs[uid]

    def remove(self, uid):
        self.grave[uid] = self.msgs.pop(uid)
        self.changed_above = self.high

    def set_flags(self, m, flags):
        """The store may take a change to the same flags as a change, or not."""
        m.touched += 1
        if m.flags == flags:
            if m.modseq is not None:
                m.alts.add(m.modseq)
                m.floor = self.high
            m.modseq, m.ceil = None, INF
            return
        m.flags = frozenset(flags)
        m.modseq, m.floor, m.ceil, m.alts = None, self.high, INF, set()
        self.changed_above = self.high

    def learn(self, m, value):
        if m.modseq is not None:
            if value != m.modseq:
                raise Wrong(f"{self.name} UID {m.uid}: MODSEQ {value}, told {m.modseq} before")
            return
        if value not in m.alts and not m.floor < value <= m.ceil:
            raise Wrong(f"{self.name} UID {m.uid}: MODSEQ {value} is not in {m.floor}..{m.ceil} {m.alts}")
        m.modseq = value
        self.high = max(self.high, value)

    def learn_high(self, value, settled=True):
        if value < self.high or value <= self.changed_above:
            raise Wrong(f"{self.name}: HIGHESTMODSEQ {value}, but {self.high} was told"
                        f" and it changed after {self.changed_above}")
        self.high = value
        for m in self.msgs.values():
            if settled and m.modseq is None:
                m.ceil = min(m.ceil, value)

    def learn_validity(self, value):
        if self.uidvalidity not in (None, value):
            raise Wrong(f"{self.name}: UIDVALIDITY {value} after {self.uidvalidity}")
        self.uidvalidity = value


class Ctx:
    """What one command allows to be said, and what was said."""

    def __init__(self, expunge=True, asked=(), loose=None, uid=False, need=(), earlier=False):
        self.expunge = expunge              # EXPUNGE and VANISHED are allowed
        self.asked = set(asked)             # UIDs whose FETCH was asked for
        self.loose = loose                  # flags allowed for a UID besides the true ones; True: any
        self.uid = uid
        self.need = need
        self.earlier_ok = earlier
        self.earlier = []
        self.items = {}                     # by UID, all items told
        self.others = []
        self.selecting = False

    def one(self, kind):
        found = [r for r in self.others if r.kind == kind]
        if len(found) != 1:
            raise Wrong(f"{len(found)} {kind} responses")
        return found[0]

    def code(self, name):
        for r in self.others:
            if code_name(r) == name:
                return r.code[1:]
        return None


def flag_set(args):
    out = [a.decode().lower() for a in args]
    if len(out) != len(set(out)):
        raise Wrong(f"a flag twice: {args}")
    return frozenset(out)


class Session:
    def __init__(self, model, name):
        self.model, self.name = model, name
        self.caches = {}                    # box -> (uidvalidity, modseq, {uid: flags})
        self.w = None
        self.connect()

    def connect(self):
        if self.w:
            self.w.close()
        self.w = Wire(self.model.host, self.model.port)
        self.w.login(self.model.user, self.model.password)
        self.condstore = self.qresync = self.uidonly = self.rev2 = False
        self.idle_tag = None
        self.forget()

    def forget(self):
        self.box = None
        self.readonly = False
        self.view, self.told, self.recent, self.not_recent = [], {}, set(), set()
        self.modtold, self.touched = {}, {}
        self.listed = set()
        self.top = 0
        self.high_seen = 0
        self.saved = []

    def __repr__(self):
        modes = [m for m in ("condstore", "qresync", "uidonly", "rev2") if getattr(self, m)]
        return f"{self.name}[{','.join(modes)}] on {self.box and self.box.name}"

    # -- responses --

    def gone(self, uid):
        return uid not in self.box.msgs

    def in_sync(self, expunges=True):
        b = self.box
        if b is None:
            return True
        if any(u > self.top for u in b.msgs):
            return False
        for u in self.view:
            if u not in b.msgs:
                if expunges:
                    return False
            elif self.told.get(u) is not None and self.told[u] != b.msgs[u].flags:
                return False
        return True

    def why_not(self):
        b = self.box
        return {"unknown": [u for u in b.msgs if u > self.top],
                "still there": [u for u in self.view if u not in b.msgs],
                "flags": {u: (sorted(self.told[u]), sorted(b.msgs[u].flags)) for u in self.view
                          if u in b.msgs and self.told.get(u) is not None and self.told[u] != b.msgs[u].flags}}

    def drop(self, uid):
        self.view.remove(uid)
        self.told.pop(uid, None)
        self.modtold.pop(uid, None)
        self.recent.discard(uid)
        if self.saved and uid in self.saved:
            self.saved.remove(uid)

    def untagged(self, r, ctx):
        k = r.kind
        if k == "BYE":
            raise Bye(repr(r))
        if k in ("EXPUNGE", "EXISTS", "RECENT", "FETCH", "UIDFETCH", "VANISHED", "FLAGS"):
            if self.box is None:
                raise Wrong(f"{r!r} with no mailbox selected")
            getattr(self, "on_" + k.lower())(r, ctx)
        else:
            if k == "ENABLED":                  # from here on, for what comes before the reply too
                said = {a.decode().upper() for a in r.args}
                self.qresync |= "QRESYNC" in said
                self.uidonly |= "UIDONLY" in said
                self.rev2 |= "IMAP4REV2" in said
            if k == "OK" and code_name(r) == "HIGHESTMODSEQ":
                self.on_high(int(r.code[1]), ctx.selecting, ctx.selecting)
            ctx.others.append(r)

    def on_high(self, value, settled=True, selecting=False):
        if not selecting and (value < self.box.high or value <= self.box.changed_above):
            self.high_seen = value          # so much is known for sure; the client asks from there
            return
        self.box.learn_high(value, settled)
        self.high_seen = max(self.high_seen, value)

    def check_vanish(self, uid, r, ctx):
        if not ctx.expunge:
            raise Wrong(f"{r!r}: not during this command")
        if not self.gone(uid):
            raise Wrong(f"{r!r}: UID {uid} is still in {self.box.name}")

    def on_expunge(self, r, ctx):
        if self.qresync or self.uidonly:
            raise Wrong(f"{r!r}: VANISHED was asked for")
        if not 1 <= r.number <= len(self.view):
            raise Wrong(f"{r!r}: of {len(self.view)} messages")
        uid = self.view[r.number - 1]
        self.check_vanish(uid, r, ctx)
        self.drop(uid)

    def on_vanished(self, r, ctx):
        if not self.qresync and not self.uidonly:
            raise Wrong(f"{r!r}: not enabled")
        if isinstance(r.args[0], list):
            if r.args[0] != [b"EARLIER"] or not ctx.earlier_ok:
                raise Wrong(f"{r!r}: EARLIER was not asked for")
            uids = parse_set(r.args[1])
            alive = [u for u in uids if not self.gone(u)]
            if alive or any(u >= self.box.uidnext for u in uids):
                raise Wrong(f"{r!r}: {alive} are there")
            ctx.earlier += uids
            return
        for uid in parse_set(r.args[0]):
            if uid not in self.view:
                raise Wrong(f"{r!r}: UID {uid} is unknown to this session")
            self.check_vanish(uid, r, ctx)
            self.drop(uid)

    def on_exists(self, r, ctx):
        b = self.box
        new = sorted(u for u in b.msgs if u > self.top)
        count = r.number - len(self.view)
        if count < 0 or count > len(new) or (ctx.selecting and count != len(new)):
            raise Wrong(f"{r!r}: {len(self.view)} known, new are {new}")
        for uid in new[:count]:
            self.view.append(uid)
            self.told[uid] = None
            self.top = uid
            self.claim(b.msgs[uid])

    def claim(self, m):
        """\\Recent goes to one session that may write (RFC 3501 2.3.2)."""
        others = any(o.idle_tag and o.box is self.box for o in self.model.sessions if o is not self)
        if self.rev2:
            if m.owner is None:
                m.owner = "?"
        elif m.owner is None and not others:
            self.recent.add(m.uid)
            if not self.readonly:
                m.owner = self
        elif m.owner is None or m.owner == "?":
            m.owner = "?"
        else:
            self.not_recent.add(m.uid)

    def on_recent(self, r, ctx):
        if self.rev2:
            raise Wrong(f"{r!r}: there is no RECENT in IMAP4rev2")
        low = len(self.recent & set(self.view))
        if not low <= r.number <= len([u for u in self.view if u not in self.not_recent]):
            raise Wrong(f"{r!r}: at least {low}, not {sorted(self.not_recent)}")

    def on_flags(self, r, ctx):
        flags = set(flag_set(r.args[0]))
        if not ctx.selecting and not self.listed < flags:
            raise Wrong(f"{r!r}: not asked for, and no news")
        self.listed = flags

    def on_fetch(self, r, ctx):
        if self.uidonly:
            raise Wrong(f"{r!r}: UIDFETCH was asked for")
        if not 1 <= r.number <= len(self.view):
            raise Wrong(f"{r!r}: of {len(self.view)} messages")
        self.fetched(self.view[r.number - 1], r, ctx)

    def on_uidfetch(self, r, ctx):
        if not self.uidonly or r.number not in self.view:
            raise Wrong(f"{r!r}: not enabled, or no such UID")
        self.fetched(r.number, r, ctx)

    def fetched(self, uid, r, ctx):
        b = self.box
        m = b.msgs.get(uid) or b.grave[uid]
        items = r.items
        if "UID" in [k.decode() for k in items] and int(items[b"UID"]) != uid:
            raise Wrong(f"{r!r}: UID must be {uid}")
        news = False
        if b"FLAGS" in items:
            news = self.check_flags(uid, m, flag_set(items[b"FLAGS"]), r, ctx)
        if b"MODSEQ" in items:
            value = int(items[b"MODSEQ"][0])
            before = b"FLAGS" in items and self.told[uid] != m.flags    # told before it was changed
            if uid in b.msgs and not before and not (ctx.loose and m.modseq not in (None, value)):
                b.learn(m, value)
            news = news or value != self.modtold.get(uid)
            self.modtold[uid] = value
            self.high_seen = max(self.high_seen, value)
        elif self.condstore and b"FLAGS" in items and uid not in ctx.asked:
            raise Wrong(f"{r!r}: MODSEQ must be told (RFC 7162 3.1)")
        for key, want in ((b"RFC822.SIZE", m.size), (b"BODY[HEADER.FIELDS (SUBJECT)]", m.subject)):
            self.check_item(key, want, items, uid, r)
        for key in (b"EMAILID", b"THREADID"):
            if items.get(key) is not None and m.ids.setdefault(key, items[key]) != items[key]:
                raise Wrong(f"{r!r}: {key} was {m.ids[key]}")
        if uid not in ctx.asked:
            if not news:
                raise Wrong(f"{r!r}: not asked for, and no news (told {self.told.get(uid)})")
            if (ctx.uid or self.qresync) and not self.uidonly and b"UID" not in items:
                raise Wrong(f"{r!r}: without UID")
        ctx.items.setdefault(uid, {}).update(items)

    def check_item(self, key, want, items, uid, r):
        if key not in items:
            return
        got = int(items[key]) if isinstance(items[key], Atom) else items[key]
        if isinstance(want, int):
            ok = got == want
        else:
            ok = got == b"Subject: %s\r\n\r\n" % want.encode()
        if not ok and not (self.gone(uid) and not got):
            raise Wrong(f"{r!r}: {key} of UID {uid} must be {want!r}")

    def check_flags(self, uid, m, flags, r, ctx):
        """Holds told flags against the true ones. Were they news?"""
        recent = RECENT in flags
        flags -= {RECENT}
        if not flags <= self.listed:
            raise Wrong(f"{r!r}: {sorted(flags - self.listed)} must be in FLAGS before")
        if self.rev2 and recent:
            raise Wrong(f"{r!r}: there is no \\Recent in IMAP4rev2")
        if not self.rev2:
            self.check_recent(uid, m, recent, r)
        allowed = [m.flags]
        if self.gone(uid):
            allowed.append(self.told.get(uid))
        if ctx.loose and ctx.loose is not True:
            allowed += ctx.loose.get(uid, [])
        if flags not in allowed and ctx.loose is not True:
            raise Wrong(f"{r!r}: flags of UID {uid} are {sorted(m.flags)}")
        news = self.told.get(uid) != flags or self.touched.get(uid) != m.touched
        self.told[uid], self.touched[uid] = flags, m.touched
        return news

    def check_recent(self, uid, m, recent, r):
        if recent and (uid in self.not_recent or (not self.readonly and m.owner not in (None, "?", self))):
            raise Wrong(f"{r!r}: UID {uid} is \\Recent elsewhere")
        if not recent and uid in self.recent:
            raise Wrong(f"{r!r}: UID {uid} must be \\Recent here")
        if recent:
            self.recent.add(uid)
            if not self.readonly:
                m.owner = self
        else:
            self.not_recent.add(uid)

    # -- commands --

    def run(self, text, *literals, ctx=None, want=("OK",), sync=True):
        """One command; checks its reply and that the session knows all after it."""
        ctx = ctx or Ctx()
        tag = self.w.start(text, *literals)
        reply, _ = self.w.finish(tag, lambda r: self.untagged(r, ctx))
        if code_name(reply) == "HIGHESTMODSEQ" and self.box:
            self.on_high(int(reply.code[1]))
        if want and reply.kind not in want:
            raise Wrong(f"{text!r}: {reply!r}, expected {want}")
        ctx.tag = tag
        if sync and reply.kind != "BAD":
            self.must_know(ctx.expunge and not ctx.uid)  # UID FETCH, STORE, SEARCH may wait
        return reply, ctx

    def must_know(self, expunges=True):
        if self.box and not self.box.dead and not self.in_sync(expunges):
            raise Wrong(f"{self}: was not told: {self.why_not()}")

    def pump(self, seconds=20):
        """In IDLE: what others did must be told by and by."""
        ctx = Ctx(loose=True)
        end = time.monotonic() + seconds
        while self.w.ready(0) or not self.in_sync() or (self.box and self.box.dead):
            if not self.w.ready(end - time.monotonic()):
                raise Wrong(f"{self}: not told in IDLE: {self.why_not()}")
            self.untagged(self.w.read(), ctx)

    def done(self):
        self.pump()
        tag, self.idle_tag = self.idle_tag, None
        self.w.send(b"DONE\r\n")
        ctx = Ctx(loose=True)
        reply, _ = self.w.finish(tag, lambda r: self.untagged(r, ctx))
        if reply.kind != "OK":
            raise Wrong(f"DONE: {reply!r}")
        self.must_know()

    def remember(self):
        """Keeps what a client would keep of a mailbox it leaves."""
        b = self.box
        if b and self.qresync and self.high_seen and self.in_sync():
            self.caches[b] = (b.uidvalidity, self.high_seen, {u: self.told.get(u) for u in self.view})

    def select(self, box, readonly=False, params=""):
        self.remember()
        self.forget()
        self.box, self.readonly = box, readonly
        ctx = Ctx(earlier=True, asked=box.msgs)
        ctx.selecting = True
        if "(" in params:
            self.condstore = True
        verb = "EXAMINE" if readonly else "SELECT"
        reply, _ = self.run(f"{verb} {box.name}{params}", ctx=ctx)
        if code_name(reply) != ("READ-ONLY" if readonly else "READ-WRITE"):
            raise Wrong(f"{verb}: {reply!r}")
        self.check_select(ctx)
        return ctx

    def check_select(self, ctx):
        b = self.box
        if len(self.view) != len(b.msgs):
            raise Wrong(f"SELECT {b.name}: no EXISTS")
        b.learn_validity(int(ctx.code("UIDVALIDITY")[0]))
        uidnext = int(ctx.code("UIDNEXT")[0])
        if uidnext != b.uidnext:
            raise Wrong(f"SELECT {b.name}: UIDNEXT {uidnext}, expected {b.uidnext}")
        if self.model.condstore and not self.high_seen:
            raise Wrong(f"SELECT {b.name}: no HIGHESTMODSEQ")
        unseen = [i for i, u in enumerate(self.view, 1) if SEEN not in b.msgs[u].flags]
        code = ctx.code("UNSEEN")
        if not self.rev2 and not self.uidonly and (int(code[0]) if code else None) != (unseen[0] if unseen else None):
            raise Wrong(f"SELECT {b.name}: UNSEEN {code}, expected {unseen[:1]}")
        if not ctx.code("PERMANENTFLAGS") or not self.listed:
            raise Wrong(f"SELECT {b.name}: no FLAGS or PERMANENTFLAGS")

    def resync(self, box, seqmatch):
        """SELECT with QRESYNC from what was kept; what was kept must become true."""
        validity, modseq, known = self.caches[box]
        params = f"({validity} {modseq}"
        if seqmatch and known:
            params += f" 1:{max(known)}"
            uids = sorted(known)
            at = sorted(set([1, (len(uids) + 1) // 2, len(uids)]))
            params += f" ({','.join(map(str, at))} {','.join(str(uids[i - 1]) for i in at)})"
        ctx = self.select(box, params=f" (QRESYNC {params}))")
        if validity != box.uidvalidity:
            return
        vanished = set(ctx.earlier)
        for uid, flags in known.items():
            if uid not in box.msgs:
                if uid not in vanished:
                    raise Wrong(f"resync {params}: UID {uid} vanished and it was not told")
                continue
            if flags is not None and self.told.get(uid) is None:
                self.told[uid] = flags
        if not self.in_sync():
            raise Wrong(f"resync {params} left wrong: {self.why_not()}")
