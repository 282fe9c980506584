"""The oracle and ours side by side: a stream of units run on both, the first difference found, both datasets compared.

`Pair.run` sends a stream in batches, one connection at a time, each batch closed by a PING that marks its end; only batches whose bytes differ are
looked into. What a stream is made of is units.py; making a failing one small is shrink.py.
"""

import re

from compare import Differences, map_with_same_keys, same, stream_facts
from servers import Connection, Dead, Server, ends_about_with, exchange, replies_done
from units import DEFAULTS, LISTENER, has_word, may_wait, tells_counts
from wire import encode, parse, plain, quote, show, split, value
import time

MARK = b"\x02end\x02"
MARK_REQUEST = encode([b"PING", MARK])
MARK_TAIL = b"$%d\r\n%b\r\n" % (len(MARK), MARK)
MARK_REPLIES = (MARK_TAIL, b"*2\r\n$4\r\npong\r\n" + MARK_TAIL)
BATCH_COMMANDS = 256
DATABASES = (0, 1, 2, 15)
TIMEOUT_SECONDS = 6.0


class Mismatch:
    def __init__(self, kind, step, args, oracle, ours):
        self.kind, self.step, self.args, self.oracle, self.ours = kind, step, args, oracle, ours

    def signature(self):
        """What two failures of the same cause have in common."""
        if self.kind != "reply":
            return (self.kind, self.ours if self.kind == "dataset" else "")
        name = b" ".join(self.args[:2] if self.args[0].upper() in (b"CLIENT", b"CONFIG", b"OBJECT", b"XINFO", b"XGROUP", b"PUBSUB") else self.args[:1])
        return (name.upper(), outline(self.oracle), outline(self.ours))

    def text(self):
        if self.kind == "reply":
            return f"{' '.join(map(quote, self.args))}\n    oracle: {shown(self.oracle)}\n    ours:   {shown(self.ours)}"
        return f"{self.kind}: {self.oracle}\n    ours: {self.ours}"


def shown(reply):
    return show(reply).replace("\n", "\n            ") if reply else "(no reply)"


def outline(reply):
    if not reply:
        return "none"
    if reply[:1] == b"-":
        return re.sub(r"\d+|'[^']*'", "#", reply[:50].decode("latin-1"))
    return reply[:1].decode()


