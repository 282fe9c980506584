"""Runs suites of Redis's Tcl tests, each in a tree of its own, counts their tests and writes the table into ../README.md.

A suite is one file under tests/, such as unit/type/list. skip.txt says what is left out and why, steady.txt which suites continuous integration
runs. Getting the sources and tools is run.sh's task.
"""

import argparse
import collections
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

RESULT = re.compile(r"^\x1b?\[?[0-9;m]*\[(ok|err|exception|skip|ignore|timeout)\]\x1b?\[?[0-9;m]*: (.*)$")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["native", "external"])
    parser.add_argument("suites", nargs="*", help="suites to run; all by default")
    parser.add_argument("--brief", action="store_true", help="the suites of steady.txt, which continuous integration runs")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=int, default=1500, help="seconds that one suite may take")
    parser.add_argument("--no-skip", action="store_true", help="also run what skip.txt leaves out")
    parser.add_argument("--table", action="store_true", help="write the table into README.md, from the last result of each suite (always done when all suites ran)")
    for name in ("tree", "work", "readme", "skip", "steady"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    return parser.parse_intermixed_args()


def all_suites(tree):
    """The suites Redis's runner knows, in its order."""
    helper = (tree / "tests" / "test_helper.tcl").read_text()
    names = re.search(r"set ::all_tests \{(.*?)\}", helper, re.DOTALL).group(1).split()
    return [name for name in names if not name.startswith("unit/moduleapi")]


def lines_of(path):
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


BY_ITSELF = "left out by the suite itself: wants more than 100 MB of data, or another mode"


class Skips:
    """skip.txt: `suite | test name or * | reason` a line; a name between slashes is a regular expression; suite * is every one. In place of a
    test's name an option of Redis's runner may stand, for the whole suite. `run: ` before a test's name has it run, as others build on what it does,
    and counts its failure as skipped; `cut: ` before a line of a suite leaves that line out, where it stands between the tests."""

    def __init__(self, path):
        self.suites, self.tests, self.switches, self.expected, self.cuts = {}, [], {}, [], []
        for line in lines_of(path):
            suite, test, reason = (part.strip() for part in line.split(" | "))
            if test.startswith("--"):
                self.switches.setdefault(suite, []).append((test, reason))
            elif test == "*":
                self.suites[suite] = reason
            elif test.startswith("cut: "):
                self.cuts.append((suite, test.removeprefix("cut: ")))
            elif test.startswith("run: "):
                self.expected.append((suite, test.removeprefix("run: "), reason))
            else:
                self.tests.append((suite, test, reason))

    def whole(self, suite):
        return next((reason for pattern, reason in self.suites.items() if re.fullmatch(pattern.replace("*", ".*"), suite)), None)

    def expected_reasons(self, suite):
        return {reason for owner, _, reason in self.expected if owner in (suite, "*")}

    def options(self, suite):
        return [word for test, _ in self.switches.get(suite, []) for word in test.split()]

    def denial(self, suite, text):
        """The reason why a whole tag is left out, where `text` is what Redis's runner says of that."""
        return next((reason for test, reason in self.switches.get(suite, []) if text.startswith("Tag: ") and test.startswith("--tags")), None)

    def names(self, suite):
        # Redis's runner takes all behind the first slash as the expression.
        return [f"/{test.strip('/')}" if test.startswith("/") else test for owner, test, _ in self.tests if owner in (suite, "*")]

    def reason(self, suite, name):
        for owner, test, reason in self.tests + self.expected:
            if owner in (suite, "*") and (test == name or (test.startswith("/") and re.search(test.strip("/"), name))):
                return reason
        return None


class Trees:
    """A copy of the sources for each job, with links to the binaries where the suite expects its own."""

    def __init__(self, chosen):
        self.chosen, self.free, self.lock, self.made = chosen, [], threading.Lock(), 0

    def take(self):
        with self.lock:
            if self.free:
                return self.free.pop()
            self.made += 1
            number = self.made
        tree = self.chosen.work / f"job-{number}"
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(self.chosen.tree, tree, ignore=shutil.ignore_patterns("deps", "*.c", "*.h"), symlinks=True)
        (tree / "src").mkdir(exist_ok=True)
        (tree / "tests" / "tmp").mkdir(exist_ok=True)
        server = os.path.realpath(os.environ["RUNNEL_SERVER"])
        targets = {"redis-server": server, "redis-check-rdb": server, "redis-check-aof": server, "redis-sentinel": server,
                   "redis-cli": os.environ["REDIS_CLI"], "redis-benchmark": os.environ["REDIS_BENCHMARK"]}
        for name, target in targets.items():
            link = tree / "src" / name
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        return number, tree

    def give(self, taken):
        with self.lock:
            self.free.append(taken)


def run_suite(chosen, trees, skips, suite):
    """{passed, failed: [names], skipped: [(name, reason)], seconds} of one suite."""
    reason = None if chosen.no_skip else skips.whole(suite)
    if reason:
        tests = re.findall(r"^\s*test\s+[{\"](.*?)[}\"]", (chosen.tree / "tests" / f"{suite}.tcl").read_text(), re.MULTILINE)
        return {"passed": 0, "failed": [], "skipped": [(name, reason) for name in tests], "seconds": 0}
    number, tree = taken = trees.take()
    began = time.monotonic()
    try:
        cut = [line for owner, line in skips.cuts if owner == suite and not chosen.no_skip]
        text = (chosen.tree / "tests" / f"{suite}.tcl").read_bytes()
        kept = [line for line in text.splitlines(keepends=True) if line.strip().decode(errors="replace") not in cut]
        (tree / "tests" / f"{suite}.tcl").write_bytes(b"".join(kept))
        skip_file = tree / "skip-tests"
        skip_file.write_text("" if chosen.no_skip else "".join(name + "\n" for name in skips.names(suite)))
        command = ["tclsh", "tests/test_helper.tcl", "--single", suite, "--clients", "1", "--durable", *skips.options(suite), "--skipfile", str(skip_file), "--baseport", str(20000 + number * 3000), "--portcount", "2500"]
        external = Running(chosen) if chosen.mode == "external" else None
        if external:
            command += ["--host", "127.0.0.1", "--port", str(external.port)]
        log = chosen.work / "logs" / (suite.replace("/", "-") + ".log")
        log.parent.mkdir(exist_ok=True)
        with open(log, "wb") as out:
            status = finished(command, tree, out, chosen.limit)
        if external:
            external.stop()
        return {**counted(log.read_text(errors="replace"), status, skips, suite), "seconds": time.monotonic() - began}
    finally:
        trees.give(taken)


RUNNING = set()


def finished(command, tree, out, limit):
    """The suite's status. It has a process group of its own, so that its servers end with it."""
    process = subprocess.Popen(command, cwd=tree, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
    RUNNING.add(process.pid)
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"killed after {limit} s"
    finally:
        RUNNING.discard(process.pid)


def interrupted(_signal, _frame):
    for group in list(RUNNING):
        os.killpg(group, signal.SIGKILL)
    os._exit(1)


def counted(text, status, skips, suite):
    passed, failed, skipped = 0, [], []
    for line in COLOURS.sub("", text).splitlines():
        match = RESULT.match(line)
        if not match:
            continue
        kind, name = match.groups()
        name = re.sub(r" \(\d+ ms\)$", "", name)
        if kind == "ok":
            passed += 1
        elif kind in ("skip", "ignore"):
            # A test's name may have a colon in it, and the runner's own remark comes behind another.
            plain = re.sub(r": .*$", "", name) if kind == "skip" else name
            reason = skips.reason(suite, name) or skips.reason(suite, plain) or skips.denial(suite, plain)
            skipped.append((plain, reason or BY_ITSELF))
        else:
            name = re.sub(r" in tests/\S+\.tcl$", "", name)
            reason = skips.reason(suite, name)
            skipped.append((name, reason)) if reason else failed.append(name)
    if status != 0 and not failed and not any(reason in skips.expected_reasons(suite) for _, reason in skipped):
        failed.append(f"the suite ended with status {status}: {' / '.join(text.strip().splitlines()[-3:])}")
    return {"passed": passed, "failed": failed, "skipped": skipped}


class Running:
    """The server of external mode."""

    def __init__(self, chosen):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        folder = tempfile.mkdtemp(dir=chosen.work)
        self.folder = folder
        command = [os.environ["RUNNEL_SERVER"], "--port", str(self.port), "--save", "", "--dir", folder, "--enable-debug-command", "yes", "--enable-protected-configs", "yes"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(250):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- the table ----------------------------------------------------------------------------------------------------------------------

BEGIN, END = "<!-- results of `run.sh tcl` begin -->", "<!-- results of `run.sh tcl` end -->"


def table(mode, results, skips):
    lines = [BEGIN, "", f"Redis 7.0.15's suite in {mode} mode, {datetime.date.today().isoformat()}, `{version()}`:", "",
             "| suite | passed | skipped | failed | why skipped |", "|---|---:|---:|---:|---|"]
    for suite, result in results.items():
        counts = collections.Counter(reason for _, reason in result["skipped"])
        reasons = [f"{reason} ({count})" for reason, count in counts.most_common()]
        reasons += [f"run with {option}: {reason}" for option, reason in skips.switches.get(suite, [])]
        lines.append(f"| {suite} | {result['passed']} | {len(result['skipped'])} | {len(result['failed'])} | {'; '.join(reasons)} |")
    whole = {suite: result for suite, result in results.items() if skips.whole(suite)}
    run = {suite: result for suite, result in results.items() if suite not in whole}
    lines.append(sums("suites that are run", run))
    lines.append(sums("suites left out whole", whole))
    return "\n".join(lines + ["", END])


def sums(title, results):
    passed, skipped, failed = (sum(count) for count in ((result["passed"] for result in results.values()),
                               (len(result["skipped"]) for result in results.values()), (len(result["failed"]) for result in results.values())))
    share = f"{100 * skipped / max(1, passed + skipped + failed):.1f} % skipped"
    return f"| **{title}** | {passed} | {skipped} | {failed} | {share} |"


def version():
    shown = subprocess.run([os.environ["RUNNEL_SERVER"], "--version"], capture_output=True, text=True)
    return shown.stdout.strip().split(" sha=")[0]


def keep(chosen, results):
    """The last result of every suite, with these."""
    path = chosen.work / f"results-{chosen.mode}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept.update(results)
    path.write_text(json.dumps(kept))
    return kept


def write_table(readme, text):
    old = readme.read_text()
    begin, end = old.index(BEGIN), old.index(END) + len(END)
    readme.write_text(old[:begin] + text + old[end:])


def main():
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    chosen = options()
    known = all_suites(chosen.tree)
    suites = chosen.suites or (lines_of(chosen.steady) if chosen.brief else known)
    unknown = [suite for suite in suites if suite not in known]
    if unknown:
        sys.exit(f"no such suite: {' '.join(unknown)}\nthere are: {' '.join(known)}")
    skips, trees, results = Skips(chosen.skip), Trees(chosen), {}
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        futures = {pool.submit(run_suite, chosen, trees, skips, suite): suite for suite in suites}
        for future in concurrent.futures.as_completed(futures):
            suite, result = futures[future], future.result()
            results[suite] = result
            print(f"{suite}: {result['passed']} passed, {len(result['skipped'])} skipped, {len(result['failed'])} failed, {result['seconds']:.0f} s", flush=True)
            for name in result["failed"]:
                print(f"    failed: {name}", flush=True)
    results = {suite: results[suite] for suite in suites}
    kept = keep(chosen, results)
    if chosen.table or not (chosen.suites or chosen.brief):
        write_table(chosen.readme, table(chosen.mode, {suite: kept[suite] for suite in known if suite in kept}, skips))
    passed, failed = sum(result["passed"] for result in results.values()), sum(len(result["failed"]) for result in results.values())
    print(f"tcl {chosen.mode}: {passed} passed, {sum(len(result['skipped']) for result in results.values())} skipped, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
