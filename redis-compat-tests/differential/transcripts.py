"""Dialogues from tests/transcripts/*.txt, said to both servers: same bytes from both, and the oracle says what the transcript says.

    # a comment; `# resp 3` speaks RESP3 from here on, `# wait 0.01` pauses, `# new` begins on empty datasets with new connections
    # start --aclfile users.acl   servers of their own with these settings, from here on
    # file users.acl              a file in the folders of both, whose lines begin with a bar
    | user default on nopass ~* &* +@all
    > RPUSH list a b            a command of the only client, in redis-cli's quoting
    (integer) 2                 its reply as redis-cli prints it
    a> BLPOP queue 0            commands of several clients; no reply lines: none has come yet
    b> RPUSH queue job
    (integer) 1
    a>                          nothing sent: what has come for `a` since
    1) "queue"
    2) "job"
    a> QUIT                     (closed) where the server ends the connection; whoever speaks as `a` afterwards is somebody new
    OK
    (closed)

`{id of a}` within an argument stands for what CLIENT ID told `a`. Each file begins on empty datasets. Named differences (differences.toml) and the rules of compare.py hold here too; numbers that are another each time
(ids, ports, clocks) are hidden before they are compared. `--write` puts the oracle's replies into the files.
"""

import pathlib
import re
import time

from compare import rule_of, same
from pair import Diverged
from servers import Connection, Dead, Server, drain
from wire import Truncated, encode, quote, show, split, words

