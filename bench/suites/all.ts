import type { Suite } from './suite.ts';
import { tls } from './tls.ts';
import { usual } from './usual.ts';
import { warm } from './warm.ts';

/** Every suite there is; the first is run where none is named. */
export const SUITES: readonly [Suite, ...Suite[]] = [usual, tls, warm];
