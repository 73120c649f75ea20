#!/usr/bin/python3
"""The public test suites of RFC 8617, for arc_suite_test.

usage: arc_suite.py PROGRAM SUITE.yml...

Messages go with CRLF, as hex. suite.py has the rest.
"""
import sys

import suite


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


def document(d):
    return {"description": d["description"],
            "txt": {k: v.replace("\n", "") for k, v in d["txt-records"].items()},
            "domain": d.get("domain", ""), "sel": d.get("sel", ""),
            "key": d.get("privatekey", ""),
            "cases": [case(k, t) for k, t in d["tests"].items()]}


if __name__ == "__main__":
    sys.exit(suite.run(document))
