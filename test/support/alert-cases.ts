/** For every alert, figures at which it must fire, and figures just short of it. Time begins at 0; all is looked at after a while. */

/** Series with one value throughout, or a text in promtool's notation. */
export type AlertCase = Readonly<{
  alert: string;
  fires: Readonly<Record<string, number | string>>;
  quiet: readonly Readonly<Record<string, number | string>>[];
  /** In hours; two where nothing is said. */
  after?: number;
}>;

const HOUR = 3600;
const DAY = 24 * HOUR;
/** Two hours are over when it is looked. */
const ago = (seconds: number): number => 2 * HOUR - seconds;
const HOST = 'instance="h",job="node"';
const SERVER = 'instance="s",job="tandem-server"';
const ROLLOUT = `channel="stable",${SERVER}`;

const behind = (done: number | string, more: Readonly<Record<string, number>> = {}) => ({
  [`tandem_rollout_planned{${ROLLOUT}}`]: 50,
  [`tandem_rollout_machines{${ROLLOUT}}`]: 100,
  [`tandem_rollout_done{${ROLLOUT}}`]: done,
  [`tandem_rollout_braked{${ROLLOUT}}`]: 0,
  [`tandem_rollout_paused{${ROLLOUT}}`]: 0,
  ...more,
});
const budget = (failed: number, braked: number) => ({
  [`tandem_rollout_failed{${ROLLOUT}}`]: failed,
  [`tandem_rollout_max_failures{${ROLLOUT}}`]: 10,
  [`tandem_rollout_braked{${ROLLOUT}}`]: braked,
});
const state = (name: string, since: number) => ({
  [`tandem_agent_state{state="${name}",${HOST}}`]: 1,
  [`tandem_agent_state{state="armed",instance="other",job="node"}`]: 0,
  [`tandem_agent_state_since_timestamp_seconds{${HOST}}`]: since,
});
const refusal = (what: string, code: string, retry: string) => ({
  [`tandem_agent_refusal{what="${what}",code="${code}",retry="${retry}",${HOST}}`]: 1,
});
const expires = (role: string, left: number) => ({
  [`tandem_repository_expires_timestamp_seconds{role="${role}",${SERVER}}`]: 2 * HOUR + left,
});
const requests = (failing: string) => ({
  [`tandem_http_requests_total{status="200",${SERVER}}`]: '0+1000x40',
  [`tandem_http_requests_total{status="503",${SERVER}}`]: failing,
});
const writes = (sum: string) => ({
  [`tandem_store_seconds_sum{operation="update",${SERVER}}`]: sum,
  [`tandem_store_seconds_count{operation="update",${SERVER}}`]: '0+100x40',
});

