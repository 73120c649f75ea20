"""A relay that enables IMAP4rev2 for a client which does not ask for it.

It stands between a client and an IMAP server on loopback, and sends an ENABLE
of its own behind the client's LOGIN. The client hears the untagged answer, not
the tagged one; all the rest goes through as it is. For test_imaptest.py.
"""
import asyncio
import contextlib
import threading

TAG = b"relay"
PIECE = 1 << 16


class Relay(threading.Thread):
    """`with Relay(host, port) as r:` serves on r.port until the end."""

    def __init__(self, host, port):
        super().__init__(daemon=True)
        self.to = host, port
        self.ready = threading.Event()

    def __enter__(self):
        self.start()
        self.ready.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.join()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.stop.wait()
        server.close()

    async def connection(self, client_in, client_out):
        server_in, server_out = await asyncio.open_connection(*self.to)
        await asyncio.gather(copy(client_in, server_out, up), copy(server_in, client_out, down),
                             return_exceptions=True)
        for w in server_out, client_out:
            w.close()


async def copy(reader, writer, first):
    """`first` copies lines until its work is done, the rest goes in pieces."""
    try:
        await first(reader, writer)
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError, RuntimeError):    # the other side has gone already
            writer.write_eof()


async def up(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        if b" LOGIN " in line:
            writer.write(TAG + b" ENABLE IMAP4REV2\r\n")
            return


async def down(reader, writer):
    while line := await reader.readline():
        if line.startswith(TAG + b" "):
            return
        writer.write(line)
