"""A TCP proxy whose network can be spoiled while it runs: proxy.py LISTEN:TARGET...

Each line on standard input is a mode for all its connections from then on; the answer on standard output is how many
pieces of traffic met the mode of before (connections that were cut, pieces that were held or slowed or passed)."""

import asyncio
import socket
import struct
import sys

PASS, CUT, HOLE, SLOW = "pass", "cut", "hole", "slow"
LATENCY_SECONDS = 0.2
BYTES_PER_SECOND = 512 * 1024
PIECE_BYTES = 16 * 1024


class Network:
    """One mode for all connections, and how often it was met."""

    def __init__(self):
        self.mode, self.met = PASS, 0
        self.open = asyncio.Event()
        self.open.set()
        self.writers = set()

    def become(self, mode):
        met, self.met, self.mode = self.met, 0, mode
        self.open.clear() if mode == HOLE else self.open.set()
        if mode == CUT:
            for writer in list(self.writers):
                self.reset(writer)
        return met

    def reset(self, writer):
        """The peer gets RST instead of an orderly end."""
        self.met += 1
        self.writers.discard(writer)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def serve(self, target_port, reader, writer):
        if self.mode == CUT:
            return self.reset(writer)
        await self.pass_hole()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", target_port)
        except OSError:
            return self.reset(writer)
        self.writers |= {writer, back}
        await asyncio.gather(self.carry(reader, back), self.carry(there, writer))
        self.writers -= {writer, back}

    async def pass_hole(self):
        if self.mode == HOLE:
            self.met += 1
            await self.open.wait()

    async def carry(self, reader, writer):
        """One direction. What is read waits in a queue for its time, so that latency does not become bandwidth."""
        queue = asyncio.Queue(maxsize=64)
        sender = asyncio.create_task(self.send(queue, writer))
        try:
            while data := await reader.read(PIECE_BYTES):
                slow = self.mode == SLOW
                await queue.put((data, asyncio.get_running_loop().time() + (LATENCY_SECONDS if slow else 0)))
                if slow:
                    await asyncio.sleep(len(data) / BYTES_PER_SECOND)
        except OSError:
            pass
        await queue.put((b"", 0))
        await sender

    async def send(self, queue, writer):
        """Goes on emptying the queue when nobody takes it any more: the other end must not wait for room."""
        while (item := await queue.get())[0]:
            data, due = item
            await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))
            await self.pass_hole()
            if self.mode in (PASS, SLOW):
                self.met += 1
            if not writer.is_closing():
                writer.write(data)
                try:
                    await writer.drain()
                except OSError:
                    pass
        writer.close()


async def main(pairs):
    network = Network()
    for pair in pairs:
        port, target = map(int, pair.split(":"))
        await asyncio.start_server(lambda r, w, target=target: network.serve(target, r, w), "127.0.0.1", port)
    print("ready", flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(network.become(line.decode().strip()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
