/** The smallest "kernel" that can be told from another: an EFI program for 64-bit ARM that prints one line and then waits for ever. */

/** What the firmware's console shows once the program runs. */
export function efiProgram(line: string): Uint8Array {
  const file = Buffer.alloc(CONTENT + 512);
  file.write('MZ');
  file.write('PE\0\0', PE, 'latin1');
  file.write('.text', SECTION, 'latin1');
  for (const [at, value] of HALF_WORDS) file.writeUInt16LE(value, at);
  for (const [at, value] of WORDS) file.writeUInt32LE(value, at);
  for (const [index, instruction] of CODE.entries()) file.writeUInt32LE(instruction, CONTENT + 4 * index);
  file.write(`${line}\r\n\0`, CONTENT + 4 * CODE.length, 'utf16le');
  return file;
}

const PE = 64;
const OPTIONAL = PE + 24;
const SECTION = OPTIONAL + 112;
const CONTENT = 512;
const ADDRESS = 4096;

// Machine, sections, length of the optional header, flags; the header's kind, and that of the program: an EFI application.
const HALF_WORDS = [
  [PE + 4, 0xaa64],
  [PE + 6, 1],
  [PE + 20, 112],
  [PE + 22, 0x22e],
  [OPTIONAL, 0x20b],
  [OPTIONAL + 68, 10],
] as const;

// Size, entry and base of the code, alignments, sizes of image and headers; then where the one section lies, and that it is code.
const WORDS = [
  [0x3c, PE],
  [OPTIONAL + 4, 512],
  [OPTIONAL + 16, ADDRESS],
  [OPTIONAL + 20, ADDRESS],
  [OPTIONAL + 32, 4096],
  [OPTIONAL + 36, 512],
  [OPTIONAL + 56, 2 * ADDRESS],
  [OPTIONAL + 60, CONTENT],
  [SECTION + 8, 512],
  [SECTION + 12, ADDRESS],
  [SECTION + 16, 512],
  [SECTION + 20, CONTENT],
  [SECTION + 36, 0x60000020],
] as const;

const CODE = [
  0xf9402020, // ldr x0, [x1, #64]   the console of the system table
  0xf9400408, // ldr x8, [x0, #8]    its OutputString
  0x10000061, // adr x1, #12         the text behind the code
  0xd63f0100, // blr x8
  0x14000000, // b .
];
