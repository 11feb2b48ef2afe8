"""A WSGI application that reports each request it got.

Reports are lines of JSON on the Unix socket named by the argument; a request is
answered after its line was acknowledged by a line. The first one is the port.
"""
import base64
import json
import os
import socket
import sys
import threading
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
lines = link.makefile("rwb")
turn = threading.Lock()


def tell(value):
    with turn:
        lines.write(json.dumps(value).encode() + b"\n")
        lines.flush()
        if not lines.readline():
            os._exit(0)  # nobody listens any more


def read_body(environ):
    """The whole body; raises on one that was cut."""
    source = environ["wsgi.input"]
    if environ.get("HTTP_TRANSFER_ENCODING") != "chunked":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = source.read(length)
        if len(body) != length:
            raise EOFError
        return body
    body = b""
    while size := int(source.readline(), 16):
        body += source.read(size)
        source.readline()
    if source.readline() != b"\r\n":
        raise EOFError
    return body


def application(environ, start_response):
    fields = {name: value for name, value in environ.items() if name.startswith("HTTP_") or name.startswith("CONTENT_")}
    try:
        body = read_body(environ)
    except (EOFError, ValueError):  # cut: it never happened
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []
    tell({
        "method": environ["REQUEST_METHOD"], "target": environ["RAW_URI"], "path": environ["PATH_INFO"],
        "fields": fields, "body": base64.b64encode(body).decode(),
    })
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


class Handler(WSGIRequestHandler):
    def get_environ(self):
        return {**super().get_environ(), "RAW_URI": self.path}

    def log_message(self, *_):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self):  # without asking the DNS for a name
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()


server = Server(("127.0.0.1", 0), Handler)
server.set_app(application)
tell(server.server_port)
server.serve_forever()
