"""SMTP over TLS 1.3 as fast as a few processes can: tls-load.py HOST PORT implicit|starttls SESSIONS MESSAGES OCTETS
PARALLEL full|resumed. Every process does its share of the sessions, one after the other, with MESSAGES of OCTETS on
each; prints a line of JSON: seconds, own CPU seconds, sessions, handshakes that were resumed.

Python because its TLS is little more than a call into OpenSSL. It still needs more CPU for a session than a good
server does: on few cores it is the limit of the rate, and only the server's CPU can be compared."""
import json
import os
import resource
import socket
import ssl
import sys
import time

SILENCE_SECONDS = 15


def ask(connection, what, code):
    """Sends what is given (None for nothing) and reads the whole reply."""
    if what is not None:
        connection.sendall(what)
    reply = b""
    while True:
        chunk = connection.recv(4096)
        if not chunk:
            raise ConnectionError("closed after " + repr(reply))
        reply += chunk
        if reply.endswith(b"\r\n"):
            last = reply[:-2].rsplit(b"\r\n", 1)[-1]
            if last[3:4] in (b" ", b""):
                if last[:3] != code:
                    raise ConnectionError("expected %s, got %r" % (code.decode(), reply))
                return


def one_session(context, address, mode, messages, body, previous):
    """Returns the TLS session for the next one to resume, and whether this one resumed."""
    connection = socket.create_connection(address, SILENCE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if mode == "starttls":
        ask(connection, None, b"220")
        ask(connection, b"EHLO bench.example\r\n", b"250")
        ask(connection, b"STARTTLS\r\n", b"220")
    connection = context.wrap_socket(connection, server_hostname="localhost", session=previous)
    if mode == "implicit":
        ask(connection, None, b"220")
    ask(connection, b"EHLO bench.example\r\n", b"250")
    for _ in range(messages):
        ask(connection, b"MAIL FROM:<from@bench.example>\r\n", b"250")
        ask(connection, b"RCPT TO:<to@bench.example>\r\n", b"250")
        ask(connection, b"DATA\r\n", b"354")
        ask(connection, body, b"250")
    ask(connection, b"QUIT\r\n", b"221")
    # The tickets have come with what was read since the handshake.
    result = connection.session, connection.session_reused
    connection.close()
    return result


def share(address, mode, sessions, messages, octets, resume):
    """One process's sessions; returns how many were resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    line = b"X" * 78 + b"\r\n"
    body = b"Subject: bench\r\n\r\n" + line * (octets // 80) + b".\r\n"
    previous, resumed = None, 0
    for _ in range(sessions):
        ticket, reused = one_session(context, address, mode, messages, body, previous)
        resumed += reused
        previous = ticket if resume else None
    return resumed


def main():
    host, port, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sessions, messages, octets, parallel = map(int, sys.argv[4:8])
    resume = sys.argv[8] == "resumed"
    begin = time.monotonic()
    children = []
    for at in range(parallel):
        its = sessions * (at + 1) // parallel - sessions * at // parallel
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            resumed = share((host, port), mode, its, messages, octets, resume)
            os.write(writer, b"%d" % resumed)
            os._exit(0)
        os.close(writer)
        children.append((pid, reader))
    resumed = 0
    for pid, reader in children:
        said = os.read(reader, 32)
        _, status = os.waitpid(pid, 0)
        if status != 0 or said == b"":
            sys.exit("a process of the load failed")
        resumed += int(said)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({
        "seconds": time.monotonic() - begin,
        "cpuSeconds": used.ru_utime + used.ru_stime,
        "sessions": sessions,
        "resumed": resumed,
    }))


main()
