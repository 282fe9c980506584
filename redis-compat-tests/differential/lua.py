"""Random Lua: scripts and libraries of functions that call random commands of every type and turn random values into replies and back.

A script is a few statements `local vN = …` of one kind each (`STATEMENTS`) and an end (`returned`). Most statements run behind `try`, which turns an error into
a value, so that a script goes on after one. What has no defined order is sorted by the script itself, and addresses are cut out of texts. Each statement is a
line of its own, so that shrink.py can leave it out. The commands come from the other groups' grammars.
"""

import atoms
import compare

INNER_GROUPS = ["string", "list", "hash", "set", "zset", "bitmap", "hll", "geo", "stream", "keys"]
CLOCKED = {"near_deadline", "kind", "shape", "scanned", "pending", "stream_facts"}  # rules of compare.py that forgive values: only the type is looked at
NOT_INSIDE = {"swapdb", "move", "select", "restore", "copy", "sort", "sort_ro", "xautoclaim", "xclaim", "georadius", "georadius_ro", "georadiusbymember",
              "georadiusbymember_ro", "geosearch", "randomkey", "dump", "object", "memory", "flushall", "flushdb", "hrandfield", "srandmember", "zrandmember", "spop",
              "sinterstore", "sunionstore", "sdiffstore", "scan", "hscan", "sscan", "zscan", "xinfo", "xpending", "touch"}
AVOIDED = {b"HELP", b"~", b"DELREF", b"ACKED", b"ENTRIESREAD", b"ENTRIESADDED", b"LASTID", b"DESTROY", b"$"}

HELPERS = b" ".join(rb"""
local function plain(v) return (tostring(v):gsub(': 0x%x+', ': 0x')) end
local function less(a, b)
  if type(a) ~= type(b) then return type(a) < type(b) end
  if type(a) == 'number' or type(a) == 'string' then return a < b end
  return tostring(a) < tostring(b)
end
local function show(v, depth)
  depth = depth or 0
  if type(v) == 'number' then return v ~= v and 'nan' or string.format('%.17g', v) end
  if type(v) == 'string' then return string.format('%q', v) end
  if type(v) ~= 'table' then return plain(v) end
  if depth > 6 then return '...' end
  local keys, out = {}, {}
  for k in next, v do keys[#keys + 1] = k end
  table.sort(keys, less)
  for _, k in ipairs(keys) do out[#out + 1] = '[' .. show(k, depth + 1) .. ']=' .. show(rawget(v, k), depth + 1) end
  return '{' .. table.concat(out, ',') .. '}'
end
local function pack(...) return {n = select('#', ...), ...} end
local function try(f, ...) return pack(pcall(f, ...)) end
local function sorted(v)
  if type(v) ~= 'table' or v.err or v.map or v.set then return v end
  local keys = {} for i, k in ipairs(v) do keys[i] = show(k) end
  table.sort(keys) return keys
end
""".split())


def script(draw):
    """The body of EVAL."""
    lines = []
    if draw.random() < 0.12:
        lines.append(b"#!lua" + shebang_flags(draw))
    return b"\n".join(lines + body(draw, b"KEYS", b"ARGV"))


def library(draw):
    """The code of FUNCTION LOAD."""
    name = draw.of([b"lib1", b"lib2", b"lib3"])
    lines = [b"#!lua name=" + name] + [HELPERS]
    # Two names that differ only in case crash 8.2.3 when their library goes.
    names = [draw.of([b"f1", b"f1", b"f1", b"F1"]), b"f2", b"f3"]
    draw.rng.shuffle(names)
    for function in names[:1 + int(draw.random() * 2)]:
        inner = body(draw, b"keys", b"args", helpers=False)
        if draw.random() < 0.5:
            lines.append(b"redis.register_function('%b', function(keys, args)" % function)
            lines += inner + [b"end)"]
        else:
            flags = draw.of([b"", b"'no-writes'", b"'allow-oom'", b"'no-writes', 'allow-stale'", b"'no-cluster'", b"'allow-cross-slot-keys'", b"'no-such-flag'", b"1"])
            lines.append(b"redis.register_function{function_name='%b', callback=function(keys, args)" % function)
            lines += inner + [b"end, flags={%b}}" % flags]
    if draw.random() < 0.1:
        lines.insert(2, draw.of([b"local x = redis.call('get', 'a')", b"x = 1", b"local x = y", b"error('at load')", b"local x = redis.sha1hex('a')", b"local m = math.floor(1.5)",
                                                        b"local m = cjson.encode({1})", b"local m = KEYS", b"local s = string.rep('a', 3)", b"redis.log(redis.LOG_DEBUG, 'x')"]))
    return b"\n".join(lines)


