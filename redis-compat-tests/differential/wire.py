"""RESP as bytes: requests out, replies cut apart without being understood, and a parser and a printer for the few that must be.

A pipeline's answer is compared as one block of bytes first; only a block that differs is split into replies (`split`), and only
a reply that may legitimately differ is parsed (`parse`). `show` prints a reply as redis-cli does on a terminal, `quote` and
`words` are redis-cli's quoting, so every dialogue found here can be pasted into a transcript. Sockets are in servers.py.
"""

import re


def encode(args):
    """One request as RESP bytes; `args` are bytes."""
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        out.append(b"$%d\r\n%b\r\n" % (len(arg), arg))
    return b"".join(out)


class Truncated(Exception):
    """The bytes end inside a reply."""


def skip(data, at):
    """The position just behind the reply that starts at `at`; a flat loop, since nesting only adds to what is still due."""
    due = 1
    find = data.find
    while due:
        end = find(b"\r\n", at)
        if end < 0:
            raise Truncated
        kind = data[at]
        due -= 1
        if kind == 36 or kind == 61 or kind == 33:  # $ = !
            length = int(data[at + 1:end])
            at = end + 2 if length < 0 else end + length + 4
            if at > len(data):
                raise Truncated
            continue
        if kind == 42 or kind == 126 or kind == 62:  # * ~ >
            due += max(0, int(data[at + 1:end]))
        elif kind == 37:  # %
            due += 2 * int(data[at + 1:end])
        elif kind == 124:  # | an attribute comes before the reply it belongs to
            due += 2 * int(data[at + 1:end]) + 1
        at = end + 2
    return at


def split(data):
    """The raw bytes of each reply in `data`."""
    replies, at = [], 0
    while at < len(data):
        end = skip(data, at)
        replies.append(data[at:end])
        at = end
    return replies


def parse(data, at=0):
    """(value, end): a value is (kind, payload); aggregates hold lists of values, a map's payload is a flat list."""
    end = data.index(b"\r\n", at)
    kind, head = data[at:at + 1], data[at + 1:end]
    at = end + 2
    if kind in b"$=!":
        length = int(head)
        if length < 0:
            return (b"_", b""), at
        return (kind, data[at:at + length]), at + length + 2
    if kind in b"*~>%|":
        count = int(head)
        if count < 0:
            return (b"_", b""), at
        items = []
        for _ in range(count * 2 if kind in b"%|" else count):
            item, at = parse(data, at)
            items.append(item)
        if kind == b"|":  # attributes are dropped: the reply they decorate follows
            return parse(data, at)
        return (kind, items), at
    return (kind, head), at


def value(data):
    return parse(data)[0]


def plain(parsed):
    """A parsed value as Python data: bytes, int, list, dict, None."""
    kind, payload = parsed
    if kind == b":":
        return int(payload)
    if kind == b"_":
        return None
    if kind == b"%":
        items = [plain(item) for item in payload]
        return {hashable(items[at]): items[at + 1] for at in range(0, len(items), 2)}
    if kind in b"*~>":
        return [plain(item) for item in payload]
    if kind == b"#":
        return payload == b"t"
    return payload


def hashable(item):
    return tuple(hashable(part) for part in item) if isinstance(item, list) else item


# ---- as redis-cli writes and reads it -------------------------------------------------------------------------------------------

ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
UNESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "r": 13}


def repr_of(text):
    return '"' + "".join(ESCAPES.get(c) or (chr(c) if 32 <= c < 127 else "\\x%02x" % c) for c in text) + '"'


PLAIN_WORD = re.compile(rb"[!#$%&()*+,./0-9:;<=>?@A-Z\[\]^_`a-z{|}~-]+")


def quote(arg):
    """An argument as it can be typed into redis-cli."""
    return arg.decode() if PLAIN_WORD.fullmatch(arg) else repr_of(arg)


def words(line):
    """The arguments of a line in redis-cli's quoting, as bytes."""
    out, at = [], 0
    while True:
        while at < len(line) and line[at].isspace():
            at += 1
        if at == len(line):
            return out
        word = bytearray()
        while at < len(line) and not line[at].isspace():
            if line[at] == '"':
                at = double_quoted(line, at + 1, word)
            elif line[at] == "'":
                at = single_quoted(line, at + 1, word)
            else:
                word += line[at].encode()
                at += 1
        out.append(bytes(word))


def double_quoted(line, at, word):
    while line[at] != '"':
        if line[at] == "\\" and re.match(r"x[0-9a-fA-F]{2}", line[at + 1:]):
            word.append(int(line[at + 2:at + 4], 16))
            at += 4
        elif line[at] == "\\":
            follow = line[at + 1]
            word += bytes([UNESCAPES[follow]]) if follow in UNESCAPES else follow.encode()
            at += 2
        else:
            word += line[at].encode()
            at += 1
    return at + 1


def single_quoted(line, at, word):
    while line[at] != "'":
        if line[at:at + 2] == "\\'":
            at += 1
        word += line[at].encode()
        at += 1
    return at + 1


SEPARATORS = {b"~": "~", b"%": "#"}
EMPTY = {b"*": "(empty array)", b"~": "(empty set)", b"%": "(empty hash)", b">": "(empty push)"}


def show(data):
    """A raw reply as redis-cli prints it on a terminal, without the final newline."""
    return show_value(value(data), "")


def show_value(parsed, indent):
    kind, payload = parsed
    if kind in b"*~%>":
        return show_items(kind, payload, indent)
    if kind == b"$":
        return repr_of(payload)
    if kind in b"-!":
        return "(error) " + payload.decode("utf-8", "replace")
    if kind == b":":
        return "(integer) " + payload.decode()
    if kind == b",":
        return "(double) " + payload.decode()
    if kind == b"_":
        return "(nil)"
    if kind == b"#":
        return "(true)" if payload == b"t" else "(false)"
    text = payload[4:] if kind == b"=" else payload
    return text.decode("utf-8", "replace")


def show_items(kind, items, indent):
    if not items:
        return EMPTY[kind]
    pairs = kind == b"%"
    width = len(str(len(items) // 2 if pairs else len(items)))
    inner = indent + " " * (width + 2)
    lines, index = [], 0
    for at in range(0, len(items), 2 if pairs else 1):
        index += 1
        head = "%s%*d%s " % (indent if index > 1 else "", width, index, SEPARATORS.get(kind, ")"))
        text = show_value(items[at], inner)
        if pairs:
            text += " => " + show_value(items[at + 1], inner)
        lines.append(head + text)
    return "\n".join(lines)
