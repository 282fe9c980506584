"""The words commands are made of: keys, values, numbers, times, members, options that do not exist.

Each atom draws from a pool chosen so that commands meet: few keys, few members, numbers at every edge. Nothing here may make a reply depend on
the clock's milliseconds, which is why every relative time to live is used once (`Draw.moment`). The forms that use them are in grammar/*.txt.
"""

import time

import lua

HOMES = {  # the keys a group's commands mostly use; a quarter of the time they take any group's, which is where WRONGTYPE comes from
    "string": [b"str:1", b"str:2", b"str:3"], "list": [b"list:1", b"list:2", b"list:3"], "hash": [b"hash:1", b"hash:2", b"hash:3"],
    "set": [b"set:1", b"set:2", b"set:3", b"set:4"], "zset": [b"zset:1", b"zset:2", b"zset:3"],
    "stream": [b"stream:1", b"stream:2"], "bitmap": [b"bit:1", b"bit:2", b"bit:3"], "hll": [b"hll:1", b"hll:2", b"hll:3"],
    "geo": [b"geo:1", b"geo:2"], "sort": [b"list:1", b"set:1", b"set:2"], "scripting": [b"str:1", b"list:1"],
}

SMALL = [b"0", b"1", b"2", b"3", b"4", b"5", b"7", b"10", b"-1", b"-2", b"-3", b"-5"]
HUGE = [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775806", b"4611686018427387904", b"2147483648", b"-2147483649",
        b"4294967296", b"9999999999999"]
NOT_INTEGERS = [b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"", b"abc", b"1.5", b" 1", b"1 ", b"+1", b"-0", b"01",
                b"1e3", b"0x10", b"--1", b"-", b"1\x00", b"nan", b"inf"]
FLOATS = [b"0", b"1", b"-1", b"1.5", b"-2.25", b"3.0e3", b"0.1", b"1e-10", b"5e+2", b"3.14159265358979", b"100000", b"1234567.125", b"-0", b"1e17", b"1e20",
          b"12345678901234567890", b"0.000001", b"99999999.99", b"2.5000", b"010", b".5", b"-.25"]
FLOAT_EDGES = [b"inf", b"-inf", b"+inf", b"Infinity", b"1e308", b"-1e308", b"1.7976931348623157e308", b"5e-324", b"1e-400", b"9007199254740993", b"1e21"]
NOT_FLOATS = [b"nan", b"NaN", b"abc", b"", b" 1.5", b"1.5 ", b"1,5", b"1.5.5", b"(1", b"1e", b"e5", b"+-1", b"0x", b"1e400", b"1.5\x00", b"infinit"]
WORDS = [b"a", b"b", b"c", b"hello", b"foo", b"bar", b"Hello World", b"x" * 44, b"y" * 45, b"z" * 63, b"w" * 64, b"v" * 65]
LONG = [b"L" * 200, b"M" * 1000, bytes(range(256)), b"ab" * 2100]
BINARY = [b"", b"\x00", b"\x00\x01\x02", b"\xff\xfe", b"caf\xc3\xa9", b"line\r\nbreak", b'quote"s', b"tab\t", b"\\", b"a\x00b", b"\x80" * 5]
MEMBERS = [b"m%d" % number for number in range(12)] + [b"%d" % number for number in range(8)] + [b"-7", b"300", b"70000", b"5000000000", b"1.5", b"0.5",
           b"007", b"a", b"aa", b"ab", b"b", b"B"]
INTEGERS_AS_MEMBERS = [b"%d" % number for number in range(24)]
OPTIONS = [b"NX", b"XX", b"GT", b"LT", b"GET", b"EX", b"PX", b"KEEPTTL", b"COUNT", b"LIMIT", b"WITHSCORES", b"LEFT", b"RIGHT", b"BEFORE", b"MATCH", b"REV", b"STORE",
           b"ASC", b"REPLACE", b"DB", b"ABSENT", b"*", b"(", b"[", b"-", b"+", b"=", b"~", b"MAXLEN", b"FIELDS", b"PERSIST", b"ANY", b"TYPE", b"AND"]
