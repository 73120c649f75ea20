#!/usr/bin/python3
"""The public test suites of RFC 8617, for arc_suite_test.

usage: arc_suite.py PROGRAM SUITE.yml...

Turns the first suite that exists into JSON (messages with CRLF, as hex) and
runs the program on it. Where there is none the test is skipped; in the CI,
which always has it, that is a failure.
"""
import json
import os
import subprocess
import sys
import tempfile

import yaml


def octets(text):
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode().hex()


def case(key, t):
    out = {"name": key, "message": octets(t["message"])}
    if "cv" in t:
        # Nothing: a chain that was ended by cv=fail.
        out["cv"] = (t["cv"] or "Fail").lower()
    else:
        for k in ("AS", "AMS", "AAR", "sig-headers", "srv-id"):
            out[k] = t[k] or ""
        out["t"] = int(t["t"])
    return out


def convert(path):
    with open(path, encoding="utf-8") as f:
        return [{"description": d["description"],
                 "txt": {k: v.replace("\n", "") for k, v in d["txt-records"].items()},
                 "domain": d.get("domain", ""), "sel": d.get("sel", ""),
                 "key": d.get("privatekey", ""),
                 "cases": [case(k, t) for k, t in d["tests"].items()]}
                for d in yaml.safe_load_all(f)]


def main():
    program, *suites = sys.argv[1:]
    path = next((s for s in suites if os.path.exists(s)), None)
    if not path:
        print("the suite is not here:", *suites)
        return 1 if os.environ.get("CI") else 77
    with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
        json.dump(convert(path), out)
        out.flush()
        return subprocess.run([program, out.name], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
