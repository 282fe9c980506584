"""Clients that wait: who is served, with what, in which order; timeouts; CLIENT UNBLOCK; served from MULTI, RENAME, COPY, scripts.

A scenario is a random list of steps on four waiting clients and one that acts. Every step is settled before the next (a client counts as waiting once INFO says
so), so the order is determined and both servers must answer alike. Failing scenarios are shrunk.
"""

import random
import re
import time

from servers import Connection, Dead, drain, exchange, replies_done
from shrink import fewer
from wire import encode, quote, show, split

WAITERS = 4
STEPS = 14
SETTLE_SECONDS = 0.003


class Scenario:
    """Steps: ("wait", client, args), ("act", [args, …]), ("unblock", client, how), ("leave", client)."""

    def __init__(self, rng, groups, scripts):
        self.rng, self.groups, self.scripts = rng, groups, scripts
        self.steps = [self.step() for _ in range(STEPS)]

    def step(self):
        dice = self.rng.random()
        client = self.rng.randrange(WAITERS)
        if dice < 0.45:
            return "wait", client, self.waiting()
        if dice < 0.93:
            actions = [command for _ in range(self.rng.randrange(1, 4)) for command in self.action()]
            return "act", [[b"MULTI"], *actions, [b"EXEC"]] if self.rng.random() < 0.25 else actions
        if dice < 0.98:
            return "unblock", client, self.rng.choice([b"TIMEOUT", b"ERROR"])
        return "leave", client

    def key(self):
        return self.rng.choice([b"k1", b"k2", b"k3"])

    def keys(self):
        return [self.key() for _ in range(self.rng.randrange(1, 4))]

    def waiting(self):
        rng, side = self.rng, lambda: self.rng.choice([b"LEFT", b"RIGHT"])
        keys, group = self.keys(), rng.choice(self.groups)
        if group == "list":
            return rng.choice([
                [b"BLPOP", *keys, b"0"], [b"BRPOP", *keys, b"0"], [b"BLMOVE", self.key(), self.key(), side(), side(), b"0"], [b"BRPOPLPUSH", self.key(), self.key(), b"0"],
                [b"BLMPOP", b"0", b"%d" % len(keys), *keys, side(), b"COUNT", rng.choice([b"1", b"2", b"10"])]])
        if group == "zset":
            return rng.choice([[b"BZPOPMIN", *keys, b"0"], [b"BZPOPMAX", *keys, b"0"],
                               [b"BZMPOP", b"0", b"%d" % len(keys), *keys, rng.choice([b"MIN", b"MAX"]), b"COUNT", rng.choice([b"1", b"2"])]])
        return rng.choice([[b"XREAD", b"BLOCK", b"0", b"STREAMS", self.key(), b"$"], [b"XREAD", b"COUNT", b"1", b"BLOCK", b"0", b"STREAMS", self.key(), b"+"],
                           [b"XREADGROUP", b"GROUP", b"g", rng.choice([b"c1", b"c2"]), b"COUNT", b"1", b"BLOCK", b"0", b"STREAMS", self.key(), b">"]])

    def action(self):
        """A command. A result goes where nothing is: over a key of another type Redis 8.2.3 forgets those who wait for it."""
        command = self.one_action()
        if b"STORE" in command:
            return [[b"DEL", command[-1]], command]
        return [[b"DEL", command[1]], command] if command[0].endswith(b"STORE") else [command]

    def one_action(self):
        rng, key, other = self.rng, self.key(), self.key()
        values = [b"%c" % (97 + rng.randrange(26)) for _ in range(rng.randrange(1, 4))]
        anyway = [[b"DEL", key], [b"RENAME", key, other], [b"SET", key, b"x"], [b"COPY", key, other, b"REPLACE"], [b"EXISTS", key], [b"EXPIRE", key, b"-1"], [b"SWAPDB", b"0", b"1"], [b"FLUSHALL"],
                  [b"SORT", key, b"ALPHA", b"STORE", other]]
        own = {
            "list": [[b"LPUSH", key, *values], [b"RPUSH", key, *values], [b"RPUSH", key, *values], [b"LMOVE", key, other, b"LEFT", b"RIGHT"], [b"RPOPLPUSH", key, other], [b"LPOP", key],
                     [b"LINSERT", key, b"BEFORE", b"a", b"b"], *([[b"EVAL", b"redis.call('rpush', KEYS[1], 'x'); return redis.call('rpush', KEYS[2], 'y')", b"2", key, other]] if self.scripts else [])],
            "zset": [[b"ZADD", key, b"1", b"a", b"2", b"b"], [b"ZADD", key, b"3", b"c"], [b"ZINCRBY", key, b"1", b"a"], [b"ZUNIONSTORE", other, b"1", key], [b"ZPOPMIN", key]],
            "stream": [[b"XADD", key, b"%d-1" % self.next_id(), b"f", b"v"], [b"XGROUP", b"CREATE", key, b"g", b"$", b"MKSTREAM"], [b"XGROUP", b"DESTROY", key, b"g"], [b"XDEL", key, b"1-1"]],
        }
        return rng.choice(anyway) if rng.random() < 0.2 else rng.choice(own[rng.choice(self.groups)])

    def next_id(self):
        self.id = getattr(self, "id", 0) + 1
        return self.id


