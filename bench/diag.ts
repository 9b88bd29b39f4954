import { inLab } from '../test/vm/lab.ts';
import { update, awaitState, UPDATE_MS } from '../test/vm/guest.ts';
import { writeFileSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
await inLab('diag', { patient: true, method: 'soft', keepsEmulator: true }, async (lab) => {
  const { machine } = lab;
  const sock = createSocket('udp4'); const beats: [number, string][] = [];
  sock.on('message', (m) => { beats.push([performance.now(), m.toString().trim()]); });
  sock.bind(0, '127.0.0.1'); await once(sock, 'listening');
  await machine.run(`mkdir -p /var/lib/reference && echo ${sock.address().port} >/var/lib/reference/beat`);
  await machine.run(`cat >/run/spy.sh <<'END'
while :; do
read a b < /proc/uptime; read w < /proc/1/wchan; read c < /proc/1/comm
read -r x < /proc/1/stat; set -- $x
r=; for p in /proc/[0-9]*; do read -r y < $p/stat 2>/dev/null || continue; case $y in *") R "*) r="$r \${y%%) *}";; esac; done
echo "SPY $a $w u=\${14} s=\${15} R=$r" > /dev/console
sleep 0.15
done
END
systemd-run --unit=spy.service -p DefaultDependencies=no -p IgnoreOnIsolate=yes -p SurviveFinalKillSignal=yes sh /run/spy.sh`);
  const t0 = performance.now();
  const l0 = machine.log.lines.at(-1)?.at ?? 0;
  await update(lab, '2');
  await awaitState(machine, 'idle', UPDATE_MS);
  let gap = 0, at = 0;
  for (let i = 1; i < beats.length; i++) if (beats[i]![0] - beats[i-1]![0] > gap) { gap = beats[i]![0] - beats[i-1]![0]; at = beats[i-1]![0]; }
  const an = await machine.attempt('systemd-analyze; systemd-analyze critical-chain --no-pager reference-beat.service; systemd-analyze blame --no-pager | head -30; for u in $(systemctl list-units --no-legend --plain --all | cut -d" " -f1); do echo "$(systemctl show -p InactiveExitTimestampMonotonic --value $u) $(systemctl show -p ActiveEnterTimestampMonotonic --value $u) $u"; done | sort -n; journalctl -b -o short-monotonic --no-pager -n 700; journalctl -u tandem-jump@* --no-pager | tail -20; dmesg | tail -20', 200_000);
  writeFileSync('/tmp/diag3.txt', [`gap ${gap} from ${at - t0} to ${at - t0 + gap}`, ...machine.log.lines.map((l) => `${((l.at - l0) / 1000).toFixed(2)} ${l.text}`), an.output].join('\n'));
  console.log('gap', gap);
  sock.close();
});
