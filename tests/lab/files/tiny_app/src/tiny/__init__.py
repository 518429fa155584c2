"""The smallest server that is socket-activated, says when it is ready, and finishes what it has accepted."""

import os
import signal
import socket

GENERATION = "one"


def main() -> None:
    """Serve until SIGTERM."""
    listener = socket.socket(fileno=3)
    listener.settimeout(0.2)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    while not stopping:
        try:
            connection, _peer = listener.accept()
        except TimeoutError:
            continue
        with connection:
            connection.recv(4096)
            body = GENERATION.encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
