"""Collects IPFIX over mutual TLS with python3-ipfix (Debian), and prints its records.

Arguments: certificate and key of the collector, the authority of its clients, and own elements as `name(enterprise/number)<type>[length]`. Prints its port
first; when the client is gone, the version of TLS, and of each record that counts something or names a class its observation domain and its fields.
"""

import json
import socket
import ssl
import sys

import ipfix.ie
import ipfix.reader
import ipfix.types

cert, key, authority, *own = sys.argv[1:]
ipfix.ie.use_iana_default()
for element in own:
    ipfix.ie.for_spec(element)
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


def text(value):
    return value.hex() if isinstance(value, bytes) else str(value).rstrip("\0")


reader = ipfix.reader.from_stream(connection.makefile("rb"))
rows = []
for record in reader.namedict_iterator():
    if "octetDeltaCount" in record or "applicationName" in record:
        rows.append((reader.msg.odid, {name: text(value) for name, value in record.items()}))
print(connection.version())
for row in rows:
    print(json.dumps(row))