class Play:
    """One scenario on one pair."""

    def __init__(self, pair):
        self.pair, self.lines = pair, []
        pair.reset()
        self.actor = pair.connect(0)
        self.waiters = [[Connection(server) for server in pair.servers] for _ in range(WAITERS)]
        self.ids = [[client.answer("CLIENT", "ID") for client in both] for both in self.waiters]
        self.waiting = set()

    def run(self, steps):
        """The text of the first difference, or None."""
        for step in steps:
            difference = self.step(step)
            if difference:
                return difference
        for client in sorted(self.waiting):
            difference = self.step(("unblock", client, b"TIMEOUT"))
            if difference:
                return difference
        mismatch = self.pair.compare_datasets()
        return (mismatch.signature(), mismatch.text()) if mismatch else None

    def step(self, step):
        kind = step[0]
        if kind == "wait":
            return None if step[1] in self.waiting else self.wait(step[1], step[2])
        if kind == "act":
            return self.act(step[1])
        if step[1] not in self.waiting:
            return None
        if kind == "unblock":
            self.lines.append(f"z> CLIENT UNBLOCK (id of {'abcd'[step[1]]}) {step[2].decode()}")
            requests = [[b"CLIENT", b"UNBLOCK", b"%d" % self.ids[step[1]][side], step[2]] for side in (0, 1)]
            return self.ask([[request] for request in requests]) or self.collect()
        for client in self.waiters[step[1]]:
            client.close()
        self.waiters[step[1]] = [Connection(server) for server in self.pair.servers]
        self.ids[step[1]] = [client.answer("CLIENT", "ID") for client in self.waiters[step[1]]]
        self.waiting.discard(step[1])
        return self.settled()

    def settled(self):
        """Until each server counts as many waiting clients as there are."""
        for control in self.pair.controls:
            for _ in range(400):
                if blocked(control) == len(self.waiting):
                    break
                time.sleep(0.0005)
            else:
                return "count", f"{control.side} counts {blocked(control)} blocked clients, not {len(self.waiting)}"
        return None

    def wait(self, number, args):
        self.lines.append(f"{'abcd'[number]}> {' '.join(map(quote, args))}")
        done = []
        for client, control in zip(self.waiters[number], self.pair.controls):
            client.send(encode(args))
            exchange([client], [lambda received: True], 5.0)
            done.append(self.answered_or_waiting(client, control))
        if done[0] != done[1]:
            return "waits", f"{self.lines[-1]}: the oracle {'answers' if done[0] else 'waits'}, ours {'answers' if done[1] else 'waits'}"
        if not done[0]:
            self.waiting.add(number)
            return None
        return self.same([client.take() for client in self.waiters[number]], self.lines[-1]) or self.collect()

    def answered_or_waiting(self, client, control):
        """Whether an answer came; otherwise the server counts one more that waits."""
        for _ in range(2000):
            data, closed = drain(client, 0.0005)
            client.received += data
            if closed:
                raise Dead(client.side, "closed the connection")
            if client.received:
                return True
            if blocked(control) > len(self.waiting):
                return False
        raise Dead(client.side, "neither answers nor waits")

    def act(self, commands):
        self.lines += ["z> " + " ".join(map(quote, args)) for args in commands]
        return self.ask([commands, commands]) or self.collect()

    def ask(self, sides):
        """The acting client's commands, one side's each, in one pipeline."""
        for client, commands in zip(self.actor, sides):
            client.send(b"".join(map(encode, commands)))
        exchange(self.actor, [replies_done(len(commands)) for commands in sides], 5.0)
        return self.same([client.take() for client in self.actor], self.lines[-1])

    def collect(self):
        """What the step brought to those who wait."""
        served = []
        for number in sorted(self.waiting):
            oracle, ours = self.waiters[number]
            for client, patience in ((oracle, SETTLE_SECONDS), (ours, SETTLE_SECONDS)):
                data, _ = drain(client, patience)
                client.received += data
            if oracle.received and not ours.received:
                data, _ = drain(ours, 0.5)
                ours.received += data
            if oracle.received or ours.received:
                served.append(number)
        for number in served:
            self.lines.append(f"{'abcd'[number]}>")
            difference = self.same([client.take() for client in self.waiters[number]], f"served {'abcd'[number]}")
            if difference:
                return difference
        self.waiting -= set(served)
        return self.settled()

    def same(self, answers, what):
        oracle, ours = answers
        self.lines += [show(reply) for reply in split(oracle)]
        if oracle == ours:
            return None
        texts = [" ".join(show(reply) for reply in split(answer)) or "(nothing)" for answer in answers]
        return "reply", f"{what}\n    oracle: {texts[0]}\n    ours:   {texts[1]}"

    def close(self):
        for both in self.waiters:
            for client in both:
                client.close()


