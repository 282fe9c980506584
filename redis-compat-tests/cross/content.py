"""A data set with every type and encoding, made by commands, and read back as plain values that can be compared."""

import random
import socket
import struct
import time

from wire import encode, parse


class Client:
    def __init__(self, port):
        for _ in range(100):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
                self.data, self.db = b"", 0
                if self.run("PING") == b"PONG":
                    return
            except (OSError, ConnectionError):
                pass
            time.sleep(0.05)
        raise SystemExit(f"nobody answers on port {port}")

    def run(self, *args):
        self.socket.sendall(encode([arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]))
        while True:
            try:
                reply, end = parse(self.data)
                if end <= len(self.data):
                    break
            except (ValueError, IndexError):
                pass
            more = self.socket.recv(1 << 20)
            if not more:
                raise ConnectionError("closed")
            self.data += more
            # A long text is not looked at before it is whole.
            while self.data[:1] == b"$" and b"\r\n" in self.data[:32]:
                length = int(self.data[1:self.data.index(b"\r\n")])
                if length < 0 or len(self.data) >= self.data.index(b"\r\n") + 4 + length:
                    break
                self.data += self.socket.recv(1 << 20)
        self.data = self.data[end:]
        return plain(reply)

    def in_db(self, db, *args):
        if db != self.db:
            self.run("SELECT", db)
            self.db = db
        return self.run(*args)


def plain(reply):
    kind, payload = reply
    if kind in (b"*", b"~", b">", b"%"):
        return [plain(item) for item in payload]
    if kind == b"_":
        return None
    if kind == b"-":
        return b"-" + payload
    return int(payload) if kind == b":" else payload


def fill(client, with_fields):
    """Strings, lists, sets, sorted sets, hashes and streams in each encoding, with odd bytes, deadlines and more than one database."""
    dice = random.Random(4)
    later = int(time.time() * 1000) + 10 ** 8
    run = client.run
    for number in (0, 1, -1, 127, 128, -129, 32767, 32768, 2 ** 31 - 1, 2 ** 31, -2 ** 31, 2 ** 63 - 1, -2 ** 63):
        run("SET", f"int:{number}", number)
    texts = [b"", b"a", b"007", b"\0\xff\r\n", b"x" * 20, b"y" * 21, b"z" * 40, dice.randbytes(100), b"abc" * 50, b"q" * 20_000,
             dice.randbytes(70_000), b"mixed" * 10 + dice.randbytes(300)]
    for at, text in enumerate(texts):
        run("SET", b"text:%d" % at, text)
    run("SET", b"bin\0ary\xff key", "v", "PX", 10 ** 9)
    run("SET", b"12345", "a key that is a number", "PXAT", later)
    run("SET", "k" * 300, "a long key")
    run("PFADD", "hll:sparse", *range(50))
    run("PFADD", "hll:dense", *range(20_000))
    run("SETBIT", "bits", 100_000, 1)

    run("RPUSH", "list:small", "a", "1", "-5000", b"\xff", "")
    run("RPUSH", "list:many", *[f"element {at} {'x' * (at % 50)}" for at in range(3000)])
    run("RPUSH", "list:large", "a", "b" * 9000, "c", "d" * 70_000, "1")
    run("RPUSH", "list:numbers", *[dice.choice([at, at * 1000, at * 10 ** 6, -at * 10 ** 12]) for at in range(500)])
    run("SADD", "set:int16", *range(100))
    run("SADD", "set:int32", *range(70_000, 70_050))
    run("SADD", "set:int64", *[2 ** 40 + at for at in range(50)])
    run("SADD", "set:small", "a", "b", "3", b"\0")
    run("SADD", "set:large", *[f"member {at}" for at in range(1000)])
    run("SADD", "set:long", "x" * 100, "y" * 5000)
    run("SADD", "set:manyint", *range(0, 3000, 3))
    run("ZADD", "zset:small", "1", "a", "2.5", "b", "-inf", "c", "inf", "d", "1e300", "e", "0.1", "7")
    run("ZADD", "zset:large", *[word for at in range(1000) for word in (dice.uniform(-1e6, 1e6), f"member {at}")])
    run("ZADD", "zset:long", "3", "x" * 100)
    run("ZADD", "zset:same", *[word for at in range(300) for word in (0, f"m{at}")])
    run("HSET", "hash:small", "a", "1", "b", b"\xff\0", "c", "", "9", "99999999999")
    run("HSET", "hash:large", *[word for at in range(1000) for word in (f"field {at}", at * at)])
    run("HSET", "hash:long", "f", "x" * 100, "g", "y" * 20_000)
    if with_fields:
        run("HSET", "hash:timed", "a", "1", "b", "2", "c", "3")
        run("HPEXPIREAT", "hash:timed", later, "FIELDS", 1, "b")
        run("HPEXPIREAT", "hash:timed", later - 5000, "FIELDS", 1, "c")
        run("HSET", "hash:timed:large", *[word for at in range(1000) for word in (f"field {at}", at)])
        for at in range(0, 1000, 7):
            run("HPEXPIREAT", "hash:timed:large", later + dice.randrange(10 ** 7), "FIELDS", 1, f"field {at}")
        run("HSET", "hash:untimed", "a", "1", "b", "2")
        run("HPEXPIREAT", "hash:untimed", later, "FIELDS", 1, "a")
        run("HPERSIST", "hash:untimed", "FIELDS", 1, "a")
        run("PEXPIREAT", "hash:timed", later + 1)

    streams(client, dice)
    run("MSET", *[word for at in range(2000) for word in (f"bulk:{at}", "v" * (at % 90))])
    for at in range(0, 2000, 5):
        run("PEXPIREAT", f"bulk:{at}", later + at)
    client.in_db(3, "SET", "other", "database")
    client.in_db(3, "RPUSH", "l", "x")
    client.in_db(15, "ZADD", "z", "1", "a")
    client.in_db(0, "SET", "last", "one")


