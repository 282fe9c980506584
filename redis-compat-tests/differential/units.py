"""Units: one command, or a few that only make sense together (a transaction, a rival's write, a subscriber, a wait for expiry).

A stream is a list of units and a unit a list of steps; shrinking leaves out whole units, so what must stay together belongs in one. A step is
(connection, arguments); connection None means a pause of so many seconds. Three connections: MAIN, RIVAL, and LISTENER, which alone
subscribes, so that its pushes never mix with other replies.
"""

from grammar import form

MAIN, RIVAL, LISTENER = 0, 1, 2

BODY_FORMS = {  # commands that wait, safe where nothing waits: inside MULTI
    "list": ["BLPOP key ... any-timeout", "BRPOP key ... any-timeout", "BLMOVE key key ( LEFT | RIGHT ) ( LEFT | RIGHT ) any-timeout", "BRPOPLPUSH key key any-timeout",
             "BLMPOP any-timeout numkeys:key ( LEFT | RIGHT ) [COUNT count]"],
    "zset": ["BZPOPMIN key ... any-timeout", "BZPOPMAX key ... any-timeout", "BZMPOP any-timeout numkeys:key ( MIN | MAX ) [COUNT count]"],
    "stream": ["XREAD [COUNT count] BLOCK \"5\" STREAMS streams:read-from"],
}
WAITING_FORMS = {
    "list": ["BLPOP key ... timeout", "BRPOP key ... timeout", "BLMOVE key key ( LEFT | RIGHT ) ( LEFT | RIGHT ) timeout", "BRPOPLPUSH key key timeout",
             "BLMPOP timeout numkeys:key ( LEFT | RIGHT ) [COUNT count]"],
    "zset": ["BZPOPMIN key ... timeout", "BZPOPMAX key ... timeout", "BZMPOP timeout numkeys:key ( MIN | MAX ) [COUNT count]"],
    "stream": ["XREAD [COUNT count] BLOCK ( \"5\" | \"-1\" | \"x\" ) STREAMS streams:read-from",
               "XREADGROUP GROUP group consumer [COUNT count] BLOCK \"5\" STREAMS streams:group-read-from"],
}
RULE_FORMS = ['ACL SETUSER "rob" rule ...', 'ACL SETUSER "rob" selector', 'ACL SETUSER "rob" ( "resetkeys" | "resetchannels" | "allkeys" | "allchannels" | "+@all" | "-@all" )']
RANDOM_FORMS = {
    "set": ["SPOP key [count]", "SRANDMEMBER key [count]"],
    "hash": ["HRANDFIELD key [count [WITHVALUES]]"],
    "zset": ["ZRANDMEMBER key [count [WITHSCORES]]"],
}
ENDS = {b"EXEC", b"DISCARD", b"MULTI", b"RESET"}
LISTING = {"hash": [b"HGETALL", b"HKEYS", b"HVALS"], "set": [b"SMEMBERS"]}
SUBSCRIBING = [form(text) for text in [
    "SUBSCRIBE channel ...", "PSUBSCRIBE channel-pattern ...", "UNSUBSCRIBE [channel ...]", "PUNSUBSCRIBE [channel-pattern ...]", "SSUBSCRIBE channel ...",
    "SUNSUBSCRIBE [channel ...]", "PING", "PING value", "GET key", "SUBSCRIBE", "SUBSCRIBE channel channel", "UNSUBSCRIBE channel channel", "ECHO value"]]
PUBLISHING = [form(text) for text in ["PUBLISH channel value", "PUBLISH channel value", "SPUBLISH channel value", "PUBSUB CHANNELS", "PUBSUB NUMPAT", "PUBSUB NUMSUB channel channel",
                                      "PUBSUB SHARDCHANNELS", "PUBSUB SHARDNUMSUB channel"]]
