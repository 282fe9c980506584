"""What the servers say about themselves, compared as data: COMMAND, COMMAND DOCS, CONFIG GET *, INFO's field names, ACL CAT.

Each answer is flattened into path → value; what one side lacks or says otherwise is printed unless data-differences.toml names it with a reason. Against 8.2.3 what is
left is a failure; against other versions it is only told.
"""

import pathlib
import re
import tempfile
import tomllib

from servers import Connection, Server


def facts(control):
    """{path: value} of everything compared."""
    found = {}
    for entry in control.answer("COMMAND"):
        command_facts(entry, found)
    for name, fields in maplike(control.answer("COMMAND", "DOCS")).items():
        document_facts(text(name), maplike(fields), found)
    for name, setting in maplike(control.answer("CONFIG", "GET", "*")).items():
        found[f"config/{text(name)}"] = text(setting)
    section = "?"
    for line in control.answer("INFO", "everything").decode("utf-8", "replace").splitlines():
        if line.startswith("# "):
            section = line[2:]
        elif ":" in line:
            found[f"info/{section}/{re.sub(r'[0-9]+', 'N', line.split(':')[0])}"] = ""
    categories = control.answer("ACL", "CAT")
    for category in categories if isinstance(categories, list) else []:
        for name in control.answer("ACL", "CAT", category.decode()):
            found[f"acl-cat/{text(category)}/{text(name)}"] = ""
    return found


PARTS = ["name", "arity", "flags", "first-key", "last-key", "step", "categories", "tips", "key-specs", "subcommands"]


def command_facts(entry, found):
    name = text(entry[0])
    for part, item in zip(PARTS[1:-1], entry[1:-1]):
        if part in ("flags", "categories", "tips"):
            for word in item:
                found[f"command/{name}/{part}/{text(word)}"] = ""
        elif part == "key-specs":
            for at, spec in enumerate(item):
                flatten(f"command/{name}/key-spec-{at}", named(spec), found)
        else:
            found[f"command/{name}/{part}"] = item
    for sub in entry[-1]:
        command_facts(sub, found)


def document_facts(name, fields, found):
    """What a client can act on: version, group, flags, and the arguments' structure. Prose, history and the names of groups are each server's own."""
    for part, item in fields.items():
        part = text(part)
        if part == "arguments":
            for at, argument in enumerate(item):
                argument_facts(f"docs/{name}/arguments/{at}", maplike(argument), found)
        elif part == "subcommands":
            for sub, inner in maplike(item).items():
                document_facts(text(sub), maplike(inner), found)
        elif part not in ("summary", "complexity", "history"):
            flatten(f"docs/{name}/{part}", named(item), found)


def argument_facts(path, fields, found):
    """One argument; a group of one is what it holds."""
    fields = {text(part): item for part, item in fields.items()}
    inner = fields.get("arguments", [])
    for part in ("type", "token", "key_spec_index"):
        if part in fields:
            found[f"{path}/{part}"] = text(fields[part])
    for flag in fields.get("flags", []):
        found[f"{path}/flags/{text(flag)}"] = ""
    for at, argument in enumerate(inner):
        argument_facts(f"{path}/{at}", maplike(argument), found)


def maplike(flat):
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2]))


def named(item):
    """Flat lists of name and value, as RESP2 writes maps, as dicts, all the way down."""
    if isinstance(item, list) and len(item) % 2 == 0 and item and all(isinstance(name, bytes) for name in item[::2]) and not all(isinstance(part, bytes) for part in item):
        return {text(name): named(part) for name, part in zip(item[::2], item[1::2])}
    if isinstance(item, list) and len(item) % 2 == 0 and item and text(item[0]) in ("name", "flags", "type", "index"):
        return {text(name): named(part) for name, part in zip(item[::2], item[1::2])}
    return [named(part) for part in item] if isinstance(item, list) else item


