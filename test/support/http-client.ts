/** An HTTP client with short patience, for tests. */

import { realClock } from '../../src/system/clock.ts';
import { createHttp, type Http, type HttpOptions } from '../../src/system/http/http.ts';

export const testHttp = (options: Partial<HttpOptions> = {}): Http =>
  createHttp({ connectTimeoutMs: 2_000, idleTimeoutMs: 5_000, userAgent: 'tandem/test', clock: realClock, ...options });
