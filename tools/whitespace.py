#!/usr/bin/python3
"""No trailing white space, no CRLF, a newline at the end.

Looks at every file git knows or would add, except where such bytes are the
matter itself: transcripts and corpora.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXCEPT = ("test/script/", "test/corpus/")


def complaints(data):
    if b"\0" in data:
        return
    if data and not data.endswith(b"\n"):
        yield "no newline at the end"
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.endswith(b"\r"):
            yield f"line {number}: CRLF"
        elif line.endswith((b" ", b"\t")):
            yield f"line {number}: trailing white space"


def main():
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    bad = 0
    for name in filter(None, names):
        path = ROOT / name
        if name.startswith(EXCEPT) or not path.is_file():
            continue
        for what in complaints(path.read_bytes()):
            print(f"{name}: {what}")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