def flatten(path, item, found):
    if isinstance(item, dict):
        for name, part in item.items():
            flatten(f"{path}/{name}", part, found)
    elif isinstance(item, list):
        for at, part in enumerate(item):
            label = part.get("name") if isinstance(part, dict) else None
            flatten(f"{path}/{text(label) if label else at}", part, found)
    else:
        found[path] = text(item)


def text(item):
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item


CACHE = pathlib.Path(__file__).resolve().parents[1] / ".cache"


def reasons(version):
    path = pathlib.Path(__file__).parent / "data-differences.toml"
    entries = tomllib.loads(path.read_text()).get("difference", [])
    return [re.compile(entry["path"]) for entry in entries if version.startswith(entry.get("oracle_version", ""))]


def compare(oracle, ours, version):
    """Lines for what differs and is not named."""
    named_paths = reasons(version)
    lines = []
    whole = whole_commands(oracle), whole_commands(ours)
    for path in sorted(oracle.keys() | ours.keys()):
        one, other = oracle.get(path, ABSENT), ours.get(path, ABSENT)
        if one == other or any(pattern.search(path) for pattern in named_paths):
            continue
        command = command_of(path)
        if command and (command not in whole[0] or command not in whole[1]):
            path, one, other = f"command {command}", *("there" if command in side else ABSENT for side in whole)
        line = f"{path}: {one!r} here {other!r}" if ABSENT not in (one, other) else f"{path}: {'not in the oracle' if one is ABSENT else 'not here'}"
        if line not in lines[-1:]:
            lines.append(line)
    return lines


ABSENT = "(absent)"


def whole_commands(found):
    return {path.split("/")[1] for path in found if path.startswith("command/")}


def command_of(path):
    return path.split("/")[1] if path.startswith(("command/", "docs/")) else None


# What a configuration file may not say twice, may not say as CONFIG GET shows it, or is the test's own.
NOT_IN_A_FILE = {"port", "dir", "bind", "save", "logfile", "pidfile", "slaveof", "replicaof", "masterauth", "requirepass", "databases"}


def configuration(control):
    """A configuration file with every directive that the server knows, at the value that it has."""
    lines = []
    for name, setting in maplike(control.answer("CONFIG", "GET", "*")).items():
        name, setting = text(name), text(setting)
        words = setting.split()
        if name in NOT_IN_A_FILE:
            continue
        if name == "client-output-buffer-limit":
            lines += [f"{name} {' '.join(words[at:at + 4])}" for at in range(0, len(words), 4)]
        elif name == "oom-score-adj-values":
            lines.append(f"{name} {setting}")
        else:
            lines.append(f'{name} "{setting}"')
    return "\n".join(lines) + "\n"


def starts_with(binary, lines):
    """Whether our server starts with a peer's configuration and answers."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(lines)
        file.flush()
        server = Server("ours", binary, ["--include", file.name])
        try:
            return text(Connection(server).answer("PING")) == "PONG"
        finally:
            server.close()


def run(ours_binary, oracles):
    """Prints what differs from each oracle; the number of differences from the first. Ends where a peer's configuration is refused."""
    ours = Server("ours", ours_binary)
    try:
        mine, counts = facts(Connection(ours)), []
        for version, binary in oracles.items():
            if not binary:
                continue
            server = Server(version, binary)
            try:
                lines = compare(facts(Connection(server)), mine, version)
                directives = configuration(Connection(server))
            finally:
                server.close()
            counts.append(len(lines))
            if not starts_with(ours_binary, directives):
                raise SystemExit(f"runnel does not start with the configuration of {version}")
            print(f"\n--- data: runnel starts with the {len(directives.splitlines())} directives of {version}")
            print(f"\n--- data: {len(lines)} differences from {version}")
            if len(counts) == 1:
                print("\n".join("  " + line for line in lines))
            else:
                CACHE.mkdir(exist_ok=True)
                told = CACHE / f"data-{version}.txt"
                told.write_text("\n".join(lines) + "\n")
                print(f"  told only, in {told.relative_to(CACHE.parent)}")
        return counts[0]
    finally:
        ours.close()
