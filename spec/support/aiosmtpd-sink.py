"""aiosmtpd on a free port, behind the PROXY protocol: prints its port, then each client that a header names."""

import asyncio
import sys

from aiosmtpd.smtp import SMTP


class Handler:
    async def handle_PROXY(self, server, session, envelope, proxy_data):
        print(f"client {proxy_data.src_addr}:{proxy_data.src_port}", flush=True)
        return True

    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 accepted"


async def main():
    def connection():
        return SMTP(Handler(), hostname="aiosmtpd.example", proxy_protocol_timeout=10)

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
