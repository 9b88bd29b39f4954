/** The result of one check of `updatectl doctor`. */

/** `unknown` is not `fail`: the check could not be run, mostly for lack of permission. */
export type Finding = Readonly<{ result: 'ok' | 'warn' | 'fail' | 'unknown'; sentence: string; next?: string }>;

export const ok = (sentence: string): Finding => ({ result: 'ok', sentence });
export const warn = (sentence: string, next: string): Finding => ({ result: 'warn', sentence, next });
export const fail = (sentence: string, next: string): Finding => ({ result: 'fail', sentence, next });
export const unknown = (sentence: string, next: string): Finding => ({ result: 'unknown', sentence, next });
