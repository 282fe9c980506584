"""Snapshots across servers: each real server's file loads here with the same content, and ours loads there. And each follows the other.

`content.py` makes a data set with every type and encoding and reads it back, typed, through commands; servers and sockets are
differential's. A value is also carried alone, by DUMP and RESTORE. What a server cannot hold (deadlines of fields, before 7.4) is left out there.
"""

import argparse
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "differential"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import servers  # noqa: E402
from content import Client, coarse, describe, differences, fill  # noqa: E402
from servers import Server  # noqa: E402


def saved(name, binary, settings, with_fields):
    """A server's data set: its file and what is in it."""
    server = Server(name, binary, settings)
    client = Client(server.port)
    fill(client, with_fields)
    content = describe(client)
    client.run("SAVE")
    values = {(db, key): client.in_db(db, "DUMP", key) for db, keys in content.items() for key in keys}
    path = os.path.join(server.folder, "dump.rdb")
    keep = path + ".kept"
    shutil.copy(path, keep)
    return server, client, content, keep, values


def loaded(name, binary, settings, path):
    server = Server(name, binary, settings)
    server.process.kill()
    server.process.wait()
    shutil.copy(path, os.path.join(server.folder, "dump.rdb"))
    server.start()
    return server, Client(server.port)


def compare(title, expected, found):
    lines = differences(expected, found)
    print(f"{'ok' if not lines else 'DIFFERENT':9} {title}: {sum(map(len, expected.values()))} keys")
    for line in lines[:12]:
        print("    " + line)
    return not lines


def carried(title, values, content, client):
    """DUMP there, RESTORE here."""
    client.run("FLUSHALL")
    for (db, key), payload in values.items():
        deadline = content[db][key]["deadline"]
        answer = client.in_db(db, "RESTORE", key, max(0, deadline), payload, "ABSTTL")
        if answer != b"OK":
            print(f"DIFFERENT {title}: RESTORE {key} said {answer}")
            return False
    return compare(title, content, describe(client))


def from_before(name, binary, server_under_test):
    """A server that our files are too new for: its file and its values are read here."""
    settings, servers.SETTINGS[:] = list(servers.SETTINGS), [word for word in servers.SETTINGS if word not in ("--enable-debug-command", "local")]
    there = saved(name, binary, ["--hash-max-ziplist-entries", "30"], False)
    servers.SETTINGS[:] = settings
    ours = loaded("runnel", server_under_test, [], there[3])
    good = compare(f"{name}'s file here", coarse(there[2]), coarse(describe(ours[1])))
    ours[1].run("FLUSHALL")
    for (db, key), payload in there[4].items():
        answer = ours[1].in_db(db, "RESTORE", key, max(0, there[2][db][key]["deadline"]), payload)
        if answer != b"OK":
            print(f"DIFFERENT {name}'s DUMP here: RESTORE {key} said {answer}")
            good = False
    good &= compare(f"{name}'s DUMP here", coarse(there[2]), coarse(describe(ours[1])))
    for server in (there[0], ours[0]):
        server.process.kill()
        server.process.wait()
        shutil.rmtree(server.folder, ignore_errors=True)
    return good


def alive(content):
    """The same but for the times at which consumers were seen: each server has its own, unless it took them from a file."""
    def streams(facts):
        if facts["kind"] != b"stream":
            return facts
        entries, about, groups = facts["content"]
        unseen = [(*group[:4], [(who, *rest) for who, _, *rest in group[4]]) for group in groups]
        return {**facts, "content": (entries, about, unseen)}

    return {db: {key: streams(facts) for key, facts in keys.items()} for db, keys in content.items()}


def told(client, name):
    """A field of INFO."""
    lines = client.run("INFO").decode("utf-8", "replace").splitlines()
    return next((line.partition(":")[2] for line in lines if line.startswith(name + ":")), None)


