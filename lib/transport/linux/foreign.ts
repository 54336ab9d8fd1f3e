import { arch, endianness, platform } from 'node:os';
import type { LibraryHandle } from 'koffi';
import { EVENT_LAYOUTS, type EventLayout, libraryNames } from './layout.ts';

/** The machine as it is; tests say otherwise. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Imports koffi; rejects where it is not installed, or not for this machine. */
  readonly importKoffi: () => Promise<typeof import('koffi')>;
}

export const HERE: Machine = { platform: platform(), arch: arch(), importKoffi: () => import('koffi') };

/** This program's own symbols, for `openssl/`; see Foreign. */
export interface Program {
  readonly library: LibraryHandle;
  readonly addressOf: (bytes: Uint8Array) => bigint;
  /** Makes a C function `int (int, void *)` of this. It lives as long as the thread. */
  readonly callback: (call: () => number) => bigint;
}

/** As `loadForeign`. */
export async function loadProgram(machine: Machine): Promise<Program | string> {
  try {
    const koffi = await machine.importKoffi();
    const prototype = koffi.pointer(koffi.proto('int (int, uintptr_t)'));
    return {
      library: koffi.load(null),
      addressOf: bytes => koffi.address(bytes),
      callback: call => koffi.address(koffi.register(call, prototype)),
    };
  } catch (error) {
    return cannotBeUsed(error);
  }
}

/** The C library of this machine, and what is needed to call it. */
export interface Foreign {
  readonly library: LibraryHandle;
  readonly layout: EventLayout;
  readonly addressOf: (bytes: Uint8Array) => bigint;
  readonly errno: () => number;
  readonly view: (address: bigint, octets: number) => ArrayBuffer;
}

/** Null where there is one; else why not, as the end of a sentence: "the epoll transport " and so on. */
export async function loadForeign(machine: Machine): Promise<Foreign | string> {
  if (machine.platform !== 'linux') return `needs Linux, and this is ${machine.platform}`;
  const layout = EVENT_LAYOUTS[machine.arch];
  if (layout === undefined || endianness() !== 'LE')
    return `knows x64 and arm64 processors, and this is ${machine.arch}`;
  let koffi: typeof import('koffi');
  try {
    koffi = await machine.importKoffi();
  } catch (error) {
    return `needs the package koffi, which cannot be loaded: ${firstLine(error)}`;
  }
  try {
    return {
      library: loadLibrary(koffi, machine.arch),
      layout,
      addressOf: bytes => koffi.address(bytes),
      errno: () => koffi.errno(),
      view: (address, octets) => koffi.view(address, octets),
    };
  } catch (error) {
    return cannotBeUsed(error);
  }
}

export function cannotBeUsed(error: unknown): string {
  return `cannot be used here: ${firstLine(error)}`;
}

function loadLibrary(koffi: typeof import('koffi'), arch: string): LibraryHandle {
  const failures: string[] = [];
  for (const name of libraryNames(arch)) {
    try {
      return koffi.load(name);
    } catch (error) {
      failures.push(firstLine(error));
    }
  }
  throw new Error(`no C library: ${failures.join('; ')}`);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
