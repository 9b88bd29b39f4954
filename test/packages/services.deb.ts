/** The services of the packages at work on a running machine: the publisher's timer, the server, and the proxy of its example. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Debian, inDebian } from './debian.ts';
import { packagesToTry } from './made.ts';

let tried: Awaited<ReturnType<typeof packagesToTry>>;
before(async () => {
  tried = await packagesToTry();
});
after(() => tried[Symbol.dispose]());

/** Published by the user to whom the repository belongs, as docs/install.md says. */
const PUBLISH = `
install -d -o tandem-publisher -g tandem-publisher /srv/updates
mkdir -m 700 /root/keys
updatectl repo init --repository /srv/updates --keys /root/keys
chown -R tandem-publisher: /srv/updates
cd /root/keys
install -o tandem-publisher -g tandem-publisher -m 600 timestamp.pem snapshot.pem /etc/tandem-publisher/keys/`;

const install = ({ run }: Debian): Promise<string> => run('dpkg --install /mnt/new/*.deb');
const until = ({ run }: Debian, what: string): Promise<string> =>
  run(`timeout 60 sh -c 'until ${what}; do sleep 0.1; done' || { journalctl -b --no-pager | tail -40; exit 1; }`);

test('the publisher’s timer renews the signatures with keys that only its user can read', () =>
  inDebian('trixie', 'live', tried.path, async (debian) => {
    await install(debian);
    const result = async (): Promise<string> =>
      (await debian.run('systemctl show --property=Result --value tandem-publisher.service')).trim();
    await debian.run('systemctl start tandem-publisher.service');
    assert.equal(await result(), 'exec-condition', 'there is no repository yet');
    await debian.run(PUBLISH);
    assert.equal(await debian.succeeds('setpriv --reuid=nobody --clear-groups ls /etc/tandem-publisher/keys'), false);
    const version = `grep -o '"version": *[0-9]*' /srv/updates/metadata/timestamp.json`;
    const first = await debian.run(version);
    await debian.run('systemctl start tandem-publisher.service');
    assert.equal(await result(), 'success');
    assert.notEqual(await debian.run(version), first);
    assert.match(await debian.run('systemctl list-timers --no-legend'), /tandem-publisher\.timer/);
    // The web server is another user.
    await debian.run('setpriv --reuid=nobody --clear-groups cat /srv/updates/metadata/timestamp.json');
    await debian.run('rm /etc/tandem-publisher/keys/*');
    assert.equal(
      await debian.succeeds('systemctl start tandem-publisher.service'),
      false,
      'a timer that cannot sign fails',
    );
  }));

test('the server serves the repository, comes back when it is killed, and keeps its port for those who ask', () =>
  inDebian('trixie', 'live', tried.path, async (debian) => {
    await install(debian);
    await debian.run(PUBLISH);
    const answered = 'curl --silent --fail --max-time 60 --output /dev/null http://127.0.0.1:8080/metadata/1.root.json';
    await until(debian, answered);
    await debian.run('systemctl kill --signal=KILL tandem-server.service');
    await debian.run(answered);
    await debian.run('systemctl stop tandem-server.service');
    await debian.run(answered);
    assert.equal((await debian.run('systemctl is-active tandem-server.service')).trim(), 'active');
    const dropIn = '/etc/systemd/system/tandem-server.socket.d';
    await debian.run(`
mkdir ${dropIn}
printf '[Socket]\\nListenStream=\\nListenStream=127.0.0.1:8444\\n' >${dropIn}/override.conf
systemctl daemon-reload
systemctl restart tandem-server.socket tandem-server.service`);
    await debian.run(answered.replace('8080', '8444'));
    assert.equal(await debian.succeeds(answered), false, 'the old address is closed');
  }));

test('nginx as in the example passes requests on, over HTTPS, and hosts are known by their own addresses', () =>
  inDebian('trixie', 'live', tried.path, async (debian) => {
    await install(debian);
    await debian.run(`
echo 'OPTIONS="--trust-proxy 127.0.0.1"' >>/etc/default/tandem-server
systemctl restart tandem-server.service
mkdir -p /etc/ssl/updates.example
cd /etc/ssl/updates.example
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout privkey.pem -out fullchain.pem -days 2 -subj /CN=updates.example -addext subjectAltName=DNS:updates.example 2>&1
cp /usr/share/doc/tandem-server/examples/nginx.conf /etc/nginx/conf.d/tandem.conf
nginx -t 2>&1
systemctl restart nginx.service`);
    const ask =
      'curl --silent --show-error --cacert /etc/ssl/updates.example/fullchain.pem --resolve updates.example:443:127.0.0.2 https://updates.example';
    await until(debian, `${ask}/healthz`);
    await until(debian, 'test -s /run/tandem-server/first-tokens');
    const token = 'sed -n "s/^The operator.*: //p" /run/tandem-server/first-tokens';
    const audit = `${ask}/v1/audit -H "Authorization: Bearer $(${token})"`;
    assert.match(await debian.run(audit), /"entries"|\[/);
    await debian.run(
      `${ask}/v1/tokens -H "Authorization: Bearer $(${token})" -H 'content-type: application/json' --data '{"name":"x","role":"viewer"}' --fail --interface 127.0.0.3`,
    );
    assert.match(await debian.run(audit), /127\.0\.0\.3/);
  }));
