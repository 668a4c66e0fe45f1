#!/usr/bin/env python3
"""A backend to try the example with: backend.py NAME PORT answers with its name and what it was asked."""
import http.server
import sys

name, port = sys.argv[1], int(sys.argv[2])


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = f"{name}: {self.command} {self.path}\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Backend).serve_forever()
