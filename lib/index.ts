/** What programs may import; the command line is the usual way in. */
export type { Config } from './config/config.ts';
export { type ConfigFault, formatFault } from './config/faults.ts';
export { type Loaded, loadConfigFile, loadConfigText } from './config/load.ts';
export { version } from './core/package.ts';
export { type Server, startServer } from './server.ts';
