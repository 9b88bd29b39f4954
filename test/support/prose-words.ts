/** Wordings that read as if translated, and what to write instead. */

export type Wording = Readonly<{
  pattern: RegExp;
  instead: string;
  /** A sentence that the pattern must find. */
  example: string;
}>;

/** Found neither in pages nor in sources. */
export const NOWHERE: readonly Wording[] = [
  { pattern: /\bcounts? more\b/i, instead: 'overrides', example: 'A later file counts more.' },
  { pattern: /\bby the word of\b/i, instead: 'on request of', example: 'It starts by the word of an operator.' },
];

/** Not found in pages any more. */
export const IN_NO_PAGE: readonly Wording[] = [
  { pattern: /(?:^|[.;:] |\/\*\* )Else[ ,]/, instead: 'Otherwise', example: 'It waits. Else it asks.' },
  { pattern: /\banew\b/i, instead: 'again', example: 'Read it anew.' },
  { pattern: /\bheed(?:s|ed)?\b/i, instead: 'applies, follows', example: 'A key is heeded at once.' },
  { pattern: /\bseldom\b/i, instead: 'rarely, at growing intervals', example: 'It asks ever more seldom.' },
  { pattern: /\bhad better\b/i, instead: 'should', example: 'You had better look.' },
  { pattern: /\bshall\b/i, instead: 'must, will', example: 'It shall wait.' },
  { pattern: /\bfor ever\b/i, instead: 'permanently, indefinitely', example: 'It waits for ever.' },
  { pattern: /\bfor so long\b/i, instead: 'for that long', example: 'It waits for so long.' },
  { pattern: /\bbeside\b/i, instead: 'next to, against, in addition to', example: 'It lies beside the kernel.' },
  {
    pattern: /\b(?:am|is|are|was|were|be|been|being) (?:told|said)\b/i,
    instead: 'active voice: reports, receives, learns',
    example: 'The host is told so.',
  },
  { pattern: /\b(?:tells?|told) of\b/i, instead: 'reports', example: 'The server tells of the fleet.' },
  {
    pattern: /\bwho(?:ever)? (?:asks|waits|wants|reads)\b/i,
    instead: 'the client, the host',
    example: 'Who asks waits.',
  },
  { pattern: /\bwhoever\b/i, instead: 'anyone who', example: 'Whoever steals it can delay.' },
  { pattern: /\bwhat is so\b/i, instead: 'the facts, the present state', example: 'It answers what is so.' },
  { pattern: /\bwhat lies\b/i, instead: 'the contents of', example: 'It reads what lies on the disk.' },
  {
    pattern: /\bone (?:that|which|who) (?:is|was|has|cannot|can)\b/i,
    instead: 'repeat the noun',
    example: 'One that is late waits.',
  },
  { pattern: /\btake[sn]? (?:\w+ )?for (?!granted)/i, instead: 'treated as', example: 'A host is taken for overdue.' },
  { pattern: /\bin the place of\b/i, instead: 'instead of', example: 'It comes in the place of GRUB.' },
  { pattern: /\bof (?:no )?use\b/i, instead: 'used, unused', example: 'It is of no use.' },
  { pattern: /\ball the same\b/i, instead: 'anyway', example: 'It starts all the same.' },
  {
    pattern: /\bg(?:iven?|ives|ave) back\b/i,
    instead: 'releases (a lock), returns',
    example: 'It gives back the lock.',
  },
  { pattern: /\bnobody else\b/i, instead: 'no other host', example: 'Nobody else gets it.' },
  { pattern: /\blies? (?:in|on|under|below|beside)\b/i, instead: 'is in', example: 'The flags lie in a file.' },
  { pattern: /\bmeanwhile\b/i, instead: 'in the meantime, in between', example: 'It has changed meanwhile.' },
  { pattern: /\bgo(?:es)? by\b/i, instead: 'uses, follows', example: 'It goes by the clock.' },
];
