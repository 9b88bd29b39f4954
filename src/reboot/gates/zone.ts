/** A time zone: its local time at an instant, and the first instant of a local time. Pure. */

const SECOND = 1000;
const HOUR = 3_600_000;
/** Longer than any jump of a zone; Samoa once skipped a whole day. */
const LONGEST_JUMP = 36 * HOUR;

/** Local times are milliseconds as counted by `Date.UTC`: those of a UTC clock with the same display. */
export interface Zone {
  readonly name: string;
  /** The local time at an instant. */
  wallOf(moment: number): number;
  /** The first instant of a local time: for a time within a gap, the instant after the gap; for a repeated time, the first. */
  momentOf(wall: number): number;
}

/** By its IANA name; throws a RangeError if unknown. */
export function openZone(name: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const wallOf = (moment: number): number => {
    const part = new Map(format.formatToParts(moment).map(({ type, value }) => [type, Number(value)]));
    const of = (type: Intl.DateTimeFormatPartTypes): number => part.get(type) ?? 0;
    return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'));
  };
  return { name, wallOf, momentOf: (wall) => firstMoment(wallOf, wall) };
}

function firstMoment(wallOf: (moment: number) => number, wall: number): number {
  const around = [wall - LONGEST_JUMP, wall + LONGEST_JUMP];
  const candidates = around.map((moment) => wall - (wallOf(moment) - moment)).sort((a, b) => a - b);
  const exact = candidates.find((moment) => wallOf(moment) === wall);
  if (exact !== undefined) return exact;
  // In a gap: the clocks jump somewhere between the two readings of this time.
  let [before = wall, after = wall] = candidates;
  while (after - before > SECOND) {
    const middle = Math.floor((before + after) / 2 / SECOND) * SECOND;
    if (wallOf(middle) >= wall) after = middle;
    else before = middle;
  }
  return after;
}
