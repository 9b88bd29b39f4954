/** Moments in UTC as they are written down: ISO 8601. */

/** To the second, as signed metadata and people have it. */
export const utcText = (moment: Date): string => `${moment.toISOString().slice(0, 19)}Z`;

/** What a host or a server writes as a moment. */
export const UTC_MOMENT = /^\d{4}-\d\d-\d\dT[\d:.]{8,12}Z$/;
