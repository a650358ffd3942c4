"""A process that has the object store imported and forks it off on demand: a start then costs a tenth of a second, not two.

    python -m tests.walrus.nursery SOCKET        a connection sends [arguments, log file] as JSON and gets the child's pid

The child is the store as `eucapy walrus` runs it. It belongs to nobody but who asked for it: that one kills it by its pid.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from eucapy_services.walrus import main as store

from eucapy.walrus.s3.registry import s3


def serve(path: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        while True:
            connection, _ = listening.accept()
            with connection, connection.makefile("rw") as talk:
                arguments, log = json.loads(talk.readline())
                child = os.fork()
                if child == 0:
                    listening.close()
                    run(arguments, log)
                talk.write(f"{child}\n")


def run(arguments: list[str], log: str) -> None:
    """The store, in the child; does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.argv = ["walrus", *arguments]
    status = 70
    try:
        status = store.main()
    finally:
        os._exit(status)


if __name__ == "__main__":
    assert s3 is not None
    serve(sys.argv[1])
