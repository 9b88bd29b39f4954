/** What a check of `updatectl doctor` found. */

/** `unknown` is not `fail`: it could not be looked at, mostly for want of rights. */
export type Finding = Readonly<{ result: 'ok' | 'warn' | 'fail' | 'unknown'; sentence: string; next?: string }>;

export const ok = (sentence: string): Finding => ({ result: 'ok', sentence });
export const warn = (sentence: string, next: string): Finding => ({ result: 'warn', sentence, next });
export const fail = (sentence: string, next: string): Finding => ({ result: 'fail', sentence, next });
export const unknown = (sentence: string, next: string): Finding => ({ result: 'unknown', sentence, next });
