"""aiosmtpd on a free port: prints its port, then each client that a PROXY header names, and each message's recipients.

`smtp` expects a PROXY header, `lmtp` speaks LMTP and expects none.
"""

import asyncio
import sys

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP


class Handler:
    async def handle_PROXY(self, server, session, envelope, proxy_data):
        print(f"client {proxy_data.src_addr}:{proxy_data.src_port}", flush=True)
        return True

    async def handle_DATA(self, server, session, envelope):
        print(f"message {','.join(envelope.rcpt_tos)}", flush=True)
        return "250 2.0.0 accepted"


class LmtpHandler(Handler):
    async def handle_DATA(self, server, session, envelope):
        await super().handle_DATA(server, session, envelope)
        # RFC 2033 section 4.2: one reply for each recipient.
        return "\r\n".join(f"250 2.1.5 <{rcpt}> delivered" for rcpt in envelope.rcpt_tos)


async def main():
    def connection():
        if sys.argv[1] == "lmtp":
            return LMTP(LmtpHandler(), hostname="aiosmtpd.example")
        return SMTP(Handler(), hostname="aiosmtpd.example", proxy_protocol_timeout=10)

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