THRESHOLDS = {  # directive: (default, values that make both encodings appear)
    b"list-max-listpack-size": (b"128", [b"-2", b"4", b"1", b"-1", b"128", b"16"]),
    b"list-compress-depth": (b"0", [b"0", b"1", b"2"]),
    b"hash-max-listpack-entries": (b"128", [b"4", b"128", b"8"]),
    b"hash-max-listpack-value": (b"64", [b"8", b"64", b"20"]),
    b"set-max-intset-entries": (b"512", [b"4", b"8", b"512"]),
    b"set-max-listpack-entries": (b"128", [b"4", b"8", b"128"]),
    b"set-max-listpack-value": (b"64", [b"8", b"64"]),
    b"zset-max-listpack-entries": (b"128", [b"4", b"8", b"128"]),
    b"zset-max-listpack-value": (b"64", [b"8", b"64"]),
    b"stream-node-max-entries": (b"100", [b"3", b"10", b"100"]),
    b"stream-node-max-bytes": (b"4096", [b"4096", b"200"]),
    b"hll-sparse-max-bytes": (b"3000", [b"3000", b"20"]),
}
DEFAULTS = [item for name, (default, _) in THRESHOLDS.items() for item in (name, default)] + [
    b"maxmemory-policy", b"noeviction", b"notify-keyspace-events", b"", b"slowlog-max-len", b"128", b"slowlog-log-slower-than", b"-1", b"maxmemory-samples", b"5",
    b"acl-pubsub-default", b"resetchannels", b"acllog-max-len", b"128", b"lfu-decay-time", b"1", b"tcp-keepalive", b"300", b"proto-max-bulk-len", b"536870912"]


def forms_of(table, groups, available):
    return [(group, form(text)) for group in groups for text in table.get(group, []) if text.split()[0].lower() in available]


# How many of all units are commands whose keyspace events are heard and compared (`--notified`), beside the few that come by themselves.
NOTIFIED_SHARE = 0.0


