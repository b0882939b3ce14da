// The consumer against stand-ins: what it caches, asks, waits for and says.

import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { CannotOpen, Closed, Consumer, NotReady, Refused, Removed, Unreachable } from '../src/index.js';
import { CUSTOMER, newKey, refusal, Stage, token } from './support.js';

const ADA = { userId: 'ada' };
const lost = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

let open: Stage | undefined;
async function stage(options: Parameters<typeof Stage.open>[0] = {}): Promise<Stage> {
  open = await Stage.open(options);
  return open;
}
afterEach(async () => {
  await open?.consumer.close();
});

/** A promise, and what fulfils it. */
function gate(): { open: () => void; promise: Promise<void> } {
  let done = () => {};
  const promise = new Promise<void>((resolve) => {
    done = resolve;
  });
  return { open: () => done(), promise };
}

describe('a credential', () => {
  it('is read and opened once, and then cached', async () => {
    const at = await stage();
    await at.rotateTo(1);
    const first = await at.consumer.credential(CUSTOMER);
    assert.equal(first.clientSecret, 'secret 1 of customer-42');
    assert.equal(await at.consumer.credential(CUSTOMER), first);
    assert.equal(at.database.reads.length, 1);
  });

  it('is read once for all who ask at the same time', async () => {
    const at = await stage();
    await at.rotateTo(1);
    const held = gate();
    at.database.gate = held.promise;
    const asked = Array.from({ length: 50 }, () => at.consumer.credential(CUSTOMER));
    held.open();
    assert.equal(new Set(await Promise.all(asked)).size, 1);
    assert.equal(at.database.reads.length, 1);
  });

  it('is asked for again after a read that failed', async () => {
    const at = await stage();
    await at.rotateTo(1);
    at.database.fault = lost();
    await assert.rejects(at.consumer.credential(CUSTOMER), (error) => {
      assert.ok(error instanceof Unreachable);
      assert.equal(error.what, 'database');
      assert.match(error.message, /ECONNREFUSED/);
      return true;
    });
    at.database.fault = undefined;
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 1);
  });

  it('shows its secret to nobody who does not ask for it', async () => {
    const at = await stage();
    await at.rotateTo(1);
    const credential = await at.consumer.credential(CUSTOMER);
    const signIn = await at.consumer.signIn(CUSTOMER, ADA);
    for (const shown of [
      inspect({ credential, signIn }, { depth: 9, showHidden: true }),
      JSON.stringify([credential, signIn]),
    ]) {
      assert.doesNotMatch(shown, /secret 1|a token/);
      assert.match(shown, /redacted/);
    }
    assert.doesNotMatch(`${credential}${Object.values(credential)}`, /secret 1/);
  });

  it('of those asked for longest ago leaves a full cache first', async () => {
    const at = await stage({ cacheSize: 2 });
    for (const id of ['a', 'b', 'c']) await at.rotateTo(1, { id });
    for (const id of ['a', 'b', 'a', 'c', 'a']) await at.consumer.credential(id);
    assert.deepEqual(at.database.reads, [['a'], ['b'], ['c']]);
    await at.consumer.credential('b');
    assert.deepEqual(at.database.reads.at(-1), ['b']);
  });
});

