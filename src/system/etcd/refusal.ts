/** etcd's error answers. */

import { cleanLine } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';

/** An error answer; the codes are those of gRPC. */
export class EtcdRefusal extends Error {
  override readonly name = 'EtcdRefusal';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }

  /** Another member may answer differently: this one is partitioned, stopping, overloaded, or not etcd. */
  get isOfMember(): boolean {
    return ![INVALID, NOT_FOUND, DENIED, EXHAUSTED, PRECONDITION, OUT_OF_RANGE, UNAUTHENTICATED].includes(this.code);
  }

  get isStaleToken(): boolean {
    return this.code === UNAUTHENTICATED || /revision of auth store is old/.test(this.message);
  }

  named(): UpdateError {
    if (/space exceeded|NOSPACE/.test(this.message))
      return new UpdateError('etcd-full', `etcd has raised its NOSPACE alarm and takes no writes: ${this.message}.`);
    if (this.code === DENIED || this.code === UNAUTHENTICATED || /authentication|user name is empty/.test(this.message))
      return new UpdateError('etcd-denied', `etcd does not let this host in: ${this.message}.`);
    return new UpdateError('etcd-refused', `etcd refuses: ${this.message}.`);
  }
}

const INVALID = 3;
const NOT_FOUND = 5;
const DENIED = 7;
const EXHAUSTED = 8;
const PRECONDITION = 9;
const OUT_OF_RANGE = 11;
const UNAUTHENTICATED = 16;

/** Parses the body of an answer with a status other than 200. */
export function refusalOf(status: number, body: Uint8Array): EtcdRefusal {
  try {
    const answer: unknown = JSON.parse(new TextDecoder().decode(body.subarray(0, 65_536)));
    if (typeof answer === 'object' && answer !== null && 'error' in answer && 'code' in answer)
      return new EtcdRefusal(Number(answer.code), cleanLine(String(answer.error), 200));
  } catch {
    // Not from etcd's gateway: a proxy in between, or another service on this port.
  }
  return new EtcdRefusal(UNKNOWN, `the answer is ${status}, and not in etcd's words`);
}

const UNKNOWN = 2;
