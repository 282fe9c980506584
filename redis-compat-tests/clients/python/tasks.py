"""What the workers of frameworks.py run: functions of RQ, and an application of Celery."""

import os
import time

from celery import Celery

URL = f"redis://127.0.0.1:{os.environ.get('COMPAT_PORT', '0')}/0"

app = Celery("tasks", broker=URL, backend=URL)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True, broker_connection_max_retries=None, result_extended=True,
                broker_transport_options={"visibility_timeout": 3, "unacked_restore_interval": 1, "unacked_restore_throttle": 1, "polling_interval": 0.1},
                result_backend_transport_options={"retry_policy": {"timeout": 5.0}}, task_default_priority=5, broker_connection_retry=True)


@app.task
def add(left, right):
    time.sleep(0.02)
    return left + right


@app.task
def total(numbers):
    return sum(numbers)


def square(number):
    return number * number


def join(*parts):
    return "-".join(map(str, parts))


def fail_until(path):
    """Fails until the file is there."""
    if not os.path.exists(path):
        open(path, "w").close()
        raise RuntimeError("not yet")
    return "at last"
