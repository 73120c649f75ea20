"""What the public test suites beside the checkout have in common."""
import json
import os
import subprocess
import sys
import tempfile

import yaml


def run(document):
    """argv: PROGRAM SUITE.yml... Makes JSON of the first suite that exists, document() of each
    of its documents, and runs the program on it. Where there is none the test is skipped; in
    the CI, which always has it, that is a failure."""
    program, *suites = sys.argv[1:]
    path = next((s for s in suites if os.path.exists(s)), None)
    if not path:
        print("the suite is not here:", *suites)
        return 1 if os.environ.get("CI") else 77
    with open(path, encoding="utf-8") as f:
        documents = [document(d) for d in yaml.safe_load_all(f)]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
        json.dump(documents, out)
        out.flush()
        return subprocess.run([program, out.name], check=False).returncode