def blocked(control):
    return int(re.search(rb"blocked_clients:(\d+)", control.answer("INFO", "clients")).group(1))


def played(pair, steps):
    """(kind and text of the difference or None, the dialogue)."""
    play = None
    try:
        play = Play(pair)
        return play.run(steps), play.lines
    except Dead as death:
        pair.revive()
        return ("dead", str(death)), play.lines if play else []
    finally:
        if play:
            play.close()


def timeouts(pair, groups):
    """A wait of 100 ms ends, and not before 100 ms, for every command that waits."""
    commands = {"list": [["BLPOP", "k", "0.1"], ["BRPOP", "k", "j", "0.1"], ["BLMOVE", "k", "j", "LEFT", "LEFT", "0.1"], ["BRPOPLPUSH", "k", "j", "0.1"], ["BLMPOP", "0.1", "1", "k", "LEFT"]],
                "zset": [["BZPOPMIN", "k", "0.1"], ["BZPOPMAX", "k", "0.1"], ["BZMPOP", "0.1", "1", "k", "MIN"]], "stream": [["XREAD", "BLOCK", "100", "STREAMS", "k", "$"]]}
    pair.reset()
    failed = 0
    for command in [command for group in groups for command in commands[group]]:
        both = pair.connect(0)
        replies, spent = [], []
        for client in both:
            began = time.monotonic()
            replies.append(client.ask(*command))
            spent.append((time.monotonic() - began) * 1000)
        if replies[0] != replies[1] or spent[1] < 95:
            failed += 1
            print(f"--- timeout: {' '.join(command)}: oracle {show(replies[0])} after {spent[0]:.0f} ms, ours {show(replies[1])} after {spent[1]:.0f} ms")
    return failed


def run(pair, groups, count, seed, failures_max=5):
    """Plays `count` scenarios; the number of distinct failures."""
    groups = [group for group in groups if group in ("list", "zset", "stream")] or ["list"]
    failed = timeouts(pair, groups)
    scripts = all(control.answer("COMMAND", "INFO", "EVAL") != [None] for control in pair.controls)
    for number in range(count):
        steps = Scenario(random.Random(f"blocking {seed + number}"), groups, scripts).steps
        difference, lines = played(pair, steps)
        if not difference:
            continue
        kind = difference[0]

        def fails(candidate):
            found, _ = played(pair, candidate)
            return bool(found) and found[0] == kind

        small = fewer(steps, fails) if fails(steps) else None
        if small:
            difference, lines = played(pair, small)
            difference = difference or (kind, "(not on the last try)")
        failed += 1
        print(f"\n--- blocking (seed {seed + number}){'' if small else ', did not fail again'}\n" + "\n".join(lines) + f"\n# {difference[1]}", flush=True)
        if failed >= failures_max:
            break
    print(f"blocking: {number + 1} scenarios of {'+'.join(groups)}, {failed} differ")
    return failed
