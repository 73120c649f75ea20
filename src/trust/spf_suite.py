#!/usr/bin/python3
"""The public test suite of RFC 7208, for spf_suite_test.

usage: spf_suite.py PROGRAM SUITE.yml...

Records go in wire form, so that they are made by other code than ours. suite.py
has the rest.

What the suite's authors meant: a name with TIMEOUT does not answer questions
for types that are not listed before; SPF records are TXT records, too, unless
the name has TXT of its own ("TXT: NONE" for none).
"""
import ipaddress
import sys

import suite

TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}


def octets(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def name(text):
    out = b""
    for label in octets(text).rstrip(b".").split(b"."):
        if label:
            out += bytes([min(len(label), 255)]) + label
    return out + b"\0"


def txt(value):
    parts = value if isinstance(value, list) else [value]
    out = b""
    for part in map(octets, parts):
        for at in range(0, max(len(part), 1), 255):
            piece = part[at:at + 255]
            out += bytes([len(piece)]) + piece
    return out


def rdata(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "MX":
        return int(value[0]).to_bytes(2, "big") + name(value[1])
    if kind == "TXT":
        return txt(value)
    return name(value)


def with_txt(records):
    """SPF copied to TXT, NONE and the type SPF left out."""
    pairs = [next(iter(r.items())) if isinstance(r, dict) else r for r in records]
    own = any(p[0] == "TXT" for p in pairs if isinstance(p, tuple))
    out = []
    for p in pairs:
        if isinstance(p, tuple) and p[0] == "SPF":
            if own:
                continue
            p = ("TXT", p[1])
        if isinstance(p, tuple) and p[1] == "NONE":
            continue
        out.append(p)
    return out


def zone(data):
    rows = []
    for owner, records in data.items():
        seen = set()
        for r in with_txt(records):
            if r == "TIMEOUT":
                rows += [{"name": owner, "type": t, "fail": True}
                         for k, t in TYPES.items() if k not in seen]
                break
            kind, value = r
            seen.add(kind)
            rows.append({"name": owner, "type": TYPES[kind], "rdata": rdata(kind, value).hex()})
    return rows


def case(key, t):
    results = t["result"] if isinstance(t["result"], list) else [t["result"]]
    out = {"name": key, "results": results}
    for k in ("helo", "host", "mailfrom", "explanation"):
        out[k] = t.get(k) if k == "explanation" else str(t[k])
    return out


def document(d):
    return {"description": d["description"], "zone": zone(d["zonedata"]),
            "cases": [case(k, t) for k, t in d["tests"].items()]}


if __name__ == "__main__":
    sys.exit(suite.run(document))
