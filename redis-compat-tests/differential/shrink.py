"""From a failing stream to the shortest dialogue that still fails the same way, printed as a transcript.

Delta debugging by replay on emptied servers: first whole units go, then single steps, then arguments, then long values. A failure that does
not come back is said to be unstable and printed as it was seen.
"""

import time

from pair import Diverged
from units import may_wait
from wire import quote, show, split

BUDGET_SECONDS = 25.0
NAMES = {0: "", 1: "b", 2: "c"}


def shrunk(pair, units, mismatch):
    """(the smallest failing list of units found, its mismatch), or (None, mismatch) when it does not fail again."""
    wanted = mismatch.signature()
    deadline = time.monotonic() + BUDGET_SECONDS
    best = {}

    def fails(candidate):
        if time.monotonic() > deadline:
            return False
        try:
            found = pair.run(candidate)
        except Diverged:
            return False
        if found and found.signature() == wanted:
            best["units"], best["mismatch"] = candidate, found
            return True
        return False

    if not any(fails(units) for _ in range(3)):
        return None, mismatch
    fewer(units, fails)
    single = [[step] for unit in best["units"] for step in unit]
    if not any(args is not None and number is not None and may_wait(args) for unit in single for number, args in unit):
        if fails(single):
            fewer(single, fails)
    shorter(best, fails)
    return best["units"], best["mismatch"]


def fewer(items, fails):
    """Leaves out ever smaller parts while it still fails."""
    parts = 2
    while len(items) >= 2:
        size = -(-len(items) // parts)
        for begin in range(0, len(items), size):
            candidate = items[:begin] + items[begin + size:]
            if candidate and fails(candidate):
                items, parts = candidate, max(2, parts - 1)
                break
        else:
            if size == 1:
                return items
            parts = min(len(items), parts * 2)
    return items


def shorter(best, fails):
    """Arguments left out, long ones replaced by short ones."""
    changed = True
    while changed:
        changed = False
        for candidate in simpler(best["units"]):
            if fails(candidate):
                changed = True
                break


def simpler(units):
    for at, unit in enumerate(units):
        for step, (number, args) in enumerate(unit):
            if number is None or may_wait(args):
                continue
            for place in range(1, len(args)):
                yield replaced(units, at, step, args[:place] + args[place + 1:])
                lines = args[place].split(b"\n")
                for line in range(1, len(lines)):  # a script's lines; the first may be its header
                    yield replaced(units, at, step, args[:place] + [b"\n".join(lines[:line] + lines[line + 1:])] + args[place + 1:])
                if len(args[place]) > 24:
                    yield replaced(units, at, step, args[:place] + [b"x"] + args[place + 1:])


def replaced(units, at, step, args):
    unit = units[at][:]
    unit[step] = (unit[step][0], args)
    return units[:at] + [unit] + units[at + 1:]


def transcript(pair, units, mismatch):
    """The dialogue with the oracle's replies; ours is a comment where it differs."""
    collected = []
    try:
        pair.run(units, collected)
    except Diverged:
        pass
    several = len({number for unit in units for number, _ in unit if number is not None}) > 1
    lines = ["# resp 3"] if pair.resp == 3 else []
    replies = iter(collected)
    for number, args in (step for unit in units for step in unit):
        if number is None:
            lines.append(f"# wait {args:g}")
            continue
        who = "abc"[number] if several else ""
        lines.append(f"{who}> {' '.join(map(quote, args))}")
        answered = next(replies, None)
        if answered is None:
            continue
        _, _, oracle, ours = answered
        lines += [show(reply) for reply in split(oracle)]
        if mismatch.args is args and oracle != ours:
            lines += ["# ours: " + line for reply in split(ours) for line in show(reply).split("\n")]
    if mismatch.kind != "reply":
        lines += ["# " + line for line in mismatch.text().split("\n")]
    return "\n".join(lines)