PATTERNS = [b"*", b"str:*", b"*:1", b"?tr:?", b"[a-l]*", b"[^s]*", b"m*", b"m[0-5]", b"m\\*", b"*\\", b"[", b"[a", b"[a-", b"[]", b"**1", b"", b"*[1-2]", b"list:[^2]", b"h?llo",
            b"set:1", b"\\s*", b"[z-a]*"]
CHANNELS = [b"news", b"news.a", b"news.b", b"", b"chat", b"\x00chan"]
CHANNEL_PATTERNS = [b"*", b"news.*", b"n?ws", b"chat", b"", b"[nc]*", b"zzz"]
STREAM_IDS = [b"1-1", b"1-2", b"2-0", b"2-1", b"3-5", b"5-1", b"10-10", b"0-1", b"0-0", b"7", b"20", b"100-0", b"18446744073709551615-18446744073709551615",
              b"18446744073709551615-18446744073709551614", b"18446744073709551615"]
BAD_STREAM_IDS = [b"", b"abc", b"1-", b"-1", b"1-1-1", b"1-a", b"18446744073709551616-0", b"1-18446744073709551616", b"-", b"+", b"*", b"$", b">", b"-5-1", b"1.5"]


USERS = [b"rob", b"rob", b"rob", b"alice", b"bob", b"Bob"]  # rob, whom the rival logs in as, is changed but never deleted
ACL_COMMANDS = [b"get", b"SET", b"mget", b"mset", b"del", b"exists", b"type", b"rename", b"copy", b"sort", b"append", b"getdel", b"lpush", b"lrange", b"blpop", b"lmove",
                b"hset", b"hgetall", b"sadd", b"zadd", b"xadd", b"publish", b"subscribe", b"psubscribe", b"keys", b"scan", b"flushall", b"config", b"config|get", b"Config|SET",
                b"client", b"client|id", b"client|list", b"object", b"object|encoding", b"memory|usage", b"command", b"command|count", b"select", b"ping", b"auth", b"multi", b"exec",
                b"acl", b"acl|whoami", b"acl|list", b"acl|setuser", b"slowlog", b"xinfo|stream", b"nosuch", b"get|", b"|", b"", b"config|nosuch", b"config|get|x", b"client|id|x"]
ACL_FIRST_ARGS = [b"select|0", b"SELECT|1", b"get|str:1", b"set|Str:1", b"object|encoding", b"echo|a", b"del|str:1", b"get|a|b"]
ACL_CATEGORIES = [b"keyspace", b"read", b"write", b"set", b"sortedset", b"list", b"hash", b"string", b"bitmap", b"hyperloglog", b"geo", b"stream", b"pubsub", b"admin", b"fast",
                  b"slow", b"blocking", b"Dangerous", b"connection", b"transaction", b"all", b"ALL", b"all", b"nosuch", b""]
ACL_PATTERNS = [b"*", b"str:*", b"str:1", b"str:[12]", b"list:*", b"*:1", b"new*", b"", b"?tr:2", b"s*r:3", b"[", b"a b", b"a\x00b", b"news*", b"news.a", b"chat", b"n?ws", b"missing"]
ACL_PASSWORDS = [b"a", b"b", b"", b"secret", b"a b"]
ACL_HASHES = [b"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", b"a" * 64, b"A" * 64, b"a" * 63, b"abc", b"g" * 64, b""]
ACL_WORDS = [b"on", b"on", b"off", b"nopass", b"resetpass", b"reset", b"sanitize-payload", b"skip-sanitize-payload", b"clearselectors", b"ON", b"ResetPass", b"foo", b"(", b")", b"()",
             b"on\x00x", b"%"]
ACL_PART_WORDS = [b"allkeys", b"resetkeys", b"allchannels", b"resetchannels", b"allcommands", b"nocommands", b"AllKeys", b"", b"bar", b"+get\x00x"]


