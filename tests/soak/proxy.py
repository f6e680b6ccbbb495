"""TCP proxies that spoil connections: fault_proxy.h for what is driven by Python. One thread serves all of them."""
import asyncio
import socket
import struct
import threading

from rig import free_port

PIECE = 65536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER for no time: closing resets


class Proxies:
    """The thread, and the proxies by name; their methods may be called from any thread."""

    def __init__(self):
        self.loop, self.by_name = asyncio.new_event_loop(), {}
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def add(self, name, target):
        """`target` is a port of 127.0.0.1. Returns the proxy."""
        proxy = self.by_name[name] = Proxy(self.loop, target)
        asyncio.run_coroutine_threadsafe(proxy.listen(), self.loop).result(10)
        return proxy


class Proxy:
    def __init__(self, loop, target):
        self.loop, self.target, self.port = loop, target, free_port()
        self.writers, self.is_silent, self.is_gone = set(), False, False
        self.resets = 0

    async def listen(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)

    def reset(self):
        """All connections that there are."""
        self.loop.call_soon_threadsafe(self._reset)

    def silence(self, is_on):
        """Half-open connections: what comes is swallowed. A connection that has lost bytes stays silent until a side closes it."""
        self.loop.call_soon_threadsafe(setattr, self, "is_silent", is_on)

    def vanish(self, is_on):
        """Nobody is there any more, for whoever asks."""
        def change():
            self.is_gone = is_on
            if is_on:
                self._reset()
        self.loop.call_soon_threadsafe(change)

    def _reset(self):
        for writer in list(self.writers):
            self.resets += 1
            self._abort(writer)

    def _abort(self, writer):
        made = writer.get_extra_info("socket")
        if made is not None and not writer.transport.is_closing():
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()

    async def serve(self, reader, writer):
        if self.is_gone:
            return self._abort(writer)
        try:
            there, beyond = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return self._abort(writer)
        ways, is_dead = {writer, beyond}, []
        self.writers |= ways
        try:
            for end in ways:
                end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.gather(self.carry(reader, beyond, is_dead), self.carry(there, writer, is_dead))
        except OSError:
            pass
        finally:
            self.writers -= ways
            for end in ways:
                end.close()

    async def carry(self, reader, writer, is_dead):
        while piece := await reader.read(PIECE):
            if self.is_silent:
                is_dead.append(True)
            if not is_dead:
                writer.write(piece)
                await writer.drain()
        raise ConnectionResetError  # ends the other way too