def caught_up(primary, replica):
    """The replica has heard all that the primary has said."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if told(replica, "master_link_status") == "up" and told(primary, "master_repl_offset") == told(replica, "master_repl_offset"):
            return True
        time.sleep(0.05)
    return False


def followed(title, primary, replica, with_fields):
    """`replica` follows `primary`: a snapshot, the stream behind it, a link that breaks, and in the end its place."""
    there, here = Client(primary.port), Client(replica.port)
    fill(there, with_fields)
    here.run("SET", "old", "data")
    here.run("REPLICAOF", "127.0.0.1", primary.port)
    good = caught_up(there, here) and compare(f"{title}: its snapshot", describe(there), describe(here))
    there.run("FLUSHALL")
    fill(there, with_fields)
    good &= caught_up(there, here) and compare(f"{title}: its stream", alive(describe(there)), alive(describe(here)))
    there.run("CLIENT", "KILL", "TYPE", "replica")
    for at in range(500):
        there.in_db(at % 4, "RPUSH", "while away", at)
        there.in_db(0, "EVAL", "redis.call('SPOP', 'set:large') return redis.call('INCR', 'scripted')", 0)
    good &= caught_up(there, here) and compare(f"{title}: a link that broke", alive(describe(there)), alive(describe(here)))
    if told(there, "sync_partial_ok") == "0" or told(there, "sync_full") != "1" or there.run("WAIT", 1, 5000) != 1:
        print(f"DIFFERENT {title}: synchronized {told(there, 'sync_full')} times in full")
        good = False
    primary.kill()
    here.run("REPLICAOF", "NO", "ONE")
    if here.run("SET", "new", "era") != b"OK":
        print(f"DIFFERENT {title}: it does not take its primary's place")
        good = False
    for server in (primary, replica):
        server.close()
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default=os.environ.get("RUNNEL_SERVER"))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=BINARY", help="a real server; its name says what it can")
    options = parser.parse_args()
    good = True
    for peer in options.peer:
        name, binary = peer.split("=", 1)
        if name.startswith("redis-6"):
            good &= from_before(name, binary, options.server)
            continue
        has_fields = name.startswith("valkey") or name.startswith("redis-8")
        dialect = ["--rdb-dialect", "valkey" if name.startswith("valkey") else "redis"]
        for streamed in ("no", "yes"):
            primary = Server(name, binary, ["--repl-diskless-sync", streamed, "--repl-diskless-sync-delay", "0"])
            how = "streamed" if streamed == "yes" else "from a file"
            good &= followed(f"we follow {name}, {how}", primary, Server("runnel", options.server, dialect), has_fields)
        good &= followed(f"{name} follows us", Server("runnel", options.server, dialect), Server(name, binary), has_fields)
        for small in ([], ["--list-max-listpack-size", "4", "--hash-max-listpack-entries", "3", "--set-max-intset-entries", "3",
                           "--zset-max-listpack-entries", "3", "--rdbcompression", "no"]):
            how = "small limits" if small else "defaults"
            there = saved(name, binary, small, has_fields)
            ours = loaded("runnel", options.server, dialect + small, there[3])
            good &= compare(f"{name}'s file here, {how}", there[2], describe(ours[1]))
            ours[1].run("SAVE")
            again = loaded(name, binary, small, os.path.join(ours[0].folder, "dump.rdb"))
            good &= compare(f"saved again here, loaded there, {how}", there[2], describe(again[1]))
            good &= carried(f"{name}'s DUMP here, {how}", there[4], there[2], ours[1])
            mine = saved("runnel", options.server, dialect + small, has_fields)
            back = loaded(name, binary, small, mine[3])
            good &= compare(f"our file in {name}, {how}", mine[2], describe(back[1]))
            good &= carried(f"our DUMP in {name}, {how}", mine[4], mine[2], back[1])
            for server in (there[0], ours[0], again[0], mine[0], back[0]):
                server.process.kill()
                server.process.wait()
                shutil.rmtree(server.folder, ignore_errors=True)
    sys.exit(0 if good else 1)


main()
