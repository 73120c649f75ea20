#!/usr/bin/python3
"""Counts test cases: prints "PASSED FAILED" for one run.

  tally.py meson build/x/meson-logs/testlog.json
  tally.py pytest LOG

A cmocka program counts its cases, a transcript runner the transcripts it
names, any other meson test one. A test that failed counts one failure at
least, so a crash before the summary is never lost. What failed or was skipped
is listed on stderr.
"""
import json
import pathlib
import re
import sys

CMOCKA_OK = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
CMOCKA_BAD = re.compile(r"^\[  FAILED  \] (\d+) test", re.M)
TRANSCRIPTS = re.compile(r"^transcripts: (\d+) passed, (\d+) failed", re.M)
GOOD = {"OK", "EXPECTEDFAIL"}


def count(pattern, text):
    return sum(int(n) for n in pattern.findall(text))


def one_test(test):
    text = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
    passed = count(CMOCKA_OK, text)
    failed = count(CMOCKA_BAD, text)
    for ok, bad in TRANSCRIPTS.findall(text):
        passed += int(ok)
        failed += int(bad)
    if test["result"] in GOOD and not failed:
        return max(passed, 1), 0
    return passed, max(failed, 1)


def meson(path):
    passed = failed = 0
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        test = json.loads(line)
        if test["result"] == "SKIP":
            print(f"skipped: {test['name']}", file=sys.stderr)
            continue
        ok, bad = one_test(test)
        passed += ok
        failed += bad
        if bad:
            print(f"failed: {test['name']}: {test['result']}", file=sys.stderr)
    return passed, failed


def pytest(path):
    text = pathlib.Path(path).read_text(errors="replace")
    ends = re.findall(r"^=* ?(.*(?:passed|failed|error|skipped).* in [0-9.:]+s.*)$", text, re.M)
    if not ends:
        return 0, 1
    found = dict((word, int(n)) for n, word in
                 re.findall(r"(\d+) (passed|failed|error|skipped)", ends[-1]))
    for line in re.findall(r"^(?:SKIPPED|FAILED|ERROR) .*$", text, re.M):
        print(line, file=sys.stderr)
    return found.get("passed", 0), found.get("failed", 0) + found.get("error", 0)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("meson", "pytest"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        passed, failed = {"meson": meson, "pytest": pytest}[sys.argv[1]](sys.argv[2])
    except (OSError, ValueError) as e:
        print(f"failed: no readable log: {e}", file=sys.stderr)
        passed, failed = 0, 1
    print(passed, failed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
