"""RQ and Celery against the server in $RUNNEL_SERVER, over a kill -9 and a restart, and nothing lost."""

import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from datetime import timedelta

import redis
from server import Server, equal

FOLDER = pathlib.Path(__file__).parent


def until(what, test, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if test():
                return
        except redis.ConnectionError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"waited in vain until {what}")


def rq_jobs(server):
    from rq import Queue, SimpleWorker
    client = redis.Redis(port=server.port)
    queue, urgent = Queue("jobs", connection=client), Queue("urgent", connection=client)
    jobs = [queue.enqueue(tasks.square, number) for number in range(40)]
    first = urgent.enqueue(tasks.join, "a", 1)
    last = queue.enqueue(tasks.join, "after", depends_on=jobs)
    SimpleWorker([urgent, queue], connection=client).work(burst=True, max_jobs=15)
    assert first.is_finished, "the urgent one goes first"
    server.restart()
    equal(queue.count + queue.finished_job_registry.count, 40)
    SimpleWorker([urgent, queue], connection=client).work(burst=True)
    equal([job.return_value() for job in jobs], [number * number for number in range(40)])
    equal(last.return_value(), "after")
    equal((queue.count, queue.started_job_registry.count, queue.failed_job_registry.count, queue.deferred_job_registry.count), (0, 0, 0, 0))


def rq_later_and_again(server):
    from rq import Queue, Retry, SimpleWorker
    from rq.scheduler import RQScheduler
    client = redis.Redis(port=server.port)
    queue = Queue("later", connection=client)
    soon = [queue.enqueue_in(timedelta(milliseconds=200), tasks.square, number) for number in range(10)]
    far = queue.enqueue_in(timedelta(hours=1), tasks.square, 7)
    mark = os.path.join(tempfile.mkdtemp(), "mark")
    flaky = queue.enqueue(tasks.fail_until, mark, retry=Retry(max=2))
    lost = queue.enqueue(tasks.join, 1 / 3, result_ttl=500)
    equal(queue.scheduled_job_registry.count, 11)
    server.restart()
    equal(queue.scheduled_job_registry.count, 11)
    time.sleep(1.1)  # scheduled times are whole seconds
    scheduler = RQScheduler([queue], connection=client)
    scheduler.acquire_locks()
    scheduler.enqueue_scheduled_jobs()
    SimpleWorker([queue], connection=client).work(burst=True)
    equal([job.return_value() for job in soon], [number * number for number in range(10)])
    equal(flaky.return_value(), "at last")
    assert lost.return_value().startswith("0.333")
    equal(far.get_status(refresh=True).value, "scheduled")
    scheduler.release_locks()


def celery_tasks(server):
    from celery import chord, group
    server_client = redis.Redis(port=server.port)
    log = open(os.path.join(server.folder, "celery.log"), "wb")
    worker = subprocess.Popen([sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "threads", "-c", "4", "--without-gossip", "--without-mingle", "--loglevel", "info"],
                              cwd=FOLDER, env=os.environ | {"COMPAT_PORT": str(server.port)}, stdout=log, stderr=log)

    def outcome(result):
        """What is stored, asked for by hand: Celery's own subscription to results does not survive a server that goes away."""
        stored = server_client.get(f"celery-task-meta-{result.id}")
        return json.loads(stored)["result"] if stored else None

    try:
        results = [tasks.add.delay(number, 1000) for number in range(150)]
        more = group(tasks.add.s(number, number) for number in range(10)).apply_async()
        whole = chord((tasks.add.s(number, 1) for number in range(10)), tasks.total.s()).apply_async()
        later = tasks.add.apply_async((1, 2), countdown=2)
        until("a part is done", lambda: len(server_client.keys("celery-task-meta-*")) >= 40)
        server.restart()
        until("all are done", lambda: all(outcome(result) is not None for result in [*results, *more.results, whole, later]), 40)
        equal([outcome(result) for result in results], [number + 1000 for number in range(150)])
        equal([outcome(result) for result in more.results], [number * 2 for number in range(10)])
        equal((outcome(whole), outcome(later)), (55, 3))
        until("nothing is left", lambda: server_client.llen("celery") == 0 and server_client.hlen("unacked") == 0)
    finally:
        worker.terminate()
        worker.wait()


def main():
    passed = failed = 0
    for scenario in (rq_jobs, rq_later_and_again, celery_tasks):
        server = Server("--appendonly", "yes")
        os.environ["COMPAT_PORT"] = str(server.port)
        tasks.app.conf.update(broker_url=f"redis://127.0.0.1:{server.port}/0", result_backend=f"redis://127.0.0.1:{server.port}/0")
        try:
            scenario(server)
            passed += 1
        except Exception as error:  # whatever a framework raises, the others still run
            failed += 1
            print(f"FAILED {scenario.__name__}: {error!r}")
        finally:
            server.kill()
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER))
    import tasks

    logging.disable(logging.CRITICAL)
    sys.exit(main())
