/** What goes over the wire, as JSON schemas: the words from which requests and answers are described. They are checked by them, too. */

export type Shape = Readonly<Record<string, unknown>>;

/** A shape with a name of its own in the description of the interface. */
export const named = (title: string, shape: Shape): Shape => ({ title, ...shape });

export const object = (properties: Readonly<Record<string, Shape>>, required = Object.keys(properties)): Shape => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});

/** `object` whose fields may all be missing. */
export const loose = (properties: Readonly<Record<string, Shape>>): Shape => object(properties, []);

export const list = (items: Shape): Shape => ({ type: 'array', items });

export const text = (pattern: RegExp, maxLength: number): Shape => ({
  type: 'string',
  maxLength,
  pattern: pattern.source,
});

export const whole = (minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): Shape => ({
  type: 'integer',
  minimum,
  maximum,
});

export const oneOf = (...words: readonly string[]): Shape => ({ type: 'string', enum: words });

export const always = (value: number | boolean): Shape => ({ const: value });

/** The same shape with a sentence on what it says. */
export const saying = (description: string, shape: Shape): Shape => ({ ...shape, description });

export const sentence: Shape = { type: 'string' };
export const flag: Shape = { type: 'boolean' };