class Units:
    def __init__(self, grammar, groups, available, known_directives, resp):
        self.grammar, self.draw, self.rng, self.random = grammar, grammar.draw, grammar.draw.rng, grammar.random
        self.hello = [b"HELLO", b"%d" % resp]
        self.resp = resp
        self.available = available
        self.rules = forms_of({"acl": RULE_FORMS}, groups, available)
        self.bodies = forms_of(BODY_FORMS, groups, available)
        self.waits = forms_of(WAITING_FORMS, groups, available)
        self.randoms = forms_of(RANDOM_FORMS, groups, available)
        self.listings = [(group, name) for group in groups for name in LISTING.get(group, []) if name.decode().lower() in available]
        self.thresholds = [(name, values) for name, (_, values) in THRESHOLDS.items() if name in known_directives]
        self.makers = self.weighted(groups)

    def weighted(self, groups):
        """(threshold, maker): the first whose threshold is above the dice makes the unit; most units are one command."""
        chances = [(NOTIFIED_SHARE, self.notified), (0.02, self.transaction), (0.004, self.threshold), (0.003, self.change_database), (0.004, self.scan_part)]
        if "transactions" in groups:
            chances += [(0.05, self.transaction), (0.02, self.contention), (0.004, self.rival_transaction)]
        if "pubsub" in groups:
            chances += [(0.03, self.subscriber), (0.003, self.notified)]
        if "keys" in groups:
            chances += [(0.001, self.expiry), (0.002, self.notified)]
        if "connection" in groups:
            chances += [(0.006, self.other_protocol), (0.01, self.reset), (0.01, self.reply_off), (0.003, self.refused_login)]
            if "client|tracking" in self.available:
                chances += [(0.003, self.invalidation)]
        if "acl" in groups:
            chances += [(0.25, self.guarded), (0.02, self.guarded_transaction), (0.05, self.dryrun)]
        if self.waits:
            chances += [(0.002, self.wait)]
        if self.randoms:
            chances += [(0.03, self.random_pick)]
        if self.listings:
            chances += [(0.04, self.listing)]
        if "stream" in groups:
            chances += [(0.02, self.make_group)]
        makers, sum_so_far = [], 0.0
        for chance, maker in chances:
            sum_so_far += chance
            makers.append((sum_so_far, maker))
        return makers

    def next(self):
        dice = self.random()
        for below, maker in self.makers:
            if dice < below:
                return maker()
        return [(MAIN, self.grammar.command())]

    def made(self, forms):
        group, command = self.draw.of(forms)
        self.draw.enter(group)
        return command(self.draw)

    def body_command(self):
        """A command inside MULTI: one that waits is safe only there, so nothing may end the transaction early."""
        if self.bodies and self.random() < 0.1:
            return self.made(self.bodies)
        return self.single_command()

    def single_command(self):
        while True:
            command = self.grammar.command()
            if command[0].upper() not in ENDS:
                return command

    def transaction(self):
        steps = [[b"MULTI"]] + [self.body_command() for _ in range(int(self.random() * 6))]
        if self.random() < 0.05:
            steps.append([b"MULTI"] if self.random() < 0.5 else [b"WATCH", self.draw.of(self.draw.all_keys)])
        steps.append([b"EXEC"] if self.random() < 0.9 else [b"DISCARD"])
        return [(MAIN, args) for args in steps]

    def contention(self):
        keys = [self.draw.of(self.draw.all_keys) for _ in range(1 + int(self.random() * 2))]
        steps = [(MAIN, [b"WATCH"] + keys)]
        if self.random() < 0.2:
            steps.append((MAIN, self.grammar.command()))
        steps.append((RIVAL, self.grammar.command()))
        if self.random() < 0.2:
            steps.append((MAIN, [b"UNWATCH"]))
        steps += [(MAIN, [b"MULTI"]), (MAIN, self.grammar.command()), (MAIN, [b"EXEC"])]
        return steps

    def rival_transaction(self):
        """Another client's writes between MULTI and EXEC."""
        return [(MAIN, [b"MULTI"]), (MAIN, self.grammar.command()), (RIVAL, self.grammar.command()), (MAIN, self.grammar.command()),
                              (MAIN, [b"EXEC"]), (RIVAL, [b"SELECT", b"0"])]

    def logged_in(self):
        """The rival as rob, who may log in whatever was done to him."""
        return [(MAIN, [b"ACL", b"SETUSER", b"rob", b"on", b"nopass"]), (RIVAL, [b"AUTH", b"rob", b"x"])]

    def guarded(self):
        """Rules are given, and rob feels them."""
        steps = self.logged_in()
        if self.random() < 0.3:
            steps.append((MAIN, [b"ACL", b"SETUSER", b"rob", b"+@all", b"-acl", self.draw.of([b"~str:*", b"%R~str:*", b"~*", b"allchannels", b"(~str:1 +@write)", b"-@write"])]))
        steps += [(MAIN, self.made(self.rules)) for _ in range(int(self.random() * 3))]
        steps += [(RIVAL, self.single_command()) for _ in range(1 + int(self.random() * 5))]
        return steps + [(MAIN, [b"ACL", b"LOG", b"3"])]

    def guarded_transaction(self):
        """What was allowed when it was queued may not be any more when it is run."""
        steps = self.logged_in() + [(MAIN, [b"ACL", b"SETUSER", b"rob", b"+multi", b"+exec", b"allcommands"]), (RIVAL, [b"MULTI"])]
        steps += [(RIVAL, self.body_command()) for _ in range(1 + int(self.random() * 4))]
        steps += [(MAIN, self.made(self.rules)), (MAIN, [b"ACL", b"SETUSER", b"rob", b"+exec"])]
        return steps + [(RIVAL, [b"EXEC"]), (MAIN, [b"ACL", b"LOG", b"3"])]

    def dryrun(self):
        return [(MAIN, [b"ACL", b"DRYRUN", self.draw.of([b"rob", b"rob", b"alice", b"default"])] + self.body_command())]

    def threshold(self):
        if not self.thresholds:
            return [(MAIN, self.grammar.command())]
        name, values = self.draw.of(self.thresholds)
        return [(MAIN, [b"CONFIG", b"SET", name, self.draw.of(values)])]

    def change_database(self):
        return [(MAIN, [b"SELECT", self.draw.of([b"0", b"0", b"0", b"1", b"2"])])]

    def scan_part(self):
        return [(MAIN, [b"SCAN", b"0", b"COUNT", self.draw.of([b"1", b"2", b"5"])])]

    def expiry(self):
        key = self.draw.of(self.draw.all_keys)
        begin = self.draw.of([[b"SET", key, b"v", b"PX", b"2"], [b"PEXPIRE", key, b"2"], [b"PSETEX", key, b"1", b"v"], [b"GETEX", key, b"PX", b"1"]])
        look = self.draw.of([[b"GET", key], [b"EXISTS", key], [b"TYPE", key], [b"TTL", key], [b"KEYS", b"*"], [b"DEL", key], [b"RENAME", key, b"new:1"], [b"SET", key, b"w", b"GET"],
                             [b"SCAN", b"0", b"COUNT", b"1000"], [b"COPY", key, b"new:1"], [b"LPUSHX", key, b"x"], [b"APPEND", key, b"x"], [b"INCR", key]])
        if self.random() < 0.3:
            return [(MAIN, [b"WATCH", key]), (MAIN, begin), (None, 0.008), (MAIN, [b"MULTI"]), (MAIN, look), (MAIN, [b"EXEC"])]
        return [(MAIN, begin), (None, 0.008), (MAIN, look)]

    def wait(self):
        command = self.made(self.waits)
        if self.random() < 0.5:
            return [(MAIN, command)]
        self.draw.enter(self.waits[0][0])
        return [(RIVAL, self.grammar.command()), (MAIN, command)]

    def random_pick(self):
        """What a random pick removes differs between servers, so the key goes with it."""
        command = self.made(self.randoms)
        steps = [(MAIN, command)]
        if command[0].upper() == b"SPOP":
            steps.append((MAIN, [b"DEL", command[1]]))
        return steps

    def listing(self):
        """The encoding is asked first: only a hashtable may list in another order."""
        group, name = self.draw.of(self.listings)
        self.draw.enter(group)
        key = self.draw.of(self.draw.home)
        return [(MAIN, [b"OBJECT", b"ENCODING", key]), (MAIN, [name, key])]

    def subscriber(self):
        steps = []
        for _ in range(1 + int(self.random() * 4)):
            self.draw.enter(next(iter(self.draw.homes)))
            steps.append((LISTENER, self.draw.of(SUBSCRIBING)(self.draw)))
            if self.random() < 0.7:
                steps.append((MAIN, self.draw.of(PUBLISHING)(self.draw)))
        steps = [(side, args) for side, args in steps if args[0].decode().lower() in self.available]
        if self.random() < 0.5:
            steps += [(LISTENER, [b"RESET"]), (LISTENER, self.hello)]
        return steps

    def notified(self):
        """Keyspace events of a dozen commands, heard by the listener."""
        flags = self.draw.of([b"KEA", b"KEA", b"EA", b"KA", b"K$l", b"Eg", b"KEAn", b"Ex", b"KEAmn", b"KEAmn", b"Kmn"])
        steps = [(LISTENER, [b"RESET"]), (LISTENER, [b"PSUBSCRIBE", b"__key*__:*"]), (MAIN, [b"CONFIG", b"SET", b"notify-keyspace-events", flags])]
        for _ in range(12):
            steps.append((MAIN, self.grammar.command()))
        steps += [(MAIN, [b"CONFIG", b"SET", b"notify-keyspace-events", b""]), (LISTENER, [b"RESET"]), (LISTENER, self.hello)]
        return steps

    def other_protocol(self):
        other = [b"HELLO", b"2" if self.resp == 3 else b"3"]
        return [(MAIN, other)] + [(MAIN, self.grammar.command()) for _ in range(6)] + [(MAIN, self.hello)]

    def reset(self):
        return [(MAIN, [b"RESET"]), (MAIN, self.hello)]

    def reply_off(self):
        skip = self.random() < 0.5
        steps = [[b"CLIENT", b"REPLY", b"SKIP"], self.grammar.command()] if skip else [
            [b"CLIENT", b"REPLY", b"OFF"], self.grammar.command(), self.grammar.command(), [b"CLIENT", b"REPLY", b"ON"]]
        return [(LISTENER, [b"RESET"])] + [(LISTENER, args) for args in steps if args[0].upper() != b"SELECT"] + [(LISTENER, [b"RESET"]), (LISTENER, self.hello)]

    def invalidation(self):
        """Client-side caching in RESP3: what MAIN read and RIVAL writes."""
        keys = [self.draw.of(self.draw.all_keys) for _ in range(3)]
        track = [b"CLIENT", b"TRACKING", b"ON"] + self.draw.of([[], [b"BCAST"], [b"OPTIN"], [b"OPTOUT"], [b"NOLOOP"], [b"BCAST", b"PREFIX", keys[0][:3]]])
        steps = [(LISTENER, [b"HELLO", b"3"]), (LISTENER, track)] + [(LISTENER, [b"GET", key]) for key in keys]
        steps += [(RIVAL, [b"SET", key, b"v"]) for key in keys[:2]] + [(LISTENER, [b"SET", keys[2], b"w"]), (RIVAL, [b"PING"])]
        return steps + [(LISTENER, [b"RESET"]), (LISTENER, self.hello)]

    def refused_login(self):
        """Redis 8.2.3 loses the error of a failed login that follows another command in the same pipeline, so this one begins its own."""
        login = self.draw.of([[b"AUTH", b"x"], [b"AUTH", b"x", b"y"], [b"HELLO", b"2", b"AUTH", b"x", b"y"], [b"AUTH", b"default", b"x"], [b"AUTH"], [b"AUTH", b"a", b"b", b"c"]])
        return [(RIVAL, [b"PING"]), (MAIN, login)] + ([(MAIN, self.hello)] if login[0] == b"HELLO" else [])

    def make_group(self):
        self.draw.enter("stream")
        key = self.draw.of(self.draw.home)
        return [(MAIN, [b"XGROUP", b"CREATE", key, b"g1", self.draw.of([b"0", b"$", b"3-0"]), b"MKSTREAM"])]