describe('a rotation', () => {
  it('is followed when it is heard of', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    await at.rotateTo(2);
    at.listener.heard?.tenant(CUSTOMER);
    await at.until(() => at.told('rotated'));
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
  });

  it('is followed by polling alone', async () => {
    const at = await stage({ listen: false });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    await at.rotateTo(2);
    await at.until(() => at.told('rotated'));
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
    assert.equal(at.listener.heard, undefined);
  });

  it('that was missed while nobody listened is found when it listens again', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.listener.heard?.down(lost());
    await at.rotateTo(2);
    at.listener.heard?.up();
    await at.until(() => at.told('rotated'));
    assert.deepEqual(
      at.events.map(({ event }) => event),
      ['listen_lost', 'listening', 'rotated'],
    );
  });

  it('that is heard of during a first read is not hidden by what that read saw', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    const held = gate();
    at.database.answerGate = held.promise;
    const early = at.consumer.credential(CUSTOMER);
    await at.until(() => at.database.reads.length === 1);
    await at.rotateTo(2);
    at.database.answerGate = undefined;
    at.listener.heard?.tenant(CUSTOMER);
    at.listener.heard?.up();
    await at.until(() => at.database.sweeps === 1);
    held.open();
    await early;
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
  });

  it('is acknowledged once, after its first use and not before the others had time to switch', async () => {
    const at = await stage({ acknowledgeAfter: 5_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    await at.rotateTo(2);
    await at.until(() => at.told('rotated'));
    at.now += 60_000;
    const { sweeps } = at.database;
    await at.until(() => at.database.sweeps > sweeps + 1);
    assert.deepEqual(at.database.acknowledged, [], 'nobody has used it yet');

    await at.consumer.credential(CUSTOMER);
    const since = at.database.sweeps;
    await at.until(() => at.database.sweeps > since + 1);
    assert.deepEqual(at.database.acknowledged, [], 'the others may not have switched');

    at.now += 5_000;
    await at.until(() => at.told('acknowledged'));
    const { length } = at.database.reads;
    at.listener.heard?.tenant(CUSTOMER);
    await at.until(() => at.database.reads.length > length);
    await at.consumer.credential(CUSTOMER);
    const later = at.database.sweeps;
    await at.until(() => at.database.sweeps > later + 1);
    assert.deepEqual(at.database.acknowledged, [[CUSTOMER, 2]]);
  });

  it('is not acknowledged where that was not wanted, or where no older version lives', async () => {
    const at = await stage({ acknowledgeAfter: null });
    await at.rotateTo(1);
    await at.rotateTo(2);
    await at.consumer.credential(CUSTOMER);
    const other = await Stage.open();
    await other.rotateTo(7);
    await other.consumer.credential(CUSTOMER);
    await at.until(() => at.database.sweeps > 2 && other.database.sweeps > 2);
    await other.consumer.close();
    assert.deepEqual([...at.database.acknowledged, ...other.database.acknowledged], []);
  });

  it('never leads back to a lower version that Qlik did not take instead', async () => {
    const at = await stage();
    await at.rotateTo(1);
    await at.rotateTo(2);
    await at.consumer.credential(CUSTOMER);
    const newer = at.database.rows.pop();
    const { sweeps } = at.database;
    await at.until(() => at.database.sweeps > sweeps + 2);
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2, 'a database that forgot is not believed');

    at.taken.delete(`secret ${newer?.version} of ${CUSTOMER}`);
    await at.consumer.signIn(CUSTOMER, ADA);
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 1);
  });
});

describe('an outage of the database', () => {
  it('does not keep a cached credential from serving, and is told once', async () => {
    const at = await stage();
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.database.fault = lost();
    await at.until(() => at.told('database_lost'));
    assert.equal((await at.consumer.signIn(CUSTOMER, ADA)).host, 'customer-42.us.qlikcloud.com');
    await at.rotateTo(2);
    at.database.fault = undefined;
    await at.until(() => at.told('rotated'));
    await at.until(() => at.told('database_back'));
    assert.equal(at.events.filter(({ event }) => event === 'database_lost').length, 1);
  });

  it('is looked at after a backoff, however often it is woken meanwhile', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.database.fault = lost();
    at.listener.heard?.tenant(CUSTOMER);
    await at.until(() => at.told('database_lost'));
    const { length } = at.database.reads;
    for (let n = 0; n < 100; n += 1) {
      at.listener.heard?.tenant(CUSTOMER);
      await new Promise(setImmediate);
    }
    assert.equal(at.database.reads.length, length);
  });

  it('with a secret that Qlik refuses says that the database is missed', async () => {
    const at = await stage();
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.database.fault = lost();
    at.taken.clear();
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), (error) => {
      assert.ok(error instanceof Unreachable && error.what === 'database' && error.cause instanceof Refused);
      return true;
    });
  });
});

