"""Random streams: seeds to units to both servers, failures gathered by signature, two processes at most.

A worker has its own pair of servers and runs datasets of a thousand units or so, one after the other, each on emptied servers and with a seed of its own, so that
any of them can be repeated alone (`--seed S --count 1`). What differs is shrunk there and then.
"""

import multiprocessing
import random
import time
import traceback

from grammar import Grammar
from pair import Diverged, OracleDied, Pair
from shrink import shrunk, transcript
from units import RIVAL, Units, believable

UNITS_PER_DATASET = 1000
SHRINKS_PER_SIGNATURE = 1


class Work:
    """What one worker is to do."""

    def __init__(self, oracle, ours, groups, count, seed, resp, failures_max):
        self.oracle, self.ours, self.groups, self.count = oracle, ours, groups, count
        self.seed, self.resp, self.failures_max = seed, resp, failures_max


def stream_of(groups, seed, pair):
    """The units of one dataset, a function of seed and groups alone."""
    rng = random.Random(f"{seed}")
    grammar = Grammar(groups, pair.available, rng, damage=rng.choice([0.0, 0.03, 0.06, 0.15]))
    units = Units(grammar, groups, pair.available, pair.defaults, pair.resp)
    stream = [units.threshold() for _ in range(rng.randrange(5))] + [units.next() for _ in range(UNITS_PER_DATASET)]
    if "stream" in groups:
        stream = believable(stream, rng.random() < 0.5)
    return stream, grammar


def work(job, results):
    """Runs a worker's share and reports ("failure", …) and at last ("done", …)."""
    pair = None
    try:
        pair = Pair(job.oracle, job.ours, job.resp)
        pair.unmarked = {RIVAL} if "acl" in job.groups else set()
        commands, datasets, oracle_deaths, signatures, missing, seed = 0, 0, 0, {}, set(), job.seed
        while commands < job.count and len(signatures) < job.failures_max:
            units, grammar = stream_of(job.groups, seed, pair)
            missing |= grammar.missing
            try:
                mismatch = pair.run(units)
            except Diverged as end:
                mismatch = None
                if isinstance(end, OracleDied):
                    oracle_deaths += 1
                    print(f"(seed {seed}, resp {job.resp}: {end})", flush=True)
            if mismatch:
                report(pair, units, mismatch, seed, signatures, results)
            commands += sum(len(unit) for unit in units)
            datasets += 1
            seed += 1
        results.put(("done", {"commands": commands, "datasets": datasets, "oracle deaths": oracle_deaths, "failures": sum(signatures.values()), "signatures": len(signatures),
                              "missing": sorted(missing), "differences": pair.differences.used}))
    except Exception:
        results.put(("error", traceback.format_exc()))
    finally:
        if pair:
            pair.close()


def report(pair, units, mismatch, seed, signatures, results):
    signature = mismatch.signature()
    signatures[signature] = signatures.get(signature, 0) + 1
    if signatures[signature] > SHRINKS_PER_SIGNATURE:
        return
    small, found = shrunk(pair, units, mismatch)
    if small is None:
        text = "# did not fail again when replayed; as seen:\n# " + found.text().replace("\n", "\n# ")
    else:
        text = transcript(pair, small, found)
    results.put(("failure", {"signature": signature, "seed": seed, "text": text}))


def run(oracle, ours, groups, count, seed, resp, failures_max, workers):
    """Runs `count` commands over the groups; prints failures as they come; the number of distinct ones."""
    began = time.monotonic()
    results = multiprocessing.Queue()
    share = -(-count // workers)
    jobs = [Work(oracle, ours, groups, share, seed + at * 1_000_000, resp, failures_max) for at in range(workers)]
    processes = [multiprocessing.Process(target=work, args=(job, results)) for job in jobs]
    for process in processes:
        process.start()
    seen, totals, running, broken = {}, {"commands": 0, "datasets": 0, "failures": 0, "oracle deaths": 0}, workers, 0
    missing, differences = set(), {}
    while running:
        kind, body = results.get()
        if kind == "failure" and body["signature"] not in seen:
            seen[body["signature"]] = body
            print(f"\n--- differs (seed {body['seed']}, groups {','.join(groups)}, resp {resp})\n{body['text']}", flush=True)
        elif kind == "error":
            print(body, flush=True)
            broken, running = broken + 1, running - 1
        elif kind == "done":
            running -= 1
            for name in totals:
                totals[name] += body[name]
            missing |= set(body["missing"])
            for name, times in body["differences"].items():
                differences[name] = differences.get(name, 0) + times
    for process in processes:
        process.join()
    seconds = time.monotonic() - began
    print(f"\n{totals['commands']} commands in {totals['datasets']} datasets, {seconds:.1f} s, {totals['commands'] / seconds:.0f}/s, groups {','.join(groups)}, "
          f"resp {resp}, seed {seed}: {totals['failures']} datasets differ in {len(seen)} ways")
    if totals["oracle deaths"]:
        print(f"  the oracle itself crashed or hung in {totals['oracle deaths']} datasets")
        broken += totals["oracle deaths"] * 10 > totals["datasets"]
    for name in sorted(differences):
        print(f"  named difference {name}: {differences[name]} times")
    if missing:
        print(f"  not run, absent on one side: {' '.join(sorted(missing))}")
    return len(seen) + broken