class Draw:
    """Where the randomness and the few counters of one stream live."""

    def __init__(self, groups, rng):
        self.rng, self.random = rng, rng.random
        homes = [group for group in groups if group in HOMES] or ["string", "list"]
        self.all_keys = sorted({key for group in homes for key in HOMES[group]})
        self.homes = {group: HOMES.get(group, self.all_keys) for group in groups}
        self.home = self.all_keys
        self.used_moments = 0
        self.used_ids = 0
        self.epoch = int(time.time()) + 10_000_000
        self.inner = None  # makes the Grammar of what scripts call

    def enter(self, group):
        self.home = self.homes[group]

    def new_dataset(self):
        """Between two datasets the counters may begin again."""
        self.used_moments = self.used_ids = 0

    def of(self, pool):
        return pool[int(self.random() * len(pool))]

    def moment(self):
        """Seconds from now that no other command of the stream uses, so that GT and LT never turn on a millisecond."""
        self.used_moments += 1
        return 1000 + 20 * ((self.used_moments * 7919) % 50021)

    def odd(self):
        dice = self.random()
        return self.of(OPTIONS if dice < 0.4 else BINARY if dice < 0.6 else NOT_INTEGERS if dice < 0.8 else self.all_keys)


def key(draw):
    return draw.of(draw.home if draw.random() < 0.78 else draw.all_keys)


def anykey(draw):
    return draw.of(draw.all_keys)


def newkey(draw):
    return draw.of([b"missing", b"new:1", b"", b"new\x00key"])


def value(draw):
    dice = draw.random()
    if dice < 0.45:
        return draw.of(WORDS)
    if dice < 0.70:
        return draw.of(SMALL)
    if dice < 0.80:
        return draw.of(FLOATS)
    if dice < 0.88:
        return draw.of(BINARY)
    if dice < 0.93:
        return draw.of(HUGE)
    return draw.of(NOT_INTEGERS if dice < 0.97 else LONG)


def integer(draw):
    dice = draw.random()
    return draw.of(SMALL if dice < 0.88 else HUGE if dice < 0.94 else NOT_INTEGERS)


def odd_number(draw):
    dice = draw.random()
    return draw.of(HUGE if dice < 0.3 else NOT_INTEGERS if dice < 0.7 else NOT_FLOATS if dice < 0.9 else FLOAT_EDGES)


def floating(draw):
    dice = draw.random()
    return draw.of(FLOATS if dice < 0.85 else FLOAT_EDGES if dice < 0.93 else NOT_FLOATS)


def count(draw):
    """Positive and small most of the time; a huge negative one is an error everywhere, a middling one would be a huge reply."""
    dice = draw.random()
    if dice < 0.85:
        return draw.of([b"0", b"1", b"1", b"2", b"3", b"5", b"10", b"100"])
    return draw.of([b"-1", b"-3", b"-10"] if dice < 0.93 else NOT_INTEGERS + [b"9223372036854775807", b"-9223372036854775808", b"4294967296"])


def offset(draw):
    """For SETRANGE: small, or beyond the limit of 512 MB; what lies between would be allocated."""
    dice = draw.random()
    if dice < 0.88:
        return b"%d" % int(draw.random() * 40)
    return draw.of([b"1000", b"-1", b"536870912", b"9223372036854775807", b"-9223372036854775808"] if dice < 0.95 else NOT_INTEGERS)


def member(draw):
    dice = draw.random()
    return draw.of(MEMBERS if dice < 0.9 else BINARY if dice < 0.96 else WORDS + LONG)


def number_member(draw):
    return draw.of(INTEGERS_AS_MEMBERS if draw.random() < 0.93 else [b"40000", b"-40000", b"3000000000", b"9223372036854775807", b"x", b"007", b" 5"])


def sortable_key(draw):
    """A key that SORT finds, or is wrong about; of sorted sets only that which is there to be sorted."""
    keys = [name for name in draw.all_keys if not name.startswith((b"zset:", b"geo:", b"lex:"))]
    return draw.of([b"list:1", b"set:1", b"set:2", b"sorted"] if draw.random() < 0.78 else keys or [b"list:1"])