describe('a removal', () => {
  it('that a poll finds takes effect at once, and also while the database is away', async () => {
    const at = await stage();
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.database.rows = [];
    await at.until(() => at.told('removed'));
    await assert.rejects(at.consumer.credential(CUSTOMER), Removed);
    at.database.fault = lost();
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), Removed);
    assert.equal(at.requests.length, 0);
  });

  it('that Qlik knows of first is found by the read after its refusal', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.database.rows = [];
    at.taken.clear();
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), Removed);
    assert.equal(at.requests.length, 1);
  });

  it('is not taken back by a read that began before it', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.taken.clear();
    const held = gate();
    at.database.answerGate = held.promise;
    const late = assert.rejects(at.consumer.signIn(CUSTOMER, ADA), Removed);
    await at.until(() => at.database.reads.length === 2);
    await new Promise(setImmediate);
    at.database.rows = [];
    at.listener.heard?.up();
    await at.until(() => at.told('removed'));
    held.open();
    await late;
    at.database.fault = lost();
    await assert.rejects(at.consumer.credential(CUSTOMER), Removed);
  });

  it('ends with a new life', async () => {
    const at = await stage();
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.database.rows = [];
    await at.until(() => at.told('removed'));
    await at.rotateTo(2);
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
  });

  it('is told from a tenant that is not ready, where the status may be read', async () => {
    const at = await stage();
    const status = { phase: 'creating', ready: false, reason: 'Retrying', message: 'waits', version: null };
    await assert.rejects(
      at.consumer.credential('nobody'),
      (error) => error instanceof NotReady && error.reason === undefined,
    );
    at.database.statuses = {
      new: status,
      leaving: { ...status, phase: 'ready', reason: 'AwaitingBudget', version: 3 },
      gone: { ...status, phase: 'removed', reason: 'Removed' },
    };
    await assert.rejects(
      at.consumer.credential('new'),
      (error) => error instanceof NotReady && error.reason === 'Retrying',
    );
    await assert.rejects(at.consumer.credential('leaving'), Removed);
    await assert.rejects(at.consumer.credential('gone'), Removed);
    await assert.rejects(at.consumer.credential('nobody'), /no such tenant/);
  });
});

