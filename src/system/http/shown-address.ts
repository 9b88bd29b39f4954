/** Addresses as they may be shown: in tickets, logs and messages, where a login or a signed query does not belong. Pure. */

/** Where an address leads and nothing else: no user, password, query or fragment. */
export function redactUrl(address: string): string {
  const url = URL.parse(address);
  // What has no host is no address of a server: “user:password@host” is read as one with the scheme “user”.
  if (!url?.host) return 'an address that is not a URL';
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The same, with `***` where something is left out. What is no address stays as it is. */
export function maskUrl(text: string): string {
  const url = URL.parse(text);
  if (!url?.host || (url.username === '' && url.password === '' && url.search === '' && url.hash === '')) return text;
  const login = url.username === '' && url.password === '' ? '' : '***@';
  const path = url.pathname === '/' && !/^[^:]*:\/\/[^/?#]*\//.test(text) ? '' : url.pathname;
  return `${url.protocol}//${login}${url.host}${path}${url.search === '' ? '' : '?***'}${url.hash === '' ? '' : '#***'}`;
}
