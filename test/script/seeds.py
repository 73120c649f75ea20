"""Seeds for the fuzzer of IMAP sessions: what the clients of all transcripts say.

`seeds.py TRANSCRIPTS CORPUS` writes two files for each: the session from its
greeting, and what follows the login, in a mailbox with messages (see
src/imap/session_fuzz.c). Run by `./dev fuzz`; nothing of it is kept.
"""
import pathlib
import re
import sys

SEED_MAX = 3000
NAMES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"s": b" "}


def plain(m):
    """One escape of a C line; README.md has them. What repeats is said once."""
    what = m.group(1)
    if what[:1] == b"x":
        return bytes([int(what[1:], 16)])
    return NAMES.get(what, b"\\")


def said(transcript):
    """All that the client says, as the fuzzer's account says it."""
    out = b""
    for line in transcript.split(b"\n"):
        m = re.match(rb"C(?:x\d+)?\|?(\+?): ?(.*)$", line)
        if m:
            out += re.sub(rb"\\([rnt0s\\]|x[0-9a-fA-F]{2})", plain, m.group(2)) + (b"" if m.group(1) else b"\r\n")
    return out.replace(b"alice@example.test", b"fay@example.test").replace(b"wonderland", b"pw")[:SEED_MAX]


def main(transcripts, corpus):
    for f in sorted(pathlib.Path(transcripts).glob("*.txt")):
        text = said(f.read_bytes())
        (pathlib.Path(corpus) / f"{f.stem}-0").write_bytes(b"\x00" + text)
        after = re.sub(rb"^\S+ LOGIN .*\r\n", b"", text, flags=re.M)
        (pathlib.Path(corpus) / f"{f.stem}-2").write_bytes(b"\x02" + after)


if __name__ == "__main__":
    main(*sys.argv[1:])