describe('a secret that does not open', () => {
  it('names the key that is missing', async () => {
    const at = await stage();
    await at.rotateTo(1, { key: await newKey('second') });
    await assert.rejects(at.consumer.credential(CUSTOMER), (error) => {
      assert.ok(error instanceof CannotOpen);
      assert.deepEqual([error.why, error.keyId, error.version], ['NoKey', 'second', 1]);
      return true;
    });
  });

  it('opens as soon as the keyring has its key, and the older one serves until then', async () => {
    const second = await newKey('second');
    const keys = [await newKey('unused')];
    let asked = 0;
    const at = await stage({
      keyring: () => {
        asked += 1;
        return { keys: [...keys] };
      },
    });
    keys.push(...at.keyring.keys);
    await at.rotateTo(1);
    await at.rotateTo(2, { key: second });
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 1);
    assert.ok(at.told('cannot_open'));
    await at.until(() => at.database.sweeps > 2);
    assert.deepEqual(at.database.acknowledged, [], 'a version that is not used is not acknowledged');
    assert.equal(at.events.filter(({ event }) => event === 'cannot_open').length, 1);
    keys.push(second);
    await at.until(() => at.told('rotated'));
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
    assert.ok(asked > 1);
  });

  it('is refused with another key of that name', async () => {
    const at = await stage();
    await at.rotateTo(1, { key: await newKey('first') });
    await assert.rejects(
      at.consumer.credential(CUSTOMER),
      (error) => error instanceof CannotOpen && error.why === 'Altered',
    );
  });

  it('is refused where it was sealed for another tenant', async () => {
    for (const name of ['tenant_id', 'host', 'client_id'] as const) {
      const at = await stage();
      const own = await at.row(1);
      const plain = { tenant_id: own.tenant_id, host: own.host, client_id: own.client_id, client_secret: 's' };
      await at.rotateTo(1, { plain: { ...plain, [name]: 'of another' } });
      await assert.rejects(at.consumer.credential(CUSTOMER), (error) => {
        assert.ok(error instanceof CannotOpen);
        assert.deepEqual([error.why, error.message.includes(name)], ['Moved', true]);
        return true;
      });
      await at.consumer.close();
    }
  });

  it('is refused where it holds no secret, without a word of what it holds', async () => {
    for (const plain of ['not json: hidden', JSON.stringify('hidden'), 'null']) {
      const at = await stage();
      await at.rotateTo(1, { plain });
      await assert.rejects(at.consumer.credential(CUSTOMER), (error) => {
        assert.ok(error instanceof CannotOpen);
        assert.doesNotMatch(inspect(error, { depth: 9 }), /hidden/);
        return true;
      });
      await at.consumer.close();
    }
    const at = await stage();
    await at.rotateTo(1);
    for (const row of at.database.rows) row.sealed = 'hidden.in.no.jwe.at.all';
    await assert.rejects(
      at.consumer.credential(CUSTOMER),
      (error) => error instanceof CannotOpen && error.why === 'Altered',
    );
  });
});

describe('a sign-in', () => {
  it('asks the tenant for its user, and for nothing else', async () => {
    const at = await stage();
    await at.rotateTo(1);
    const signIn = await at.consumer.signIn(CUSTOMER, { subject: 'ada' }, { scope: 'user_default' });
    assert.equal(signIn.accessToken, 'a token');
    assert.deepEqual(at.requests, [
      {
        url: 'https://customer-42.us.qlikcloud.com/oauth/token',
        body: {
          client_id: 'client of customer-42',
          client_secret: 'secret 1 of customer-42',
          grant_type: 'urn:qlik:oauth:user-impersonation',
          user_lookup: { field: 'subject', value: 'ada' },
          scope: 'user_default',
        },
      },
    ]);
  });

  it('that meets a rotation reads the credential once more, and works', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.taken.clear();
    await at.rotateTo(2);
    assert.equal((await at.consumer.signIn(CUSTOMER, ADA)).accessToken, 'a token');
    assert.equal(at.database.reads.length, 2);
    assert.equal(at.requests.length, 2);
  });

  it('is refused where there is no newer credential, and asked no second time', async () => {
    const at = await stage();
    await at.rotateTo(1);
    at.taken.clear();
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), (error) => {
      assert.ok(error instanceof Refused);
      assert.deepEqual([error.status, error.codes, error.traceId], [401, ['OAUTH-5'], 'e6f75ad8']);
      return true;
    });
    assert.equal(at.requests.length, 1);
  });

  it('that is throttled says for how long', async () => {
    const at = await stage();
    await at.rotateTo(1);
    at.answers.push(() => refusal(429, 'THROTTLED', { 'retry-after': '17' }));
    await assert.rejects(
      at.consumer.signIn(CUSTOMER, ADA),
      (error) => error instanceof Refused && error.retryAfter === 17,
    );
    assert.equal(at.database.reads.length, 1);
  });

  it('follows no redirect with the secret', async () => {
    const at = await stage();
    await at.rotateTo(1);
    at.answers.push(() => new Response(null, { status: 307, headers: { location: 'https://elsewhere.example/' } }));
    await assert.rejects(
      at.consumer.signIn(CUSTOMER, ADA),
      (error) => error instanceof Refused && error.status === 307,
    );
    assert.equal(at.requests.length, 1);
  });

  it('is asked once more where a connection broke, and no more than that', async () => {
    const at = await stage();
    await at.rotateTo(1);
    const broken = () =>
      Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error(''), { code: 'ECONNRESET' }) }));
    at.answers.push(broken);
    await at.consumer.signIn(CUSTOMER, ADA);
    at.answers.push(broken, broken);
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), (error) => {
      assert.ok(error instanceof Unreachable && error.what === 'qlik');
      return true;
    });
  });

  it('gives up when Qlik does not answer, errs, or answers what nobody can read', async () => {
    const at = await stage({ qlikTimeout: 30 });
    await at.rotateTo(1);
    for (const answer of [
      () => new Promise<Response>(() => {}),
      () => refusal(503, 'X'),
      () => new Response('<html>', { status: 200 }),
      () => token({ access_token: '' }),
    ]) {
      at.answers.push(answer);
      await assert.rejects(
        at.consumer.signIn(CUSTOMER, ADA),
        (error) => error instanceof Unreachable && error.what === 'qlik',
      );
    }
  });

  it('knows when the token ends, whatever this machine takes the time to be', async () => {
    const at = await stage();
    await at.rotateTo(1);
    const inAnHour = async (answer: Response) => {
      at.answers.push(() => answer);
      const { expiresAt } = await at.consumer.signIn(CUSTOMER, ADA);
      return Math.round(((expiresAt?.getTime() ?? 0) - Date.now()) / 60_000);
    };
    // Qlik's clock is years away from ours.
    const theirs = { expires_at: '2031-05-01T16:00:00.000Z' };
    const date = 'Thu, 01 May 2031 15:00:00 GMT';
    assert.equal(await inAnHour(token({ expires_in: 3600, ...theirs }, { date })), 60);
    assert.equal(await inAnHour(token(theirs, { date })), 60);
    at.answers.push(() => token({}));
    assert.equal((await at.consumer.signIn(CUSTOMER, ADA)).expiresAt, undefined);
  });
});