class Pair:
    def __init__(self, oracle_binary, ours_binary, resp=2):
        self.resp = resp
        self.servers = [Server("oracle", oracle_binary), Server("ours", ours_binary)]
        self.controls = [Connection(server) for server in self.servers]
        self.connections = {}
        self.unmarked = set()  # connections that may not be allowed to PING
        self.lags = True
        # 8.2.3 miscounts a string that a BITFIELD under OVERFLOW FAIL lengthens and does not set.
        self.sizes = True
        versions = [self.version(control) for control in self.controls]
        self.versions = versions
        self.differences = Differences(versions[1], versions[0])
        names = [self.commands(control) for control in self.controls]
        self.only_oracle = names[0] - names[1]
        self.available = names[0] & names[1] if names[1] else names[0]
        self.defaults = self.known_directives()
        for control in self.controls:  # a key past its time goes when it is touched, not when a timer comes by: the streams stay repeatable
            control.ask("DEBUG", "SET-ACTIVE-EXPIRE", "0")

    def version(self, control):
        found = re.search(rb"redis_version:(\S+)", control.answer("INFO", "server") or b"")
        return found.group(1).decode() if found else "?"

    def commands(self, control):
        listed = control.answer("COMMAND", "LIST")
        return {name.decode().lower() for name in listed} if isinstance(listed, list) else set()

    def known_directives(self):
        """Of the directives a stream may change, those that both sides know."""
        known = {}
        for name, default in zip(DEFAULTS[::2], DEFAULTS[1::2]):
            if all(control.ask("CONFIG", "SET", name, default)[:1] == b"+" for control in self.controls):
                known[name] = default
        return known

    def reset(self):
        """Empty datasets, default directives, fresh connections."""
        self.close_connections()
        for control in self.controls:
            requests = [[b"FLUSHALL"], [b"CONFIG", b"SET"] + [item for pair in self.defaults.items() for item in pair]]
            requests += [[b"CONFIG", b"RESETSTAT"], [b"SCRIPT", b"FLUSH"]]
            if "function" in self.available:  # one by one: FUNCTION FLUSH kills Redis 8.2.3 now and then
                requests += [[b"FUNCTION", b"DELETE", library] for library in (b"lib1", b"lib2", b"lib3")]
            if "acl" in self.available:
                strangers = [name for name in control.answer("ACL", "USERS") if name != b"default"]
                requests += [[b"ACL", b"LOG", b"RESET"]] + [[b"ACL", b"DELUSER", name] for name in strangers]
            control.take()
            control.send(b"".join(map(encode, requests)))
            exchange([control], [replies_done(len(requests))], TIMEOUT_SECONDS)
            control.take()

    def close_connections(self):
        for pair in self.connections.values():
            for connection in pair:
                connection.close()
        self.connections = {}

    def revive(self):
        """After a crash or a hang: both servers anew where needed."""
        self.close_connections()
        for at, server in enumerate(self.servers):
            try:
                if self.controls[at].ask("PING", timeout=5.0) != b"+PONG\r\n":
                    raise Dead(server.name, "is busy")
            except (Dead, OSError):
                server.restart()
                self.controls[at] = Connection(server)
                self.controls[at].ask("DEBUG", "SET-ACTIVE-EXPIRE", "0")

    def connect(self, number):
        if number not in self.connections:
            pair = [Connection(server) for server in self.servers]
            for connection in pair:
                if self.resp == 3:
                    connection.ask("HELLO", "3")
            self.connections[number] = pair
        return self.connections[number]

    def run(self, units, replies=None):
        """The first Mismatch of a stream on fresh datasets, or None; `replies` collects (connection, args, oracle's, ours) for printing."""
        try:
            self.reset()
            steps = [(number, args) for unit in units for number, args in unit]
            self.lags = not any(tells_counts(unit) for unit in units)
            self.sizes = not any(has_word(unit, b"FAIL") for unit in units)
            for number, first, last, in_transaction in batches(steps):
                if number is None:
                    time.sleep(steps[first][1])
                    continue
                mismatch = self.batch(number, steps, first, last, in_transaction, replies)
                if mismatch:
                    return mismatch
            return self.compare_datasets()
        except Dead as death:
            log = next(server for server in self.servers if server.name == death.side).log_tail(12)
            self.revive()
            if death.side == "oracle":
                raise OracleDied(str(death)) from death
            return Mismatch("dead", None, [], str(death), log)

    def batch(self, number, steps, first, last, in_transaction, replies):
        in_transaction = in_transaction or number in self.unmarked
        pair = self.connect(number)
        commands = [steps[at][1] for at in range(first, last)]
        data = b"".join(map(encode, commands)) + (b"" if in_transaction else MARK_REQUEST)
        tests = []
        for connection in pair:
            connection.send(data)
            tests.append(replies_done(len(commands)) if in_transaction else ends_about_with(MARK_TAIL))
        exchange(pair, tests, TIMEOUT_SECONDS + sum(0.02 for args in commands if may_wait(args)))
        oracle, ours = pair[0].take(), pair[1].take()
        if oracle == ours and replies is None:
            return None
        return self.inspect(number, steps, first, last, unmarked(oracle), unmarked(ours), replies)

    def inspect(self, number, steps, first, last, oracle, ours, replies):
        """The first pair of replies in a batch that no rule and no named difference explains."""
        left, right = split(oracle), split(ours)
        if number == LISTENER:
            return self.inspect_listener(steps, first, last, left, right, replies)
        if len(left) != last - first:
            left = [reply for reply in left if reply[:1] != b">"]
        if len(right) != last - first:
            right = [reply for reply in right if reply[:1] != b">"]
        for at in range(first, last):
            args = steps[at][1]
            one = left[at - first] if at - first < len(left) else b""
            other = right[at - first] if at - first < len(right) else b""
            if replies is not None:
                replies.append((number, args, one, other))
            if one == other or (one and other and (same(args, one, other, self.lags) or self.same_transaction(steps, at, args, one, other))):
                continue
            if not self.explained(args, one, other):
                return Mismatch("reply", at, args, one, other)
        return None

    def same_transaction(self, steps, at, args, one, other):
        """EXEC's array, element by element, each under the rule of the command it answers."""
        if args[0].upper() != b"EXEC" or not one[:1] == other[:1] == b"*":
            return False
        left, right = (split(reply[reply.index(b"\r\n") + 2:]) for reply in (one, other))
        queued = queued_before(steps, at)
        return len(left) == len(right) == len(queued) and all(
            same(command, this, that, self.lags) or self.explained(command, this, that) for command, this, that in zip(queued, left, right))

    def explained(self, args, one, other):
        """Whether differences.toml names this pair; when only one side refused they are different servers from here on."""
        named = self.differences.named(args, one, other)
        if named and (one[:1] == b"-") != (other[:1] == b"-"):
            raise Diverged
        return named is not None

    def inspect_listener(self, steps, first, last, left, right, replies):
        args = steps[last - 1][1]
        if replies is not None:
            for at in range(first, last - 1):
                replies.append((LISTENER, steps[at][1], b"", b""))
            replies.append((LISTENER, args, b"".join(left), b"".join(right)))
        left, right = unordered_pushes_sorted(left), unordered_pushes_sorted(right)
        for at in range(max(len(left), len(right))):
            one = left[at] if at < len(left) else b""
            other = right[at] if at < len(right) else b""
            if one == other or (is_help(one) and is_help(other)) or (is_hello(one) and is_hello(other) and map_with_same_keys(args, value(one), value(other))):
                continue
            if not self.differences.named(args, one, other):
                return Mismatch("reply", last - 1, args, one, other)
        return None

    def compare_datasets(self):
        oracle, ours = (dataset(control) | (sizes(control) if self.sizes else {}) for control in self.controls)
        for key in sorted(oracle.keys() | ours.keys()):
            one, other = oracle.get(key), ours.get(key)
            if one is None or other is None:
                return Mismatch("dataset", None, [], f"{key} {'exists' if one else 'is missing'}: {one and one['type']}", f"key existence {other and other['type']}")
            for aspect in one:
                if not aspect_same(aspect, one["type"], one[aspect], other.get(aspect), self.lags):
                    named = self.differences.named([b"DATASET", aspect.encode(), one["type"]], *(encode_value(side[aspect]) for side in (one, other)))
                    if not named:
                        return Mismatch("dataset", None, [], f"{key} {aspect}: {one[aspect]}\n    here: {other[aspect]}", f"{one['type'].decode()} {aspect}")
        return None

    def close(self):
        self.close_connections()
        for server in self.servers:
            server.close()


