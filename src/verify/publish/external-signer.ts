/** A signer that is an external program: data on standard input, the signature on standard output. */

import { UpdateError } from '../../errors.ts';
import type { Exec } from '../../system/process/exec.ts';
import { keyIdOf, type PublicKey, type Signer, signatureFits } from '../keys.ts';

export type SignerProgram = Readonly<{ program: string; args: readonly string[]; timeoutMs?: number }>;

/** Signs with `command`; its output is verified against the public key. */
export const externalSigner = (exec: Exec, command: SignerProgram, publicKey: PublicKey): Signer => ({
  keyId: keyIdOf(publicKey),
  publicKey,
  sign: async (bytes) => {
    const { program, args, timeoutMs = 120_000 } = command;
    const result = await exec(program, args, { input: bytes, timeoutMs });
    if (result.exitCode !== 0)
      throw failed(program, `it ended with status ${result.exitCode}: ${result.stderr.trim().slice(-500)}`);
    const signature = decode(result.stdout, program);
    if (!signatureFits(publicKey, bytes, signature)) throw failed(program, 'its signature does not fit the public key');
    return signature;
  },
});

/** 128 hex digits, or 64 bytes in Base64: programs differ, and only text passes a pipe safely. */
function decode(output: string, program: string): Uint8Array {
  const text = output.trim();
  if (/^[0-9a-f]{128}$/i.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9+/]{86}==$/.test(text)) return Buffer.from(text, 'base64');
  throw failed(program, `it gave ${text.length} characters instead of 128 hex digits or 64 bytes in Base64`);
}

const failed = (program: string, why: string): UpdateError => new UpdateError('signer-failed', `${program}: ${why}.`);