def shebang_flags(draw):
    names = [b"no-writes", b"allow-oom", b"allow-stale", b"no-cluster", b"allow-cross-slot-keys"]
    chosen = [name for name in names if draw.random() < 0.25] or ([draw.of(names)] if draw.random() < 0.5 else [])
    if draw.random() < 0.06:
        chosen.append(draw.of([b"", b"none", b"NO-WRITES", b" no-writes"]))
    return b" flags=" + b",".join(chosen) if chosen or draw.random() < 0.3 else b""


def body(draw, keys, arguments, helpers=True):
    maker = Maker(draw, keys, arguments)
    lines = [HELPERS] if helpers else []
    if draw.random() < 0.3:
        lines.append(b"redis.setresp(%b)" % draw.of([b"3", b"3", b"3", b"2"]))
    for _ in range(1 + int(draw.random() * 5)):
        lines.append(maker.statement())
    return lines + [maker.returned()]


class Maker:
    """Expressions over what the script has so far."""

    def __init__(self, draw, keys, arguments):
        self.draw, self.random, self.of = draw, draw.random, draw.of
        self.keys, self.arguments = keys, arguments
        self.variables = 0

    def one(self, choices):
        """One of (weight, method) pairs."""
        dice = self.random() * sum(weight for weight, _ in choices)
        for weight, method in choices:
            dice -= weight
            if dice < 0:
                return method()
        return choices[-1][1]()

    def variable(self):
        return b"v%d" % (1 + int(self.random() * self.variables)) if self.variables else b"nil"

    # ---- statements

    def statement(self):
        expression = self.one([(8, self.command), (3, self.fallible), (2, lambda: self.value(3)), (2, self.round_trip), (2, self.text_function), (1, self.number_function),
                               (1, self.table_function), (1, self.structure), (1, self.error), (1, self.sandbox), (1, self.bits), (0.5, self.routine), (0.5, self.json_text)])
        self.variables += 1
        return b"local v%d = %b" % (self.variables, expression)

    def returned(self):
        last = b"v%d" % self.variables
        every = b", ".join(b"v%d" % (at + 1) for at in range(self.variables))
        return self.one([(4, lambda: b"return show({%b})" % every), (3, lambda: b"return " + last), (2, lambda: b"return {%b}" % every), (2, lambda: b"return " + self.value(4)),
                         (1, lambda: b"return show(%b)" % last), (0.5, lambda: b"return try(cjson.encode, %b)" % last), (0.5, lambda: b"return " + self.reply_shape(2)),
                         (0.2, lambda: b"error(%b)" % self.of([b"'boom'", b"{err='BOOM it'}", b"'two words', 0", b"{err='x'}", b"'lvl', 2", b"12", b"nil", b"true", b"{ok=1}", last + b" or 'none'" if False else b"'last'"])),
                         (0.2, lambda: b"return"), (0.3, lambda: b"return unpack({%b})" % every)])

    # ---- commands

    def command(self):
        function, arguments, name = self.called()
        call = b"redis.%b(%b)" % (function, b", ".join(arguments))
        if function == b"call" and self.random() < 0.85:
            call = b"try(redis.call, %b)" % b", ".join(arguments)
            return b"sorted(%b[2])" % call if name in UNORDERED else b"type(%b[2])" % call if name in FORGIVEN else call
        return b"sorted(%b)" % call if name in UNORDERED else b"type(%b)" % call if name in FORGIVEN else call

    def called(self):
        while True:
            words = self.draw.inner().command()
            name = words[0].lower().decode("latin-1")
            if name in NOT_INSIDE or any(word.upper() in AVOIDED or word.startswith(b"~") for word in words) or name.startswith("x") and b"*" in b"".join(words):
                continue
            break
        arguments = [self.argument(word) for word in words]
        if self.random() < 0.02:
            arguments[int(self.random() * len(arguments))] = self.of([b"nil", b"true", b"{}", b"cjson.null", b"function() end", b"v1" if self.variables else b"false"])
        return (b"pcall" if self.random() < 0.4 else b"call"), arguments, name

    def argument(self, word):
        """A word of a command as Lua writes it."""
        dice = self.random()
        if dice < 0.04:
            return b"%b[%d] or 'none'" % (self.of([self.keys, self.arguments]), 1 + int(self.random() * 2))
        if dice < 0.3 and is_number(word):
            return word
        if dice < 0.32:
            return self.of([b"1.5", b"3", b"1e15", b"-0", b"2^53", b"1/0", b"-1/0", b"0.1", b"1e100", b"123456789012", b"1/3", b"-7"])
        return quoted(word)

    # ---- values

    def value(self, depth):
        choices = [(2, self.number), (2, self.string), (0.7, lambda: self.of([b"true", b"false"])), (0.5, lambda: b"nil"), (0.5, lambda: b"cjson.null"), (1, self.variable)]
        if depth > 0:
            choices += [(2, lambda: self.array(depth)), (1, lambda: self.record(depth)), (1, lambda: self.reply_shape(depth))]
        return self.one(choices)

    def number(self):
        return self.of([b"0", b"1", b"-1", b"3", b"10", b"3.99", b"-3.99", b"1e15", b"1e17", b"2^53", b"-2^53", b"2^63", b"-2^63", b"2^31", b"-2^31", b"2^32", b"0.1", b"1/3", b"1e100", b"-1e-7",
                        b"123456789.125", b"1/0", b"-1/0", b"0/0", b"-0", b"255", b"256", b"65535", b"65536", b"-128", b"-129", b"-32769", b"1.5", b"5e-324", b"1e308", b"0x10", b"127", b"128",
                        b"4294967296", b"9007199254740993", b"3.0000001", b"100000000000000", b"1e14", b"123456789012345678"])

    def string(self):
        return quoted(atoms.value(self.draw)) if self.random() < 0.7 else self.of(
            [b"''", b"'1'", b"'1.50'", b"'0x1F'", b"' 12 '", b"'abc def'", b"'nan'", b"'1e3'", b"'\\0'", b"'a\\0b'", b"'\\255\\254'", b"'%d'", b"'[1,2]'", b"'line\\nbreak'", b"('x'):rep(%d)" % int(self.random() * 70),
             b"('ab'):rep(%d)" % int(self.random() * 20000)])

    def short(self):
        """A string that no pattern can be at for long."""
        return self.of([b"''", b"'abc'", b"'hello world'", b"'a1b2c3'", b"'(a(b)c)'", b"'x=1, y=2'", b"'  lead'", b"'aaaa'", b"'THE (quick) fox'", b"'a\0b'", b"'\200\255'", b"'k1=v1;k2=v2'", b"12.5", b"'line\nbreak'"])

    def array(self, depth):
        return b"{%b}" % b", ".join(self.value(depth - 1) for _ in range(int(self.random() * 5)))

    def record(self, depth):
        fields = []
        for _ in range(int(self.random() * 5)):
            key = self.one([(3, lambda: self.of([b"a", b"b", b"c", b"ok", b"err", b"map", b"set", b"double", b"big_number", b"verbatim_string", b"n", b"name"])),
                            (2, lambda: b"[%b]" % self.of([b"1", b"2", b"3", b"-1", b"1.5", b"100", b"0", b"'1'", b"'x y'", b"true", b"2^53", b"'\\0'"]))])
            fields.append(b"%b=%b" % (key, self.value(depth - 1)))
        return b"{%b}" % b", ".join(fields)

    def reply_shape(self, depth):
        """The tables that stand for replies, right and nearly right."""
        inner = lambda: self.value(depth - 1)  # noqa: E731
        return self.one([(1, lambda: b"{ok=%b}" % self.string_or(inner)), (1, lambda: b"{err=%b}" % self.of([b"'ERR mine'", b"'MY'", b"''", b"'-DASH x'", b"1", b"nil", b"'two words'"])),
                         (1, lambda: b"{double=%b}" % self.number()), (1, lambda: b"{double=%b}" % inner()), (1, lambda: b"{map={%b=%b}}" % (self.of([b"a", b"[1]", b"[true]", b"['x']", b"[1.5]"]), inner())),
                         (0.5, lambda: b"{map=%b}" % inner()), (1, lambda: b"{set={%b=true}}" % self.of([b"a", b"[1]", b"['x y']"])), (0.5, lambda: b"{set={a=%b}}" % inner()),
                         (1, lambda: b"{big_number=%b}" % self.of([b"'1234567999999999999999999999999999999'", b"'12\\r\\n3'", b"''", b"12", b"'abc'"])),
                         (1, lambda: b"{verbatim_string={string=%b, format=%b}}" % (self.string(), self.of([b"'txt'", b"'mkd'", b"'x'", b"'long'", b"1", b"nil", b"''"]))),
                         (1, lambda: b"redis.status_reply(%b)" % self.text()), (1, lambda: b"redis.error_reply(%b)" % self.text()), (0.3, lambda: b"{%b, %b, nil, %b}" % (inner(), inner(), inner()))])

    def string_or(self, other):
        return self.text() if self.random() < 0.8 else other()

    def text(self):
        """A string without line breaks: an error or status with one breaks the oracle's protocol."""
        return self.of([b"'OK'", b"'fine'", b"''", b"'ERR mine'", b"'-ERR mine'", b"'-MINE'", b"'MINE text here'", b"'a\\0b c'", b"' lead'", b"'trail '", b"'-'", b"'WRONGTYPE x'", b"'\\200'", b"'x%dy'", b"'12'"])

    # ---- functions of the libraries

    def fallible(self):
        """Something of everything, behind `try`."""
        return b"try(function() return %b end)" % self.one([(1, lambda: self.arithmetic(2)), (1, self.text_function), (1, self.number_function), (1, self.table_function), (1, self.round_trip), (1, self.structure),
                                                            (1, self.bits), (1, self.sandbox), (1, self.command)])

    def arithmetic(self, depth):
        if depth == 0:
            return self.value(1)
        left, right = self.arithmetic(depth - 1), self.arithmetic(depth - 1)
        return self.of([b"(%b) + (%b)", b"(%b) - (%b)", b"(%b) * (%b)", b"(%b) / (%b)", b"(%b) %% (%b)", b"(%b) .. (%b)", b"(%b) == (%b)", b"(%b) < (%b)", b"(%b) and (%b)", b"(%b) or (%b)", b"(%b) ^ (%b)"]) % (left, right)

    def text_function(self):
        text, count = self.string, lambda: self.of([b"0", b"1", b"2", b"3", b"-1", b"-2", b"5", b"100", b"-100", b"1.5", b"'2'"])  # noqa: E731
        return b"try(%b)" % self.one([
            (2, lambda: b"string.format, %b, %b, %b" % (quoted(format_text(self)), self.value(0), self.value(0))),
            (1, lambda: b"string.sub, %b, %b, %b" % (text(), count(), count())), (0.5, lambda: b"string.byte, %b, %b, %b" % (text(), count(), count())),
            (0.5, lambda: b"string.char, %b, %b" % (self.of([b"65", b"0", b"255", b"256", b"-1", b"'66'", b"1.5"]), self.of([b"65", b"0", b"255"]))),
            (0.5, lambda: b"string.%b, %b" % (self.of([b"upper", b"lower", b"reverse", b"len"]), self.value(0))), (0.5, lambda: b"string.rep, %b, %b" % (self.value(0), count())),
            (2, lambda: b"string.find, %b, %b, %b, %b" % (self.short(), quoted(pattern(self)), count(), self.of([b"nil", b"nil", b"true"]))),
            (1.5, lambda: b"string.match, %b, %b" % (self.short(), quoted(pattern(self)))),
            (1.5, lambda: b"string.gsub, %b, %b, %b, %b" % (self.short(), quoted(pattern(self)), self.of([b"'x'", b"'%0%0'", b"'%1'", b"'<%1%2>'", b"'%'", b"'%%'", b"{a='A', ['1']=2}", b"function(a, b) return b or a end", b"function() end",
                                                                                               b"function() return false end", b"function() return {} end", b"'%x'", b"12", b"function(...) return select('#', ...) end"]),
                                                           self.of([b"nil", b"nil", b"1", b"0", b"-1", b"2"]))),
            (0.7, lambda: b"function(s, p) local r = {} for a, b in s:gmatch(p) do r[#r + 1] = a r[#r + 1] = b if #r > 40 then break end end return r end, %b, %b" % (self.short(), quoted(pattern(self)))),
            (0.7, lambda: b"tonumber, %b, %b" % (self.of([self.string(), self.number(), b"'zz'", b"'-7f'", b"'10'", b"' 1 '"]), self.of([b"nil", b"10", b"16", b"36", b"2", b"37", b"1", b"8"]))),
            (0.5, lambda: b"plain, %b" % self.value(1)), (0.3, lambda: b"redis.sha1hex, %b" % self.value(0)), (0.2, lambda: b"string.gfind, 'abc', '.'"), (0.1, lambda: b"string.dump, function() end")])

    def number_function(self):
        number = lambda: self.number() if self.random() < 0.85 else self.value(0)  # noqa: E731
        return b"try(%b)" % self.one([
            (3, lambda: b"math.%b, %b" % (self.of([b"floor", b"ceil", b"abs", b"sqrt", b"modf", b"frexp", b"exp", b"log", b"log10", b"deg", b"rad", b"sin", b"tanh"]), number())),
            (2, lambda: b"math.%b, %b, %b" % (self.of([b"max", b"min", b"fmod", b"pow", b"ldexp", b"atan2", b"mod"]), number(), number())),
            (1, lambda: b"math.random, %b" % self.of([b"10", b"1, 6", b"100, 1000", b"0", b"5, 1", b"-3, 3", b"nil", b"1, 2, 3", b"2^31", b"1.5", b"'7'"])), (0.5, lambda: b"math.random"),
            (0.7, lambda: b"function() math.randomseed(%b) return math.random(1000000), math.random() end" % self.of([b"1", b"42", b"-5", b"1e10", b"'7'", b"0", b"2^40"]))])

    def table_function(self):
        array = lambda: self.one([(3, lambda: self.array(2)), (1, lambda: b"{3, 1, 2}"), (1, lambda: b"{'b', 'a', 'c'}"), (1, self.variable), (1, lambda: self.record(2))])  # noqa: E731
        return b"try(%b)" % self.one([
            (1, lambda: b"table.concat, %b, %b" % (array(), self.of([b"','", b"''", b"nil", b"1", b"', ', 1, 2", b"'', 2, 1", b"'', 0, 1", b"'', -1"]))),
            (1, lambda: b"function(t) table.sort(t%b) return t end, %b" % (self.of([b"", b"", b", function(a, b) return a > b end", b", function() return true end", b", function() end", b", 1"]), array())),
            (1, lambda: b"function(t) table.insert(t, %b) return t end, %b" % (self.of([b"9", b"1, 9", b"2, 'x'", b"10, 1", b"0, 1", b"-2, 1", b"'1', 1", b"nil", b"1, 2, 3", b"1.5, 'y'"]), array())),
            (1, lambda: b"function(t) local r = table.remove(t%b) return r, t end, %b" % (self.of([b"", b"", b", 1", b", 2", b", 10", b", 0", b", -1", b", 'x'"]), array())),
            (1, lambda: b"unpack, %b%b" % (array(), self.of([b"", b"", b", 2", b", 1, 3", b", 0, 2", b", 3, 1", b", -1, 1", b", 'a'"]))), (0.5, lambda: b"table.maxn, %b" % array()), (0.3, lambda: b"table.getn, %b" % array()),
            (0.5, lambda: b"function(t) local n = 0 for k, v in pairs(t) do n = n + 1 end return n, #t end, %b" % array()), (0.7, lambda: b"function(t) local r = {} for k, v in ipairs(t) do r[k] = v end return r end, %b" % array()),
            (0.3, lambda: b"table.foreach, %b, function(k, v) return v end" % self.of([b"{5}", b"{}", b"nil"])), (0.3, lambda: b"select, %b, 1, nil, 3" % self.of([b"'#'", b"1", b"2", b"-1", b"-4", b"0", b"10", b"'x'"])),
            (0.3, lambda: b"next, %b, %b" % (self.of([b"{}", b"{1}", b"{a=1}", b"nil"]), self.of([b"nil", b"1", b"'a'", b"'nosuch'"]))), (0.3, lambda: b"function(t) return #t, t[1], rawget(t, 1), rawequal(t, t) end, %b" % array())])

    def round_trip(self):
        value = self.value(3)
        return self.one([
            (2, lambda: b"try(function(x) return cjson.decode(cjson.encode(x)) end, %b)" % value), (1, lambda: b"try(cjson.encode, %b)" % value),
            (2, lambda: b"try(function(x) return cmsgpack.unpack(cmsgpack.pack(x)) end, %b)" % value), (1, lambda: b"try(cmsgpack.pack, %b, %b)" % (value, self.value(1))),
            (0.5, lambda: b"try(cmsgpack.unpack, %b)" % self.string()), (0.5, lambda: b"try(cmsgpack.unpack, %b)" % quoted(packed(self))),
            (0.5, lambda: b"try(cmsgpack.unpack_one, cmsgpack.pack(%b, 2), %b)" % (value if value != b"nil" else b"1", self.of([b"0", b"1", b"-1", b"100", b"nil", b"'0'"]))),
            (0.5, lambda: b"try(cmsgpack.unpack_limit, cmsgpack.pack(1, 'a', {}), %b, %b)" % (self.of([b"1", b"2", b"0", b"-1", b"9"]), self.of([b"0", b"1", b"nil", b"3", b"99"]))),
            (0.3, lambda: b"try(cmsgpack.pack)"), (0.3, self.settings)])

    def settings(self):
        return b"try(function(x) local own = cjson.new() own.%b(%b) return own.encode(x), own.decode('[1,[2,[3]],1e3,nan]') end, %b)" % (
            self.of([b"encode_sparse_array", b"encode_max_depth", b"decode_max_depth", b"encode_number_precision", b"encode_keep_buffer", b"encode_invalid_numbers", b"decode_invalid_numbers"]),
            self.of([b"", b"1", b"2", b"true", b"false", b"'null'", b"'on'", b"'off'", b"14", b"3", b"0", b"-1", b"true, 2, 3", b"'x'", b"15", b"1, 2"]), self.value(3))

    def json_text(self):
        return b"try(cjson.decode, %b)" % quoted(json(self, 3))

    def structure(self):
        form = b"".join(self.of([b"<", b">", b"=", b"!", b"!4", b"!8", b"", b"", b""]) + self.of([b"b", b"B", b"h", b"H", b"i", b"I", b"l", b"L", b"i1", b"I2", b"i3", b"i4", b"I5", b"i8", b"I16", b"i0", b"i33", b"f", b"d", b"s", b"c0",
                                    b"c1", b"c3", b"x", b" ", b"T", b"z", b"n", b"X", b"s4"]) for _ in range(1 + int(self.random() * 3)))
        values = b", ".join(self.value(0) for _ in range(int(self.random() * 4)))
        tail = b", " + values if values else b""
        return self.one([(2, lambda: b"try(struct.pack, %b%b)" % (quoted(form), tail)), (2, lambda: b"try(function(...) return struct.unpack(%b, struct.pack(%b, ...)) end%b)" % (quoted(form), quoted(form), tail)),
                         (1, lambda: b"try(struct.unpack, %b, %b%b)" % (quoted(form), self.string(), self.of([b"", b", 1", b", 2", b", 0", b", -1", b", 100", b", 1.5"]))), (0.5, lambda: b"try(struct.size, %b)" % quoted(form))])

    def bits(self):
        number = lambda: self.number() if self.random() < 0.9 else self.value(0)  # noqa: E731
        return self.one([(2, lambda: b"try(bit.%b, %b, %b, %b)" % (self.of([b"band", b"bor", b"bxor"]), number(), number(), number())), (1, lambda: b"try(bit.%b, %b)" % (self.of([b"bnot", b"tobit", b"bswap"]), number())),
                         (2, lambda: b"try(bit.%b, %b, %b)" % (self.of([b"lshift", b"rshift", b"arshift", b"rol", b"ror"]), number(), number())), (1, lambda: b"try(bit.tohex, %b%b)" % (number(), self.of([b"", b", 4", b", -4", b", 0", b", 9", b", -9", b", 1.5"]))),
                         (0.2, lambda: b"try(bit.band)")])

    def error(self):
        thrown = self.of([b"'boom'", b"'boom', 0", b"'boom', 2", b"{err='MY error'}", b"{err='x', a=1}", b"{}", b"{ok='x'}", b"nil", b"12", b"true", b"redis.error_reply('CODE text')", b"{err=1}", b"cjson.null",
                          b"setmetatable({}, {__tostring=function() return 'shown' end})", b"{err='a'}, 2"])
        raising = self.one([(3, lambda: b"error(%b)" % thrown), (1, lambda: b"return redis.call('nosuch')"), (1, lambda: b"return redis.call('lpush', 'str:1')"), (1, lambda: b"return nil .. 'x'"), (1, lambda: b"local t t.x = 1"),
                            (1, lambda: b"return #nil"), (1, lambda: b"return {} < {}"), (1, lambda: b"return ('x')()"), (1, lambda: b"return {} + 1"), (1, lambda: b"return 'x' + 1"), (1, lambda: b"assert(false, %b)" % self.of([b"'msg'", b"nil", b"{err='x y'}", b"12"])),
                            (1, lambda: b"return undefined"), (1, lambda: b"undefined = 1"), (1, lambda: b"return math.floor({})"), (1, lambda: b"string.rep()"), (1, lambda: b"('x'):bad()"), (1, lambda: b"redis.nosuch()"), (1, lambda: b"setmetatable(1, {})"),
                            (1, lambda: b"for i = 1, 'x' do end"), (1, lambda: b"for i = {}, 1 do end"), (1, lambda: b"for i in 5 do end"), (1, lambda: b"local a = {} a[nil] = 1"), (1, lambda: b"local a = {} a[0/0] = 1")])
        return self.one([(4, lambda: b"try(function() %b end)" % raising), (2, lambda: b"pack(xpcall(function() %b end, %b))" % (raising, self.of([b"function(e) return e end", b"function(e) return {seen = type(e)} end", b"function(e) error('again') end", b"type",
                                                                                                                               b"1", b"plain", b"function(e) return type(e) == 'table' and e.err or e end"]))),
                         (1, lambda: b"try(function() local r = try(function() %b end) error(r[2]) end)" % raising)])

    def sandbox(self):
        return b"try(function() %b end)" % self.of([
            b"return type(_G), _G == _G._G", b"_G.x = 1", b"return _G.nosuch", b"return rawget(_G, 'redis') ~= nil, rawget(_G, 'nosuch')", b"rawset(_G, 'x', 1)", b"setmetatable(_G, {})", b"return type(getmetatable(_G))", b"redis.x = 1",
            b"redis.call = nil", b"string.rep = nil", b"setmetatable(redis, {})", b"getmetatable('').__index = nil", b"return type(getmetatable(''))", b"return getmetatable('').__index == string", b"rawset(string, 'x', 1)", b"table.insert(redis, 1)",
            b"table.remove(redis, 1)", b"return #redis, next(redis) ~= nil", b"for k in pairs(redis) do if k == 'call' then return 1 end end", b"return print", b"return os.time", b"return type(os.clock())", b"return io", b"return require", b"return debug",
            b"return dofile", b"return loadfile", b"return getfenv", b"return setfenv", b"return newproxy", b"return module", b"return package", b"return collectgarbage('count') > 0", b"return gcinfo() > 0", b"return collectgarbage('nosuch')",
            b"return loadstring('return 1')()", b"return loadstring('return x')()", b"return loadstring('syntax error')", b"return loadstring('return ...', 'name')(1)", b"return load(function() end)", b"local n = 0 return load(function() n = n + 1 return ({'return ', '5'})[n] end)()",
            b"return loadstring('\\27Lua')", b"return loadstring(1)", b"return _VERSION", b"return redis.REPL_ALL, redis.LOG_WARNING", b"return redis.set_repl(redis.REPL_ALL)", b"return redis.replicate_commands()", b"return redis.breakpoint()",
            b"return redis.acl_check_cmd('get', 'x'), redis.acl_check_cmd('config', 'get', 'x')", b"return redis.acl_check_cmd('nosuch')", b"return redis.log(redis.LOG_DEBUG, 'x', 1)", b"return redis.log(9, 'x')", b"return redis.setresp(4)", b"return redis.setresp(3)",
            b"return redis.setresp()", b"KEYS = {}", b"return KEYS", b"return ARGV and #ARGV", b"local m = setmetatable({}, {__index = function(t, k) return k .. '!' end}) return m.a, m[1], #m", b"return setmetatable({}, {__call = function(self, a) return a end})(5)",
            b"local m = setmetatable({}, {__metatable = 'locked'}) return getmetatable(m), pcall(setmetatable, m, {})", b"return plain(setmetatable({}, {__tostring = function() return 'shown' end}))", b"return setmetatable({1}, {__len = function() return 9 end})",
            b"local a = setmetatable({}, {__add = function(a, b) return 'sum' end, __concat = function() return 'cat' end, __eq = function() return true end, __lt = function() return true end, __unm = function() return 'neg' end}) return a + 1, a .. 'x', -a, a < a",
            b"return redis.register_function", b"return redis.call('script', 'flush')", b"return redis.call('eval', 'return 1', 0)", b"return redis.pcall('multi')", b"return redis.call('select', 20)", b"return redis.pcall('subscribe', 'x')",
            b"return redis.pcall('publish', 'news', 'x')", b"return redis.pcall('client', 'setname', 'x')", b"return redis.call('echo', 'x')", b"return redis.call('ping')", b"return type(redis.call('time'))", b"return redis.pcall('config', 'get', 'maxmemory')",
            b"return redis.call('exists', unpack({'a', 'b', 'c'}))", b"return redis.call(unpack({}))", b"return type(newproxy)", b"return tostring(nil), tostring(true), tostring(1e15), tostring(-0)", b"return redis.call('get', 'str:1'), redis.call('type', 'str:1')",
            b"return type(redis.call('hgetall', 'hash:1'))", b"return redis.call('zadd', 'zset:1', 1.5, 'm1') , redis.call('zscore', 'zset:1', 'm1')", b"return redis.call('zrange', 'zset:1', 0, -1, 'withscores')", b"return redis.call('hget', 'hash:9', 'nosuch')",
            b"return redis.call('lpop', 'nosuch', 2)", b"return redis.call('zmscore', 'zset:1', 'm1', 'nosuch')", b"return redis.call('geopos', 'geo:1', 'nosuch')", b"return redis.call('set', 'str:1', 'x', 'get')", b"return redis.call('hello')",
            b"return redis.pcall('debug', 'protocol', '%b')" % self.of([b"string", b"integer", b"double", b"null", b"array", b"set", b"map", b"attrib", b"bignum", b"true", b"false", b"verbatim"])])

    def routine(self):
        return b"try(function() %b end)" % self.of([
            b"local c = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return coroutine.resume(c, 1), coroutine.resume(c, 5), coroutine.resume(c), coroutine.status(c)",
            b"local w = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) return w(), w(), w(), w()", b"return coroutine.running()", b"coroutine.yield(1)", b"return coroutine.resume(coroutine.create(function() error('in') end))",
            b"return coroutine.resume(coroutine.create(function() return redis.call('get', 'str:1') end))", b"return coroutine.resume(coroutine.create(function() return redis.pcall('nosuch') end))", b"return coroutine.wrap(function() error({err='W x'}) end)()",
            b"return coroutine.resume(coroutine.create(function() pcall(coroutine.yield, 1) end))", b"return coroutine.create(1)", b"return coroutine.resume(1)", b"return coroutine.status(coroutine.create(print or type))"])


