/** Trusted authorities: the system's, unless the configuration names others. */

import { X509Certificate } from 'node:crypto';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

/**
 * Makes Node.js trust the system's authorities instead of its built-in list, which remains for an image without certificates, because it
 * could not be updated otherwise. Reading takes a tenth of a second, so it happens on demand.
 */
export function trustSystem(): void {
  const system = getCACertificates('system');
  const trusted = system.length > 0 ? system : getCACertificates('bundled');
  // Setting NODE_EXTRA_CA_CERTS is deliberate.
  setDefaultCACertificates([...new Set([...trusted, ...getCACertificates('extra')])]);
}

/** Whether a file contains certificates; Node.js treats an unreadable one as empty. */
export function namesAuthorities(pem: Uint8Array): boolean {
  try {
    return new X509Certificate(pem).publicKey !== undefined;
  } catch {
    return false;
  }
}
