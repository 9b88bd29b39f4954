/** The fleet's settings in etcd: TOML drop-ins, read key by key; invalid ones are reported and ignored. */

import { cleanLine } from '../clean-text.ts';
import { type ErrorCode, UpdateError } from '../errors.ts';
import { FLEET_TABLE, localReason } from './fleet-rules.ts';
import { checkValue, type Fragment, type Given, readEach, type Wrong } from './fragments.ts';
import { KEYS } from './keys.ts';

/** One etcd key: settings for all hosts, a group, or one host. */
export type FleetDocument = Readonly<{ key: string; audience: 'all' | 'group' | 'host'; bytes: Uint8Array }>;

/** A value as `written` in the document at `key`; `origin` is `etcd:KEY:LINE`. */
export type FleetSetting = Readonly<{ path: string; key: string; origin: string; written: unknown }>;

/** Why a document or setting in etcd is ignored. */
export type FleetFault = Readonly<{ code: ErrorCode; message: string }>;

export type FleetReading = Readonly<{ settings: readonly FleetSetting[]; faults: readonly FleetFault[] }>;

/**
 * Merges the documents in order; the last one wins. A faulty document or key keeps its last valid value from `before`.
 */
export function readFleet(documents: readonly FleetDocument[], before: readonly FleetSetting[]): FleetReading {
  const readings = documents.map((one) => readDocument(one, before));
  return {
    settings: readings.flatMap(({ settings }) => settings),
    faults: readings.flatMap(({ faults }) => faults),
  };
}

/** Rechecks cached settings, which another version of this program may have accepted. */
export function checkFleet(settings: readonly FleetSetting[]): Readonly<{ given: Given[]; faults: FleetFault[] }> {
  const checked = settings.map(checkSetting);
  return {
    given: checked.flatMap((one) => ('fault' in one ? [] : [one])),
    faults: checked.flatMap((one) => ('fault' in one ? [faultOf(one.fault, false)] : [])),
  };
}

/** Bounded, because many hosts read them, some with little memory. */
const MOST_BYTES = 16 * 1024;
/** Key names are printed to terminals. */
const PRINTABLE = /^[\x21-\x7e]{1,512}$/;

function readDocument(document: FleetDocument, before: readonly FleetSetting[]): FleetReading {
  const { key } = document;
  const known = before.filter((one) => one.key === key);
  try {
    return readValues(key, readEach(fragmentOf(document), KEYS).map(accepted(document.audience)), known);
  } catch (error) {
    if (!(error instanceof UpdateError)) throw error;
    return { settings: known, faults: [faultOf(error, known.length > 0)] };
  }
}

function readValues(key: string, values: readonly (Given | Wrong)[], known: readonly FleetSetting[]): FleetReading {
  const settings: FleetSetting[] = [];
  const faults: FleetFault[] = [];
  for (const one of values) {
    const kept = 'fault' in one ? known.find(({ path }) => path === one.path) : undefined;
    if ('fault' in one) faults.push(faultOf(one.fault, kept !== undefined));
    else settings.push({ path: one.path, key, origin: one.origin, written: one.written });
    if (kept) settings.push(kept);
  }
  return { settings, faults };
}

function fragmentOf({ key, bytes }: FleetDocument): Fragment {
  const path = `etcd:${PRINTABLE.test(key) ? key : JSON.stringify(key)}`;
  if (!PRINTABLE.test(key)) throw invalid(`${path}: the key name is not printable.`);
  if (bytes.length > MOST_BYTES) throw invalid(`${path} is larger than ${MOST_BYTES} bytes.`);
  try {
    return { path, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (error) {
    throw new UpdateError('setting-invalid', `${path} is not UTF-8 text.`, { cause: error });
  }
}

/** Refuses keys that only files may set, and `host.group` in a group's document: it would move its own members. */
const accepted =
  (audience: FleetDocument['audience']) =>
  (one: Given | Wrong): Given | Wrong => {
    const reason = localReason(one.path);
    const place = 'fault' in one ? one.fault.message.split(': ')[0] : one.origin;
    if (reason !== undefined) {
      const sentence = `${place}: ${one.path} can be set in files only, because it ${reason}.`;
      return { path: one.path, fault: new UpdateError('setting-local-only', sentence) };
    }
    if (audience === 'group' && one.path === 'host.group')
      return { path: one.path, fault: invalid(`${place}: ${one.path} cannot be set for a group.`) };
    return one;
  };

function checkSetting({ path, origin, written }: FleetSetting): Given | Wrong {
  const [section = '', name = ''] = path.split('.');
  const keys = Object.hasOwn(FLEET_TABLE, section) ? FLEET_TABLE[section] : undefined;
  return checkValue(keys ?? {}, section, name, written, origin);
}

function faultOf({ code, message }: UpdateError, isKept: boolean): FleetFault {
  const shown = cleanLine(message, 400);
  const named = code === 'setting-local-only' ? code : 'setting-invalid';
  return { code: named, message: isKept ? `${shown} The last valid value stays in force.` : shown };
}

const invalid = (sentence: string): UpdateError => new UpdateError('setting-invalid', sentence);