describe('closing', () => {
  it('ends every wait, and whoever asks afterwards is told', async () => {
    const at = await stage();
    await at.rotateTo(1);
    at.database.gate = gate().promise;
    const waiting = at.consumer.credential(CUSTOMER);
    const refused = assert.rejects(waiting, Closed);
    await at.consumer.close();
    await refused;
    await assert.rejects(at.consumer.credential(CUSTOMER), Closed);
    assert.ok(at.database.closed && at.listener.heard === undefined);
    await at.consumer.close();
  });

  it('is not needed for one caller to leave while the others go on waiting', async () => {
    const at = await stage();
    await at.rotateTo(1);
    const held = gate();
    at.database.gate = held.promise;
    const leaves = new AbortController();
    const left = at.consumer.credential(CUSTOMER, { signal: leaves.signal });
    const stays = at.consumer.credential(CUSTOMER);
    leaves.abort(new Error('enough'));
    await assert.rejects(left, /enough/);
    held.open();
    assert.equal((await stays).version, 1);
  });

  it('is done by a consumer that was never asked anything', async () => {
    await new Consumer({ database: 'postgres://nowhere', keyring: { keys: [] } }).close();
  });
});

describe('options', () => {
  it('that cannot be are refused at once', () => {
    const good = { database: 'postgres://nowhere', keyring: { keys: [] } };
    assert.throws(() => new Consumer({ ...good, poll: 0 }), /poll/);
    assert.throws(() => new Consumer({ ...good, acknowledgeAfter: -1 }), /acknowledgeAfter/);
    assert.throws(() => new Consumer({ ...good, keyring: {} as never }), /JWK Set/);
  });

  it('of a listener that throws harm nobody', async () => {
    const at = await stage({
      onEvent: () => {
        throw new Error('of the app');
      },
    });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    await at.rotateTo(2);
    await at.until(() => at.database.sweeps > 3);
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
  });
});
