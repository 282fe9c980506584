"""`run.sh differential`: which of the five parts to run, on which servers, how much of each."""

import argparse
import os
import sys

import stream

ISSUE_GROUPS = ["string", "keys", "list", "pubsub", "transactions", "connection", "server"]


def options(argv):
    parser = argparse.ArgumentParser(prog="run.sh differential", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=["all", "transcripts", "random", "blocking", "protocol", "data"])
    parser.add_argument("paths", nargs="*", help="transcripts to replay (default: tests/transcripts/*.txt)")
    parser.add_argument("--ours", default=os.environ.get("RUNNEL_SERVER"), help="the server under test")
    parser.add_argument("--oracle", default=os.environ.get("ORACLE_SERVER"), help="the real server")
    parser.add_argument("--group", default=",".join(ISSUE_GROUPS), help="command groups, comma separated, run together in one stream; `each` runs every group alone")
    parser.add_argument("--count", type=int, default=100_000, help="random commands in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resp", type=int, default=0, choices=[0, 2, 3], help="protocol; 0: half of the commands in each")
    parser.add_argument("--failures", type=int, default=10, help="stop a stream after so many distinct failures")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args(argv)


def random_streams(chosen):
    failed = 0
    for resp in [chosen.resp] if chosen.resp else [2, 3]:
        count = chosen.count if chosen.resp else chosen.count // 2
        failed += stream.run(chosen.oracle, chosen.ours, chosen.group.split(","), count, chosen.seed, resp, chosen.failures, chosen.workers)
    return failed


def main():
    chosen = options(sys.argv[1:])
    failed = 0
    if chosen.part in ("all", "random"):
        failed += random_streams(chosen)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
