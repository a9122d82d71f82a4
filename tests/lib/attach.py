#!/usr/bin/env python3
"""A client of a container's attach socket: stdin to the container, its output here, END ends it.

    attach.py SOCKET FLAGS [FILE]      flags: 1 stdin, 2 stdout, 4 stderr; FILE is made once attached
"""
import os, select, socket, struct, sys

HEAD = struct.Struct(">BxxxI")
STDIN, STDOUT, STDERR, ATTACH, ATTACHED, ERROR, END, CLOSE_STDIN = 0, 1, 2, 16, 17, 18, 19, 20


def frames(sock):
    data = b""
    while True:
        while len(data) >= 8 and len(data) >= 8 + HEAD.unpack(data[:8])[1]:
            kind, n = HEAD.unpack(data[:8])
            yield kind, data[8:8 + n]
            data = data[8 + n:]
        got = yield None, None
        if not got:
            return
        data += got


def main():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(sys.argv[1])
    flags = int(sys.argv[2])
    sock.sendall(HEAD.pack(ATTACH, 2) + bytes([1, flags]))
    reader, typing = frames(sock), bool(flags & 1)
    next(reader)
    while True:
        ready, _, _ = select.select([sock] + ([0] if typing else []), [], [], 20)
        if not ready:
            sys.exit("nothing came for 20 s")
        if 0 in ready:
            data = os.read(0, 4096)
            typing = bool(data)
            sock.sendall(HEAD.pack(STDIN if data else CLOSE_STDIN, len(data)) + data)
        if sock not in ready:
            continue
        got = sock.recv(65536)
        if not got:
            sys.exit("the connection was lost")
        kind, data = reader.send(got)
        while kind is not None:
            if kind == END:
                return
            if kind == ATTACHED and len(sys.argv) > 3:
                open(sys.argv[3], "w").close()
            if kind == ERROR:
                sys.exit(data.decode())
            if kind in (STDOUT, STDERR):
                os.write(kind, data)
            kind, data = next(reader)


main()
