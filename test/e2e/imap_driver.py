"""Random commands for test_imap_model.py: each step picks a session and a
command, computes what must come of it, runs it, and compares (imap_model.py).

Extensions are used as soon as CAPABILITY names them.
"""
import random

from imap_model import DELETED, INF, SEEN, Box, Bye, Ctx, Session
from imap_wire import Wire, Wrong, code_name, parse_set

FLAGS = [r"\Seen", r"\Answered", r"\Flagged", r"\Deleted", r"\Draft", "$Forwarded", "Work", "$Junk"]
NAMES = ["One", "Two", "Three", "Four", "Five"]


def low(flags):
    return frozenset(f.lower() for f in flags)


def kleene_and(a, b):
    return False if a is False or b is False else None if a is None or b is None else True


def kleene_not(a):
    return None if a is None else not a


class Driver:
    def __init__(self, server, user, seed, n_sessions):
        self.rnd = random.Random(seed)
        self.host, self.port = server.host, server.ports["imap"]
        self.user, self.password = user, server.password(user)
        self.serial = 0
        self.boxes = {}
        self.old_validity = {}
        self.sessions = []
        self.prepare()
        for i in range(n_sessions):
            self.sessions.append(Session(self, f"s{i}"))
        self.steps = {}

    def prepare(self):
        """An empty account: INBOX and one mailbox; other names are left alone."""
        w = Wire(self.host, self.port)
        w.login(self.user, self.password)
        self.caps = w.capabilities()
        self.condstore = "CONDSTORE" in self.caps
        for name in NAMES:
            w.cmd(f"DELETE {name}", want=None)
        _, got = w.cmd('LIST "" *')
        self.others = {r.args[2].decode() for r in got if r.kind == "LIST"} - {"INBOX"}
        w.cmd("SELECT INBOX")
        w.cmd(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
        w.cmd("EXPUNGE")
        for name in ("INBOX", NAMES[0]):
            if name != "INBOX":
                w.cmd(f"CREATE {name}")
            box = self.boxes[name] = Box(name)
            st = self.status_of(w, name, "UIDNEXT UIDVALIDITY")
            box.uidnext, box.uidvalidity = st["UIDNEXT"], st["UIDVALIDITY"]
        w.close()

    @staticmethod
    def status_of(w, name, items):
        _, got = w.cmd(f"STATUS {name} ({items})")
        args = [r for r in got if r.kind == "STATUS"][0].args[1]
        return {args[i].decode(): int(args[i + 1]) for i in range(0, len(args), 2)}

    # -- choosing --

    def chance(self, p):
        return self.rnd.random() < p

    def box(self):
        return self.boxes[self.rnd.choice(sorted(self.boxes))]

    def flags(self, most=3):
        return self.rnd.sample(FLAGS, self.rnd.randint(0, most))

    def by_uid(self, s):
        return s.uidonly or self.chance(0.5)

    def set_of(self, s, uid):
        """(text, [uids it hits in the view])"""
        v, r = s.view, self.rnd
        star = v[-1] if uid and v else len(v)
        if not v:
            return "1:*", []
        if s.saved is not None and "SEARCHRES" in self.caps and not s.uidonly and self.chance(0.1):
            return "$", [u for u in v if u in s.saved]
        numbers = v if uid else range(1, len(v) + 1)
        parts, hit = [], set()
        for _ in range(r.choice([1, 1, 1, 2, 3])):
            a = r.choice(numbers)
            b = r.choice(numbers)
            if uid and self.chance(0.3):
                b += r.randint(0, 5)                 # UIDs that are not there
            form = r.randrange(5)
            if form == 0:
                b = a
                parts.append(f"{a}")
            elif form == 1:
                b = star
                parts.append(r.choice([f"{a}:*", f"*:{a}"]))
            elif form == 2:
                a = b = star
                parts.append("*")
            else:
                parts.append(f"{a}:{b}")
            lo, hi = min(a, b), max(a, b)
            hit |= {u for i, u in enumerate(v, 1) if lo <= (u if uid else i) <= hi}
        return ",".join(parts), sorted(hit)

    def alive(self, s, uids):
        return [u for u in uids if u in s.box.msgs]

    def modseq(self, box):
        """Some value to ask with: known ones, the highest, none, a very high one."""
        known = [m.modseq for m in box.msgs.values() if m.modseq is not None]
        return self.rnd.choice([1, box.high or 1, 1 << 60] + known)

    # -- the steps --

    def step(self):
        s = self.rnd.choice(self.sessions)
        if s.idle_tag:
            verb = "done"
        elif s.box is not None and s.box.dead:
            verb = "dead"
        elif s.box is None:
            verb = self.rnd.choice(["select", "select", "select", "enable", "append", "status", "list",
                                    "create", "delete", "rename", "reconnect", "idle"])
        else:
            verb = self.rnd.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self.steps[verb] = self.steps.get(verb, 0) + 1
        self.current = (s, verb)
        getattr(self, "do_" + verb)(s)
        for other in self.sessions:
            if other.idle_tag:
                self.current = (other, "idle")
                try:
                    other.pump()
                except Bye:
                    if not other.box or not other.box.dead:
                        raise
                    other.connect()

    def do_dead(self, s):
        """The mailbox was deleted under the session: its next command ends it."""
        if self.chance(0.3):
            s.forget()
            return self.do_select(s)
        try:
            s.run("NOOP", want=None)
        except (Bye, ConnectionError):
            return s.connect()
        raise Wrong(f"{s}: the mailbox is deleted, but the session goes on")

    def do_reconnect(self, s):
        s.remember()
        try:
            s.run("LOGOUT", sync=False)
        except Bye:
            pass
        s.connect()

    def do_select(self, s):
        box = self.box()
        params = ""
        if box in s.caches and s.qresync and not box.dead and self.chance(0.7):
            return s.resync(box, not s.uidonly and self.chance(0.5))
        if self.condstore and self.chance(0.2):
            params = " (CONDSTORE)"
        s.select(box, self.chance(0.15), params)

    def do_enable(self, s):
        able = [c for c in ("CONDSTORE", "QRESYNC", "IMAP4rev2", "UIDONLY")
                if c.upper() in self.caps and (c != "UIDONLY" or self.chance(0.2))]
        if not able:
            return
        what = self.rnd.sample(able, self.rnd.randint(1, len(able)))
        ctx = Ctx()
        s.condstore = s.condstore or "CONDSTORE" in what or "QRESYNC" in what
        s.run("ENABLE " + " ".join(what), ctx=ctx)
        said = {a.decode().upper() for a in ctx.one("ENABLED").args}
        for word, name in (("QRESYNC", "qresync"), ("IMAP4REV2", "rev2"), ("UIDONLY", "uidonly")):
            if word in [w.upper() for w in what]:
                if not getattr(s, name):
                    raise Wrong(f"ENABLE {what}: only {said}")

    def do_noop(self, s):
        s.run("CHECK" if not s.rev2 and self.chance(0.2) else "NOOP")

    def do_store(self, s):
        uid = self.by_uid(s)
        text, uids = self.set_of(s, uid)
        flags, op = self.flags(), self.rnd.choice(["", "+", "-", "+", "-"])
        silent = self.chance(0.3)
        since = self.modseq(s.box) if self.condstore and self.chance(0.25) else None
        modifier = f" (UNCHANGEDSINCE {since})" if since is not None else ""
        line = f"{'UID ' if uid else ''}STORE {text}{modifier} {op}FLAGS{'.SILENT' if silent else ''} ({' '.join(flags)})"
        if s.readonly:
            s.run(line, want=("NO",), ctx=Ctx(expunge=uid, uid=uid))
            return
        b, alive = s.box, self.alive(s, uids)
        before = {u: b.msgs[u].flags for u in alive}
        after = {u: self.stored(before[u], op, flags) for u in alive}
        told = dict(s.told)
        if since is not None:
            s.condstore = True
            return self.store_since(s, line, uid, alive, uids, since, after, silent)
        for u in alive:
            b.set_flags(b.msgs[u], after[u])
        loose = {u: [before[u], after[u]] for u in alive} if silent else {}
        for u in uids:                              # their numbers are in use, so they have flags
            if u not in b.msgs:
                b.grave[u].flags = self.stored(b.grave[u].flags, op, flags)
        ctx = Ctx(expunge=uid, asked=uids, loose=loose, uid=uid)
        reply, _ = s.run(line, want=("OK", "NO"), ctx=ctx, sync=False)
        self.only_if_gone(reply, alive, uids)
        for u in alive:
            if silent:
                self.assume(s, u, before[u], after[u], told)
            elif b"FLAGS" not in ctx.items.get(u, ()):
                raise Wrong(f"{line}: no FETCH of UID {u}")
            elif uid and not s.uidonly and b"UID" not in ctx.items[u]:
                raise Wrong(f"{line}: FETCH of UID {u} without UID")
        s.must_know(False)

    @staticmethod
    def stored(old, op, flags):
        f = low(flags)
        return f if op == "" else old | f if op == "+" else old - f

    @staticmethod
    def assume(s, u, before, after, told):
        """SILENT: the client computes the flags itself from what it was told."""
        if u not in s.view or s.told[u] is None:
            return
        if s.told[u] not in (before, after):
            raise Wrong(f"{s}: SILENT hid a change: UID {u} told {s.told[u]}, was {before}, now {after}")
        s.told[u] = after

    @staticmethod
    def only_if_gone(reply, alive, uids):
        if len(alive) == len(uids) and reply.kind != "OK":
            raise Wrong(f"{reply!r}, and no message is gone")
        if reply.kind == "NO" and code_name(reply) not in ("EXPUNGEISSUED", "MODIFIED"):
            raise Wrong(f"{reply!r}: not EXPUNGEISSUED")

    def store_since(self, s, line, uid, alive, uids, since, after, silent):
        b = s.box
        before = {u: b.msgs[u].flags for u in alive}
        above = {u: b.msgs[u].above(since) for u in alive}
        view, changed_above = list(s.view), b.changed_above
        for u in alive:
            if above[u] is not True:
                b.set_flags(b.msgs[u], after[u])
            if above[u] is None:                    # either
                b.msgs[u].floor, b.msgs[u].alts = 0, {b.msgs[u].modseq} - {None}
        loose = {u: [before[u], after[u]] for u in alive}
        loose.update({u: [self.stored(s.told[u] or frozenset(), "+", []), s.told[u]] for u in uids
                      if u not in b.msgs})
        ctx = Ctx(expunge=uid, asked=uids, loose=loose if not silent else True, uid=uid)
        reply, _ = s.run(line, want=("OK", "NO"), ctx=ctx, sync=False)
        failed = set()
        if code_name(reply) == "MODIFIED":
            failed = {n if uid else view[n - 1] for n in parse_set(reply.code[1])}
        self.only_if_gone(reply, alive + list(failed), uids + list(failed))
        for u in alive:
            if (u in failed) != above[u] and above[u] is not None:
                raise Wrong(f"{line}: {reply!r}: UID {u} is{' not' if above[u] else ''} to be stored")
            if u in failed:
                b.msgs[u].flags = before[u]
            elif silent:
                self.assume(s, u, before[u], after[u], {})
            if b"MODSEQ" not in ctx.items.get(u, ()) and u not in failed:
                raise Wrong(f"{line}: no MODSEQ of UID {u}")
        if all(u in failed or before[u] == after[u] for u in alive):
            b.changed_above = changed_above         # nothing was changed after all
        if not failed <= set(uids):
            raise Wrong(f"{line}: {reply!r}: MODIFIED has others")
        s.must_know(False)

    def do_fetch(self, s):
        uid = self.by_uid(s)
        text, uids = self.set_of(s, uid)
        able = ["FLAGS", "FLAGS", "UID", "RFC822.SIZE", "INTERNALDATE", "ENVELOPE",
                "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "BODY[TEXT]"]
        able += [i for c, i in (("CONDSTORE", "MODSEQ"), ("OBJECTID", "EMAILID"), ("OBJECTID", "THREADID"),
                                ("SAVEDATE", "SAVEDATE"), ("PREVIEW", "PREVIEW")) if c in self.caps]
        items = sorted(set(self.rnd.sample(able, self.rnd.randint(1, 3))))
        mod, since, vanished = "", None, False
        if self.condstore and self.chance(0.2):
            since = self.modseq(s.box)
            # the server catches up before it says what vanished, and `*` is the newest then
            vanished = uid and s.qresync and s.in_sync() and self.chance(0.5)
            mod = f" (CHANGEDSINCE {since}{' VANISHED' if vanished else ''})"
        line = f"{'UID ' if uid else ''}FETCH {text} ({' '.join(items)}){mod}"
        b, alive = s.box, self.alive(s, uids)
        must = [u for u in alive if since is None or b.msgs[u].above(since)]
        mustnt = [u for u in alive if since is not None and b.msgs[u].above(since) is False]
        loose = {}
        if "BODY[TEXT]" in items and not s.readonly:
            if len(must) + len(mustnt) < len(alive):
                return                              # what becomes \Seen cannot be known
            for u in must:
                m = b.msgs[u]
                loose[u] = [m.flags, m.flags | {SEEN}]
                if SEEN not in m.flags:
                    b.set_flags(m, m.flags | {SEEN})
        if mod or "MODSEQ" in items:
            s.condstore = True
        ctx = Ctx(expunge=uid, asked=uids, loose=loose, uid=uid, earlier=vanished)
        reply, _ = s.run(line, want=("OK", "NO"), ctx=ctx)
        self.only_if_gone(reply, alive, uids)
        need = [i.replace(".PEEK", "").encode() for i in items]
        need += [b"UID"] if uid and not s.uidonly else []
        need += [b"MODSEQ"] if since is not None else []
        for u in must:
            missing = [i for i in need if i not in ctx.items.get(u, ())]
            if missing:
                raise Wrong(f"{line}: no {missing} of UID {u}")
        for u in mustnt:
            if b"RFC822.SIZE" in need and b"RFC822.SIZE" in ctx.items.get(u, ()):
                raise Wrong(f"{line}: UID {u} did not change since {since}")

    def key(self, s, depth):
        """(text, what it says of a UID: True, False or None for unknown)"""
        r, b = self.rnd, s.box
        kind = r.randrange(13 if depth < 3 else 9)
        if kind < 4:
            f = r.choice(FLAGS)
            word = f"KEYWORD {f}" if f[0] != "\\" else f[1:].upper()
            no = f"UNKEYWORD {f}" if f[0] != "\\" else f"UN{f[1:].upper()}"
            if self.chance(0.5):
                return word, lambda u: f.lower() in b.msgs[u].flags
            return no, lambda u: f.lower() not in b.msgs[u].flags
        if kind == 4:
            return "ALL", lambda u: True
        if kind == 5:
            text, uids = self.set_of(s, True)
            return ("UID " + text if text != "$" else text), lambda u: u in uids
        if kind == 6 and not s.uidonly and s.view:
            text, uids = self.set_of(s, False)
            return text, lambda u: u in uids
        if kind == 7 and b.msgs:
            subject = r.choice(sorted(m.subject for m in b.msgs.values()))[:-1]
            return f"SUBJECT {subject}", lambda u: subject in b.msgs[u].subject
        if kind == 8 and self.condstore:
            value = self.modseq(b)
            s.condstore = True
            return f"MODSEQ {value}", lambda u: True if value <= 1 else b.msgs[u].above(value - 1)
        if kind == 9:
            t, f = self.key(s, depth + 1)
            return f"NOT {t}", lambda u: kleene_not(f(u))
        if kind in (10, 11):
            (t, f), (t2, f2) = self.key(s, depth + 1), self.key(s, depth + 1)
            return f"OR {t} {t2}", lambda u: kleene_not(kleene_and(kleene_not(f(u)), kleene_not(f2(u))))
        (t, f), (t2, f2) = self.key(s, depth + 1), self.key(s, depth + 1)
        return f"({t} {t2})", lambda u: kleene_and(f(u), f2(u))

    def do_search(self, s):
        uid = self.by_uid(s)
        if not s.view:
            return
        text, says = self.key(s, 0)
        b = s.box
        result = {u: says(u) if u in b.msgs else None for u in s.view}
        options = None
        if "ESEARCH" in self.caps and self.chance(0.5):
            able = ["MIN", "MAX", "ALL", "COUNT"] + (["SAVE"] if "SEARCHRES" in self.caps else [])
            options = self.rnd.sample(able, self.rnd.randint(0, len(able)))
        ret = f" RETURN ({' '.join(options)})" if options is not None else ""
        view = list(s.view)
        ctx = Ctx(expunge=uid, uid=uid)
        _, ctx = s.run(f"{'UID ' if uid else ''}SEARCH{ret} {text}", ctx=ctx)
        number = (lambda u: u) if uid else (lambda u: view.index(u) + 1)
        certain = {number(u) for u in view if result[u]}
        possible = {number(u) for u in view if result[u] is not False}
        if options is None and not s.rev2:
            got = [int(a) for r in ctx.others if r.kind == "SEARCH" for a in r.args if isinstance(a, bytes)]
            self.compare(text, got, certain, possible)
            return
        self.check_esearch(s, ctx, text, uid, options or ["ALL"], certain, possible)
        if options and "SAVE" in options:
            self.save(s, options, [u for u in view if result[u]], certain == possible)

    @staticmethod
    def compare(text, got, certain, possible):
        if len(got) != len(set(got)) or not certain <= set(got) <= possible:
            raise Wrong(f"SEARCH {text}: got {got}, must have {sorted(certain)}, may have {sorted(possible)}")

    def check_esearch(self, s, ctx, text, uid, options, certain, possible):
        if options == ["SAVE"]:
            return
        r = ctx.one("ESEARCH")
        args = list(r.args)
        if not isinstance(args[0], list) or args.pop(0)[1].decode() != ctx.tag:
            raise Wrong(f"{r!r}: TAG must be {ctx.tag}")
        if args and args[0] == b"UID":
            args.pop(0)
            if not uid:
                raise Wrong(f"{r!r}: UID was not asked for")
        elif uid:
            raise Wrong(f"{r!r}: no UID")
        data = {args[i].decode(): args[i + 1] for i in range(0, len(args), 2)}
        if "ALL" in options or not options:
            self.compare(text, parse_set(data["ALL"]) if "ALL" in data else [], certain, possible)
        if "COUNT" in options and not len(certain) <= int(data["COUNT"]) <= len(possible):
            raise Wrong(f"{r!r}: COUNT must be {len(certain)}")
        for word, pick in (("MIN", min), ("MAX", max)):
            if word in options and certain == possible:
                want = pick(certain) if certain else None
                if (int(data[word]) if word in data else None) != want:
                    raise Wrong(f"{r!r}: {word} must be {want}")
        if "MODSEQ" in text and self.condstore and certain and "MODSEQ" not in data:
            raise Wrong(f"{r!r}: no MODSEQ")

    def save(self, s, options, found, exact):
        if not exact:
            s.saved = None
            return
        ends = [i for w, i in (("MIN", 0), ("MAX", -1)) if w in options]
        if ends and "ALL" not in options and "COUNT" not in options:
            found = sorted({found[i] for i in ends}) if found else []
        s.saved = [u for u in found if u in s.view]

    def do_expunge(self, s):
        b = s.box
        by_uid = self.chance(0.5)
        if by_uid:
            text, uids = self.set_of(s, True)
            line = f"UID EXPUNGE {text}"
        else:
            uids, line = list(b.msgs), "EXPUNGE"
        if s.readonly:
            s.run(line, want=("NO",))
            return
        for u in self.alive(s, uids):
            if DELETED in b.msgs[u].flags:
                b.remove(u)
        s.run(line)

    def do_copy(self, s, move=False):
        uid = self.by_uid(s)
        text, uids = self.set_of(s, uid)
        verb = "MOVE" if move else "COPY"
        if self.chance(0.05):
            s.run(f"{'UID ' if uid else ''}{verb} {text} NoSuch", want=("NO",))
            return
        dst, b = self.box(), s.box
        line = f"{'UID ' if uid else ''}{verb} {text} {dst.name}"
        alive = self.alive(s, uids)
        if (move and s.readonly) or (not uid and len(alive) != len(uids)):
            s.run(line, want=("NO",))
            return
        copies = [(u, b.msgs[u]) for u in alive]
        first = dst.uidnext
        for i, (u, m) in enumerate(copies):         # UIDs are consecutive in this store
            dst.add(first + i, m.subject, m.size, m.flags, m.ids)
        if move:
            for u in alive:
                b.remove(u)
        reply, ctx = s.run(line)
        self.check_copyuid(reply, ctx, dst, alive, first)

    def check_copyuid(self, reply, ctx, dst, alive, first):
        code = reply.code[1:] if code_name(reply) == "COPYUID" else ctx.code("COPYUID")
        if not alive:
            if code:
                raise Wrong(f"{reply!r}: COPYUID, and nothing was copied")
            return
        dst.learn_validity(int(code[0]))
        if parse_set(code[1]) != alive or parse_set(code[2]) != list(range(first, first + len(alive))):
            raise Wrong(f"COPYUID {code}: expected {alive} to {first}..")

    def do_move(self, s):
        self.do_copy(s, True)

    def mail(self):
        self.serial += 1
        subject = f"m{self.serial:05}"
        text = (f"From: a@example.org\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n\r\n"
                f"text {'x' * self.rnd.randrange(200)}\r\n").encode()
        return subject, text

    def do_append(self, s):
        box = self.box()
        n = self.rnd.randint(2, 4) if "MULTIAPPEND" in self.caps and self.chance(0.3) else 1
        line, texts, first = f"APPEND {box.name}", [], box.uidnext
        for _ in range(n):
            subject, text = self.mail()
            flags = self.flags()
            box.add(box.uidnext, subject, len(text), low(flags))
            line += f" ({' '.join(flags)}) %L"
            texts.append(text)
        reply, _ = s.run(line, *texts)
        if code_name(reply) != "APPENDUID":
            raise Wrong(f"APPEND: {reply!r}")
        box.learn_validity(int(reply.code[1]))
        if parse_set(reply.code[2]) != list(range(first, first + n)):
            raise Wrong(f"APPEND: {reply!r}, expected {first}..")

    def do_status(self, s):
        box = self.box()
        items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"]
        items += ["HIGHESTMODSEQ"] if self.condstore else []
        items += ["SIZE"] if "STATUS=SIZE" in self.caps or "IMAP4REV2" in self.caps else []
        items += ["DELETED"] if "IMAP4REV2" in self.caps else []
        items += ["RECENT"] if not s.rev2 else []
        items = self.rnd.sample(items, self.rnd.randint(1, len(items)))
        if "HIGHESTMODSEQ" in items:
            s.condstore = True
        _, ctx = s.run(f"STATUS {box.name} ({' '.join(items)})")
        r = ctx.one("STATUS")
        got = {r.args[1][i].decode(): int(r.args[1][i + 1]) for i in range(0, len(r.args[1]), 2)}
        if sorted(got) != sorted(items):
            raise Wrong(f"{r!r}: asked for {items}")
        msgs = box.msgs.values()
        want = {"MESSAGES": len(msgs), "UIDNEXT": box.uidnext,
                "UNSEEN": sum(SEEN not in m.flags for m in msgs), "SIZE": sum(m.size for m in msgs),
                "DELETED": sum(DELETED in m.flags for m in msgs)}
        for k, v in want.items():
            if got.get(k, v) != v:
                raise Wrong(f"{r!r}: {k} must be {v}")
        if "UIDVALIDITY" in got:
            box.learn_validity(got["UIDVALIDITY"])
        if "HIGHESTMODSEQ" in got:
            box.learn_high(got["HIGHESTMODSEQ"])

    def do_list(self, s):
        _, ctx = s.run('LIST "" *')
        names = [r.args[2].decode() for r in ctx.others if r.kind == "LIST"]
        if sorted(names) != sorted(set(self.boxes) | self.others | {"INBOX"}):
            raise Wrong(f"LIST: {sorted(names)}, expected {sorted(self.boxes)} and {sorted(self.others)}")

    def do_create(self, s):
        name = self.rnd.choice(NAMES)
        if name in self.boxes:
            s.run(f"CREATE {name}", want=("NO",))
            return
        s.run(f"CREATE {name}")
        box = self.boxes[name] = Box(name)
        st = self.status_of(self.side(), name, "UIDVALIDITY UIDNEXT MESSAGES")
        box.uidvalidity, box.uidnext = st["UIDVALIDITY"], st["UIDNEXT"]
        if st["MESSAGES"] or st["UIDVALIDITY"] <= self.old_validity.get(name, 0):
            raise Wrong(f"CREATE {name}: {st}, UIDVALIDITY was {self.old_validity.get(name)}")

    def side(self):
        if not hasattr(self, "_side"):
            self._side = Wire(self.host, self.port)
            self._side.login(self.user, self.password)
        return self._side

    def do_delete(self, s):
        name = self.rnd.choice(NAMES + ["INBOX"])
        if name not in self.boxes or name == "INBOX":
            s.run(f"DELETE {name}", want=("NO",))
            return
        if self.chance(0.5):
            return                                  # not too often
        box = self.boxes.pop(name)
        self.old_validity[name] = max(box.uidvalidity, self.old_validity.get(name, 0))
        box.dead = True
        s.run(f"DELETE {name}")
        if s.box is box:
            s.forget()

    def do_rename(self, s):
        old, new = self.rnd.sample(NAMES, 2)
        line = f"RENAME {old} {new}"
        if old not in self.boxes or new in self.boxes:
            s.run(line, want=("NO",))
            return
        s.run(line)
        box = self.boxes[new] = self.boxes.pop(old)
        self.old_validity[old] = max(box.uidvalidity, self.old_validity.get(old, 0))
        box.name = new

    def do_close(self, s):
        b = s.box
        if self.chance(0.5):
            if not s.readonly:
                for u in list(b.msgs):
                    if DELETED in b.msgs[u].flags:
                        b.remove(u)
            reply, _ = s.run("CLOSE", ctx=Ctx(expunge=True), sync=False)
            s.forget()
        else:
            s.remember()
            s.run("UNSELECT", sync=False)
            s.forget()

    def do_idle(self, s):
        s.idle_tag = s.w.start("IDLE")
        r = s.w.read()
        ctx = Ctx()
        while r.tag != "+":
            s.untagged(r, ctx)
            r = s.w.read()
        s.pump()

    def do_done(self, s):
        if self.chance(0.3):
            s.done()

    def do_bad(self, s):
        """What must be refused leaves everything as it is."""
        n = len(s.view)
        line = self.rnd.choice([f"FETCH {n + 1} FLAGS", f"STORE {n + 7} +FLAGS (\\Seen)", "FETCH 0 FLAGS",
                                f"COPY {n + 2} INBOX", "UID FETCH 1:x FLAGS", "SEARCH NOSUCHKEY",
                                "STORE 1 FLAGS", "SELECT", f"FETCH 1:{n + 1} FLAGS"])
        if line.startswith("FETCH 1:") and n:
            return
        s.run(line, want=("BAD",))
        if self.chance(0.2):
            s.connect()                             # before there are too many errors

    def check_all(self):
        """At the end: a new session sees exactly what the model has."""
        for s in self.sessions:
            if s.idle_tag:
                s.done()
        last = Session(self, "last")
        self.sessions = [last]
        for box in self.boxes.values():
            last.select(box, True)
            if box.msgs:
                ctx = Ctx(asked=box.msgs)
                last.run("FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])", ctx=ctx)
                if set(ctx.items) != set(box.msgs):
                    raise Wrong(f"{box.name}: {sorted(ctx.items)}, expected {sorted(box.msgs)}")
        self.do_list(last)


WEIGHTS = {
    "noop": 8, "store": 24, "fetch": 18, "search": 14, "expunge": 8, "copy": 7, "move": 6, "append": 14,
    "status": 5, "list": 1, "create": 2, "delete": 1, "rename": 2, "close": 2, "select": 4, "idle": 4,
    "enable": 2, "reconnect": 1, "bad": 2,
}
assert INF
