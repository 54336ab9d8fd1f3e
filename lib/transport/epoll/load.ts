import { arch, endianness, platform } from 'node:os';
import type { LibraryHandle } from 'koffi';
import { EVENT_LAYOUTS, libraryNames } from './layout.ts';
import { bindLibc, type Libc } from './libc.ts';
import { createEpollTransport, type EpollOptions, type EpollTransport } from './transport.ts';

/** Makes one transport, for the thread that calls it. Throws a system error where the kernel refuses, as at EMFILE. */
export type EpollFactory = (
  onHandlerError: (error: unknown) => void,
  options?: EpollOptions,
) => EpollTransport;

/** What became of the attempt to load: a factory, or a sentence for the operator that says why there is none. */
export type Loaded =
  | { readonly create: EpollFactory; readonly reason?: never }
  | { readonly create?: never; readonly reason: string };

/** The machine as it is; tests say otherwise. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Imports koffi; rejects where it is not installed, or not for this machine. */
  readonly importKoffi: () => Promise<typeof import('koffi')>;
}

const HERE: Machine = { platform: platform(), arch: arch(), importKoffi: () => import('koffi') };

/**
 * Tries all that the epoll transport needs, the kernel included, and never rejects. Each thread that is to have a
 * transport calls it for itself.
 */
export async function loadEpoll(machine: Machine = HERE): Promise<Loaded> {
  if (machine.platform !== 'linux')
    return { reason: `the epoll transport needs Linux, and this is ${machine.platform}` };
  const layout = EVENT_LAYOUTS[machine.arch];
  if (layout === undefined || endianness() !== 'LE')
    return { reason: `the epoll transport knows x64 and arm64 processors, and this is ${machine.arch}` };
  let koffi: typeof import('koffi');
  try {
    koffi = await machine.importKoffi();
  } catch (error) {
    return {
      reason: `the epoll transport needs the package koffi, which cannot be loaded: ${firstLine(error)}`,
    };
  }
  try {
    const library = loadLibrary(koffi, machine.arch);
    const libc = (): Libc =>
      bindLibc({ library, layout, addressOf: bytes => koffi.address(bytes), errno: () => koffi.errno() });
    // A sandbox may forbid what the kernel could do.
    createEpollTransport(libc(), () => {}).close();
    return { create: (onHandlerError, options) => createEpollTransport(libc(), onHandlerError, options) };
  } catch (error) {
    return { reason: `the epoll transport cannot be used here: ${firstLine(error)}` };
  }
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