class Diverged(Exception):
    """A named difference has left the two datasets different; the rest of the stream says nothing."""


class OracleDied(Diverged):
    """The real server crashed or hung, which says nothing about ours."""


def encode_value(item):
    text = repr(item).encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)


def is_hello(reply):
    return reply[:1] in b"*%" and b"$6\r\nserver\r\n" in reply[:24]


def is_help(reply):
    return reply[:1] == b"*" and b" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:" in reply[:128]


def unordered_pushes_sorted(replies):
    """Two orders are the server's own affair: of the channels in UNSUBSCRIBE from all, and of the patterns that match one message."""
    out, run, run_of = [], [], None
    for reply in replies + [b""]:
        same_run = pattern_message(reply) or (b"unsubscribe" if b"unsubscribe\r\n" in reply[:26] else None)
        if run and same_run != run_of:
            out += sorted(run) if run_of != b"unsubscribe" else names_sorted(run)
            run = []
        if same_run:
            run.append(reply)
            run_of = same_run
        else:
            out.append(reply)
    return out[:-1]


def pattern_message(reply):
    """Channel and payload of a pmessage."""
    if reply[4:17] != b"$8\r\npmessage\r":
        return None
    return b"pmessage", tuple(item[1] for item in value(reply)[1][2:])


def names_sorted(run):
    cut = [reply.rfind(b":") for reply in run]
    names = sorted(reply[:at] for reply, at in zip(run, cut))
    return [name + reply[at:] for name, reply, at in zip(names, run, cut)]


def unmarked(data):
    """Without the mark's reply, which is an array for a subscriber; broadcast invalidations may follow it."""
    for tail in reversed(MARK_REPLIES):
        if tail in data:
            return data.replace(tail, b"")
    return data


def batches(steps):
    """(connection, first, last, whether it ends inside MULTI): runs of steps on one connection; None is a pause."""
    open_transactions = {}
    first = 0
    while first < len(steps):
        number = steps[first][0]
        last = first
        while last < len(steps) and steps[last][0] == number and last - first < BATCH_COMMANDS:
            if number is not None:
                name = steps[last][1][0].upper()
                if name == b"MULTI" and len(steps[last][1]) == 1:
                    open_transactions[number] = True
                elif name in (b"EXEC", b"DISCARD", b"RESET") and len(steps[last][1]) == 1:
                    open_transactions[number] = False
            last += 1
            if number is None:
                break
        yield number, first, last, open_transactions.get(number, False)
        first = last


