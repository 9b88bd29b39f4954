/** Memory for O_DIRECT: page-aligned, and shared so that workers can hash it in place. */

// The compiler has its types only in the browser library.
declare const WebAssembly: {
  Memory: new (size: { initial: number; maximum: number; shared: true }) => { readonly buffer: SharedArrayBuffer };
};

/** `count` buffers of `bytes` each (a multiple of the page size). Node's own buffers are not aligned; WebAssembly's memory is. */
export function alignedBuffers(count: number, bytes: number): Uint8Array[] {
  const pages = Math.ceil((count * bytes) / WASM_PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return Array.from({ length: count }, (_, index) => new Uint8Array(memory.buffer, index * bytes, bytes));
}

const WASM_PAGE = 65_536;
