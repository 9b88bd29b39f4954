/** Whom servers are believed: the authorities that this system trusts, unless the configuration names others. */

import { X509Certificate } from 'node:crypto';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

/**
 * Makes Node.js trust what everything else on this system trusts, instead of the list that it brings along; that list remains for an
 * image without certificates, which could not be updated otherwise. Reading takes a tenth of a second, so only who needs it asks.
 */
export function trustSystem(): void {
  const system = getCACertificates('system');
  const trusted = system.length > 0 ? system : getCACertificates('bundled');
  // Whoever sets NODE_EXTRA_CA_CERTS means it.
  setDefaultCACertificates([...new Set([...trusted, ...getCACertificates('extra')])]);
}

/** Whether a file that names authorities names any; Node.js takes whatever it cannot read for nobody. */
export function namesAuthorities(pem: Uint8Array): boolean {
  try {
    return new X509Certificate(pem).publicKey !== undefined;
  } catch {
    return false;
  }
}
