#!/usr/bin/env python3
"""A target of HTTP uplinks in a process of its own, so that it can be killed: says what it has on standard output, a line a request, before
it answers. On SIGUSR1 it answers the next requests as a server in trouble does; on SIGUSR2 it takes one and says nothing of it.

  tests/soak/http_receiver.py PORT
"""
import itertools
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TROUBLES = 12
lock = threading.Lock()
troubles = itertools.count()
left, lost = [0], [0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802, the name is that of the library
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if left[0] > 0:
            return self.trouble()
        said = json.dumps([self.headers[f"tidegate-{name}"] for name in ("stream", "epoch", "from", "to")]).encode()
        with lock:
            if lost[0] > 0:
                lost[0] -= 1
                return self.answer(204)
            self.tell(said + b"\t" + (body if self.path == "/json" else str(body.count(b"\n")).encode()) + b"\n")
        return self.answer(204)

    def tell(self, line):
        while line:
            line = line[os.write(1, line):]

    def trouble(self):
        left[0] -= 1
        kind = next(troubles) % 4
        if kind == 3:
            self.close_connection = True  # without a word
        else:
            self.answer((500, 503, 429)[kind])

    def answer(self, status):
        self.send_response(status)
        if status in (429, 503):
            self.send_header("Retry-After", "1")
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_):  # a connection that is gone
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: left.__setitem__(0, TROUBLES))
    signal.signal(signal.SIGUSR2, lambda *_: lost.__setitem__(0, 1))
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
