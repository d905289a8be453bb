"""Receivers for tests: a web server that records what is posted, and a mail server; both can be told to misbehave."""

import json
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Recorder:
    """Records JSON by path. `behave(path, mode)`: `ok`, a status such as 500, `hang`, or a function called before the answer."""

    def __init__(self):
        recorder = self
        self.lock, self.posts, self.modes = threading.Lock(), [], {}
        self.stopped = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with recorder.lock:
                    mode = recorder.modes.get(self.path, "ok")
                    recorder.posts.append((time.monotonic(), self.path, mode, json.loads(body or b"null")))
                if mode == "hang":
                    while recorder.modes.get(self.path) == "hang" and not recorder.stopped.wait(0.05):
                        pass
                    return
                if callable(mode):
                    mode()
                    return
                text = b"ok"
                self.send_response(200 if mode == "ok" else mode)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def behave(self, path, mode):
        with self.lock:
            self.modes[path] = mode

    def at(self, path, mode="ok"):
        """What was taken at a path, oldest first; with another mode, what was tried while that held."""
        with self.lock:
            return [body for _, p, m, body in self.posts if p == path and (m == mode or mode is None)]

    def times(self, path):
        with self.lock:
            return [t for t, p, _, _ in self.posts if p == path]

    def stop(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()


class Mail:
    """A mail server; while `drops`, it breaks off in the middle of every mail."""

    def __init__(self):
        mail = self
        self.drops, self.tries, self.mails = False, 0, []

        class Handler(socketserver.StreamRequestHandler):
            def say(self, text):
                self.wfile.write(text.encode() + b"\r\n")

            def handle(self):
                self.say("220 test ESMTP")
                while line := self.rfile.readline():
                    verb = line.strip().upper()[:4]
                    if verb == b"EHLO":
                        self.say("250-test")
                        self.say("250 8BITMIME")
                    elif verb == b"DATA":
                        mail.tries += 1
                        if mail.drops:
                            return
                        self.say("354 go ahead")
                        data = b""
                        while (part := self.rfile.readline()) not in (b".\r\n", b""):
                            data += part
                        mail.mails.append(data.decode(errors="replace"))
                        self.say("250 kept")
                    elif verb == b"QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
