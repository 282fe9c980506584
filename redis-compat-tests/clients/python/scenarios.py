"""redis-py against the server in $RUNNEL_SERVER: what its users do, and what happens to them when the server goes away."""

import sys
import threading
import time

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from server import Server, equal


def strings(client):
    equal(client.set("name", "value", ex=100, get=True), None)
    equal(client.set("name", "other", keepttl=True, get=True), "value")
    assert 0 < client.ttl("name") <= 100
    equal(client.set("name", "x", nx=True), None)
    equal(client.incrby("count", 41), 41)
    equal(client.incr("count"), 42)
    equal(client.incrbyfloat("ratio", 0.1), 0.1)
    equal(client.mset({"a": "1", "b": "2"}), True)
    equal(client.mget("a", "b", "c"), ["1", "2", None])
    equal(client.getex("name", persist=True), "other")
    equal(client.lcs("a", "b", len=True), 0)


def lists(client):
    equal(client.rpush("list", *range(200)), 200)
    equal(client.lrange("list", -3, -1), ["197", "198", "199"])
    equal(client.lpos("list", "150"), 150)
    equal(client.lmove("list", "other", "LEFT", "RIGHT"), "0")
    equal(client.lmpop(2, "none", "list", direction="LEFT", count=2), ["list", ["1", "2"]])
    equal(client.object("encoding", "list"), "listpack" if len(str(client.lrange("list", 0, -1))) < 3000 and at_least(client, 7, 2) else "quicklist")


def at_least(client, *version):
    return tuple(int(part) for part in client.info("server")["redis_version"].split(".")[:2]) >= version


def pipelines(client):
    with client.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"p:{number}", number)
        equal(pipe.execute(), [True] * 5000)
    with client.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.get(f"p:{number}")
        equal(pipe.execute(), [str(number) for number in range(5000)])
    with client.pipeline() as pipe:
        pipe.incr("in").rpush("in", 1).get("in")
        found = pipe.execute(raise_on_error=False)
    equal((found[0], type(found[1]).__name__, found[2]), (1, "ResponseError", "1"))


def scanning(client):
    equal(sorted(client.scan_iter("p:49*", count=50)), sorted(f"p:{number}" for number in range(5000) if str(number).startswith("49")))


def pool(client):
    """Twenty threads on eight connections."""
    shared = redis.Redis(connection_pool=redis.BlockingConnectionPool(max_connections=8, timeout=20, host="127.0.0.1", port=port_of(client), decode_responses=True))
    threads = [threading.Thread(target=lambda: [shared.incr("pooled") for _ in range(200)]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(shared.get("pooled"), "4000")
    shared.connection_pool.disconnect()


def port_of(client):
    return client.connection_pool.connection_kwargs["port"]


def contention(client):
    """Optimistic locking: eight threads add to one counter with WATCH, and lose none."""
    def add():
        for _ in range(25):
            client.transaction(lambda pipe: add_one(pipe), "watched")

    def add_one(pipe):
        current = int(pipe.get("watched") or 0)
        pipe.multi()
        pipe.set("watched", current + 1)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(client.get("watched"), "200")
    with client.pipeline() as pipe:
        pipe.watch("watched")
        client.set("watched", "changed")
        pipe.multi()
        pipe.get("watched")
        try:
            pipe.execute()
            raise AssertionError("a changed watched key did not stop EXEC")
        except redis.WatchError:
            pass


def publishing(client):
    subscriber = client.pubsub()
    subscriber.subscribe("news")
    subscriber.psubscribe("new*")
    equal([subscriber.get_message(timeout=5)["type"] for _ in range(2)], ["subscribe", "psubscribe"])
    equal(client.publish("news", "hello"), 2)
    equal(sorted(subscriber.get_message(timeout=5)["type"] for _ in range(2)), ["message", "pmessage"])
    equal(client.pubsub_channels(), ["news"])
    equal(client.pubsub_numsub("news", "olds"), [("news", 1), ("olds", 0)])
    subscriber.ssubscribe("shard")
    subscriber.get_message(timeout=5)
    equal(client.spublish("shard", "s"), 1)
    equal(subscriber.get_message(timeout=5)["data"], "s")
    subscriber.close()


def waiting(client):
    """Three consumers, one producer: every job is taken once."""
    taken, lock = [], threading.Lock()

    def consume():
        while True:
            job = client.blpop(["urgent", "jobs"], timeout=5)
            if job is None or job[1] == "stop":
                return
            with lock:
                taken.append(job[1])

    threads = [threading.Thread(target=consume) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        client.rpush("jobs" if number % 3 else "urgent", f"job {number}")
    while len(taken) < 300 and any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    client.rpush("jobs", "stop", "stop", "stop")
    for thread in threads:
        thread.join(10)
    equal(sorted(taken), sorted(f"job {number}" for number in range(300)))
    began = time.monotonic()
    equal(client.blmove("none", "other", timeout=0.2), None)
    assert 0.19 <= time.monotonic() - began < 1.0


def expiry(client):
    client.set("short", 1, px=30)
    client.rpush("shortlist", 1)
    client.pexpire("shortlist", 30)
    time.sleep(0.06)
    equal(client.exists("short", "shortlist"), 0)


def introspection(client):
    assert client.config_get("maxmemory")["maxmemory"] == "0"
    client.config_set("slowlog-max-len", 200)
    equal(client.config_get("slowlog-max-len"), {"slowlog-max-len": "200"})
    client.client_setname("tester")
    assert any(entry["name"] == "tester" for entry in client.client_list())
    assert client.command_count() > 100
    assert client.info("memory")["used_memory"] > 0
    equal(client.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])


def restart(client):
    """The server dies and comes back: the next command fails or is retried, the one after works; a subscriber subscribes again."""
    retrying = redis.Redis(host="127.0.0.1", port=port_of(client), decode_responses=True, protocol=PROTOCOL, retry=Retry(ConstantBackoff(0.05), 100),
                           retry_on_error=[redis.ConnectionError, redis.TimeoutError, ConnectionRefusedError])
    subscriber = retrying.pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe("after")
    subscriber.get_message(timeout=2)
    retrying.set("before", 1)
    SERVER.kill()
    reborn = threading.Timer(0.2, SERVER.start)
    reborn.start()
    equal(retrying.set("after", "life"), True)
    reborn.join()
    equal(retrying.get("after"), "life")
    for _ in range(200):
        subscriber.get_message(timeout=0.05)
        if retrying.pubsub_numsub("after")[0][1] == 1:
            break
    equal(retrying.publish("after", "again"), 1)
    message = next(filter(None, (subscriber.get_message(timeout=0.2) for _ in range(20))), None)
    equal(message and message["data"], "again")
    subscriber.close()


SCENARIOS = [strings, lists, pipelines, scanning, pool, contention, publishing, waiting, expiry, introspection, restart]
SERVER, PROTOCOL = Server(), 2


def main():
    global PROTOCOL
    passed = failed = 0
    print(f"redis-py {redis.__version__}")
    for PROTOCOL in (2, 3):
        client = redis.Redis(host="127.0.0.1", port=SERVER.port, decode_responses=True, protocol=PROTOCOL)
        client.flushall()
        for scenario in SCENARIOS:
            try:
                scenario(client)
                passed += 1
            except Exception as error:
                failed += 1
                print(f"FAILED {scenario.__name__} (RESP{PROTOCOL}): {type(error).__name__}: {error}")
        client.close()
    print(f"{passed} passed, {failed} failed")
    return bool(failed)


try:
    status = main()
finally:
    SERVER.kill()
sys.exit(status)
