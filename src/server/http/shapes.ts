/** Building blocks for JSON schemas, which both describe and validate requests. */

export type Shape = Readonly<Record<string, unknown>>;

/** A shape with a name in the OpenAPI components. */
export const named = (title: string, shape: Shape): Shape => ({ title, ...shape });

export const object = (properties: Readonly<Record<string, Shape>>, required = Object.keys(properties)): Shape => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});

/** `object` with all fields optional. */
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

/** The shape with a description. */
export const saying = (description: string, shape: Shape): Shape => ({ ...shape, description });

export const sentence: Shape = { type: 'string' };
export const flag: Shape = { type: 'boolean' };