LINE = re.compile(r"^([a-z0-9]*)>(?: (.*))?$")
DIRECTIVE = re.compile(r"^# (resp|wait|new|start|file)\b *(.*)$")
# How long to listen where nothing is expected, and after something has come.
LATE_SECONDS, QUIET_SECONDS, PATIENCE_SECONDS = 0.03, 0.004, 5.0
CLOSED = "(closed)"
VARYING = [
    (re.compile(r"\b(id|age|idle|fd|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|tot-mem|events|lib-name|lib-ver|io-thread|tot-net-in|tot-net-out|tot-cmds)=[^ ]*"), r"\1=_"),
    (re.compile(r"\b(addr|laddr)=[^ ]*"), r"\1=_"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:_"),
    (re.compile(r"(\"redirect\"(?: =>|\n\d\))|\"tracking-redir-broken\"\n\d\)) \(integer\) [1-9]\d*"), r"\1 (integer) _"),
]


class Entry:
    """A line of a transcript that does something: a command of a client, or a directive."""

    def __init__(self, number, client, args=None, directive=None):
        self.number, self.client, self.args, self.directive = number, client, args, directive
        self.lines = []  # the reply, or what belongs to the directive


def entries(text):
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        said, told = LINE.match(line), DIRECTIVE.match(line)
        if said:
            found.append(Entry(number, said.group(1), words(said.group(2)) if said.group(2) else None))
        elif told:
            found.append(Entry(number, None, directive=(told.group(1), told.group(2))))
        elif line and not line.startswith("#") and found:
            found[-1].lines.append(line)
    return found


class Dialogue:
    def __init__(self, pair):
        self.pair, self.clients, self.ids, self.resp, self.own = pair, {}, {}, 2, []
        self.begin()

    def begin(self):
        self.end()
        self.pair.reset()

    @property
    def servers(self):
        return self.own or self.pair.servers

    def close(self):
        for clients in self.clients.values():
            for client in clients:
                client.close()
        self.clients = {}

    def end(self):
        self.close()
        for server in self.own:
            server.close()
        self.own = []

    def start(self, settings, files):
        self.end()
        self.own = [Server(server.name, server.binary, settings, files) for server in self.pair.servers]

    def client(self, name):
        if name not in self.clients:
            self.clients[name] = [Connection(server) for server in self.servers]
            for client in self.clients[name]:
                if self.resp == 3:
                    client.ask("HELLO", "3")
        return self.clients[name]

    def named(self, arg, at):
        """An argument with the ids of clients in the place of their names."""
        return re.sub(rb"\{id of (\w+)\}", lambda match: self.ids[match.group(1).decode()][at], arg)

    def say(self, name, args, expects):
        """What the oracle and ours answer to one line, and whether they closed: two pairs."""
        both = self.client(name)
        for at, client in enumerate(both):
            if args:
                client.socket.setblocking(True)
                client.socket.sendall(encode([self.named(arg, at) for arg in args]))
                client.socket.setblocking(False)
        answers = [listen(both[0], PATIENCE_SECONDS if expects else LATE_SECONDS)]
        # Ours is given time for as much as the oracle said.
        answers.append(listen(both[1], PATIENCE_SECONDS if answers[0][0] or answers[0][1] else LATE_SECONDS, whole(answers[0][0]), answers[0][1]))
        if args and [arg.upper() for arg in args] == [b"CLIENT", b"ID"]:
            self.ids[name] = [received.strip(b":\r\n") for received, _ in answers]
        if any(closed for _, closed in answers):
            for client in self.clients.pop(name):
                client.close()
        return answers


def listen(client, patience, replies=0, closes=False):
    """What arrives until it is quiet; for so many replies and the end there is more patience."""
    received, closed = bytes(client.received), False
    client.received.clear()
    deadline = time.monotonic() + patience
    while not closed:
        short = closes or not whole(received) or whole(received) < replies
        data, closed = drain(client, max(0, deadline - time.monotonic()) if short else QUIET_SECONDS)
        received += data
        if not data:
            break
    return received, closed


def whole(received):
    """How many replies are complete; none where the last one is not."""
    try:
        return len(split(received))
    except Truncated:
        return 0


def replay(pair, path, writes=False):
    """The failures of one transcript as text."""
    failures, written = [], {}
    dialogue = Dialogue(pair)
    files = {}
    try:
        for entry in entries(path.read_text()):
            if entry.directive:
                obey(dialogue, files, entry)
                continue
            try:
                (oracle, ends), (ours, our_end) = dialogue.say(entry.client, entry.args, entry.args if writes else entry.lines)
            except (Dead, OSError) as death:
                failures.append(f"{path.name}:{entry.number}: {' '.join(map(quote, entry.args or []))}: {death}")
                pair.revive()
                break
            try:
                failures += differences(pair, entry, (oracle, ends), (ours, our_end), f"{path.name}:{entry.number}", writes)
            except Diverged:
                break
            written[entry.number] = lines_of(oracle, ends)
    finally:
        dialogue.end()
    if writes:
        write(path, written)
    return failures


def obey(dialogue, files, entry):
    name, rest = entry.directive
    if name == "resp":
        dialogue.resp = int(rest)
    elif name == "wait":
        time.sleep(float(rest))
    elif name == "file":
        files[rest] = "".join(line.removeprefix("|").removeprefix(" ") + "\n" for line in entry.lines)
        for server in dialogue.own:
            server.put(rest, files[rest])
    elif name == "start":
        dialogue.start([word.decode() for word in words(rest)], files)
    else:
        dialogue.begin()


def lines_of(received, closed):
    return "\n".join([hidden(show(reply)) for reply in replies_of(received)] + [CLOSED] * closed).splitlines()


def replies_of(received):
    try:
        return split(received)
    except Truncated:
        return [b"+(cut off) %b\r\n" % received]


def hidden(text):
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return text


def differences(pair, entry, oracle, ours, place, writes):
    found, args = [], entry.args or [b""]
    command = " ".join(map(quote, args))
    said = lines_of(*oracle)
    if not writes and entry.lines and said != entry.lines and rule_of(args) is None:
        found.append(f"{place}: {command}\n  the transcript says:\n{indent(entry.lines)}\n  the oracle says:\n{indent(said)}")
    left, right = replies_of(oracle[0]), replies_of(ours[0])
    for at in range(max(len(left), len(right))):
        one, other = (replies[at] if at < len(replies) else b"" for replies in (left, right))
        if one == other or one and other and (same(args, one, other) or hidden(show(one)) == hidden(show(other))):
            continue
        if not pair.explained(args, one, other):
            found.append(f"{place}: {command}\n  oracle: {show(one) if one else '(nothing)'}\n  ours:   {show(other) if other else '(nothing)'}")
    if oracle[1] != ours[1]:
        found.append(f"{place}: {command}\n  {'the oracle' if oracle[1] else 'ours'} closed the connection, the other did not")
    return found


def indent(lines):
    return "\n".join("    " + line for line in lines)


def write(path, written):
    """The file again, with these replies behind the lines that ask."""
    text, answered = [], False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        asks = LINE.match(line)
        if asks or line.startswith("#") or not line:
            answered = bool(asks)
        elif answered:
            continue
        text.append(line)
        text += written.get(number, []) if asks else []
    path.write_text("\n".join(text) + "\n")


def run(pair, root, paths, writes=False):
    """Replays every transcript; the number of those that fail."""
    chosen = [pathlib.Path(path) for path in paths] or sorted((root / "tests" / "transcripts").glob("*.txt"))
    failed = 0
    for path in chosen:
        failures = replay(pair, path, writes)
        failed += bool(failures)
        for failure in failures:
            print(failure, flush=True)
    print(f"transcripts: {len(chosen) - failed} replayed alike, {failed} not")
    return failed
