"""`run.sh differential`: which of the five parts to run, on which servers, how much of each."""

import argparse
import os
import pathlib
import sys

import blocking
import data
import protocol
import stream
import transcripts
import units
from pair import Pair

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRST_GROUPS = ["string", "keys", "list", "pubsub", "transactions", "connection", "server"]

EVERY_GROUP = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("grammar/*.txt"))


def options(argv):
    parser = argparse.ArgumentParser(prog="run.sh differential", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=["all", "transcripts", "random", "blocking", "protocol", "data"])
    parser.add_argument("paths", nargs="*", help="transcripts to replay (default: tests/transcripts/*.txt)")
    parser.add_argument("--ours", default=os.environ.get("RUNNEL_SERVER"), help="the server under test")
    parser.add_argument("--oracle", default=os.environ.get("ORACLE_SERVER"), help="the real server")
    parser.add_argument("--group", default=",".join(FIRST_GROUPS), help="command groups, comma separated, run together in one stream; `each` runs every group alone")
    parser.add_argument("--count", type=int, default=100_000, help="random commands in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resp", type=int, default=0, choices=[0, 2, 3], help="protocol; 0: half of the commands in each")
    parser.add_argument("--failures", type=int, default=10, help="stop a stream after so many distinct failures")
    parser.add_argument("--notified", type=float, default=0.0, metavar="SHARE", help="share of the units whose keyspace events are compared too, 0 to 1")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the oracle's replies into the transcripts")
    return parser.parse_args(argv)


def random_streams(chosen):
    sets = [[group] for group in EVERY_GROUP] if chosen.group == "each" else [chosen.group.split(",")]
    failed = 0
    for groups in sets:
        for resp in [chosen.resp] if chosen.resp else [2, 3]:
            count = chosen.count // len(sets) // (1 if chosen.resp else 2)
            failed += stream.run(chosen.oracle, chosen.ours, groups, count, chosen.seed, resp, chosen.failures, chosen.workers)
    return failed


def with_pair(chosen, work):
    pair = Pair(chosen.oracle, chosen.ours, chosen.resp or 2)
    try:
        return work(pair)
    finally:
        pair.close()


def main():
    chosen = options(sys.argv[1:])
    units.NOTIFIED_SHARE = chosen.notified
    groups = EVERY_GROUP if chosen.group == "each" else chosen.group.split(",")
    parts = {
        "transcripts": lambda: with_pair(chosen, lambda pair: transcripts.run(pair, ROOT, chosen.paths, chosen.write)),
        "protocol": lambda: with_pair(chosen, lambda pair: protocol.run(pair, chosen.count // 50, chosen.seed, chosen.failures)),
        "blocking": lambda: with_pair(chosen, lambda pair: blocking.run(pair, groups, chosen.count // 1000, chosen.seed, chosen.failures)),
        "data": lambda: data.run(chosen.ours, {"8.2.3": chosen.oracle, "7.0.15": os.environ.get("ORACLE_SERVER_7"), "valkey-9.1.2": os.environ.get("ORACLE_VALKEY_9")}),
        "random": lambda: random_streams(chosen),
    }
    failed = sum(parts[name]() for name in (parts if chosen.part == "all" else [chosen.part]))
    print(f"differential: {'clean' if not failed else f'{failed} failures'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
