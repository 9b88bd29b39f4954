/** Which method is taken: the fastest that is safe, and the firmware whenever something is not known. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Method } from '../../../src/model.ts';
import { chooseMethod, insteadOf, type Known, type MethodFacts } from '../../../src/reboot/methods/choose.ts';
import type { Kernel } from '../../../src/reboot/methods/kernel.ts';
import { rootHashOfVersion, sha256 } from '../../support/esp.ts';

const kernel = (linux = 'k', initrd = 'i', commandLine = 'quiet'): Kernel => ({
  linux: sha256(linux),
  initrd: sha256(initrd),
  others: sha256(''),
  commandLine,
  rootHash: rootHashOfVersion('2'),
});
const safe: MethodFacts = {
  wanted: 'auto',
  tried: [],
  failed: {},
  kexecs: 0,
  mostKexecs: 5,
  barred: {},
  running: kernel(),
  target: kernel(),
};
const methodOf = (facts: Partial<MethodFacts>): Method => chooseMethod({ ...safe, ...facts }).method;

test('soft while kernel, initrd and command line stay the same, kexec when one changes', () => {
  assert.equal(methodOf({}), 'soft');
  for (const target of [kernel('k2'), kernel('k', 'i2'), kernel('k', 'i', 'quiet debug')])
    assert.equal(methodOf({ target }), 'kexec');
});

test('another device tree is not left out by staying with the running kernel', () => {
  const target = { ...kernel(), others: sha256('tree'), beyondKexec: '.dtb' };
  const choice = chooseMethod({ ...safe, target });
  assert.equal(choice.method, 'firmware');
  assert.match(choice.reason, /^no soft: the device tree, or another file next to the kernel, differs/);
});

test('a method that is named and not safe becomes the firmware, with the reason', () => {
  const choice = chooseMethod({ ...safe, wanted: 'soft', target: kernel('k2') });
  assert.deepEqual(choice, {
    method: 'firmware',
    reason: 'no soft: the kernel differs',
    ruledOut: [{ method: 'soft', reason: 'the kernel differs' }],
  });
});

test('the firmware when it has to refresh itself, after too many starts by kexec, and when one method was tried in vain', () => {
  assert.equal(methodOf({ firmwareFlag: '/run/tandem/firmware-refresh' }), 'firmware');
  assert.equal(methodOf({ target: kernel('k2'), kexecs: 5 }), 'firmware');
  assert.equal(methodOf({ target: kernel('k2'), kexecs: 4 }), 'kexec');
  assert.equal(methodOf({ tried: ['soft'] }), 'firmware');
});

test('a boot image with what only the boot loader can use is not started by kexec', () => {
  const choice = chooseMethod({ ...safe, target: { ...kernel('k2'), beyondKexec: '.dtb' } });
  assert.equal(choice.method, 'firmware');
  assert.match(choice.reason, /\.dtb/);
});

const kernels: fc.Arbitrary<Known<Kernel>> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom('k', 'l'), fc.constantFrom('i', 'j')).map(([k, i]) => kernel(k, i)),
  },
  { weight: 1, arbitrary: fc.constant({ unknown: 'x' }) },
);
const barred = fc.record({ soft: fc.constant('s'), kexec: fc.constant('k') }, { requiredKeys: [] });
const facts: fc.Arbitrary<MethodFacts> = fc
  .record({
    wanted: fc.constantFrom('auto', 'auto', 'firmware', 'kexec', 'soft'),
    tried: fc.oneof(fc.constant([]), fc.constant([]), fc.constant(['soft' as const])),
    failed: barred,
    firmwareFlag: fc.option(fc.constant('/flag'), { nil: undefined, freq: 5 }),
    kexecs: fc.nat(7),
    mostKexecs: fc.nat(7),
    barred,
    running: kernels,
    target: kernels,
  })
  .map(
    ({ firmwareFlag, ...rest }) =>
      ({ ...rest, ...(firmwareFlag === undefined ? {} : { firmwareFlag }) }) as MethodFacts,
  );

test('whatever is so: no jump in doubt, and every faster method is either taken, not wanted, or ruled out with a reason', () => {
  fc.assert(
    fc.property(facts, (given) => {
      const { method, ruledOut, reason } = chooseMethod(given);
      assert.notEqual(reason, '');
      if (method === 'firmware') {
        const wanted = { auto: ['soft', 'kexec'], firmware: [], soft: ['soft'], kexec: ['kexec'] }[given.wanted];
        assert.deepEqual(
          ruledOut.map((one) => one.method),
          wanted,
        );
        return;
      }
      const { running, target } = given;
      assert.ok(given.wanted === 'auto' || given.wanted === method);
      assert.ok(given.tried.length === 0 && given.firmwareFlag === undefined);
      assert.ok(given.failed[method] === undefined && given.barred[method] === undefined);
      assert.ok(!('unknown' in running) && !('unknown' in target));
      if (method === 'soft') assert.ok(running.linux === target.linux && running.initrd === target.initrd);
      else assert.ok(given.kexecs < given.mostKexecs);
      if (given.wanted === 'auto' && method === 'kexec') assert.equal(ruledOut[0]?.method, 'soft');
    }),
    { numRuns: 2000 },
  );
});

test('what fails while it is prepared becomes the firmware, with its reason after the others', () => {
  const choice = chooseMethod({ ...safe, target: kernel('k2') });
  assert.equal(choice.method, 'kexec');
  assert.equal(
    insteadOf({ ...choice, method: 'kexec' }, 'no memory').reason,
    'no soft: the kernel differs; no kexec: no memory',
  );
});