def streams(client, dice):
    run = client.run
    for at in range(1, 400):
        names = ["a", f"value {at}", "b", at] if at % 3 else ["other", "x" * (at % 200), "k", "1", "a", ""]
        run("XADD", "stream", f"{1000 + at // 4}-{at % 4 + 1}", *names)
    for at in range(5, 380, 3):
        run("XDEL", "stream", f"{1000 + at // 4}-{at % 4 + 1}")
    run("XADD", "stream:far", "5-18446744073709551614", "f", "v")
    run("XADD", "stream:far", "18446744073709551-0", "f", "v")
    run("XADD", "stream:emptied", "7-7", "f", "v")
    run("XDEL", "stream:emptied", "7-7")
    run("XGROUP", "CREATE", "stream:none", "g", "$", "MKSTREAM")
    run("XADD", "stream:trimmed", "MAXLEN", "5", "1-1", "f", "v")
    for at in range(2, 300):
        run("XADD", "stream:trimmed", "MAXLEN", "5", f"{at}-1", "f", f"v{at}")
    run("XGROUP", "CREATE", "stream", "g1", "0")
    run("XGROUP", "CREATE", "stream", "77", "1050-0", "ENTRIESREAD", "100")
    run("XGROUP", "CREATE", "stream", "g3", "$")
    run("XGROUP", "CREATECONSUMER", "stream", "g1", "idle one")
    run("XREADGROUP", "GROUP", "g1", "alice", "COUNT", "30", "STREAMS", "stream", ">")
    run("XREADGROUP", "GROUP", "g1", "bob", "COUNT", "150", "STREAMS", "stream", ">")
    run("XREADGROUP", "GROUP", "77", "5", "COUNT", "20", "NOACK", "STREAMS", "stream", ">")
    run("XREADGROUP", "GROUP", "77", "5", "COUNT", "20", "STREAMS", "stream", ">")
    pending = run("XPENDING", "stream", "g1", "-", "+", "500")
    for entry in pending[::4]:
        run("XACK", "stream", "g1", entry[0])
    run("XCLAIM", "stream", "g1", "carol", "0", pending[1][0], "TIME", "1600000000000", "RETRYCOUNT", "300")
    for entry in pending[2::9]:
        run("XDEL", "stream", entry[0])