def is_number(word):
    """Whether Lua reads the word as a number that it shows again in the same way."""
    try:
        number = float(word)
    except ValueError:
        return False
    return word == b"%d" % number if number == int(number if abs(number) < 1e15 else 0) else False


def quoted(text):
    """A string of Lua that any bytes can stand in."""
    return b"'" + b"".join(b"\\%03d" % c if c < 32 or c > 126 or c in b"'\\" else b"%c" % c for c in text) + b"'"


def format_text(maker):
    return b"".join(maker.of([b"%d", b"%5d", b"%-5d|", b"%05d", b"%+d", b"%i", b"%u", b"%c", b"%x", b"%X", b"%#x", b"%o", b"%e", b"%.3f", b"%g", b"%10.4g", b"%G", b"%s", b"%10s", b"%-10s|", b"%.2s", b"%q", b"%%", b"%", b"%y", b"%5", b"%123d", b"%.123f",
                              b"abc", b"%1$d", b"%#+ 0-5d", b"%a", b"%.14g", b"%.17g", b"%5.1s", b"%E"]) for _ in range(1 + int(maker.random() * 3)))


def pattern(maker):
    pieces = [b"a", b"b", b".", b"%a", b"%d", b"%s", b"%w", b"%x", b"%p", b"%c", b"%A", b"%W", b"%S", b"[abc]", b"[^a]", b"[a-c]", b"[%d%s]", b"[^%w]", b"[]]", b"[]", b"[a", b"[%", b"%", b"(", b")", b"()", b"(a)", b"(.)", b"(.-)", b"%b()", b"%bxy", b"%b",
              b"%f[%w]", b"%f[", b"%f", b"%1", b"%2", b"%z", b"%Z", b"1", b"x", b"$", b"^", b"-", b"%-", b"%.", b"l", b"o", b"[%a_]", b"[a-]", b"[-a]", b"[^]]", b"\x00", b"\xff", b"%g", b"%l", b"%u"]
    out = b"^" if maker.random() < 0.15 else b""
    for _ in range(1 + int(maker.random() * 4)):
        out += maker.of(pieces) + maker.of([b"", b"", b"", b"*", b"+", b"-", b"?"])
    return out + (b"$" if maker.random() < 0.15 else b"")


