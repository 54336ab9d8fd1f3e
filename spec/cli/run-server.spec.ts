import t from 'tap';
import { runServer } from '../../lib/cli/run-server.ts';
import { configFromFlags } from '../../lib/config/flags.ts';

t.test('TERM and HUP that come while it starts are kept until it has started', async t => {
  const loaded = configFromFlags({ listen: ['127.0.0.1:0'], backend: ['127.0.0.1:9'] });
  if (!loaded.ok) throw new Error('the flags are good');
  const said: string[] = [];
  // Others in this process would take the signals for the end of the tests.
  for (const signal of ['SIGHUP', 'SIGTERM'] as const) {
    const others = process.rawListeners(signal) as NodeJS.SignalsListener[];
    process.removeAllListeners(signal);
    t.teardown(() => {
      for (const other of others) process.on(signal, other);
    });
  }
  const status = await runServer(loaded.config, {
    read: async () => loaded,
    log: {
      write(line) {
        const { msg } = JSON.parse(line) as { readonly msg: string };
        // The last line of a start, before anybody can hold the server in hand.
        if (msg === 'ready') for (const signal of ['SIGHUP', 'SIGTERM'] as const) process.emit(signal);
        said.push(msg);
      },
    },
  });
  t.equal(status, 0);
  t.equal(said.at(-1), 'stopped');
  t.match(said.join(), /reload/, 'both words were heard');
  t.equal(process.listenerCount('SIGHUP'), 0);
});
