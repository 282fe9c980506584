"""Whether two replies to the same command say the same: byte for byte, unless order, chance or the clock may speak.

Every exception is a rule here (`RULES`) and as narrow as it can be. A difference that is neither a mistake nor one of these is named with its
reason in differences.toml, read by `Differences`. The differing replies themselves come from stream.py.
"""

import pathlib
import re
import tomllib

from wire import quote, show, value

TTL_TOLERANCE_SECONDS = 3


def same(args, oracle, ours, lags=True):
    """Whether `ours` is an acceptable reply to `args` where the oracle said `oracle` (raw bytes); `lags` says whether the oracle's numbers of a group's lag can be believed."""
    if oracle == ours:
        return True
    rule = rule_of(args)
    if rule is None or oracle[:1] == b"-" or ours[:1] == b"-":
        return False
    return rule((args, lags) if rule is stream_facts else args, value(oracle), value(ours))


def rule_of(args):
    if not args:
        return None
    name = args[0].lower().decode("latin-1")
    if len(args) > 1 and name in CONTAINERS:
        name += " " + args[1].lower().decode("latin-1")
    return RULES.get(name)


# ---- rules: (arguments, the oracle's value, our value) -> bool --------------------------------------------------------------------

def any_order(args, one, other):
    return one[0] == other[0] and one[0] in b"*~" and sorted(one[1], key=repr) == sorted(other[1], key=repr)


def pairs_any_order(args, one, other):
    if one[0] != other[0] or one[0] not in b"*%" or len(one[1]) != len(other[1]):
        return False
    return pairs(one[1]) == pairs(other[1])


def pairs(items):
    if items and items[0][0] == b"*":  # RESP3 gives pairs as arrays of two
        return sorted(items, key=repr)
    return sorted(zip(items[::2], items[1::2]), key=repr)


def any_order_within(args, one, other):
    """Libraries, their functions and the flags of those."""
    return unordered(one) == unordered(other)


def unordered(parsed):
    kind, items = parsed
    return (kind, sorted(map(unordered, items), key=repr)) if kind in b"*~%" else parsed


def shape(args, one, other):
    """Same kinds and lengths all the way down; scalars may differ."""
    if one[0] != other[0]:
        return False
    if one[0] in b"*~%>":
        return len(one[1]) == len(other[1]) and all(shape(args, left, right) for left, right in zip(one[1], other[1]))
    return True


def kind(args, one, other):
    return one[0] == other[0]


def figures(args, one, other):
    """INFO's are the server's own, but for the sizes of values, which both count."""
    return kind(args, one, other) and [arg.lower() for arg in args[1:]] != [b"keysizes"]


def client_id(args, one, other):
    """A client's id is another on each side; what is no id is the same."""
    return one[0] == other[0] == b":" and int(one[1]) > 0 and int(other[1]) > 0


def near_deadline(args, one, other):
    """Seconds or milliseconds (PTTL, PEXPIRETIME) that differ by less than the tolerance."""
    if one[0] == other[0] == b"*":
        return len(one[1]) == len(other[1]) and all(near_deadline(args, left, right) for left, right in zip(one[1], other[1]))
    if one[0] != b":" or other[0] != b":":
        return one == other
    left, right = int(one[1]), int(other[1])
    scale = 1000 if args[0].upper().startswith((b"P", b"HP")) else 1
    return left == right or (left > 0 and right > 0 and abs(left - right) <= TTL_TOLERANCE_SECONDS * scale)


def scanned(args, one, other):
    """The whole collection in one call is compared; a part of it only in shape, since the cursor is the table's own affair."""
    if not (one[0] == other[0] == b"*" and len(one[1]) == len(other[1]) == 2 and one[1][1][0] == other[1][1][0] == b"*"):
        return False
    (_, cursor), (_, other_cursor) = one[1][0], other[1][0]
    begins = args[2 if args[0].upper() != b"SCAN" else 1].strip(b"0") == b""
    if begins and cursor == other_cursor == b"0":
        left, right = one[1][1], other[1][1]
        with_values = args[0].upper() in (b"HSCAN", b"ZSCAN") and b"NOVALUES" not in [arg.upper() for arg in args]
        return pairs_any_order(args, left, right) if with_values else any_order(args, left, right)
    return cursor.isdigit() and other_cursor.isdigit()


