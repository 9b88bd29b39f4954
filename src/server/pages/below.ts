/** Links of the pages, as they are sent: relative to the page they stand on, so that they hold below whatever path a proxy serves us. Pure. */

/** Pages name each other from the root of the server; `path` is the page that is asked for. */
export function linksBelow(path: string, page: string): string {
  // Text from outside has no quotes of its own in a page.
  return page.replace(
    /(\s(?:href|src|action)=")(\/(?!\/)[^"]*)"/g,
    (_, name: string, to: string) => `${name}${below(path, to)}"`,
  );
}

/** The way from a page to another of the same server. */
export function below(path: string, to: string): string {
  const depth = path.replace(/[?#].*$/s, '').split('/').length - 2;
  return `${depth > 0 ? '../'.repeat(depth) : './'}${to.slice(1)}`;
}
