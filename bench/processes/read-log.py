"""Reads a Unix datagram socket and throws away what comes, as a quick syslog would: read-log.py PATH."""
import socket
import sys

reader = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
reader.bind(sys.argv[1])
print("ready", flush=True)
buffer = bytearray(65536)
while True:
    reader.recv_into(buffer)