def sorted_by_nothing(args, one, other):
    """SORT BY a pattern without `*` leaves a set in its own order."""
    upper = [arg.upper() for arg in args]
    unsorted = b"BY" in upper[:-1] and b"*" not in args[upper.index(b"BY") + 1]
    if unsorted and b"LIMIT" in upper:
        return one[0] == other[0] and len(one[1]) == len(other[1])
    return unsorted and any_order(args, one, other)


def places(args, one, other):
    """GEOSEARCH without an order gives any; with ANY, any places."""
    upper = [arg.upper() for arg in args]
    if b"ANY" in upper:
        return one[0] == other[0] and len(one[1]) == len(other[1])
    return not {b"ASC", b"DESC", b"COUNT"} & set(upper) and any_order(args, one, other)


LIVELY_FIELDS = {b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time", b"idle", b"inactive"}


def stream_facts(args, one, other):
    """XINFO: clocks and the tree's own numbers apart, a pending entry's delivery time, and lag where Redis cannot tell it."""
    _, lags = args
    return still(one) == still(with_lags_of(one, other, lags))


def with_lags_of(one, other, lags):
    """`other` with the lag of `one` where that is null, or where it is a number that only repeats what ENTRIESREAD or ENTRIESADDED claimed.

    Told such numbers, Redis may count a group beyond what was ever added, which its own log cannot express: ours stops there.
    """
    if one[0] not in b"*%" or other[0] != one[0] or len(one[1]) != len(other[1]):
        return other
    items = [with_lags_of(left, right, lags) for left, right in zip(one[1], other[1])]
    for at in range(1, len(items)):
        if one[1][at - 1] == (b"$", b"lag") and items[at][0] == b":" and (not lags or one[1][at][0] != b":"):
            items[at] = one[1][at]
        if not lags and one[1][at - 1] == (b"$", b"entries-read") and one[1][at][0] == items[at][0] == b":" and int(one[1][at][1]) > int(items[at][1]):
            items[at] = one[1][at]
    return other[0], items


def still(parsed):
    kind, items = parsed
    if kind not in b"*%~":
        return parsed
    if len(items) == 4 and items[0][0] == b"$" and items[1][0] == b"$" and items[2][0] == b":" and items[3][0] == b":":
        return kind, [items[0], items[1], items[3]]  # id, consumer, delivered at, deliveries
    if len(items) == 3 and items[0][0] == b"$" and items[1][0] == b":" and items[2][0] == b":":
        return kind, [items[0], items[2]]
    out, skip_next = [], False
    for item in items:
        if skip_next:
            skip_next = False
            continue
        skip_next = item[0] == b"$" and item[1] in LIVELY_FIELDS
        out.append(still(item))
    return kind, out


def pending(args, one, other):
    return still(one) == still(other)


def refusals(args, one, other):
    """ACL LOG without clocks, and without the line about the client."""
    def stable(record):
        pairs = list(zip(record[1][::2], record[1][1::2]))
        return [pair for pair in pairs if pair[0][1] not in (b"age-seconds", b"client-info", b"entry-id", b"timestamp-created", b"timestamp-last-updated")]
    return one[0] == other[0] == b"*" and list(map(stable, one[1])) == list(map(stable, other[1]))


STEADY_FIELDS = {b"name", b"flags", b"db", b"sub", b"psub", b"ssub", b"multi", b"watch", b"cmd", b"user", b"redir", b"resp", b"lib-name", b"lib-ver"}


def client_lines(args, one, other):
    """CLIENT LIST and INFO: the fields' names and order, and those that do not measure; Redis turns its list of clients now and then."""
    def stable(text):
        lines = [[field.partition(b"=")[::2] for field in line.split(b" ")] for line in text.splitlines()]
        return sorted([(name, steady(name, value)) for name, value in line] for line in lines)

    def steady(name, value):
        if name == b"redir" and value.isdigit() and value != b"0":
            return b"somebody"
        return value if name in STEADY_FIELDS else b""
    return one[0] == other[0] and stable(one[1]) == stable(other[1])


def histograms(args, one, other):
    """LATENCY HISTOGRAM: which commands and how many calls of each, and bounds of Redis's kind."""
    def stable(parsed):
        rows = parsed[1][1::2]
        return sorted((name[1], row[1][1][1], row[1][3][1][-1][1]) for name, row in zip(parsed[1][::2], rows))

    def bounds(parsed):
        return {int(bound[1]) for row in parsed[1][1::2] for bound in row[1][3][1][::2]}
    return one[0] == other[0] and stable(one) == stable(other) and bounds(other) <= HISTOGRAM_BOUNDS


HISTOGRAM_BOUNDS = {((1 << bits) + (1 << bits - 7) - 1) // 1000 for bits in range(10, 40)}


def slow_requests(args, one, other):
    """SLOWLOG GET and COMMANDLOG GET: what was slow and by whom; not its number, when it was, how long it took and from which port."""
    def stable(entry):
        return [entry[1][3], entry[1][5]] if entry[0] == b"*" and len(entry[1]) == 6 else entry
    return one[0] == other[0] == b"*" and list(map(stable, one[1])) == list(map(stable, other[1]))


def settings(args, one, other):
    """CONFIG GET; a pattern that takes nearly everything also takes the port."""
    return len(one[1]) > 100 and one[0] == other[0] or pairs_any_order(args, one, other)


def map_with_same_keys(args, one, other):
    return one[0] == other[0] and len(one[1]) == len(other[1]) and one[1][::2] == other[1][::2]


CONTAINERS = {"object", "client", "memory", "config", "slowlog", "latency", "xinfo", "xgroup", "debug", "command", "acl", "function", "script", "pubsub"}
RULES = {
    "smembers": any_order, "sinter": any_order, "sunion": any_order, "sdiff": any_order, "keys": any_order, "hkeys": any_order, "hvals": any_order,
    "hgetall": pairs_any_order, "pubsub channels": any_order, "pubsub shardchannels": any_order, "config get": settings,
    "srandmember": shape, "spop": shape, "randomkey": kind, "hrandfield": shape, "zrandmember": shape,
    "scan": scanned, "sscan": scanned, "hscan": scanned, "zscan": scanned,
    "ttl": near_deadline, "pttl": near_deadline, "expiretime": near_deadline, "pexpiretime": near_deadline,
    "httl": near_deadline, "hpttl": near_deadline, "hexpiretime": near_deadline, "hpexpiretime": near_deadline,
    "sort": sorted_by_nothing, "sort_ro": sorted_by_nothing,
    "geosearch": places, "georadius": places, "georadius_ro": places, "georadiusbymember": places, "georadiusbymember_ro": places,
    "xinfo stream": stream_facts, "xinfo groups": stream_facts, "xinfo consumers": stream_facts, "xpending": pending,
    "object idletime": kind, "object freq": kind, "dump": kind, "time": shape, "lastsave": kind, "memory usage": kind,
    "client id": client_id, "client getredir": client_id, "client info": client_lines, "client list": client_lines, "slowlog get": slow_requests, "slowlog len": kind, "info": figures, "lolwut": kind,
    "command": kind, "command count": kind, "command list": kind, "command info": kind, "command docs": kind, "role": shape,
    "hello": map_with_same_keys, "object help": kind, "client help": kind, "config help": kind, "slowlog help": kind, "latency help": kind, "latency doctor": kind, "latency histogram": histograms, "memory doctor": kind, "memory help": kind,
    "acl help": kind, "acl genpass": kind, "acl log": refusals,
    "pubsub help": kind, "xinfo help": kind, "xgroup help": kind, "function stats": shape, "function list": any_order_within,
}


class Differences:
    """The named, reasoned differences of differences.toml that apply to the server under test."""

    def __init__(self, ours_version, oracle_version):
        path = pathlib.Path(__file__).parent / "differences.toml"
        entries = tomllib.loads(path.read_text()).get("difference", [])
        self.entries = [entry for entry in entries
                        if ours_version.startswith(entry.get("ours_version", "")) and oracle_version.startswith(entry.get("oracle_version", ""))]
        for entry in self.entries:
            entry["patterns"] = [re.compile(entry.get(part, ""), re.DOTALL | flags) for part, flags in (("command", re.IGNORECASE), ("oracle", 0), ("ours", 0))]
        self.used = {}

    def named(self, args, oracle, ours):
        """The entry that explains this pair of replies, or None."""
        texts = (" ".join(map(quote, args)), show(oracle) if oracle else "", show(ours) if ours else "")
        for entry in self.entries:
            if all(pattern.search(text) for pattern, text in zip(entry["patterns"], texts)):
                self.used[entry["name"]] = self.used.get(entry["name"], 0) + 1
                return entry
        return None
