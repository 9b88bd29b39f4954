/** A FAT file system in a file: made by mkfs.vfat, read and written by mtools, checked by fsck.fat. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import {
  type Files,
  type ReadPart,
  readPart,
  readPartOf,
  realFiles,
  type WritePart,
  writePart,
} from '../../src/system/files.ts';
import { sh } from './loop-disk.ts';

/** Names are paths below the root, in lower case. */
export type FatImage = Readonly<{
  path: string;
  get(name: string): Uint8Array | undefined;
  put(name: string, bytes: Uint8Array): void;
  move(from: string, to: string): void;
  remove(name: string): void;
  list(dir?: string): string[];
  makeDir(dir: string): void;
  /** As Linux writes a file that keeps its length: the bytes of its first cluster, and nothing else. */
  overwrite(name: string, bytes: Uint8Array): void;
  /** Gives the empty file `other` the clusters and the size of `name`: a rename that was cut before the old name was removed. */
  share(name: string, other: string): void;
  /** What a start does before it mounts: the status of fsck.fat, and what it says. */
  check(...options: string[]): Readonly<{ status: number | null; stdout: string }>;
}>;

export function fatImage(path: string): FatImage {
  sh('mkfs.vfat', '-C', path, '1024');
  const list = (dir = ''): string[] =>
    (mtools('mdir', '-b', '-a', '-i', path, `::/${dir}`) ?? '')
      .split('\n')
      .filter((line) => line && !line.endsWith('/'))
      .map((one) => basename(one).toLowerCase());
  const has = (name: string): boolean => list(folderOf(name)).includes(basename(name));
  const remove = (name: string): void => {
    if (has(name)) sh('mdel', '-i', path, at(name));
  };
  return {
    path,
    list,
    remove,
    get: (name) => (has(name) ? execFileSync('mtype', ['-i', path, at(name)]) : undefined),
    put: (name, bytes) => void execFileSync('mcopy', ['-o', '-i', path, '-', at(name)], { input: bytes }),
    move: (from, to) => {
      remove(to);
      sh('mren', '-i', path, at(from), at(to));
    },
    makeDir: (dir) => {
      for (const [index] of dir.split('/').entries())
        mtools(
          'mmd',
          '-D',
          's',
          '-i',
          path,
          at(
            dir
              .split('/')
              .slice(0, index + 1)
              .join('/'),
          ),
        );
    },
    overwrite: (name, bytes) => edit(path, (image) => image.set(bytes, placeOf(path, name))),
    share: (name, other) => edit(path, (image) => share(image, path, name, other)),
    check: (...options) => spawnSync('fsck.fat', [...options, path], { encoding: 'utf8' }),
  };
}

/** Real files, but for the folder `dir`, which is the image. */
export function filesOn(fat: FatImage, dir: string): { files: Files; readPart: ReadPart; writePart: WritePart } {
  const isFat = (path: string): boolean => path.startsWith(`${dir}/`) || path === dir;
  const nameOf = (path: string): string => path.slice(dir.length + 1);
  const files: Files = {
    read: async (path) => (isFat(path) ? fat.get(nameOf(path)) : realFiles.read(path)),
    list: async (path) => (isFat(path) ? fat.list(nameOf(path)).sort() : realFiles.list(path)),
    makeDir: async (path) => (isFat(path) ? fat.makeDir(nameOf(path)) : realFiles.makeDir(path)),
    write: async (path, chunks) => {
      if (!isFat(path)) return realFiles.write(path, chunks);
      const pieces: Uint8Array[] = [];
      for await (const chunk of chunks) pieces.push(chunk);
      fat.put(nameOf(path), Buffer.concat(pieces));
    },
    rename: async (from, to) => (isFat(from) ? fat.move(nameOf(from), nameOf(to)) : realFiles.rename(from, to)),
    remove: async (path) => (isFat(path) ? fat.remove(nameOf(path)) : realFiles.remove(path)),
    syncFile: async (path) => (isFat(path) ? undefined : realFiles.syncFile(path)),
    syncDir: async (path) => (isFat(path) ? undefined : realFiles.syncDir(path)),
  };
  return {
    files,
    readPart: (path, offset, length) => (isFat(path) ? readPartOf(files) : readPart)(path, offset, length),
    writePart: async (path, offset, bytes) => {
      if (!isFat(path)) return writePart(path, offset, bytes);
      assert.equal(offset, 0);
      fat.overwrite(nameOf(path), bytes);
    },
  };
}

const at = (name: string): string => `::/${name}`;
const folderOf = (name: string): string => (name.includes('/') ? dirname(name) : '');

/** Undefined where it fails, as it does for a folder that is not there. */
function mtools(program: string, ...args: string[]): string | undefined {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 ? stdout : undefined;
}

function edit(path: string, change: (image: Buffer) => void): void {
  const image = readFileSync(path);
  change(image);
  writeFileSync(path, image);
}

/** Where the first cluster of a file or folder begins. */
function placeOf(path: string, name: string): number {
  const told = sh('fsck.fat', '-nv', path);
  const start = Number(/Data area starts at byte (\d+)/.exec(told)?.[1]);
  return start + (clusterOf(path, name) - 2) * Number(/(\d+) bytes per cluster/.exec(told)?.[1]);
}

const clusterOf = (path: string, name: string): number =>
  Number(/<(\d+)/.exec(sh('mshowfat', '-i', path, at(name)))?.[1]);

const ENTRY = 32;
const CLUSTER = 26;
const SIZE = 28;

/** The only empty file of the folder is `other`. */
function share(image: Buffer, path: string, name: string, other: string): void {
  assert.equal(folderOf(name), folderOf(other));
  const folder = placeOf(path, folderOf(name));
  const cluster = clusterOf(path, name);
  const files = Array.from({ length: 64 }, (_, index) => image.subarray(folder + index * ENTRY)).filter(isFile);
  const from = files.filter((one) => one.readUInt16LE(CLUSTER) === cluster);
  const to = files.filter((one) => one.readUInt32LE(SIZE) === 0);
  assert.deepEqual([from.length, to.length], [1, 1]);
  from[0]?.copy(to[0] ?? assert.fail(), CLUSTER, CLUSTER, ENTRY);
}

/** Neither a folder nor a part of a long name, nor removed. */
const isFile = (entry: Buffer): boolean => entry[11] === 0x20 && entry[0] !== 0 && entry[0] !== 0xe5;
