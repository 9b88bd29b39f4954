/** Gathers small writes into large aligned ones and keeps some of them in flight. */

import { alignedBuffers } from './aligned-memory.ts';

export type Stripes = Readonly<{
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Sends what is gathered and waits for all; throws the first failure. */
  settle(): Promise<void>;
}>;

type Flight = Readonly<{ offset: number; end: number; done: Promise<void> }>;

/** `send` gets memory that O_DIRECT accepts. After a failure nothing more is sent. */
export function createStripes(
  count: number,
  size: number,
  send: (offset: number, bytes: Uint8Array) => Promise<void>,
): Stripes {
  let free: Uint8Array[] | undefined;
  let stage: { buffer: Uint8Array; offset: number; length: number; room: number } | undefined;
  let failure: { error: unknown } | undefined;
  const flights = new Set<Flight>();

  const check = (): void => {
    if (failure) throw failure.error;
  };
  const take = async (): Promise<Uint8Array> => {
    free ??= alignedBuffers(count, size);
    while (free.length === 0) await Promise.race([...flights].map((flight) => flight.done));
    check();
    return free.pop() as Uint8Array;
  };
  const submit = async (): Promise<void> => {
    if (!stage) return;
    const { buffer, offset, length } = stage;
    stage = undefined;
    // Two writes of the same bytes must not overtake one another.
    for (const other of [...flights]) if (offset < other.end && other.offset < offset + length) await other.done;
    const done = (failure ? Promise.resolve() : send(offset, buffer.subarray(0, length)))
      .catch((error: unknown) => {
        failure ??= { error };
      })
      .then(() => {
        free?.push(buffer);
        flights.delete(flight);
      });
    const flight: Flight = { offset, end: offset + length, done };
    flights.add(flight);
  };
  const gather = async (offset: number, bytes: Uint8Array): Promise<number> => {
    if (stage && stage.offset + stage.length !== offset) await submit();
    stage ??= { buffer: await take(), offset, length: 0, room: size - (offset % size) };
    const part = bytes.subarray(0, stage.room - stage.length);
    stage.buffer.set(part, stage.length);
    stage.length += part.length;
    if (stage.length === stage.room) await submit();
    return part.length;
  };
  return {
    write: async (offset, bytes) => {
      check();
      for (let done = 0; done < bytes.length; ) done += await gather(offset + done, bytes.subarray(done));
    },
    settle: async () => {
      await submit();
      await Promise.all([...flights].map((flight) => flight.done));
      check();
    },
  };
}