export const ALERT_CASES: readonly AlertCase[] = [
  {
    alert: 'TandemAgentDown',
    fires: { [`tandem_agent_up{${HOST}}`]: 0 },
    quiet: [{ [`tandem_agent_up{${HOST}}`]: 1 }],
  },
  {
    alert: 'TandemFiguresOld',
    fires: { [`node_textfile_mtime_seconds{file="/a/tandem.prom",${HOST}}`]: ago(HOUR) },
    quiet: [
      { [`node_textfile_mtime_seconds{file="/a/tandem.prom",${HOST}}`]: ago(60) },
      { [`node_textfile_mtime_seconds{file="/a/other.prom",${HOST}}`]: ago(HOUR) },
    ],
  },
  {
    alert: 'TandemHostNotChecking',
    fires: {
      [`tandem_agent_last_good_check_timestamp_seconds{${HOST}}`]: ago(3 * DAY),
      [`tandem_agent_start_time_seconds{${HOST}}`]: ago(9 * DAY),
    },
    quiet: [
      {
        [`tandem_agent_last_good_check_timestamp_seconds{${HOST}}`]: ago(DAY),
        [`tandem_agent_start_time_seconds{${HOST}}`]: ago(9 * DAY),
      },
      { [`tandem_agent_start_time_seconds{${HOST}}`]: ago(DAY) },
    ],
  },
  {
    alert: 'TandemHostNotChecking',
    fires: { [`tandem_agent_start_time_seconds{${HOST}}`]: ago(3 * DAY) },
    quiet: [{}],
  },
  {
    alert: 'TandemHostStuck',
    fires: state('trial', ago(7 * HOUR)),
    quiet: [state('trial', ago(5 * HOUR)), state('idle', ago(90 * DAY)), state('staged', ago(9 * DAY))],
  },
  {
    alert: 'TandemHostRefusesForGood',
    fires: refusal('error', 'slot-too-small', 'never'),
    quiet: [
      refusal('error', 'disk-read-error', 'later'),
      refusal('release', 'unhealthy', 'never'),
      refusal('gate', 'window-closed', 'later'),
      refusal('check', 'not-your-turn', 'later'),
    ],
  },
  { alert: 'TandemHostRefusesForGood', fires: refusal('check', 'refused', 'later'), quiet: [{}] },
  {
    alert: 'TandemHostKeepsFailing',
    after: 26,
    fires: refusal('error', 'disk-read-error', 'later'),
    quiet: [
      refusal('gate', 'window-closed', 'later'),
      { [`tandem_agent_refusal{what="error",code="a",retry="later",${HOST}}`]: '1+0x200' },
    ],
  },
  {
    alert: 'TandemRebootOverdue',
    fires: { [`tandem_agent_deadline_timestamp_seconds{${HOST}}`]: ago(2 * DAY) },
    quiet: [{ [`tandem_agent_deadline_timestamp_seconds{${HOST}}`]: ago(HOUR) }],
  },
  {
    alert: 'TandemServerDown',
    fires: { [`up{${SERVER}}`]: 0 },
    quiet: [{ [`up{${SERVER}}`]: 1 }, { [`up{${HOST}}`]: 0 }],
  },
  {
    alert: 'TandemServerPartMissing',
    fires: { [`tandem_server_part_up{part="repository",${SERVER}}`]: 0 },
    quiet: [{ [`tandem_server_part_up{part="repository",${SERVER}}`]: 1 }],
  },
  { alert: 'TandemServerErrors', fires: requests('0+20x40'), quiet: [requests('0+2x40')] },
  {
    alert: 'TandemStoreSlow',
    fires: writes('0+80x40'),
    quiet: [
      writes('0+2x40'),
      { ...writes('5+0x40'), [`tandem_store_seconds_count{operation="update",${SERVER}}`]: 100 },
    ],
  },
  {
    alert: 'TandemClocksApart',
    fires: { [`tandem_clock_difference_seconds{${SERVER}}`]: -7200 },
    quiet: [
      { [`tandem_clock_difference_seconds{${SERVER}}`]: 59 },
      { [`tandem_clock_difference_seconds{${SERVER}}`]: -59 },
    ],
  },
  {
    alert: 'TandemEtcdFilling',
    fires: { [`tandem_etcd_bytes{${SERVER}}`]: 51, [`tandem_etcd_quota_bytes{${SERVER}}`]: 100 },
    quiet: [{ [`tandem_etcd_bytes{${SERVER}}`]: 49, [`tandem_etcd_quota_bytes{${SERVER}}`]: 100 }],
  },
  {
    alert: 'TandemEtcdUncompacted',
    fires: { [`tandem_etcd_uncompacted{${SERVER}}`]: 1 },
    quiet: [{ [`tandem_etcd_uncompacted{${SERVER}}`]: 0 }],
  },
  {
    alert: 'TandemHostsSilent',
    fires: { [`tandem_machines_silent{${SERVER}}`]: 3, [`tandem_machines{${SERVER}}`]: 100 },
    quiet: [{ [`tandem_machines_silent{${SERVER}}`]: 1, [`tandem_machines{${SERVER}}`]: 100 }],
  },
  {
    alert: 'TandemMachineCloned',
    fires: { [`tandem_machines_cloned{${SERVER}}`]: 1 },
    quiet: [{ [`tandem_machines_cloned{${SERVER}}`]: 0 }],
  },
  {
    alert: 'TandemMachineRefused',
    fires: { [`tandem_refusals_total{code="machine-secret-wrong",${SERVER}}`]: '0+1x400' },
    quiet: [
      { [`tandem_refusals_total{code="machine-secret-wrong",${SERVER}}`]: '3+0x400' },
      { [`tandem_refusals_total{code="full",${SERVER}}`]: '0+1x400' },
    ],
  },
  {
    alert: 'TandemCountOld',
    fires: { [`tandem_machines_counted_timestamp_seconds{${SERVER}}`]: ago(2 * HOUR) },
    quiet: [
      {
        [`tandem_machines_counted_timestamp_seconds{${SERVER}}`]: ago(2 * HOUR),
        [`tandem_machines_counted_timestamp_seconds{instance="t",job="tandem-server"}`]: ago(60),
      },
    ],
  },
  {
    alert: 'TandemBrakePulled',
    fires: {
      [`tandem_rollout_braked{${ROLLOUT}}`]: 1,
      [`tandem_rollout_braked{channel="stable",instance="t",job="tandem-server"}`]: 1,
    },
    quiet: [{ [`tandem_rollout_braked{${ROLLOUT}}`]: 0 }],
  },
  {
    alert: 'TandemFailureBudgetHalfSpent',
    fires: budget(5, 0),
    quiet: [budget(4, 0), budget(11, 1), { [`tandem_rollout_failed{${ROLLOUT}}`]: 5 }],
  },
  {
    alert: 'TandemRolloutStalled',
    after: 4,
    fires: behind(30),
    quiet: [
      behind(45),
      behind('20+0x20 30+0x28'),
      behind(30, { [`tandem_rollout_braked{${ROLLOUT}}`]: 1 }),
      behind(30, { [`tandem_rollout_paused{${ROLLOUT}}`]: 1 }),
    ],
  },
  {
    alert: 'TandemLockOverdue',
    fires: { [`tandem_lock_late{group="web",${SERVER}}`]: 1 },
    quiet: [{ [`tandem_lock_late{group="web",${SERVER}}`]: 0 }],
  },
  {
    alert: 'TandemLockNotGivenBack',
    fires: refusal('lock', 'server-failed', 'later'),
    quiet: [refusal('gate', 'lock-full', 'later')],
  },
  {
    alert: 'TandemLockNeedsOperator',
    fires: refusal('gate', 'lock-failures', 'later'),
    quiet: [
      refusal('gate', 'lock-full', 'later'),
      refusal('gate', 'lock-contended', 'later'),
      refusal('gate', 'lock-unreachable', 'later'),
    ],
  },
  { alert: 'TandemMetadataExpires', fires: expires('timestamp', 10 * HOUR), quiet: [expires('timestamp', 20 * HOUR)] },
  { alert: 'TandemMetadataExpires', fires: expires('snapshot', 2 * DAY), quiet: [expires('snapshot', 4 * DAY)] },
  { alert: 'TandemMetadataExpires', fires: expires('root', 10 * DAY), quiet: [expires('root', 20 * DAY)] },
];
