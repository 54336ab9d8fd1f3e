import type { Suite } from './suite.ts';
import { usual } from './usual.ts';

/** Every suite there is; the first is run where none is named. */
export const SUITES: readonly [Suite, ...Suite[]] = [usual];
