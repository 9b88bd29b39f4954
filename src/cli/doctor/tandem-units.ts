/** The units that Tandem consists of. */

/** Those that start with the system. */
export const ENABLED_UNITS = [
  'tandem-agent.service',
  'tandem-confirm.service',
  'tandem-dead-man.timer',
  'tandem-trial-began.service',
  'tandem-machine-id.service',
] as const;

/** Those that other units, or the agent, start. */
export const STARTED_UNITS = ['tandem-dead-man.service', 'tandem-jump@.service'] as const;
