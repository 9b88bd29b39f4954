/** The types of configuration keys and their checks. The only importer of zod. */

import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { spansOf } from '../reboot/gates/spans.ts';

export type AnyKey = Readonly<{ type: z.ZodType; fallback?: unknown; sentence: string; unit?: string }>;
export type Key<T> = AnyKey & Readonly<{ type: z.ZodType<T> }>;
export type Preset<T> = Key<T> & Readonly<{ fallback: T }>;

/** A key without a default. */
export function key<T>(type: z.ZodType<T>, sentence: string): Key<T> {
  return { type, sentence };
}

/** A key with a default. */
export function preset<T>(type: z.ZodType<T>, fallback: NoInfer<T>, sentence: string, unit?: string): Preset<T> {
  return { type, fallback, sentence, ...(unit === undefined ? {} : { unit }) };
}

export const text = z.string('must be text');
export const path = text.refine((one) => isAbsolute(one) && !one.includes('\0'), 'must be an absolute path');
export const label = text.regex(/^[\x20-\x7e]{1,36}$/, 'must be a partition label of at most 36 characters');
export const labelOrNone = z.union([z.literal(''), label], 'must be a partition label or empty');
export const unit = text.regex(/^[\w@.:\\*?-]{1,255}$/, 'must be a unit name');
export const whole = (least: number, most: number) =>
  z.int('must be a whole number').min(least, `must be at least ${least}`).max(most, `must be at most ${most}`);

const isHttpUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
export const httpUrl = text.refine(isHttpUrl, 'must be an http or https URL');
export const truth = z.boolean('must be true or false');
export const oneOf = <const T extends readonly [string, ...string[]]>(...words: T) =>
  z.enum(words, `must be ${words.map((word) => `"${word}"`).join(' or ')}`);

export const list = <T extends z.ZodType>(one: T, what: string, most: number) =>
  z.array(one, `must be a list of ${what}`).max(most, `must be a list of at most ${most} ${what}`);

export const spans = (kind: Parameters<typeof spansOf>[1]) =>
  z.unknown().transform((value, context) => {
    const read = spansOf(value, kind);
    if ('spans' in read) return read.spans;
    context.addIssue(read.fault);
    return z.NEVER;
  });

/** A word, or an absolute path. */
export const pathOr = (word: string) => z.union([z.literal(word), path], `must be "${word}" or an absolute path`);