def plain_score(draw):
    """One that is written alike in both encodings of a sorted set."""
    return draw.of(SMALL + [b"1.5", b"-2.25", b"100000", b"inf", b"abc"])


def sortable(draw):
    """Without a NUL, behind which SORT ALPHA sees nothing."""
    return draw.of(MEMBERS if draw.random() < 0.9 else WORDS)


def element(draw):
    dice = draw.random()
    if dice < 0.6:
        return draw.of(MEMBERS)
    return value(draw)


def ttl(draw):
    dice = draw.random()
    if dice < 0.86:
        return b"%d" % draw.moment()
    return draw.of([b"0", b"-1", b"-1000"] if dice < 0.90 else HUGE + [b"9223372036854775", b"9223372036854776", b"-9223372036854775"] if dice < 0.96 else NOT_INTEGERS)


def ttl_ms(draw):
    dice = draw.random()
    if dice < 0.86:
        return b"%d" % (draw.moment() * 1000)
    return draw.of([b"0", b"-1", b"-1000"] if dice < 0.90 else HUGE if dice < 0.96 else NOT_INTEGERS)


def at(draw):
    dice = draw.random()
    if dice < 0.86:
        return b"%d" % (draw.epoch + int(draw.random() * 8) * 1000)
    return draw.of([b"0", b"1", b"-1", b"1000000000"] if dice < 0.90 else HUGE + [b"9223372036854775", b"9223372036854776"] if dice < 0.96 else NOT_INTEGERS)


def at_ms(draw):
    dice = draw.random()
    if dice < 0.86:
        return b"%d" % ((draw.epoch + int(draw.random() * 8) * 1000) * 1000 + 123)
    return draw.of([b"0", b"1", b"-1", b"1000000000000"] if dice < 0.90 else HUGE if dice < 0.96 else NOT_INTEGERS)


def timeout(draw):
    """Of a command that may really wait: short, or refused. Never 0, which waits for ever."""
    dice = draw.random()
    return draw.of([b"0.01", b"0.005", b"1e-2"] if dice < 0.8 else [b"-1", b"abc", b"", b"nan", b"-0.1", b"9223372036854775807", b"inf", b"1e400", b"0.01x"])


def any_timeout(draw):
    """Of a command inside MULTI or a script, which never waits."""
    return draw.of([b"0", b"1", b"0.5", b"100"]) if draw.random() < 0.8 else timeout(draw)


def pattern(draw):
    return draw.of(PATTERNS)


def cursor(draw):
    return b"0" if draw.random() < 0.9 else draw.of([b"abc", b"", b"-1", b"18446744073709551615", b"18446744073709551616", b"0 ", b"00"])


def big_count(draw):
    """A SCAN COUNT that covers the whole dataset, so that the reply does not depend on the table's layout."""
    return draw.of([b"1000", b"5000", b"100000"]) if draw.random() < 0.9 else draw.of([b"0", b"-1", b"abc", b"", b"1.5"])


def database(draw):
    return draw.of([b"0", b"1", b"2"]) if draw.random() < 0.9 else draw.of([b"16", b"-1", b"abc", b"15", b"99999999999", b"", b"0x1", b"1.0"])


def type_name(draw):
    return draw.of([b"string", b"list", b"hash", b"set", b"zset", b"stream", b"STRING", b"nosuchtype", b""])


def channel(draw):
    return draw.of(CHANNELS)


def channel_pattern(draw):
    return draw.of(CHANNEL_PATTERNS)


def score_bound(draw):
    dice = draw.random()
    if dice < 0.45:
        return draw.of([b"-inf", b"+inf", b"0", b"1", b"2", b"5", b"-1", b"3.5", b"10"])
    if dice < 0.8:
        return b"(" + draw.of([b"0", b"1", b"2", b"5", b"-inf", b"inf", b"1.5"])
    return draw.of([b"(", b"nan", b"abc", b"", b"[1", b"((1", b"(nan", b"1e400"]) if dice > 0.92 else floating(draw)


