/** Makes the links of a page relative, so that they work under any path a proxy serves us at. Pure. */

/** Templates link from the root of the server; `path` is the requested page. */
export function linksBelow(path: string, page: string): string {
  // Escaping has removed every quote from outside text, so the pattern matches our own attributes only.
  return page.replace(
    /(\s(?:href|src|action)=")(\/(?!\/)[^"]*)"/g,
    (_, name: string, to: string) => `${name}${below(path, to)}"`,
  );
}

/** The relative link from one page to another of the same server. */
export function below(path: string, to: string): string {
  const depth = path.replace(/[?#].*$/s, '').split('/').length - 2;
  return `${depth > 0 ? '../'.repeat(depth) : './'}${to.slice(1)}`;
}
