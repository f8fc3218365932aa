"""The lab's server, as it is described; only that host and port are arguments.

It binds, accepts one connection, asks for a file name, sends the name, the size in decimal
digits and the file in pieces of 1,024 bytes, with nothing between them, and ends.
"""
# ruff: noqa: T201

import os
import socket
import sys
import time

sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
sock.bind((sys.argv[1], int(sys.argv[2])))
sock.listen(5)
print("Host:", *sock.getsockname(), flush=True)

client, addr = sock.accept()
print("Connected:", addr, flush=True)

file_name = input("File Name:")
file_size = os.path.getsize(file_name)

client.send(file_name.encode())
client.send(str(file_size).encode())

with open(file_name, "rb") as file:
    sent = 0
    start = time.time()
    while sent <= file_size:
        data = file.read(1024)
        if not data:
            break
        client.sendall(data)
        sent += len(data)
    end = time.time()

print("File Transfer Complete. Total time:", end - start)
sock.close()
