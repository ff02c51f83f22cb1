"""Collects IPFIX over mutual TLS with python3-ipfix (Debian), and prints what the records of each element add up to.

Arguments: certificate and key of the collector, and the authority of its clients. Prints its port first, and the sums when the client is gone.
"""

import json
import socket
import ssl
import sys

import ipfix.ie
import ipfix.reader
import ipfix.types

cert, key, authority = sys.argv[1:]
ipfix.ie.use_iana_default()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
context.load_verify_locations(authority)
context.verify_mode = ssl.CERT_REQUIRED

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
plain, _ = listener.accept()
connection = context.wrap_socket(plain, server_side=True)
sums = {"records": 0, "packets": 0, "bytes": 0}
for record in ipfix.reader.from_stream(connection.makefile("rb")).namedict_iterator():
    if "octetDeltaCount" in record:
        sums["records"] += 1
        sums["packets"] += record["packetDeltaCount"]
        sums["bytes"] += record["octetDeltaCount"]
print(json.dumps({"version": connection.version(), **sums}), flush=True)
