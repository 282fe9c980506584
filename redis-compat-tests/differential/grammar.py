"""The mini-language the command forms in grammar/*.txt are written in, compiled to generators of argument lists.

A line is an optional weight (with "!" behind it where the form is to be left whole) and a form in the style of Redis's documentation:

    3 SET key value { [( NX | XX )] [GET] [( EX ttl | PX ttl-ms | KEEPTTL )] }

    UPPER    itself, now and then in another case      "text"   itself, always (\\n a newline)
    lower    an atom: a value drawn by atoms.py         a:b      the atom a, given b (numkeys:key is a count and that many keys)
    [ x ]    perhaps x                                  ( x | y ) one of them
    x ...    x one to four times                        { x y }  in any order

Every form is valid; `Grammar.command` damages some of what it generates (a word dropped, doubled, swapped, replaced, added), which is
where wrong arity, wrong syntax and wrong types come from. What several commands do together is in units.py.
"""

import pathlib
import re

import atoms
import lua

FOLDER = pathlib.Path(__file__).parent / "grammar"
TOKEN = re.compile(r'"[^"]*"|\.\.\.|[\[\](){}|]|[^\s\[\](){}|"]+')
CLOSING = {"[": "]", "(": ")", "{": "}"}


class Grammar:
    def __init__(self, groups, available, rng, damage=0.06):
        self.draw = atoms.Draw(groups, rng)
        self.random = rng.random
        self.damage = damage
        self.by_group, self.missing = {}, set()
        self.of_scripts = None
        for group in groups:
            forms = self.by_group[group] = []
            for weight, name, form in read_forms(group):
                if name in available:
                    forms += [form] * weight
                else:
                    self.missing.add(name)
        self.turns = [(group, forms) for group, forms in self.by_group.items() if forms]
        self.draw.inner = lambda: self.inner(available)

    def inner(self, available):
        """What scripts call: commands of every type."""
        if self.of_scripts is None:
            self.of_scripts = Grammar(lua.INNER_GROUPS, available, self.draw.rng, damage=0.03)
        return self.of_scripts

    def command(self):
        group, forms = self.turns[int(self.random() * len(self.turns))]
        whole, form = forms[int(self.random() * len(forms))]
        self.draw.enter(group)
        out = []
        form(self.draw, out)
        if not whole and self.random() < self.damage:
            damaged(self.draw, out)
        return clockless(out)


def read_forms(group):
    """(weight, command name, (whole, generator)) for each line of a group's file."""
    for line in (FOLDER / f"{group}.txt").read_text().splitlines():
        tokens = TOKEN.findall(line) if not line.startswith("#") else []
        if not tokens:
            continue
        weight = tokens.pop(0) if tokens[0].rstrip("!").isdigit() else "1"
        yield int(weight.rstrip("!")), tokens[0].lower(), (weight.endswith("!"), compiled(tokens))


def form(text):
    """A single form, for the dialogues of units.py."""
    run = compiled(TOKEN.findall(text))

    def command(draw):
        out = []
        run(draw, out)
        return out
    return command


def compiled(tokens):
    parts, rest = sequence(tokens, None)
    assert not rest, f"unbalanced: {tokens}"
    return together(parts)


def sequence(tokens, close):
    """The parts up to `close`, and the tokens behind it; alternatives become one part."""
    branches, parts = [], []
    while tokens:
        token, tokens = tokens[0], tokens[1:]
        if token == close:
            break
        if token == "|":
            branches.append(parts)
            parts = []
        elif token == "...":
            parts[-1] = repeated(parts[-1])
        elif token in CLOSING:
            inner, tokens = sequence(tokens, CLOSING[token])
            parts.append(any_order(inner) if token == "{" else perhaps(together(inner)) if token == "[" else together(inner))
        else:
            parts.append(word(token))
    if branches:
        parts = [one_of([together(branch) for branch in branches + [parts]])]
    return parts, tokens


def together(parts):
    if len(parts) == 1:
        return parts[0]

    def run(draw, out):
        for part in parts:
            part(draw, out)
    return run


def one_of(branches):
    return lambda draw, out: branches[int(draw.random() * len(branches))](draw, out)


def perhaps(part):
    return lambda draw, out: part(draw, out) if draw.random() < 0.35 else None


def repeated(part):
    def run(draw, out):
        part(draw, out)
        while draw.random() < 0.45:
            part(draw, out)
    return run


def any_order(parts):
    def run(draw, out):
        order = parts[:]
        draw.rng.shuffle(order)
        for part in order:
            part(draw, out)
    return run


def word(token):
    if token[0] == '"':
        text = token[1:-1].replace("\\n", "\n").encode()
        return lambda draw, out: out.append(text)
    if token.upper() == token:
        return literal(token.encode())
    name, _, given = token.partition(":")
    atom = atoms.ATOMS[name]
    if given:
        inner = atoms.ATOMS[given]
        return lambda draw, out: atom(draw, out, inner)
    return lambda draw, out: out.append(atom(draw))


def literal(text):
    lower = text.lower()

    def run(draw, out):
        dice = draw.random()
        out.append(text if dice > 0.06 else lower if dice > 0.02 else mixed_case(text))
    return run


def mixed_case(text):
    return bytes(c ^ 32 if at % 2 and chr(c).isalpha() else c for at, c in enumerate(text))


def clockless(out):
    """XADD of `*` takes its id from the clock, and everything after it would differ."""
    return [b"+" if word == b"*" and out[0].upper() == b"XADD" else word for word in out]


def damaged(draw, out):
    """One change that the form does not allow; the command's name stays."""
    kind = int(draw.random() * 6)
    at = 1 + int(draw.random() * (len(out) - 1)) if len(out) > 1 else None
    if kind == 0 and at:
        del out[at]
    elif kind == 1 and at:
        out.insert(at, out[at])
    elif kind == 2 and len(out) > 2:
        other = 1 + int(draw.random() * (len(out) - 1))
        out[at], out[other] = out[other], out[at]
    elif kind == 3 and at:
        out[at] = draw.odd()
    elif kind == 4 and at:
        out[at] = atoms.ATOMS["odd-number"](draw)
    else:
        out.insert(1 + int(draw.random() * len(out)), draw.odd())
