"""What tests/real/run needs of redis-cli, where that is not installed.

client.py -p PORT --pipe             requests from standard input, then counts of replies
client.py -p PORT --raw              commands from standard input, a line each, then their replies
client.py -p PORT COMMAND [ARG...]   one command
"""

import shlex
import socket
import sys
import threading


def request(words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


def reply(stream):
    """One RESP2 reply, as a list of its texts, and whether it is an error."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        sys.exit("the server closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"$":
        length = int(rest)
        return ([b""] if length < 0 else [stream.read(length + 2)[:-2]]), False
    if kind == b"*":
        return [text for _ in range(int(rest)) for text in reply(stream)[0]], False
    return [rest], kind == b"-"


def pipe(connection, stream):
    marker = b"end-of-data"
    replies = errors = 0

    def send():
        while chunk := sys.stdin.buffer.read(1 << 16):
            connection.sendall(chunk)
        connection.sendall(request([b"ECHO", marker]))

    threading.Thread(target=send, daemon=True).start()
    while True:
        texts, is_error = reply(stream)
        if texts == [marker]:
            break
        replies += 1
        errors += is_error
    print(f"errors: {errors}, replies: {replies}")
    return 1 if errors else 0


def main(arguments):
    assert arguments[0] == "-p", __doc__
    connection = socket.create_connection(("127.0.0.1", int(arguments[1])))
    stream = connection.makefile("rb")
    words = [word for word in arguments[2:] if word != "--raw"]
    if words == ["--pipe"]:
        return pipe(connection, stream)
    lines = [words] if words else (shlex.split(line) for line in sys.stdin)
    for words in lines:
        connection.sendall(request([word.encode() for word in words]))
        for text in reply(stream)[0]:
            sys.stdout.buffer.write(text + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
