/** URLs as they may be shown in tickets, logs and messages: without logins and signed queries. Pure. */

/** Only the location of a URL: no user, password, query or fragment. */
export function redactUrl(address: string): string {
  const url = URL.parse(address);
  // Text without a host is not a server's URL: “user:password@host” parses as one with the scheme “user”.
  if (!url?.host) return 'an address that is not a URL';
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The URL with `***` for the parts left out. Text that is not a URL is returned unchanged. */
export function maskUrl(text: string): string {
  const url = URL.parse(text);
  if (!url?.host || (url.username === '' && url.password === '' && url.search === '' && url.hash === '')) return text;
  const login = url.username === '' && url.password === '' ? '' : '***@';
  const path = url.pathname === '/' && !/^[^:]*:\/\/[^/?#]*\//.test(text) ? '' : url.pathname;
  return `${url.protocol}//${login}${url.host}${path}${url.search === '' ? '' : '?***'}${url.hash === '' ? '' : '#***'}`;
}
