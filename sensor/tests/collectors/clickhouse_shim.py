"""HTTP in front of ClickHouse's engine in this process (chdb): as much of it as an exporter and its tests ask for.

A POST runs its parameter `query` with the body as data, the other parameters as its settings; without `query`, the body is a statement or several, each
ended by ";" and a line's end. Argument: a folder. Prints its port. Ends with its standard input.
"""

import importlib.util
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

# The package opens an engine when it is imported and closes it again, and after that nothing in this process reads from Kafka ("Shutdown was called").
sys.path.insert(0, os.path.dirname(importlib.util.find_spec("chdb").origin))
import _chdb

# What HTTP understands itself and the engine has no setting for.
OF_HTTP = {"query", "database", "wait_end_of_query"}
NUMBER = re.compile(r"\d+$")
engine = _chdb.connect(sys.argv[1])
# One session, one statement at a time.
lock = threading.Lock()


def ask(statement):
    return engine.query(statement, "TabSeparated").bytes().decode()


def run(parameters, body):
    if "query" not in parameters:
        text = re.sub(rb"^--.*$", b"", body, flags=re.MULTILINE).decode()
        return "".join(ask(one) for one in re.split(r";\s*\n", text + "\n") if one.strip())
    settings = {name: value for name, value in parameters.items() if name not in OF_HTTP}
    words = [f"{name} = {value if NUMBER.match(value) else repr(value)}" for name, value in settings.items()]
    into, form = parameters["query"].split(" FORMAT ")
    return ask(f"{into} SETTINGS {', '.join(words)} FORMAT {form}\n" + body.decode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parameters = dict(parse_qsl(urlsplit(self.path).query))
        try:
            with lock:
                status, text = 200, run(parameters, body)
        except Exception as error:  # whatever it is, the other end is told
            status, text = 500, str(error)
        self.send_response(status)
        self.send_header("X-ClickHouse-Query-Id", "shim")
        code = re.search(r"Code: (\d+)", text) if status != 200 else None
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code[1])
        data = text.encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
# Without the engine's own end: it waits for minutes now and then.
os._exit(0)
