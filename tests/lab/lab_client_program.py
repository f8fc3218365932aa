"""The lab's client, as it is described; only that the port is an argument.

It asks for a host, connects, and says whether it could; one ``recv(100)`` is the name, one
more the size; then it receives pieces of 1,024 bytes until it has the size or the
connection ends, and writes them to ``./rec/NAME``.
"""
# ruff: noqa: T201

import socket
import sys
import time

host = input("Host Name: ")

sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
try:
    sock.connect((host, int(sys.argv[1])))
    print("Connected Successfully")
except OSError:
    print("Unable to connect")
    sys.exit(0)

file_name = sock.recv(100).decode()
file_size = sock.recv(100).decode()

with open("./rec/" + file_name, "wb") as file:
    received = 0
    start = time.time()
    while received < int(file_size):
        data = sock.recv(1024)
        if not data:
            break
        file.write(data)
        received += len(data)
    end = time.time()

print("File Transfer Complete. Total time:", end - start)
sock.close()
