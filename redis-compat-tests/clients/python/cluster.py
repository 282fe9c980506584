"""redis-py's RedisCluster and `redis-cli -c` against the server in $RUNNEL_SERVER as a cluster of one node."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import redis
from redis.cluster import RedisCluster


class Server:
    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = tempfile.mkdtemp()
        self.start()

    def start(self):
        command = [os.environ["RUNNEL_SERVER"], "--port", str(self.port), "--save", "", "--dir", self.folder, "--cluster-enabled", "yes"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(250):
            try:
                with redis.Redis(port=self.port) as client:
                    if client.execute_command("CLUSTER INFO")["cluster_state"] == "ok":
                        return
                    self.own_all_slots(client)
            except redis.ConnectionError:
                pass
            time.sleep(0.05)
        raise SystemExit("the server did not start")

    def own_all_slots(self, client):
        """A real Redis, put here to test these scenarios, owns no slot until it is told to."""
        try:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        except redis.ResponseError:
            pass

    def kill(self):
        self.process.kill()
        self.process.wait()


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def refused(kind, part, work):
    try:
        found = work()
    except kind as error:
        assert part in str(error), error
        return
    raise AssertionError(f"not refused, but {found!r}")


def commands(client):
    for number in range(200):
        equal(client.set(f"key:{number}", number), True)
    equal([client.get(f"key:{number}") for number in range(200)], [str(number) for number in range(200)])
    equal(client.mset_nonatomic({f"m:{number}": number for number in range(50)}), [True] * 50)
    equal(client.mget_nonatomic([f"m:{number}" for number in range(50)]), [str(number) for number in range(50)])
    equal(client.delete(*[f"m:{number}" for number in range(50)]), 50)
    equal(client.dbsize(), 200)
    equal(len(client.keys("key:*")), 200)
    equal(sum(1 for _ in client.scan_iter("key:1*")), 111)


def topology(client):
    nodes = client.get_nodes()
    equal([(node.port, node.server_type) for node in nodes], [(SERVER.port, "primary")])
    equal(client.keyslot("foo"), 12182)
    equal(client.cluster_keyslot("foo"), 12182)
    client.set("{slot}a", 1)
    client.set("{slot}b", 1)
    slot = client.keyslot("{slot}")
    equal(client.cluster_countkeysinslot(slot), 2)
    equal(sorted(client.cluster_get_keys_in_slot(slot, 10)), ["{slot}a", "{slot}b"])
    info = client.cluster_info(target_nodes=RedisCluster.PRIMARIES)
    equal((info["cluster_state"], info["cluster_slots_ok"], info["cluster_known_nodes"]), ("ok", "16384", "1"))
    equal(len(client.cluster_nodes()), 1)
    equal(client.info()["cluster_enabled"], 1)


def one_slot(client):
    equal(client.mset({"{t}a": 1, "{t}b": 2}), True)
    equal(client.sinterstore("{t}x", ["{t}y", "{t}z"]), 0)
    raw = redis.Redis(port=SERVER.port, decode_responses=True)
    refused(redis.ResponseError, "Keys in request don't hash to the same slot", lambda: raw.mset({"a": 1, "b": 2}))
    refused(redis.ResponseError, "SELECT is not allowed in cluster mode", lambda: raw.execute_command("SELECT", 1))
    raw.close()


def pipelines(client):
    pipeline = client.pipeline()
    for number in range(500):
        pipeline.incr(f"p:{number % 50}")
    equal(pipeline.execute()[-1], 10)


def scripts(client):
    equal(client.eval("return redis.call('incrby', KEYS[1], ARGV[1])", 1, "{s}n", 5), 5)
    run = client.register_script("return {KEYS[1], ARGV[1]}")
    equal(run(keys=["{s}k"], args=["v"]), ["{s}k", "v"])


def sharded_channels(client):
    listener = client.pubsub()
    listener.ssubscribe("shard")
    end = time.time() + 5
    heard = []
    while time.time() < end and len(heard) < 2:
        message = listener.get_sharded_message(timeout=0.2)
        if message:
            heard.append((message["type"], message["data"]))
            if message["type"] == "ssubscribe":
                equal(client.spublish("shard", "hello"), 1)
    equal(heard, [("ssubscribe", 1), ("smessage", "hello")])
    listener.close()


def restart(client):
    SERVER.kill()
    refused(Exception, "", lambda: client.set("gone", 1))
    SERVER.start()
    equal(client.set("back", 1), True)
    equal(client.get("back"), "1")


def command_line(client):
    program = shutil.which("redis-cli")
    if program is None:
        print("redis-cli is not there: left out")
        return

    def ask(*words):
        return subprocess.run([program, "-c", "-p", str(SERVER.port), *words], capture_output=True, text=True, check=True).stdout.strip()

    equal(ask("SET", "cli", "1"), "OK")
    equal(ask("GET", "cli"), "1")
    assert "CROSSSLOT" in ask("MSET", "a", "1", "b", "2")
    checked = subprocess.run([program, "--cluster", "check", f"127.0.0.1:{SERVER.port}"], capture_output=True, text=True)
    assert "[OK] All 16384 slots covered." in checked.stdout, checked.stdout


SERVER = Server()


def main():
    passed = failed = 0
    print(f"redis-py {redis.__version__}, as a cluster")
    for protocol in (2, 3):
        client = RedisCluster(host="127.0.0.1", port=SERVER.port, decode_responses=True, protocol=protocol)
        client.flushall()
        for scenario in (commands, topology, one_slot, pipelines, scripts, sharded_channels, command_line, restart):
            try:
                scenario(client)
                passed += 1
            except Exception as error:
                failed += 1
                print(f"FAILED {scenario.__name__} (RESP{protocol}): {type(error).__name__}: {error}")
        client.close()
    print(f"{passed} passed, {failed} failed")
    return bool(failed)


try:
    status = main()
finally:
    SERVER.kill()
sys.exit(status)