def json(maker, depth):
    """A JSON text, sometimes a broken one."""
    white = lambda: maker.of([b"", b"", b"", b" ", b"\n", b"\t "])  # noqa: E731
    choices = [(2, lambda: maker.of([b"0", b"1", b"-1", b"1.5", b"1e3", b"1E+2", b"-0", b"0.1", b"123456789012345678", b"1e400", b"01", b"+1", b".5", b"1.", b"0x10", b"nan", b"inf", b"-inf", b"NaN", b"Infinity", b"1e", b"--1", b"1a", b"infinity", b"-nan"])),
               (2, lambda: b'"%b"' % b"".join(maker.of([b"a", b"b", b" ", b"\\n", b"\\u0041", b"\\u00e9", b"\\u20ac", b"\\ud83d\\ude00", b"\\ud83d", b"\\ude00", b"\\/", b"\\\\", b'\\"', b"\\x", b"\\u12", b"\\u0000", b"\t", b"\x00", b"\xff", b"\xc3\xa9", b"\\b\\f\\r\\t"]) for _ in range(int(maker.random() * 4)))),
               (1, lambda: maker.of([b"true", b"false", b"null", b"True", b"nul", b"", b"truex"]))]
    if depth > 0:
        choices += [(2, lambda: b"[%b]" % (white() + b",").join(white() + json(maker, depth - 1) for _ in range(int(maker.random() * 4)))),
                    (2, lambda: b"{%b}" % b",".join(white() + b'"%b"' % maker.of([b"a", b"b", b"c", b"", b"1", b"\\u0061", b"x y"]) + white() + b":" + white() + json(maker, depth - 1) for _ in range(int(maker.random() * 4)))),
                    (0.3, lambda: maker.of([b"[1,]", b"{\"a\"}", b"{\"a\":}", b"{a:1}", b"[1 2]", b"[", b"{", b"]", b"{\"a\":1,}", b"{1:2}", b"[[", b",", b":", b"'a'", b"[1]]", b"// x", b"{\"a\":1 \"b\":2}"]))]
    return white() + maker.one(choices) + white()


