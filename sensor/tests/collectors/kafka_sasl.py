"""SASL before a broker of Kafka that has none: PLAIN (RFC 4616) and SCRAM (RFC 5802, 7677), for one user.

Arguments: the broker's port, the user and the password. Prints its port. Whoever is let in speaks with the broker, everybody else is told why not.
"""

import base64
import hashlib
import hmac
import os
import socket
import struct
import sys
import threading

# Keys of requests and an error (Apache Kafka, protocol guide).
API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
UNSUPPORTED_MECHANISM, AUTHENTICATION_FAILED = 33, 58
SCRAM = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MECHANISMS = ["PLAIN", *SCRAM]
ITERATIONS = 4096

broker, user, password = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode()


class Refused(Exception):
    pass


def scram(algorithm):
    """Takes what the client says, one after the other, and yields the answers."""

    def mac(key, text):
        return hmac.digest(key, text, algorithm)

    header, _, bare = (yield).partition(b",,")
    said = dict(part.split(b"=", 1) for part in bare.split(b","))
    if header != b"n" or said[b"n"] != user:
        raise Refused("this user is unknown")
    salt = os.urandom(16)
    nonce = said[b"r"] + base64.b64encode(os.urandom(18))
    first = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(salt), ITERATIONS)
    without, _, proof = (yield first).rpartition(b",p=")
    if without != b"c=biws,r=" + nonce:
        raise Refused("another exchange")
    salted = hashlib.pbkdf2_hmac(algorithm, password, salt, ITERATIONS)
    key, message = mac(salted, b"Client Key"), b",".join([bare, first, without])
    signature = mac(hashlib.new(algorithm, key).digest(), message)
    if base64.b64decode(proof) != bytes(one ^ other for one, other in zip(key, signature)):
        raise Refused("the password is wrong")
    yield b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), message))


def plain():
    if (yield) != b"\0%s\0%s" % (user, password):
        raise Refused("user or password is wrong")
    yield b""


def exactly(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def message(stream):
    length = exactly(stream, 4)
    return length + exactly(stream, struct.unpack(">i", length)[0])


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def admit(client, server, stream, answers):
    """Answers until somebody is let in."""
    exchange, is_done, mechanism = None, False, ""
    while not is_done:
        request = message(stream)
        key, version, number, name = struct.unpack(">hhih", request[4:14])
        body = request[14 + max(name, 0) :]
        if key == API_VERSIONS:
            server.sendall(request)
            client.sendall(message(answers))
            continue
        if key == SASL_HANDSHAKE and version == 1:
            mechanism = body[2:].decode()
            known = mechanism in MECHANISMS
            exchange = plain() if mechanism == "PLAIN" else scram(SCRAM.get(mechanism))
            next(exchange)
            names = b"".join(map(string, MECHANISMS))
            answer = struct.pack(">hi", 0 if known else UNSUPPORTED_MECHANISM, len(MECHANISMS)) + names
        elif key == SASL_AUTHENTICATE and version in (0, 1) and exchange:
            try:
                data, error, why = exchange.send(body[4:]), 0, struct.pack(">h", -1)
                is_done = mechanism == "PLAIN" or data.startswith(b"v=")
            except Refused as refused:
                data, error, why = b"", AUTHENTICATION_FAILED, string(str(refused))
            answer = struct.pack(">h", error) + why + struct.pack(">i", len(data)) + data + bytes(8 * version)
        else:
            raise EOFError
        answer = struct.pack(">i", number) + answer
        client.sendall(struct.pack(">i", len(answer)) + answer)


def copy(source, target):
    try:
        while data := source.read1():
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()


def serve(client):
    server = socket.create_connection(("127.0.0.1", broker))
    stream, answers = client.makefile("rb"), server.makefile("rb")
    try:
        admit(client, server, stream, answers)
    except (EOFError, OSError):
        client.close()
        server.close()
        return
    threading.Thread(target=copy, args=(answers, client), daemon=True).start()
    copy(stream, server)


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
