/** Reads /etc/fstab. */

export type FstabEntry = Readonly<{
  device: string;
  path: string;
  type: string;
  options: readonly string[];
  /** When it is checked before it is mounted; 0 for never, also if the line has no such field. */
  pass: number;
}>;

/** Its lines in order; comments and incomplete lines are left out. */
export const parseFstab = (text: string): readonly FstabEntry[] =>
  text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(unescaped))
    .filter(([device = '', path]) => device !== '' && !device.startsWith('#') && path !== undefined)
    .map(([device = '', path = '', type = '', options = 'defaults', , pass = '0']) => ({
      device,
      path: path.replace(/(?<=.)\/+$/, ''),
      type,
      options: options.split(','),
      pass: Number.parseInt(pass, 10) || 0,
    }));

/** Blanks are written as octal numbers. */
const unescaped = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
