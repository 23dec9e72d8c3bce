"""Sending to a broker that is not there."""

import socket
import threading
from contextlib import suppress

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from orchestrator.broker import Sender


def test_a_broker_that_hangs_up_is_called_once() -> None:
    calls: list[object] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        with suppress(OSError):
            while True:
                connection, address = listener.accept()
                connection.close()
                calls.append(address)

    broker = threading.Thread(target=hang_up)
    broker.start()
    try:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        app = Celery("sends-nothing", set_as_current=False, broker=url)
        app.conf.broker_transport = "orchestrator.broker:Transport"
        with pytest.raises(OperationalError):
            Sender(app).send("deployments.advance", 1, queue="deployments", shown="(1)")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        broker.join()
        listener.close()
    assert len(calls) == 1