def packed(maker):
    """Bytes of MessagePack, whole or cut off."""
    out = b"".join(maker.of([b"\x00", b"\x7f", b"\xff", b"\xe0", b"\xc0", b"\xc1", b"\xc2", b"\xc3", b"\xcc\xff", b"\xcd\x01\x00", b"\xce\xff\xff\xff\xff", b"\xcf" + b"\xff" * 8, b"\xd0\x80", b"\xd1\x80\x00", b"\xd2\x80\x00\x00\x00", b"\xd3\x80" + b"\x00" * 7,
                             b"\xca\x3f\xc0\x00\x00", b"\xcb\x3f\xf8" + b"\x00" * 6, b"\xa3abc", b"\xd9\x02ab", b"\xda\x00\x01a", b"\xdb\x00\x00\x00\x01a", b"\xc4\x01a", b"\xc5\x00\x01a", b"\xc6\x00\x00\x00\x01a", b"\x92\x01\x02", b"\x93\x01", b"\xdc\x00\x01\x05",
                             b"\xdd\x00\x00\x00\x01\x05", b"\x81\xa1a\x01", b"\x82\xa1a\x01", b"\xde\x00\x01\x01\x02", b"\xdf\x00\x00\x00\x01\x01\x02", b"\xd4\x01\x02", b"\xc7\x01\x02\x03", b"\xdd\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff", b"\x81\xc0\x01", b"\x81\x01\xc0"])
                   for _ in range(1 + int(maker.random() * 3)))
    return out[:1 + int(maker.random() * len(out))] if maker.random() < 0.3 else out


UNORDERED = {name for name, rule in compare.RULES.items() if rule.__name__ in ("any_order", "pairs_any_order")}
FORGIVEN = {name for name, rule in compare.RULES.items() if rule.__name__ in CLOCKED}