def lex_bound(draw):
    dice = draw.random()
    if dice < 0.2:
        return draw.of([b"-", b"+"])
    if dice < 0.92:
        return (b"[" if draw.random() < 0.5 else b"(") + draw.of([b"a", b"aa", b"b", b"m", b"m3", b"m5", b"m9", b"z", b"", b"\x00"])
    return draw.of([b"", b"a", b"--", b"+1", b"*", b"((", b"["])


def lexkey(draw):
    """Sorted sets whose scores are all alike: only there has a range by name a defined answer."""
    return draw.of([b"lex:1", b"lex:2", b"lex:3"])


def rank(draw):
    return integer(draw)


def weight(draw):
    return floating(draw)


def bit_offset(draw):
    dice = draw.random()
    if dice < 0.9:
        return b"%d" % int(draw.random() * 140)
    return draw.of([b"-1", b"4294967296", b"4294967295000", b"9223372036854775807", b"1000", b"8191"] + NOT_INTEGERS)


def broken_hll(draw):
    return draw.of([b"hll:broken:1", b"hll:broken:2"])


def hll_offset(draw):
    """Into the header of a HyperLogLog, or into its first registers."""
    return draw.of([b"0", b"3", b"4", b"5", b"8", b"14", b"15", b"16", b"17", b"18", b"30"])


def hll_byte(draw):
    return draw.of([b"\x00", b"\x01", b"\x02", b"\x3f", b"\x40", b"\x7f", b"\x80", b"\x83", b"\xff", b"HYLL", b"\x7f\xff"])


def bit(draw):
    return draw.of([b"0", b"1"]) if draw.random() < 0.93 else draw.of([b"2", b"-1", b"", b"x", b"01"])


def bit_type(draw):
    if draw.random() < 0.9:
        return draw.of([b"u1", b"u4", b"u8", b"u16", b"u31", b"u63", b"i1", b"i5", b"i8", b"i16", b"i32", b"i64", b"U8", b"I8"])
    return draw.of([b"u64", b"i65", b"u0", b"i0", b"x8", b"u", b"", b"8", b"u-1", b"u08", b"i 8"])


def bit_place(draw):
    dice = draw.random()
    if dice < 0.6:
        return b"%d" % int(draw.random() * 70)
    return b"#%d" % int(draw.random() * 9) if dice < 0.93 else draw.of([b"#", b"#-1", b"-1", b"abc", b"", b"#x", b"4294967296", b"#9223372036854775807"])


def longitude(draw):
    if draw.random() < 0.9:
        return draw.of([b"13.361389", b"15.087269", b"2.349014", b"-0.127758", b"0", b"13.5", b"180", b"-180", b"-73.9", b"179.99999"])
    return draw.of([b"181", b"-181", b"abc", b"nan", b"inf", b"", b"1e3"])


def latitude(draw):
    if draw.random() < 0.9:
        return draw.of([b"38.115556", b"37.502669", b"48.864716", b"51.507351", b"0", b"37", b"85.05112878", b"-85.05112878", b"40.7", b"-33.8"])
    return draw.of([b"86", b"-90", b"abc", b"nan", b"inf", b"", b"85.0511288"])


def distance(draw):
    return draw.of([b"0", b"1", b"100", b"200", b"500.5", b"1000", b"3000", b"20000", b"1e5"]) if draw.random() < 0.93 else draw.of([b"-1", b"abc", b"nan", b"", b"inf"])


def unit(draw):
    return draw.of([b"m", b"km", b"ft", b"mi", b"KM"]) if draw.random() < 0.94 else draw.of([b"cm", b"", b"mm"])


