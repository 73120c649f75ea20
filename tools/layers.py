#!/usr/bin/python3
"""The include rule: which layer may see which.

Reads every #include "layer/name.h" under src/ and refuses what points up or
across: a layer sees itself and what ALLOWED names. kv.h is for the store and
the directory only (protocols go through their doors); tests and fuzzers may
name an engine to run on. Prints one line for each offence; exit 1 if there is
one.
"""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parents[1] / "src"
PROTOCOLS = {"smtp", "pop3", "imap"}
FLOOR = {"base", "co", "io"}
ALLOWED = {
    "base": set(),
    "co": {"base"},
    "io": {"base", "co"},
    "mime": FLOOR,
    "kv": FLOOR,
    "trace": FLOOR | {"kv"},
    "line": FLOOR,
    "store": FLOOR | {"mime", "kv"},
    "auth": FLOOR | {"mime", "kv", "store"},
    "trust": FLOOR | {"mime"},
    "tally": FLOOR | {"mime", "kv", "trust"},
    "srv": None,  # sees all but cli
    "cli": None,
}
for protocol in PROTOCOLS:
    ALLOWED[protocol] = FLOOR | {"mime", "line", "store", "auth", "trust", "trace", "tally"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def offence(layer, target, name):
    if target == name:
        return "include it as layer/name.h"
    if layer not in ALLOWED:
        return "unknown layer: name it in tools/layers.py"
    if target == layer:
        return None
    allowed = ALLOWED[layer]
    if allowed is None:
        return "only cli may see cli" if target == "cli" else None
    return None if target in allowed else f"{layer} may not see {target}"


def main():
    bad = checked = 0
    for path in sorted(SRC.rglob("*.[ch]")):
        layer = path.relative_to(SRC).parts[0]
        test = path.stem.endswith(("_test", "_fuzz")) or path.stem.startswith("test_")
        for name in INCLUDE.findall(path.read_text()):
            target = name.split("/")[0]
            if test and target == "kv" and layer in PROTOCOLS:
                continue
            why = offence(layer, target, name)
            checked += 1
            if why:
                bad += 1
                print(f"{path.relative_to(SRC.parent)}: \"{name}\": {why}")
    print(f"{checked} includes checked, {bad} against the rule")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