def tells_counts(unit):
    """Whether a unit tells the server how many entries there were or were read, or where they end: Redis then computes lags from that."""
    return has_word(unit, b"XSETID", b"ENTRIESREAD", b"ENTRIESADDED", b"LASTID")


def has_word(unit, *words):
    return any(isinstance(arg, bytes) and arg.upper() in words for _, args in unit if isinstance(args, list) for arg in args)


def believable(units, innocent):
    """Streams without what 8.2.3 gets wrong: `~` with DELREF or ACKED deletes nothing (redis/redis#14623), and ACKED still waits for a group that was destroyed.

    Every other stream is innocent: nothing in it lies about counts or destroys a group, so lags can be compared and ACKED is used throughout.
    """
    if innocent:
        units = [unit for unit in units if not tells_counts(unit) and not has_word(unit, b"DESTROY")]
    destroyed = False
    for unit in units:
        destroyed = destroyed or has_word(unit, b"DESTROY")
        for step, (number, args) in enumerate(unit):
            if not isinstance(args, list) or args[0].upper() not in (b"XADD", b"XTRIM", b"XDELEX", b"XACKDEL"):
                continue
            spared = (b"ACKED", b"DELREF") if any(word.startswith(b"~") for word in args) else (b"ACKED",) if destroyed else ()
            unit[step] = number, [b"KEEPREF" if word.upper() in spared else word for word in args]
    return units


def may_wait(args):
    return bool(args) and isinstance(args, list) and args[0][:1] in b"bB" and args[0].lower().startswith((b"bl", b"br", b"bz"))
