/** Combines small writes into large aligned ones, several in flight. */

import { alignedBuffers } from './aligned-memory.ts';

export type Stripes = Readonly<{
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Sends the remainder and waits for all; throws the first failure. */
  settle(): Promise<void>;
}>;

type Flight = Readonly<{ offset: number; end: number; done: Promise<void> }>;
/** A buffer. Several writes from different parts of it may be in flight; it is reused once all have ended. */
type Area = { readonly buffer: Uint8Array; used: number; flights: number };
type Stage = { readonly area: Area; readonly offset: number; readonly bytes: Uint8Array; length: number };

/** `count` buffers of `size` bytes. `send` gets memory that O_DIRECT accepts. After a failure, nothing more is sent. */
export function createStripes(
  count: number,
  size: number,
  send: (offset: number, bytes: Uint8Array) => Promise<void>,
): Stripes {
  let free: Area[] | undefined;
  let area: Area | undefined;
  let stage: Stage | undefined;
  const flights = createFlights(send);

  const release = (one: Area): void => {
    if (one.flights > 0 || one === area) return;
    one.used = 0;
    free?.push(one);
  };
  /** The rest of the current buffer, if it is large enough. */
  const areaFor = async (length: number): Promise<Area> => {
    if (area && size - area.used >= length) return area;
    const full = area;
    area = undefined;
    if (full) release(full);
    free ??= alignedBuffers(count, size).map((buffer) => ({ buffer, used: 0, flights: 0 }));
    while (free.length === 0) await flights.anyLanded();
    flights.check();
    area = free.pop() as Area;
    return area;
  };
  const open = async (offset: number, length: number): Promise<Stage> => {
    const room = size - (offset % size);
    const taken = await areaFor(Math.min(length, room));
    return { area: taken, offset, bytes: taken.buffer.subarray(taken.used, taken.used + room), length: 0 };
  };
  const submit = async (): Promise<void> => {
    if (!stage) return;
    const { area: from, offset, bytes, length } = stage;
    stage = undefined;
    from.used += Math.ceil(length / ALIGNED) * ALIGNED;
    from.flights += 1;
    await flights.launch(offset, bytes.subarray(0, length), () => {
      from.flights -= 1;
      release(from);
    });
  };
  const gather = async (offset: number, bytes: Uint8Array): Promise<number> => {
    if (stage && stage.offset + stage.length !== offset) await submit();
    stage ??= await open(offset, bytes.length);
    const part = bytes.subarray(0, stage.bytes.length - stage.length);
    stage.bytes.set(part, stage.length);
    stage.length += part.length;
    if (stage.length === stage.bytes.length) await submit();
    return part.length;
  };
  return {
    write: async (offset, bytes) => {
      flights.check();
      for (let done = 0; done < bytes.length; ) done += await gather(offset + done, bytes.subarray(done));
    },
    settle: async () => {
      await submit();
      await flights.allLanded();
      flights.check();
    },
  };
}

/** Writes in flight. */
function createFlights(send: (offset: number, bytes: Uint8Array) => Promise<void>) {
  const flights = new Set<Flight>();
  let failure: { error: unknown } | undefined;
  const landings = (): readonly Promise<void>[] => [...flights].map(({ done }) => done);
  return {
    /** Throws the first failure. */
    check: (): void => {
      if (failure) throw failure.error;
    },
    launch: async (offset: number, bytes: Uint8Array, landed: () => void): Promise<void> => {
      const end = offset + bytes.length;
      // Two writes to the same range must stay in order.
      for (const other of [...flights]) if (offset < other.end && other.offset < end) await other.done;
      const done = (failure ? Promise.resolve() : send(offset, bytes))
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .then(() => {
          landed();
          flights.delete(flight);
        });
      const flight: Flight = { offset, end, done };
      flights.add(flight);
    },
    anyLanded: () => Promise.race(landings()),
    allLanded: () => Promise.all(landings()),
  };
}

/** The memory alignment that O_DIRECT requires. */
const ALIGNED = 4096;
