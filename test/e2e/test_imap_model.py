"""Several sessions of one account against a reference model.

Random commands, one at a time, and every response line is held against what
the model allows or demands (imap_model.py, imap_driver.py). Each seed is
printed; by default the same few are played, so that a failure is a change of
ours. POSTRIDER_MODEL_SEED=n runs that one alone, POSTRIDER_MODEL_SECONDS=n goes
on with new seeds for that long.
"""
import os
import time

import pytest

from conftest import ALICE
from imap_driver import Driver
from imap_model import Bye
from imap_wire import Wrong

SECONDS = os.environ.get("POSTRIDER_MODEL_SECONDS")
SEED = os.environ.get("POSTRIDER_MODEL_SEED")
SEEDS = range(1, 11)
STEPS = 1200


def new_seeds(seconds):
    end = time.monotonic() + seconds
    seed = int(time.time()) % 100000
    while time.monotonic() < end:
        seed += 1
        yield seed


def play(server, seed):
    d = Driver(server, ALICE, seed, 3 + seed % 3)
    try:
        for i in range(STEPS):
            d.step()
        d.check_all()
    except (Wrong, Bye, ConnectionError, TimeoutError) as e:
        s, verb = d.current
        talk = "\n".join(f"{way}: {data.decode(errors='replace')}" for way, data in s.w.log[-40:])
        pytest.fail(f"seed {seed} step {sum(d.steps.values())}: {verb} of {s}\n{e}\n{talk}", pytrace=False)
    finally:
        for s in d.sessions:
            s.w.close()
    return sum(d.steps.values())


def test_model(server):
    seeds = [int(SEED)] if SEED else new_seeds(float(SECONDS)) if SECONDS else SEEDS
    total = 0
    for seed in seeds:
        print(f"seed {seed}", flush=True)
        total += play(server, seed)
    print(f"{total} steps")
    assert total >= STEPS
