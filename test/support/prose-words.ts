/** Wordings that read as if translated, and what to write instead. */

export type Wording = Readonly<{
  pattern: RegExp;
  instead: string;
  /** A sentence that the pattern must find. */
  example: string;
}>;

export const WORDINGS: readonly Wording[] = [
  { pattern: /\banew\b/i, instead: 'again', example: 'Read it anew.' },
  { pattern: /\bheed(?:s|ed)?\b/i, instead: 'applies, follows', example: 'A key is heeded at once.' },
  { pattern: /\bcounts? more\b/i, instead: 'overrides', example: 'A later file counts more.' },
  { pattern: /\bseldom\b/i, instead: 'rarely, at growing intervals', example: 'It asks ever more seldom.' },
  { pattern: /\bhad better\b/i, instead: 'should', example: 'You had better look.' },
  { pattern: /\bshall\b/i, instead: 'must, will', example: 'It shall wait.' },
  { pattern: /(?:^|[.;:] |\/\*\* )Else[ ,]/, instead: 'Otherwise', example: 'It waits. Else it asks.' },
  { pattern: /\bfor ever\b/i, instead: 'permanently, indefinitely', example: 'It waits for ever.' },
  { pattern: /\bfor so long\b/i, instead: 'for that long', example: 'It waits for so long.' },
  { pattern: /\bmeanwhile\b/i, instead: 'in the meantime, in between', example: 'It has changed meanwhile.' },
  { pattern: /\ball the same\b/i, instead: 'anyway', example: 'It starts all the same.' },
  { pattern: /\bbeside\b/i, instead: 'next to, against, in addition to', example: 'It lies beside the kernel.' },
  { pattern: /\bin the place of\b/i, instead: 'instead of', example: 'It comes in the place of GRUB.' },
  { pattern: /\bstands? in the way\b/i, instead: 'blocks', example: 'It says what stands in the way.' },
  { pattern: /\bof (?:no )?use\b/i, instead: 'useful, used', example: 'It is of no use.' },
  { pattern: /\bat one stroke\b/i, instead: 'atomically', example: 'It is replaced at one stroke.' },
  { pattern: /\bof before\b/i, instead: 'previous, older', example: 'It finds the agent of before.' },
  { pattern: /\bcannot be had\b/i, instead: 'is unavailable', example: 'A lock cannot be had.' },
  { pattern: /\bas often as it takes\b/i, instead: 'without a limit', example: 'It starts as often as it takes.' },
  { pattern: /\b(?:by|at) the word of\b/i, instead: 'on request of', example: 'It starts at the word of an operator.' },
  // Verbs.
  {
    pattern: /\b(?:am|is|are|was|were|be|been|being) (?:told|said)\b/i,
    instead: 'active voice: reports, receives, learns',
    example: 'The host is told so.',
  },
  { pattern: /\b(?:tells?|told) of\b/i, instead: 'reports', example: 'The server tells of the fleet.' },
  {
    pattern: /\bg(?:iven?|ives|ave) back\b/i,
    instead: 'releases (a lock), returns',
    example: 'It gives back the lock.',
  },
  { pattern: /\blies? (?:on|under|below|beside)\b/i, instead: 'is on, is below', example: 'It lies below a folder.' },
  { pattern: /\blies? in (?!the future)/i, instead: 'is in', example: 'The flags lie in a file.' },
  { pattern: /\bgo(?:es)? by\b/i, instead: 'uses, follows', example: 'It goes by the clock.' },
  { pattern: /\bgo(?:es)? on\b/i, instead: 'continues', example: 'The host goes on.' },
  { pattern: /\bput together\b/i, instead: 'assembles', example: 'It is put together here.' },
  { pattern: /\bmakes? sure of\b/i, instead: 'checks', example: 'It makes sure of the lock.' },
  {
    pattern: /\btake[sn]? (?:it |them |\w*body |hosts )?for (?!granted)/i,
    instead: 'treats as',
    example: 'A host is taken for overdue.',
  },
  // Clauses in place of nouns.
  {
    pattern: /(?:[.;:] |\/\*\* )Who \w+ [^?]*?[.;]/,
    instead: 'the client, the host',
    example: 'Full. Who asks waits.',
  },
  {
    pattern: /\bwho(?:ever)? (?:asks|waits|wants|reads)\b/i,
    instead: 'the client, the host',
    example: 'Who asks waits.',
  },
  { pattern: /\bwhoever\b/i, instead: 'anyone who', example: 'Whoever steals it can delay.' },
  { pattern: /\bwhat is so\b/i, instead: 'the facts, the present state', example: 'It answers what is so.' },
  { pattern: /\bwhat lies\b/i, instead: 'the contents of', example: 'It reads what lies on the disk.' },
  {
    pattern: /\bwhat (?:is|was|has been) (?:said|asked|told|meant|done)\b/i,
    instead: 'the answer, the request, the step',
    example: 'It repeats what was asked.',
  },
  { pattern: /\bby what\b/i, instead: 'by the', example: 'It is told by what it shows.' },
  {
    pattern: /\bone (?:that|which|who) (?:is|was|has|cannot|can)\b/i,
    instead: 'repeat the noun',
    example: 'One that is late waits.',
  },
];
