"""Dialogues from tests/transcripts/*.txt, said to both servers: same bytes from both, and the oracle says what the transcript says.

    # a comment; `# resp 3` speaks RESP3 from here on, `# wait 0.01` pauses, `# new` begins on empty datasets with new connections
    > RPUSH list a b            a command of the only client, in redis-cli's quoting
    (integer) 2                 its reply as redis-cli prints it
    a> BLPOP queue 0            commands of several clients; no reply lines: none has come yet
    b> RPUSH queue job
    (integer) 1
    a>                          nothing sent: what has come for `a` since
    1) "queue"
    2) "job"

Each file begins on empty datasets. Named differences (differences.toml) and the rules of compare.py hold here too.
"""

import pathlib
import re
import time

from compare import rule_of, same
from pair import Diverged
from servers import Connection, Dead, drain, exchange, replies_done
from wire import Truncated, encode, quote, show, split, words

LINE = re.compile(r"^([a-z]*)>(?: (.*))?$")
LATE_SECONDS = 0.03


def entries(text):
    """(line number, client, arguments or None, reply lines) or (line number, directive, words)."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = LINE.match(line)
        if match:
            found.append([number, match.group(1), words(match.group(2)) if match.group(2) else None, []])
        elif line.startswith("# ours:"):
            continue
        elif re.match(r"# (resp|wait|new)\b", line):
            found.append([number, "#", line[2:].split(), []])
        elif line and not line.startswith("#") and found:
            found[-1][3].append(line)
    return found


class Dialogue:
    def __init__(self, pair):
        self.pair, self.clients, self.resp = pair, {}, 2
        self.begin()

    def begin(self):
        self.close()
        self.pair.reset()

    def close(self):
        for clients in self.clients.values():
            for client in clients:
                client.close()
        self.clients = {}

    def client(self, name):
        if name not in self.clients:
            self.clients[name] = [Connection(server) for server in self.pair.servers]
            for client in self.clients[name]:
                if self.resp == 3:
                    client.ask("HELLO", "3")
        return self.clients[name]

    def say(self, name, args, expected):
        """(the oracle's replies, ours) to one line."""
        both = self.client(name)
        for client in both:
            client.send(encode(args) if args else b"")
        exchange(both, [something if expected else anything] * 2, 5.0)
        for client in both:
            gather(client, 0.002 if expected else LATE_SECONDS)
        oracle, ours = both
        if len(split(bytes(ours.received))) < len(split(bytes(oracle.received))):
            gather(ours, 0.5)
        return oracle.take(), ours.take()


def something(received):
    return replies_done(1)(received) or received[:1] == b">"


def anything(_received):
    return True


def gather(client, wait):
    """Adds what arrives until it is quiet for `wait` seconds."""
    while True:
        data, closed = drain(client, wait)
        client.received += data
        if closed or not data:
            return


def replay(pair, path):
    """The failures of one transcript as text."""
    failures = []
    dialogue = Dialogue(pair)
    try:
        for number, name, args, lines in entries(path.read_text()):
            if name == "#":
                directive(dialogue, args)
                continue
            try:
                oracle, ours = dialogue.say(name, args, lines)
                failures += differences(pair, args or [b""], lines, oracle, ours, f"{path.name}:{number}")
            except Dead as death:
                failures.append(f"{path.name}:{number}: {' '.join(map(quote, args or []))}: {death}")
                pair.revive()
                return failures
            except (Diverged, Truncated):
                return failures
    finally:
        dialogue.close()
    return failures


def directive(dialogue, parts):
    if parts[0] == "resp":
        dialogue.resp = int(parts[1])
    elif parts[0] == "wait":
        time.sleep(float(parts[1]))
    else:
        dialogue.begin()


def differences(pair, args, lines, oracle, ours, place):
    found = []
    command = " ".join(map(quote, args))
    said = "\n".join(show(reply) for reply in split(oracle))
    if lines and said != "\n".join(lines) and rule_of(args) is None:
        found.append(f"{place}: {command}\n  the transcript says:\n{indent(lines)}\n  the oracle says:\n{indent(said.splitlines())}")
    left, right = split(oracle), split(ours)
    for at in range(max(len(left), len(right))):
        one, other = (replies[at] if at < len(replies) else b"" for replies in (left, right))
        if one != other and not (one and other and same(args, one, other)) and not pair.explained(args, one, other):
            found.append(f"{place}: {command}\n  oracle: {show(one) if one else '(nothing)'}\n  ours:   {show(other) if other else '(nothing)'}")
    return found


def indent(lines):
    return "\n".join("    " + line for line in lines)


def run(pair, root, paths):
    """Replays every transcript; the number of those that fail."""
    chosen = [pathlib.Path(path) for path in paths] or sorted((root / "tests" / "transcripts").glob("*.txt"))
    failed = 0
    for path in chosen:
        failures = replay(pair, path)
        failed += bool(failures)
        for failure in failures:
            print(failure, flush=True)
    print(f"transcripts: {len(chosen) - failed} replayed alike, {failed} not")
    return failed
