/** The schema of repository files over HTTP: ranges, validators and caching. */

import { type JsonSchema, object, saying, words } from '../../formats/shape.ts';
import { bare, refused, withHeaders } from './answers.ts';

const FILE = {
  etag: 'changes with the file; for `If-None-Match` and `If-Range`',
  'last-modified': 'the time of publication',
  'accept-ranges': '`bytes`',
  'cache-control': 'immutable for names that contain a version or digest',
};
const bytes = (description: string) => ({
  description,
  content: { 'application/json': { schema: {} }, 'application/octet-stream': { schema: words().schema } },
});

const file = (summary: string) => ({
  summary,
  description:
    'Supports a single byte range (`bytes=0-99`, `bytes=100-`, `bytes=-4`). Several ranges, or another unit, get the whole file.',
  tags: ['repository'],
  // The route checks the name itself, so that an invalid name is a 404 like any missing file.
  params: object({ '*': saying('may contain slashes', words()) }).schema,
  response: {
    200: withHeaders(bytes('The file'), FILE),
    206: withHeaders(bytes('The requested range'), { ...FILE, 'content-range': 'the range and the size of the file' }),
    304: withHeaders(bare('Unchanged since `If-None-Match`'), FILE),
    404: withHeaders(refused('No such file'), { 'cache-control': '`no-store`' }),
    416: withHeaders(refused('The range lies outside the file'), { 'content-range': 'the size of the file' }),
  },
});

export const REPOSITORY: Readonly<Record<'metadata' | 'targets', JsonSchema>> = {
  metadata: file('Signed metadata (TUF)'),
  targets: file('Releases and channels, under their names in the metadata'),
};
