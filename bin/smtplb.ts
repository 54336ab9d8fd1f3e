#!/usr/bin/env node
import { main } from '../lib/cli/main.ts';

// Output first, then the end: process.exit would cut what a pipe has not taken yet.
process.exitCode = await main(process.argv.slice(2));
