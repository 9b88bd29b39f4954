/** Makes cpio archives as Linux takes them for an initrd. */

export type CpioFile = Readonly<{ path: string; content?: string | Uint8Array; mode?: number }>;

export const cpioArchive = (files: readonly CpioFile[]): Buffer =>
  Buffer.concat([...files, { path: 'TRAILER!!!', mode: 0 }].map(entry));

function entry({ path, content = '', mode = 0o100755 }: CpioFile): Buffer {
  const [name, body] = [Buffer.from(`${path}\0`), Buffer.from(content)];
  const fields = [1, mode, 0, 0, 1, 0, body.length, 0, 0, 0, 0, name.length, 0];
  const head = `070701${fields.map((one) => one.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(head), name])), padded(body)]);
}

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
