/** Times in UTC as text: ISO 8601. */

/** With a resolution of a second, as in signed metadata and for people. */
export const utcText = (moment: Date): string => `${moment.toISOString().slice(0, 19)}Z`;

/** The format of times written by hosts and servers. */
export const UTC_MOMENT = /^\d{4}-\d\d-\d\dT[\d:.]{8,12}Z$/;
