/** The files of a repository over HTTP, as a schema: ranges, validators and how long a cache may keep what. */

import { bare, refused, withHeaders } from './answers.ts';
import { object, type Shape, saying, sentence } from './shapes.ts';

const FILE = {
  etag: 'changes with the file; good for `If-None-Match` and `If-Range`',
  'last-modified': 'when it was published',
  'accept-ranges': '`bytes`',
  'cache-control': 'what is named by a version or a digest may be kept for ever: its name tells its content',
};
const bytes = (description: string) => ({
  description,
  content: { 'application/json': { schema: {} }, 'application/octet-stream': { schema: sentence } },
});

const file = (summary: string) => ({
  summary,
  description:
    'One range of bytes may be asked for (`bytes=0-99`, `bytes=100-`, `bytes=-4`); several, or one of another unit, get the whole file.',
  tags: ['repository'],
  // The route itself says what is no name of a file: to a client that is a file that is not there.
  params: object({ '*': saying('may have slashes in it', sentence) }),
  response: {
    200: withHeaders(bytes('The file'), FILE),
    206: withHeaders(bytes('The range that was asked for'), { ...FILE, 'content-range': 'which bytes, of how many' }),
    304: withHeaders(bare('It is still the one of `If-None-Match`'), FILE),
    404: withHeaders(refused('There is no such file.'), { 'cache-control': '`no-store`' }),
    416: withHeaders(refused('Nothing of the range is in the file.'), { 'content-range': 'how long the file is' }),
  },
});

export const REPOSITORY: Readonly<Record<'metadata' | 'targets', Shape>> = {
  metadata: file('Signed metadata (TUF)'),
  targets: file('Releases and channels, as the metadata names them'),
};
