/** OpenAPI descriptions of answers. The server does not validate its answers against them; the tests do. */

import { type Described, type JsonSchema, named, object, saying, words } from '../../formats/shape.ts';

const sentence = words();

export type Answer = Readonly<{
  description: string;
  headers?: Readonly<Record<string, Readonly<{ description: string; schema: JsonSchema }>>>;
  content?: Readonly<Record<string, Readonly<{ schema: JsonSchema }>>>;
}>;

/** The description of a document. */
type Said = Pick<Described<unknown>, 'schema'>;

export const json = (description: string, { schema }: Said): Answer => ({
  description,
  content: { 'application/json': { schema } },
});

export const page = (description: string): Answer => ({
  description,
  content: { 'text/html': { schema: sentence.schema } },
});

/** A body other than JSON. */
export const raw = (description: string, type: string): Answer => ({
  description,
  content: { [type]: { schema: sentence.schema } },
});

export const bare = (description: string): Answer => ({ description });

export const withHeaders = (answer: Answer, headers: Readonly<Record<string, string>>): Answer => ({
  ...answer,
  headers: Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [name, { description, schema: sentence.schema }]),
  ),
});

/** The body of every refusal. */
export const REFUSAL = named(
  'Refusal',
  object({
    code: saying('a stable code for programs', sentence),
    message: saying('a sentence for people', sentence),
    next: saying('the next step', sentence),
  }),
);

export const refused = (description: string): Answer => json(description, REFUSAL);