def stream_id(draw):
    """An id in a stream: near others, so that XDEL, XRANGE and XACK meet something."""
    dice = draw.random()
    if dice < 0.62:
        return b"%d-%d" % (1 + int(draw.random() * 60), int(draw.random() * 3))
    return draw.of(STREAM_IDS if dice < 0.94 else BAD_STREAM_IDS)


def next_id(draw):
    """An id to add: mostly the next one, so that XADD succeeds."""
    dice = draw.random()
    draw.used_ids += dice < 0.9
    if dice < 0.85:
        return b"%d-%d" % (draw.used_ids // 4 + 1, draw.used_ids % 3)
    if dice < 0.9:
        return b"%d-*" % (draw.used_ids // 4 + 1)
    return draw.of(STREAM_IDS[:10] if dice < 0.96 else [b"0-0", b"0-*", b"abc", b"1-", b"", b"+", b"-", b"1-1-1"] + STREAM_IDS[12:13])


def range_start(draw):
    dice = draw.random()
    return b"-" if dice < 0.4 else stream_id(draw) if dice < 0.8 else b"(" + stream_id(draw)


def range_end(draw):
    dice = draw.random()
    return b"+" if dice < 0.4 else stream_id(draw) if dice < 0.8 else b"(" + stream_id(draw)


def read_from(draw):
    dice = draw.random()
    return b"0" if dice < 0.3 else b"$" if dice < 0.4 else b"+" if dice < 0.5 else stream_id(draw)


def group_read_from(draw):
    dice = draw.random()
    return b">" if dice < 0.7 else b"0" if dice < 0.9 else stream_id(draw)


def group(draw):
    return draw.of([b"g1", b"g1", b"g1", b"g2", b"g2", b"nogroup", b""])


def consumer(draw):
    return draw.of([b"alice", b"alice", b"bob", b"carol", b""])


def idle(draw):
    return draw.of([b"0", b"0", b"0", b"100000000", b"-1"]) if draw.random() < 0.95 else draw.of(NOT_INTEGERS)


def numkeys(draw, out, inner):
    """A count and that many words; now and then the count lies."""
    words = [inner(draw)]
    while draw.random() < 0.5:
        words.append(inner(draw))
    out.append(b"%d" % len(words) if draw.random() < 0.94 else draw.of([b"0", b"-1", b"1", b"2", b"100", b"abc", b"9223372036854775807", b"", b"4294967297"]))
    out += words


def streams(draw, out, inner):
    """The tail of XREAD: as many keys as ids."""
    words = [key(draw)]
    while draw.random() < 0.4:
        words.append(key(draw))
    out += words + [inner(draw) for _ in words]


def client_name(draw):
    return draw.of([b"worker", b"a-b", b"", b"with space", b"new\nline", b"x" * 70, b"caf\xc3\xa9", b"tab\t", b"!", b"~"])


def config_name(draw):
    return draw.of([b"list-max-listpack-size", b"maxmemory-policy", b"nosuchparameter", b"hash-max-listpack-entries", b"slowlog-max-len", b"*-max-listpack-entries", b"tcp-keepalive",
                    b"maxmemory-samples", b"LIST-MAX-listpack-size", b"", b"lfu-decay-time", b"list-compress-depth", b"proto-max-bulk-len", b"zset-max-listpack-*"])


def script(draw):
    return draw.of(SCRIPTS) if draw.random() < 0.3 else lua.script(draw)


def library(draw):
    return lua.library(draw)


SCRIPTS = [
    b"return 1", b"return 'abc'", b"return {1,2,{3,'four'}}", b"return nil", b"return true", b"return false", b"return 3.99", b"return {ok='fine'}", b"return {err='MY error'}",
    b"return redis.error_reply('ERR mine')", b"return redis.status_reply('GOOD')", b"return KEYS[1]", b"return ARGV[1]", b"return #KEYS + #ARGV", b"return {KEYS, ARGV}",
    b"return redis.call('get', KEYS[1])", b"return redis.pcall('get', KEYS[1])", b"return redis.call('set', KEYS[1], ARGV[1])", b"return redis.call('incr', KEYS[1])",
    b"return redis.call('lrange', KEYS[1], 0, -1)", b"return redis.call('rpush', KEYS[1], ARGV[1])", b"return redis.call('nosuchcommand')", b"return redis.call('get')",
    b"return redis.call()", b"return {1, nil, 3}", b"return tostring(1.5)", b"return tonumber('0x10')", b"return string.rep('x', 10)", b"return cjson.encode({1,2,3})",
    b"return cjson.decode('[1,2]')", b"return redis.sha1hex('')", b"error('boom')", b"return {err=''}", b"x = 1", b"return y", b"syntax error here", b"return redis.call('multi')",
    b"return redis.pcall('lpush', KEYS[1], 'x')", b"return struct.pack('>I', 5)", b"return cmsgpack.unpack(cmsgpack.pack('a'))", b"return bit.band(7, 3)",
    b"return redis.call('ttl', 'nosuchkey')", b"redis.setresp(3); return redis.call('get', 'nosuchkey')", b"return {double=3.5}", b"return {map={a=1}}", b"return math.floor(3.7)",
    b"return {redis.call('exists', KEYS[1]), redis.call('type', KEYS[1])}", b"return redis.pcall('nosuch').err", b"local t = redis.call('set', 'str:1', 1); return t.ok", b"return 1e15", b"return -1.5",
    b"#!lua\nreturn 1", b"#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 1)", b"#!nosuch\nreturn 1", b"#!lua flags=bad\nreturn 1",
]

def user(draw):
    return draw.of(USERS) if draw.random() < 0.97 else draw.of([b"nobody", b"", b"a b", b"a\x00b"])


def deleted_user(draw):
    return draw.of([b"alice", b"bob", b"Bob", b"nobody", b""])


def password(draw):
    return draw.of(ACL_PASSWORDS)


def part_rule(draw):
    """What a user's root permissions and selectors have in common."""
    dice = draw.random()
    if dice < 0.34:
        return draw.of([b"+", b"+", b"-"]) + draw.of(ACL_COMMANDS)
    if dice < 0.40:
        return draw.of([b"+", b"+", b"+", b"-"]) + draw.of(ACL_FIRST_ARGS)
    if dice < 0.58:
        return draw.of([b"+@", b"-@"]) + draw.of(ACL_CATEGORIES)
    if dice < 0.70:
        return b"~" + draw.of(ACL_PATTERNS)
    if dice < 0.80:
        return b"%" + draw.of([b"R", b"W", b"RW", b"WR", b"r", b"w", b"", b"RR", b"X"]) + draw.of([b"~", b"~", b"~", b"~", b"~", b""]) + draw.of(ACL_PATTERNS)
    if dice < 0.90:
        return b"&" + draw.of(ACL_PATTERNS)
    return draw.of(ACL_PART_WORDS)


def rule(draw):
    dice = draw.random()
    if dice < 0.70:
        return part_rule(draw)
    if dice < 0.86:
        return draw.of(ACL_WORDS)
    if dice < 0.94:
        return draw.of([b">", b">", b"<"]) + draw.of(ACL_PASSWORDS)
    return draw.of([b"#", b"#", b"!"]) + draw.of(ACL_HASHES)


def selector(draw):
    rules = [part_rule(draw) for _ in range(1 + int(draw.random() * 4))]
    quoted = [b'"%b"' % one if draw.random() < 0.03 else one for one in rules if b" " not in one]
    return b"(" + b" ".join(quoted) + b")"


def selector_pieces(draw, out, _):
    """A selector given as several arguments, perhaps never closed."""
    pieces = selector(draw).split(b" ")
    out += pieces if draw.random() < 0.95 else pieces[:-1]


ATOMS = {name.replace("_", "-"): function for name, function in list(globals().items())
         if callable(function) and not isinstance(function, type) and function.__module__ == __name__}
ATOMS |= {"int": integer, "float": floating, "score": floating, "field": member, "seconds": ttl, "start": integer, "stop": integer, "index": integer}
