/** Small files that are written in place, and every state in which a power cut may leave them: writes torn at each byte. */

import assert from 'node:assert/strict';
import { basename, dirname } from 'node:path';
import type { Files, ReadPart, WritePart } from '../../src/system/files.ts';
import { filesInTurn, Turns } from './in-turn.ts';
import { noFiles } from './no-files.ts';

/** What the files hold, by path. */
export type Contents = ReadonlyMap<string, Uint8Array>;

type Write = Readonly<{ path: string; before: Uint8Array | undefined; after: Uint8Array }>;
type Step = Readonly<{ write: Write } | { sync: string } | { syncDir: true }>;

export type TornFiles = Readonly<{
  files: Pick<Files, 'list' | 'read' | 'write' | 'makeDir' | 'syncFile' | 'syncDir'>;
  readPart: ReadPart;
  writePart: WritePart;
  /** What a reader sees now. */
  now(): Contents;
  syncs(): number;
  /** Every content that a power cut at any moment may leave. */
  cuts(): Generator<Contents>;
}>;

/** `dropSync`: the n-th sync, from 0, silently does nothing. */
export function tornFiles(start: Contents, dropSync = -1): TornFiles {
  const contents = new Map(start);
  const steps: Step[] = [];
  let syncs = 0;
  const put = (path: string, after: Uint8Array): void => {
    steps.push({ write: { path, before: contents.get(path), after } });
    contents.set(path, after);
  };
  const sync = (step: Step): void => void (syncs++ === dropSync || steps.push(step));
  const turns = new Turns();
  const atRest = <T>(look: () => T): T => {
    turns.atRest();
    return look();
  };
  const files: Files = {
    ...noFiles,
    read: async (path) => contents.get(path),
    list: async (dir) => [...contents.keys()].filter((path) => dirname(path) === dir).map((path) => basename(path)),
    write: async (path, chunks) => {
      const pieces: Uint8Array[] = [];
      for await (const chunk of chunks) pieces.push(chunk);
      put(path, new Uint8Array(0));
      put(path, Buffer.concat(pieces));
    },
    syncFile: async (path) => sync({ sync: path }),
    syncDir: async () => sync({ syncDir: true }),
  };
  return {
    files: filesInTurn(files, turns),
    readPart: (path, offset, length) =>
      turns.look(() => {
        const bytes = contents.get(path);
        return bytes && { bytes: bytes.subarray(offset, offset + length), size: bytes.length };
      }, path),
    writePart: (path, offset, bytes) =>
      turns.change(`write ${path}`, { path }, () => {
        const before = contents.get(path) ?? assert.fail(`${path} is not there to be changed`);
        const after = Uint8Array.from(before);
        after.set(bytes, offset);
        put(path, after);
      }),
    now: () => atRest(() => new Map(contents)),
    syncs: () => atRest(() => syncs),
    cuts: () => atRest(() => cuts(start, steps)),
  };
}

/**
 * At each moment: what was synced is there; of the writes that were not, one is torn at any byte, from the front or from the back, and
 * each of the others is there or not. A file that is new may be gone until its folder is synced.
 */
function* cuts(start: Contents, steps: readonly Step[]): Generator<Contents> {
  const durable = new Map(start);
  const unnamed = new Set<string>();
  let pending: Write[] = [];
  for (const step of steps) {
    if ('write' in step) {
      if (!durable.has(step.write.path)) unnamed.add(step.write.path);
      pending.push(step.write);
      for (const state of states(durable, pending)) {
        yield state;
        if (unnamed.size > 0) yield without(state, unnamed);
      }
      continue;
    }
    if ('syncDir' in step) unnamed.clear();
    else {
      for (const { path, after } of pending) if (path === step.sync) durable.set(path, after);
      pending = pending.filter(({ path }) => path !== step.sync);
    }
    yield new Map(durable);
    if (unnamed.size > 0) yield without(durable, unnamed);
  }
}

function* states(durable: Contents, pending: readonly Write[]): Generator<Contents> {
  for (const [torn, write] of pending.entries())
    for (let others = 0; others < 2 ** pending.length; others++) {
      if (others & (1 << torn)) continue;
      for (const bytes of tears(write)) {
        const state = new Map(durable);
        for (const [index, { path, before, after }] of pending.entries()) {
          if (index === torn) merge(state, path, before, bytes);
          else if (others & (1 << index)) merge(state, path, before, after);
        }
        yield state;
      }
    }
}

/** Only the bytes that the write has changed: what another write has put beside them stays. */
function merge(state: Map<string, Uint8Array>, path: string, before: Uint8Array | undefined, bytes: Uint8Array): void {
  const old = state.get(path);
  if (!old || old.length !== bytes.length || before?.length !== bytes.length) state.set(path, bytes);
  else
    state.set(
      path,
      bytes.map((byte, at) => (byte === before[at] ? (old[at] ?? byte) : byte)),
    );
}

function* tears({ before = new Uint8Array(0), after }: Write): Generator<Uint8Array> {
  if (before.length !== after.length) {
    // Cut short, or of its length already and filled with nothing.
    for (let length = 0; length <= after.length; length++) {
      yield after.subarray(0, length);
      yield Uint8Array.from({ length: after.length }, (_, at) => (at < length ? (after[at] ?? 0) : 0));
    }
    return;
  }
  yield before;
  yield after;
  for (let at = 1; at < after.length; at++) {
    // Torn between two bytes of which the first has not changed, it is as if torn before both.
    if (before[at - 1] === after[at - 1]) continue;
    yield Buffer.concat([after.subarray(0, at), before.subarray(at)]);
    yield Buffer.concat([before.subarray(0, at), after.subarray(at)]);
  }
}

const without = (state: Contents, gone: ReadonlySet<string>): Contents =>
  new Map([...state].filter(([path]) => !gone.has(path)));
