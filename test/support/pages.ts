/** Sparse bytes in pages that are never changed in place, so that a snapshot is a copy of a small map. */

export class Pages {
  readonly size: number;
  private readonly pages: Map<number, Uint8Array>;

  constructor(size: number, pages: ReadonlyMap<number, Uint8Array> = new Map()) {
    this.size = size;
    this.pages = new Map(pages);
  }

  static from(bytes: Uint8Array): Pages {
    const pages = new Pages(bytes.length);
    pages.write(0, bytes);
    return pages;
  }

  snapshot(): Pages {
    return new Pages(this.size, this.pages);
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (const part of parts(offset, length)) {
      const page = this.pages.get(part.page);
      if (page) bytes.set(page.subarray(part.from, part.until), part.at);
    }
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    if (offset < 0 || offset + bytes.length > this.size) throw new RangeError(`write outside: ${offset}`);
    for (const part of parts(offset, bytes.length)) {
      const page = this.pages.get(part.page)?.slice() ?? new Uint8Array(PAGE);
      page.set(bytes.subarray(part.at, part.at + part.until - part.from), part.from);
      this.pages.set(part.page, page);
    }
  }
}

const PAGE = 4096;

function* parts(offset: number, length: number) {
  for (let at = 0; at < length; ) {
    const from = (offset + at) % PAGE;
    const until = Math.min(PAGE, from + length - at);
    yield { page: Math.floor((offset + at) / PAGE), from, until, at };
    at += until - from;
  }
}