def queued_before(steps, at):
    """The commands an EXEC at `at` answers, by what its connection sent since the MULTI that opened."""
    queue = None
    for other, args in steps[:at]:
        if other != steps[at][0]:
            continue
        name = args[0].upper()
        if name in (b"EXEC", b"DISCARD", b"RESET") and len(args) == 1:
            queue = None
        elif name == b"MULTI" and len(args) == 1:
            queue = [] if queue is None else queue
        elif queue is not None and name != b"WATCH":
            queue.append(args)
    return queue or []


# ---- datasets ---------------------------------------------------------------------------------------------------------------------

def pipeline(control, requests, read=plain):
    if not requests:
        return []
    control.send(b"".join(encode([arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]) for args in requests))
    exchange([control], [replies_done(len(requests))], TIMEOUT_SECONDS)
    return [read(parse(reply)[0]) for reply in split(control.take())]


CONTENT = {b"string": ["GET"], b"list": ["LRANGE", 0, -1], b"set": ["SMEMBERS"], b"hash": ["HGETALL"], b"zset": ["ZRANGE", 0, -1, "WITHSCORES"], b"stream": ["XINFO", "FULL", "COUNT", 0]}


def dataset(control):
    """{"db/key": {type, encoding, deadline, content}} of every database a stream may have used."""
    found = {}
    for number in DATABASES:
        _, size = pipeline(control, [["SELECT", number], ["DBSIZE"]])
        if not size:
            continue
        types = [b"none"]
        while b"none" in types:  # a key lapsed just now
            (keys,) = pipeline(control, [["KEYS", "*"]])
            types = pipeline(control, [["TYPE", key] for key in keys])
        asked = [[["OBJECT", "ENCODING", key], ["PEXPIRETIME", key], content_request(kind, key)] for key, kind in zip(keys, types)]
        answers = pipeline(control, [request for three in asked for request in three], read=lambda parsed: parsed)
        for at, (key, kind) in enumerate(zip(keys, types)):
            encoding, deadline = map(plain, answers[at * 3:at * 3 + 2])
            content = answers[at * 3 + 2] if kind == b"stream" else plain(answers[at * 3 + 2])
            found[f"{number}/{quote(key)}"] = {"type": kind, "encoding": encoding, "deadline": deadline, "content": canonical(kind, encoding, content)}
        found |= {f"{number}/scan": {"type": b"scan", "keys": scan_all(control)}} if len(keys) > 3 else {}
    pipeline(control, [["SELECT", 0]])
    return found


def sizes(control):
    """How many values both servers believe to be how large, after what has lapsed is gone (a SCAN removes it)."""
    for number in DATABASES:
        pipeline(control, [["SELECT", number], ["SCAN", "0", "COUNT", 100_000]])
    _, shown = pipeline(control, [["SELECT", 0], ["INFO", "keysizes"]])
    return {"all/sizes": {"type": b"sizes", "lines": shown}}


def scan_all(control):
    """SCAN's promise: every key that is there comes, whatever the steps."""
    seen, cursor = set(), b"0"
    for _ in range(1000):
        ((cursor, keys),) = pipeline(control, [["SCAN", cursor, "COUNT", 3]])
        seen |= set(keys)
        if cursor == b"0":
            return sorted(seen)
    return "endless"


def content_request(kind, key):
    command, *rest = CONTENT[kind]
    return ["XINFO", "STREAM", key, *rest] if command == "XINFO" else [command, key, *rest]


def canonical(kind, encoding, content):
    if kind == b"set":  # even a listpack may have been filled in a hashtable's order, by SINTERSTORE for one
        return sorted(content)
    if kind == b"hash":
        pairs = list(zip(content[::2], content[1::2]))
        return sorted(pairs) if encoding == b"hashtable" else pairs
    return content


def aspect_same(aspect, kind, one, other, lags):
    if (aspect, kind) == ("content", b"stream"):
        return stream_facts(((), lags), one, other)
    if aspect == "deadline" and isinstance(one, int) and isinstance(other, int):
        return one == other or (one > 0 and other > 0 and abs(one - other) < 3000)
    return one == other
