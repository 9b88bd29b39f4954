/** What is demanded of each metadata file on its own, before any signature is looked at. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { UpdateError } from '../../src/errors.ts';
import { LIMITS } from '../../src/verify/documents.ts';
import { ROLE_NAMES, type RoleName } from '../../src/verify/names.ts';
import { checkStrictly, readTargets } from '../../src/verify/strict-check.ts';
import { TestRepository } from '../support/tuf-repository.ts';

const repository = await new TestRepository().init();
await repository.add('1.0');
await repository.promote('1.0');
after(() => repository[Symbol.dispose]());

type Json = { [key: string]: unknown };

/** The file of a role, changed; whether its signatures still hold is asked elsewhere. */
function changed(role: RoleName, change: (signed: Json) => void): Uint8Array {
  const document = JSON.parse(readFileSync(repository.path(role), 'utf8')) as { signed: Json };
  change(document.signed);
  return Buffer.from(JSON.stringify(document));
}

const refused = (role: string, bytes: Uint8Array, code: string, message: RegExp): void =>
  assert.throws(
    () => checkStrictly(role, bytes),
    (error) => {
      assert.ok(error instanceof UpdateError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    },
  );

test('each file of a repository that we publish passes as its role, and as no other', () => {
  for (const role of ROLE_NAMES) {
    const bytes = readFileSync(repository.path(role));
    checkStrictly(role, bytes);
    for (const other of ROLE_NAMES)
      if (other !== role)
        assert.throws(() => checkStrictly(other, bytes), { code: 'metadata-invalid' }, `${role} as ${other}`);
  }
});

test('a role that nobody knows has no metadata', () =>
  refused('mirrors', readFileSync(repository.path('root')), 'metadata-invalid', /no role mirrors/));

test('each role has a length up to which it is read', () => {
  for (const role of ROLE_NAMES) {
    const padded = (length: number): Uint8Array =>
      Buffer.from(readFileSync(repository.path(role), 'utf8').padEnd(length));
    checkStrictly(role, padded(LIMITS[role]));
    refused(
      role,
      padded(LIMITS[role] + 1),
      'metadata-invalid',
      new RegExp(`^${role}\\.json has ${LIMITS[role] + 1} bytes`),
    );
  }
});

test('a newer specification is named as that, a wrong one as wrong', () => {
  for (const role of ROLE_NAMES) {
    const of = (spec_version: unknown): Uint8Array =>
      changed(role, (signed) => Object.assign(signed, { spec_version }));
    for (const known of ['1.0.31', '1.9', '1.0']) checkStrictly(role, of(known));
    for (const newer of ['2.0.0', '10.1', '0.9'])
      refused(role, of(newer), 'metadata-newer', new RegExp(`^${role}\\.json follows version ${newer} of the TUF`));
    for (const wrong of ['2', 'x2.0', '1', '', 1, 2.5, null, undefined])
      refused(role, of(wrong), 'metadata-invalid', /spec_version/);
  }
});

test('what is no document at all is refused, and never taken for a newer one', () => {
  for (const text of ['null', '7', '"2.0"', '[]', '{}', '{"signed":null}', '{"signed":7}', '{"signed":{}}'])
    for (const role of ROLE_NAMES) refused(role, Buffer.from(text), 'metadata-invalid', new RegExp(`^${role}\\.json`));
});

type Roles = { name: string; paths: string[] }[];
const rolesOf = (signed: Json): Roles => (signed['delegations'] as { roles: Roles }).roles;

const DELEGATIONS: readonly (readonly [what: string, change: (signed: Json) => void, message: RegExp])[] = [
  ['to nobody', (signed) => Reflect.deleteProperty(signed, 'delegations'), /releases\/\*\/\* to releases, once/],
  ['without releases', (signed) => void rolesOf(signed).shift(), /must delegate/],
  ['without channels', (signed) => void rolesOf(signed).pop(), /must delegate/],
  [
    'twice to one',
    (signed) => {
      const [first] = rolesOf(signed);
      rolesOf(signed)[1] = structuredClone(first ?? assert.fail());
    },
    /must delegate/,
  ],
  [
    'of the paths of the other',
    (signed) => {
      const [one, other] = rolesOf(signed);
      assert.ok(one && other);
      [one.paths, other.paths] = [other.paths, one.paths];
    },
    /must delegate/,
  ],
  ['of no paths', (signed) => Object.assign(rolesOf(signed)[1] ?? assert.fail(), { paths: [] }), /must delegate/],
];
for (const [what, change, message] of DELEGATIONS)
  test(`the top role may not delegate ${what}`, () =>
    refused('targets', changed('targets', change), 'metadata-invalid', message));

test('the top role lists nothing itself, and the others hand their word on to nobody', () => {
  const { targets } = repository.read('releases').signed;
  const { delegations } = repository.read('targets').signed;
  refused(
    'targets',
    changed('targets', (signed) => Object.assign(signed, { targets })),
    'metadata-invalid',
    /targets/,
  );
  for (const role of ['releases', 'channels'] as const)
    refused(
      role,
      changed(role, (signed) => Object.assign(signed, { delegations })),
      'metadata-invalid',
      /must not delegate further/,
    );
});

test('what a role lists is read as that of its role', () => {
  const found = (['targets', 'releases', 'channels'] as const).map((role) => [
    ...readTargets(role, readFileSync(repository.path(role))).signed.targets.keys(),
  ]);
  assert.deepEqual(found, [[], ['releases/acme/1.0.bundle'], ['channels/stable.json']]);
  assert.throws(() => readTargets('releases', readFileSync(repository.path('channels'))), { code: 'metadata-invalid' });
});
