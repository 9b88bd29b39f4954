/** Bytes, durations and moments as people read them. Pure. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `1.4 GB`: decimal units, three digits at most. */
export function bytes(count: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)));
  const value = count / 1000 ** power;
  return `${value.toFixed(power > 0 && value < 100 ? 1 : 0)} ${UNITS[power]}`;
}

/** `1 h 05 min`, `2 min 09 s`, `7 s`. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${two(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** `3 min 10 s ago`, `in 5 min 00 s`; the moment itself when it is unknown. */
export function relative(moment: string, now: Date): string {
  const distance = new Date(moment).getTime() - now.getTime();
  if (Number.isNaN(distance)) return moment;
  return distance > 0 ? `in ${duration(distance)}` : `${duration(-distance)} ago`;
}

const two = (value: number): string => String(value).padStart(2, '0');
