import { type AddressInfo, createServer } from 'node:net';

/** An SMTP server that answers at once and then reads a message slowly: a chunk of at most 64 KiB, ten times a second. */

const EVERY_MS = 100;

const server = createServer(socket => {
  let held = '';
  let reading = false;
  socket.on('error', () => socket.destroy());
  socket.write('220 slow.example ESMTP\r\n');
  socket.on('data', chunk => {
    if (reading) return slowly();
    const lines = (held + chunk.toString('latin1')).split('\r\n');
    held = lines.pop() ?? '';
    for (const line of lines) answer(line);
  });

  function answer(line: string): void {
    if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
    else if (/^DATA/i.test(line)) {
      reading = true;
      socket.write('354 go on\r\n');
      slowly();
    } else socket.write('250 ok\r\n');
  }
  function slowly(): void {
    socket.pause();
    setTimeout(() => socket.resume(), EVERY_MS);
  }
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.stdout.write(`127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