def coarse(content):
    """What Redis 6.2 can tell, too: whether there is a deadline, and of a stream its entries, its last id and who has what pending."""
    def value(facts):
        what = facts["content"]
        if facts["kind"] == b"stream":
            entries, (length, last, *_), groups = what
            what = entries, (length, last), [(name, at, pel, [(who, seen, *rest) for who, seen, *rest in consumers]) for name, at, _, pel, consumers in groups]
        if facts["kind"] == b"hash":
            what = what[0]
        return {"kind": facts["kind"], "deadline": facts["deadline"] > 0, "content": what}

    return {db: {key: value(facts) for key, facts in keys.items()} for db, keys in content.items()}


def describe(client):
    """All databases: key to a dictionary of what can be seen."""
    found = {}
    # Not to be asked of servers before 7.0, whose complaint about a name with a line break would break the protocol.
    client.tells_deadlines = isinstance(client.run("PEXPIRETIME", "no such key"), int)
    client.tells_fields = not isinstance(client.run("HPEXPIRETIME", "no such key", "FIELDS", "1", "f"), bytes)
    for db in range(16):
        client.in_db(db, "PING")
        keys, cursor = set(), b"0"
        while True:
            cursor, some = client.in_db(db, "SCAN", cursor, "COUNT", 1000)
            keys.update(some)
            if cursor == b"0":
                break
        if keys:
            found[db] = {key: about(client, db, key) for key in sorted(keys)}
    return found


def about(client, db, key):
    def run(*args):
        return client.in_db(db, *args)

    kind = run("TYPE", key)
    deadline = run("PEXPIRETIME" if client.tells_deadlines else "PTTL", key)
    content = {b"string": string, b"list": items, b"set": members, b"zset": scored, b"hash": fields, b"stream": stream}[kind](run, key)
    if kind == b"hash":
        content = content, field_deadlines(run, key, content) if client.tells_fields else [-1] * len(content)
    return {"kind": kind, "deadline": deadline, "content": content}


def string(run, key):
    return run("GET", key)


def items(run, key):
    return run("LRANGE", key, "0", "-1")


def members(run, key):
    return sorted(run("SMEMBERS", key))


def scored(run, key):
    flat = run("ZRANGE", key, "0", "-1", "WITHSCORES")
    return [(flat[at], struct.pack("<d", float(flat[at + 1]))) for at in range(0, len(flat), 2)]


def fields(run, key):
    flat = run("HGETALL", key)
    return sorted((flat[at], flat[at + 1]) for at in range(0, len(flat), 2))


def field_deadlines(run, key, pairs):
    return run("HPEXPIRETIME", key, "FIELDS", len(pairs), *[name for name, _ in pairs])


def stream(run, key):
    info = run("XINFO", "STREAM", key, "FULL", "COUNT", "0")
    facts = {info[at]: info[at + 1] for at in range(0, len(info), 2)}
    kept = [b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added"]
    groups = []
    for group in facts[b"groups"]:
        about_group = {group[at]: group[at + 1] for at in range(0, len(group), 2)}
        consumers = []
        for consumer in about_group[b"consumers"]:
            one = {consumer[at]: consumer[at + 1] for at in range(0, len(consumer), 2)}
            consumers.append((one[b"name"], one[b"seen-time"], one[b"pel-count"], sorted(tuple(entry[:3]) for entry in one.get(b"pel", one.get(b"pending", [])))))
        pel = [tuple(entry) for entry in about_group.get(b"pel", about_group.get(b"pending", []))]
        groups.append((about_group[b"name"], about_group[b"last-delivered-id"], about_group.get(b"entries-read"), sorted(pel), sorted(consumers)))
    return run("XRANGE", key, "-", "+"), [facts.get(name) for name in kept], sorted(groups)


def differences(expected, found):
    lines = []
    for db in sorted(set(expected) | set(found)):
        one, two = expected.get(db, {}), found.get(db, {})
        for key in sorted(set(one) | set(two)):
            if one.get(key) != two.get(key):
                lines.append(f"db {db} {key!r}: {short(one.get(key))}\n          instead {short(two.get(key))}")
    return lines


def short(value):
    text = repr(value)
    return text if len(text) < 1500 else text[:1500] + "…"
