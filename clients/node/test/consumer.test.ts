// The consumer against stand-ins: what it caches, asks, waits for and says.

import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pg from 'pg';
import { Cache } from '../src/cache.js';
import { isOfConnection, type Row } from '../src/database.js';
import { CannotOpen, Closed, Consumer, NotReady, Refused, Removed, Unreachable } from '../src/index.js';
import { Opener } from '../src/keyring.js';
import { tenantOf } from '../src/listener.js';
import { Store } from '../src/store.js';
import { CUSTOMER, newKey, refusal, Stage, seal, token } from './support.js';

const ADA = { userId: 'ada' };
const lost = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

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

  it('is read together with those of all who ask while a read is on its way, in statements that are bounded', async () => {
    const at = await stage();
    for (const id of ['a', 'b']) await at.rotateTo(1, { id });
    const held = gate();
    at.database.gate = held.promise;
    const nobody = Array.from({ length: 600 }, (_, n) => `nobody-${n}`);
    const first = at.consumer.credential('a');
    await at.until(() => at.database.reads.length === 1);
    const others = Promise.allSettled(['b', ...nobody].map((id) => at.consumer.credential(id)));
    held.open();
    assert.equal((await first).externalId, 'a');
    const [b, ...rest] = await others;
    assert.equal(b?.status === 'fulfilled' && b.value.externalId, 'b');
    assert.ok(rest.every((one) => one.status === 'rejected' && one.reason instanceof NotReady));
    assert.deepEqual(
      at.database.reads.map(({ length }) => length),
      [1, 500, 101],
    );
  });

  it('is not asked for where no tenant can have such a name, which would fail the read of all others', async () => {
    const at = await stage();
    for (const name of ['a\0b', 'a\ud800']) await assert.rejects(at.consumer.credential(name), NotReady);
    assert.deepEqual(at.database.reads, []);
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

  it('is not taken back because an unknown user was refused after a restore', async () => {
    const at = await stage();
    await at.rotateTo(1);
    await at.rotateTo(2);
    await at.consumer.credential(CUSTOMER);
    at.database.rows.pop();
    at.taken.delete(`secret 1 of ${CUSTOMER}`);
    const unknown = () => refusal(401, 'OAUTH-5');
    at.answers.push(unknown, unknown);
    await assert.rejects(at.consumer.signIn(CUSTOMER, { subject: 'nobody' }), Refused);
    assert.deepEqual(
      at.requests.map(({ body }) => body.client_secret),
      [2, 1].map((version) => `secret ${version} of ${CUSTOMER}`),
      'the lower one was tried',
    );
    const { sweeps } = at.database;
    await at.until(() => at.database.sweeps > sweeps + 2);
    assert.equal((await at.consumer.signIn(CUSTOMER, ADA)).accessToken, 'a token');
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
    assert.ok(!at.told('rotated'));
  });
});

describe('a refusal', () => {
  /** Qlik's refusal of version 1, which comes after version 2 was taken over. */
  async function late(at: Stage): Promise<{ signIn: Promise<unknown>; refuse: () => void }> {
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    const held = gate();
    at.answers.push(async () => {
      await held.promise;
      return refusal(401, 'OAUTH-5');
    });
    const signIn = at.consumer.signIn(CUSTOMER, ADA);
    await at.until(() => at.requests.length === 1);
    await at.rotateTo(2);
    at.listener.heard?.tenant(CUSTOMER);
    await at.until(() => at.told('rotated'));
    return { signIn, refuse: held.open };
  }

  it('of an older version leads to the one that is held, whatever the database has forgotten', async () => {
    const at = await stage({ poll: 3_600_000 });
    const { signIn, refuse } = await late(at);
    at.database.rows.pop();
    refuse();
    await signIn;
    assert.equal(at.requests.at(-1)?.body.client_secret, `secret 2 of ${CUSTOMER}`);
  });

  it('gives no lower version where a further one came while that was tried', async () => {
    const at = await stage({ poll: 3_600_000 });
    await at.rotateTo(1);
    await at.rotateTo(2);
    await at.consumer.credential(CUSTOMER);
    const newer = at.database.rows.pop();
    const held = gate();
    at.answers.push(
      () => refusal(401, 'OAUTH-5'),
      async () => {
        await held.promise;
        return token();
      },
    );
    const signIn = at.consumer.signIn(CUSTOMER, ADA);
    await at.until(() => at.requests.length === 2);
    if (newer) at.database.rows.push(newer);
    await at.rotateTo(3);
    at.listener.heard?.tenant(CUSTOMER);
    await at.until(() => at.told('rotated'));
    held.open();
    await signIn;
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 3);
  });
});

describe('an acknowledgement', () => {
  /** Tenants that have switched, and whose acknowledgements are due at the same time. */
  async function switched(at: Stage, ids = ['a', 'b', 'c']): Promise<void> {
    for (const id of ids) await at.rotateTo(1, { id });
    for (const id of ids) await at.consumer.credential(id);
    for (const id of ids) await at.rotateTo(2, { id });
    for (const id of ids) at.listener.heard?.tenant(id);
    await at.until(() => at.events.filter(({ event }) => event === 'rotated').length === ids.length);
    at.database.asked.length = 0;
    await Promise.all(ids.map((id) => at.consumer.credential(id)));
  }

  it('holds up nothing that was heard, and no poll', async () => {
    const poll = 3_600_000;
    const at = await stage({ poll });
    const meanwhile = [
      () => at.listener.heard?.tenant('a'),
      () => {
        at.now += poll;
      },
    ];
    at.database.onAcknowledge = () => meanwhile.shift()?.();
    await switched(at);
    await at.until(() => at.database.acknowledged.length === 3);
    assert.deepEqual(at.database.asked, ['acknowledge', 'read', 'acknowledge', 'sweep', 'acknowledge']);
  });

  it('that fails is put off, and neither holds up the others nor is taken for an outage', async () => {
    const at = await stage();
    at.database.onAcknowledge = (id) => {
      if (id === 'a') throw new Error('canceling statement due to lock timeout');
    };
    await switched(at);
    const { sweeps } = at.database;
    await at.until(() => at.database.sweeps > sweeps + 2);
    assert.deepEqual(at.database.acknowledged, [
      ['b', 2],
      ['c', 2],
    ]);
    assert.equal(at.database.asked.filter((what) => what === 'acknowledge').length, 3, 'not before its time');
    assert.ok(!at.told('database_lost'));
    at.database.onAcknowledge = () => {};
    at.now += 60_000;
    await at.until(() => at.database.acknowledged.length === 3);
  });

  it('of a version is made too where it became due while the one before was made', async () => {
    const at = await stage();
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    await at.rotateTo(2);
    await at.until(() => at.told('rotated'));
    at.database.onAcknowledge = async () => {
      at.database.onAcknowledge = () => {};
      await at.rotateTo(3);
      at.taken.delete(`secret 2 of ${CUSTOMER}`);
      await at.consumer.signIn(CUSTOMER, ADA);
    };
    await at.consumer.credential(CUSTOMER);
    await at.until(() => at.database.acknowledged.length === 2);
    assert.deepEqual(at.database.acknowledged, [
      [CUSTOMER, 2],
      [CUSTOMER, 3],
    ]);
  });

  it('is left for later where several fail in a row', async () => {
    const at = await stage({ poll: 3_600_000 });
    at.database.onAcknowledge = () => {
      throw lost();
    };
    await switched(at, ['a', 'b', 'c', 'd', 'e']);
    await at.until(() => at.database.asked.length >= 3);
    at.listener.heard?.up();
    await at.until(() => at.database.asked.length >= 6);
    assert.deepEqual(at.database.asked, [...Array(3).fill('acknowledge'), 'sweep', ...Array(2).fill('acknowledge')]);
  });
});

describe('acknowledgements that wait', () => {
  it('cost the same each, however many there are', async () => {
    const at = await stage();
    let looks = 0;
    let wakes = 0;
    class Counted extends Cache {
      override peek(externalId: string) {
        looks += 1;
        return super.peek(externalId);
      }
    }
    const store = new Store({
      database: at.database,
      opener: new Opener(at.keyring, 5_000, () => 0),
      cache: new Counted(1_000),
      tell: () => {},
      now: () => at.now,
      acknowledgeAfter: 5_000,
      acknowledges: () => {
        wakes += 1;
      },
    });
    const ids = Array.from({ length: 300 }, (_, n) => `customer-${n}`);
    for (const id of ids) for (const version of [1, 2]) await at.rotateTo(version, { id });
    for (const id of ids) {
      await store.credential(id);
      at.now += 1;
    }
    assert.equal(wakes, 1, 'the time of the first is known');
    looks = 0;
    assert.equal(await store.acknowledge(() => false), 5_000);
    assert.ok(looks <= 2, `${looks} were looked at, and none is due`);
    at.now = 5_199;
    assert.equal(await store.acknowledge(() => false), 5_200);
    assert.ok(looks <= 1_000, `${looks} looks for 200 that are due`);
    at.now = 5_299;
    for (let rounds = 0; rounds < 100; rounds += 1) await store.acknowledge(() => true);
    assert.deepEqual(
      at.database.acknowledged,
      ids.map((id) => [id, 2]),
    );
  });

  it('are made in their time also while one that failed is put off', async () => {
    const at = await stage({ poll: 3_600_000 });
    at.database.onAcknowledge = (id) => {
      if (id === 'a') throw new Error('canceling statement due to lock timeout');
    };
    for (const id of ['a', 'b']) {
      for (const version of [1, 2]) await at.rotateTo(version, { id });
      const { length } = at.database.asked;
      await at.consumer.credential(id);
      await at.until(() => at.database.asked.slice(length).includes('acknowledge'));
      // It sleeps until it knows of something.
      await new Promise((done) => setTimeout(done, 10));
    }
    assert.deepEqual(at.database.acknowledged, [['b', 2]]);
  });

  it('are dropped where a further version came before their time', async () => {
    const at = await stage({ acknowledgeAfter: 5_000 });
    await at.rotateTo(1);
    for (const version of [2, 3]) {
      await at.rotateTo(version);
      await at.until(() => version === 2 || at.told('rotated'));
      await at.consumer.credential(CUSTOMER);
    }
    at.now += 5_000;
    await at.until(() => at.told('acknowledged'));
    assert.deepEqual(at.database.acknowledged, [[CUSTOMER, 3]]);
  });
});

describe('a sweep', () => {
  /** A consumer that has cached more than two batches, the last of `ids` most recently. */
  async function filled(): Promise<{ at: Stage; ids: string[] }> {
    const at = await stage({ poll: 3_600_000 });
    const ids = Array.from({ length: 1_001 }, (_, n) => `customer-${n}`);
    const row = await at.row(1);
    const sealed = async (id: string): Promise<Row> => ({ ...row, external_id: id });
    at.database.rows = await Promise.all(ids.map(sealed));
    await Promise.all(ids.map((id) => at.consumer.credential(id)));
    for (const id of ids) await at.consumer.credential(id);
    at.database.asked.length = 0;
    return { at, ids };
  }

  it('begins with the tenants in most use, and handles what is heard between its batches', async () => {
    const { at, ids } = await filled();
    const [oldest = ''] = ids;
    const swept: string[] = [];
    at.database.onSweep = (batch) => {
      swept.push(...batch);
      if (swept.length > 500) return;
      at.database.rows = at.database.rows.filter(({ external_id }) => external_id !== oldest);
      at.listener.heard?.tenant(oldest);
    };
    at.listener.heard?.up();
    await at.until(() => at.database.sweeps === 3);
    assert.deepEqual(swept, [...ids].reverse());
    assert.deepEqual(at.database.asked, ['sweep', 'read', 'sweep', 'sweep']);
    await assert.rejects(at.consumer.credential(oldest), Removed);
  });

  it('ends after the batch at which the consumer is closed', async () => {
    const { at } = await filled();
    let closed: Promise<void> | undefined;
    at.database.onSweep = () => {
      closed ??= at.consumer.close();
    };
    at.listener.heard?.up();
    await at.until(() => closed !== undefined);
    await closed;
    assert.deepEqual(at.database.asked, ['sweep']);
  });
});

describe('many secrets', () => {
  const ids = Array.from({ length: 200 }, (_, n) => `customer-${n}`);

  /** A consumer of so many tenants, and how often the key was taken up for one of their secrets. */
  async function many(): Promise<{ at: Stage; begun: () => number; imports: () => number }> {
    const at = await stage({ poll: 3_600_000 });
    const [key] = at.keyring.keys;
    for (const id of [CUSTOMER, ...ids]) await at.rotateTo(1, { id });
    let begun = 0;
    let imports = 0;
    const { kty, k } = { ...key };
    const counted = (value: unknown, count: () => void) => ({
      get: () => {
        count();
        return value;
      },
    });
    Object.defineProperties(key, { kty: counted(kty, () => (begun += 1)), k: counted(k, () => (imports += 1)) });
    await at.consumer.credential(CUSTOMER);
    begun = 0;
    return { at, begun: () => begun, imports: () => imports };
  }

  it('are opened with a key that is imported once', async () => {
    const { at, imports } = await many();
    const once = imports();
    for (const id of ids.slice(0, 5)) await at.consumer.credential(id);
    assert.ok(once > 0);
    assert.equal(imports(), once);
  });

  it('that are asked for at once are opened a few at a time, and one that fails holds up none', async () => {
    const { at, begun } = await many();
    const sealed = await seal('{}', await newKey('first'));
    for (const row of at.database.rows.slice(1, 21)) row.sealed = sealed;
    let done = 0;
    let most = 0;
    const told = await Promise.allSettled(
      ids.map((id) =>
        at.consumer.credential(id).finally(() => {
          most = Math.max(most, begun() - done);
          done += 1;
        }),
      ),
    );
    assert.ok(most <= 4, `${most} at a time`);
    assert.equal(told.filter(({ status }) => status === 'fulfilled').length, 180);
  });

  it('give way to the event loop, however little there is to do for each', async () => {
    const at = await stage({ keyring: { keys: [{ kty: 'oct', kid: 'first', k: 5 }] } as never });
    for (const id of ids) await at.rotateTo(1, { id });
    let turns = 0;
    let isDone = false;
    const turn = () => {
      turns += 1;
      if (!isDone) setImmediate(turn);
    };
    turn();
    const told = await Promise.allSettled(ids.map((id) => at.consumer.credential(id)));
    isDone = true;
    assert.ok(told.every((one) => one.status === 'rejected' && one.reason instanceof CannotOpen));
    assert.ok(turns >= 40, `${turns} turns for 200 that fail`);
  });

  it('that wait in line are not opened after closing', async () => {
    const { at, begun } = await many();
    const asked = Promise.allSettled(ids.map((id) => at.consumer.credential(id)));
    await at.until(() => begun() > 0);
    await at.consumer.close();
    assert.ok((await asked).some((one) => one.status === 'rejected' && one.reason instanceof Closed));
    const until = begun();
    await new Promise((done) => setTimeout(done, 50));
    assert.equal(begun(), until);
    assert.ok(!at.told('cannot_open'), 'nothing is wrong with them');
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

  it('that a newer read found is not taken back by the first read, which began before it', async () => {
    const at = await stage({ poll: 3_600_000 });
    await at.rotateTo(1, { id: 'other' });
    await at.consumer.credential('other');
    await at.rotateTo(1);
    const held = gate();
    at.database.answerGate = held.promise;
    const late = assert.rejects(at.consumer.credential(CUSTOMER), Removed);
    await at.until(() => at.database.reads.length === 2);
    await new Promise(setImmediate);
    at.database.answerGate = undefined;
    at.database.rows = at.database.rows.filter(({ external_id }) => external_id === 'other');
    at.listener.heard?.tenant(CUSTOMER);
    at.listener.heard?.up();
    await at.until(() => at.database.sweeps === 1);
    held.open();
    await late;
    at.database.fault = lost();
    await assert.rejects(at.consumer.credential(CUSTOMER), Removed);
  });

  it('ends with a new life also while that is not ready, where the status may be read', async () => {
    const at = await stage();
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.database.rows = [];
    await at.until(() => at.told('removed'));
    await assert.rejects(at.consumer.credential(CUSTOMER), Removed);
    at.database.statuses = {};
    await assert.rejects(at.consumer.credential(CUSTOMER), Removed, 'its row was deleted');
    const status = { phase: 'pending', ready: false, reason: 'Queued', message: 'waits', version: null };
    at.database.statuses = { [CUSTOMER]: status };
    await assert.rejects(
      at.consumer.credential(CUSTOMER),
      (error) => error instanceof NotReady && error.reason === 'Queued',
    );
    at.database.statuses = { [CUSTOMER]: { ...status, phase: 'removed' } };
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

  it('is told from many that are not ready in statements that are bounded, as reads are', async () => {
    const at = await stage();
    at.database.statuses = {};
    const asked = Array.from({ length: 1_200 }, (_, n) => at.consumer.credential(`nobody-${n}`));
    const told = await Promise.allSettled(asked);
    assert.ok(told.every((one) => one.status === 'rejected' && /no such tenant/.test(one.reason)));
    assert.ok(at.database.asked.filter((what) => what === 'status').length <= 4);
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

describe('an odd row', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  for (const header of ['5', 'null', '[1]', '{"kid":5}', deep, `{"kid":${deep}}`]) {
    it(`harms itself alone: ${header.slice(0, 9)}`, async () => {
      const at = await stage();
      const sealed = `${Buffer.from(header).toString('base64url')}.a.a.a.a`;
      for (const id of ['odd', CUSTOMER]) {
        await at.rotateTo(1, { id });
        await at.consumer.credential(id);
        await at.rotateTo(2, { id, ...(id === 'odd' && { sealed }) });
      }
      await at.until(() => at.told('rotated') && at.told('cannot_open'));
      assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
      assert.equal((await at.consumer.credential('odd')).version, 1);
      await at.rotateTo(1, { id: 'cold', sealed });
      await assert.rejects(at.consumer.credential('cold'), CannotOpen);
      assert.ok(!at.told('database_lost'));
    });
  }
});

describe('a keyring that is broken', () => {
  const parse = () => JSON.parse('{"keys": [hidden]}');
  const wrap = () => {
    try {
      return parse();
    } catch (cause) {
      throw new AggregateError([new Error('no keyring', { cause })]);
    }
  };
  for (const [how, keyring] of Object.entries({
    'by itself': parse,
    'as the cause of another error': wrap,
    'in another realm': () => runInNewContext('JSON.parse(`{"keys": [hidden]}`)'),
  })) {
    it(`is told without a word of it: ${how}`, async () => {
      const at = await stage({ keyring });
      await at.rotateTo(1);
      await assert.rejects(at.consumer.credential(CUSTOMER), (error) => {
        assert.ok(error instanceof CannotOpen && error.why === 'NoKeyring');
        assert.match(error.message, /it is no JSON/);
        assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }), /hidden/);
        return true;
      });
    });
  }

  it('is told with the words and the cause of what is no parser', async () => {
    const cause = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    const at = await stage({ keyring: () => Promise.reject(cause) });
    await at.rotateTo(1);
    await assert.rejects(
      at.consumer.credential(CUSTOMER),
      (error) => error instanceof CannotOpen && error.cause === cause && /no such file \(ENOENT\)/.test(error.message),
    );
  });

  it('is asked once for all who miss its key, and again after a while', async () => {
    let asked = 0;
    const at = await stage({
      poll: 60_000,
      keyring: () => {
        asked += 1;
        return { keys: [] };
      },
    });
    const ids = Array.from({ length: 20 }, (_, n) => `customer-${n}`);
    for (const id of ids) await at.rotateTo(1, { id });
    const ask = async () => await Promise.allSettled(ids.map((id) => at.consumer.credential(id)));
    await ask();
    await ask();
    assert.equal(asked, 1);
    at.now += 1_000;
    await ask();
    assert.equal(asked, 2);
  });

  it('that is never had holds nobody up for longer than a statement', { timeout: 5_000 }, async () => {
    const at = await stage({ keyring: () => new Promise<never>(() => {}), databaseTimeout: 30 });
    await at.rotateTo(1);
    await assert.rejects(
      at.consumer.credential(CUSTOMER),
      (error) => error instanceof CannotOpen && error.why === 'NoKeyring',
    );
  });

  it('is refused as one whose key opens nothing, whatever is wrong with that', async () => {
    for (const k of ['hid den', 5, null]) {
      const at = await stage({ keyring: { keys: [{ kty: 'oct', kid: 'first', k }] } as never });
      await at.rotateTo(1);
      await assert.rejects(at.consumer.credential(CUSTOMER), (error) => {
        assert.ok(error instanceof CannotOpen && error.why === 'Altered');
        assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }), /hid/);
        return true;
      });
      await at.consumer.close();
    }
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

  it('is told of the secret that does not open, where the one that is held was withdrawn', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    at.taken.clear();
    await at.rotateTo(2, { key: await newKey('second') });
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), Refused, 'it has its row still');
    at.database.rows.shift();
    await assert.rejects(
      at.consumer.signIn(CUSTOMER, ADA),
      (error) => error instanceof CannotOpen && error.version === 2 && error.keyId === 'second',
    );
    const [unopened] = at.database.rows.splice(0);
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), Removed);
    if (unopened) at.database.rows.push(unopened);
    await assert.rejects(at.consumer.credential(CUSTOMER), CannotOpen, 'there is one again');
  });

  it('reads once more also where the refusal is in the words of RFC 6749', async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    await at.rotateTo(2);
    at.answers.push(() => Response.json({ error: 'invalid_client' }, { status: 400 }));
    await at.consumer.signIn(CUSTOMER, ADA);
    assert.equal(at.requests[1]?.body['client_secret'], 'secret 2 of customer-42');
  });

  const NOON = 'Sun, 01 Mar 2026 12:00:00 GMT';
  for (const [headers, wait] of [
    [{ 'retry-after': '17' }, 17],
    [{ 'retry-after': 'Sun, 01 Mar 2026 12:01:30 GMT', date: NOON }, 90],
    [{ 'retry-after': NOON, date: NOON }, 0],
    // This machine's clock may be wrong: a date alone says nothing.
    [{ 'retry-after': NOON }, undefined],
    [{ 'retry-after': 'Sun, 01 Mar 2026 11:59:59 GMT', date: NOON }, undefined],
    [{ 'retry-after': 'Mon, 01 Mar 2027 12:00:00 GMT', date: NOON }, undefined],
    [{ 'retry-after': 'soon', date: NOON }, undefined],
    [{ 'retry-after': '-1', date: NOON }, undefined],
    [{ 'retry-after': '12345678', date: NOON }, undefined],
    [{}, undefined],
  ] as [Record<string, string>, number | undefined][]) {
    it(`that is throttled says for how long: ${JSON.stringify(headers)}`, async () => {
      const at = await stage();
      await at.rotateTo(1);
      at.answers.push(() => refusal(429, 'THROTTLED', headers));
      await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), (error) => {
        assert.ok(error instanceof Refused);
        assert.equal(error.retryAfter, wait);
        return true;
      });
      assert.equal(at.database.reads.length, 1);
    });
  }

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

  it('is asked once where the answer is longer than any of Qlik', async () => {
    const at = await stage();
    await at.rotateTo(1);
    at.answers.push(() => new Response('x'.repeat(300_000)));
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), /too long/);
    assert.equal(at.requests.length, 1);
  });

  it('is of one user', async () => {
    const at = await stage();
    await at.rotateTo(1);
    for (const user of [{}, { subject: '' }, { subject: 5 }, { subject: 'ada', userId: 'u' }]) {
      await assert.rejects(at.consumer.signIn(CUSTOMER, user as never), /one of userId and subject/);
    }
    await at.consumer.signIn(CUSTOMER, { subject: 'ada', userId: undefined } as never);
    assert.equal(at.requests.length, 1);
  });

  it('leaves nothing behind, however long its consumer lives', { timeout: 60_000 }, async () => {
    const at = await stage({ poll: 60_000 });
    await at.rotateTo(1);
    const calls = async (count: number) => {
      for (let n = 0; n < count; n += 1) {
        await at.consumer.credential(CUSTOMER, { signal: new AbortController().signal });
      }
      await new Promise((done) => setTimeout(done, 50));
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = await calls(10_000);
    const grown = (await calls(50_000)) - before;
    assert.ok(grown < 1_000_000, `${grown} bytes of 50,000 calls are kept`);
  });

  it('that breaks leaves nothing of the request in its error', async () => {
    const fetch: typeof globalThis.fetch = async (_, init) => {
      throw Object.assign(new Error('broken'), { config: { data: init?.body } });
    };
    const at = await stage({ fetch });
    await at.rotateTo(1);
    await assert.rejects(at.consumer.signIn(CUSTOMER, ADA), (error) => {
      assert.match(`${error}`, /Qlik cannot be reached: broken/);
      assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }), /secret 1/);
      return error instanceof Unreachable;
    });
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
    for (const none of [{}, { expires_in: 1e300 }, { expires_at: 'soon' }]) {
      at.answers.push(() => token(none));
      assert.equal((await at.consumer.signIn(CUSTOMER, ADA)).expiresAt, undefined);
    }
  });
});

/** A server that takes every connection and says nothing. */
async function silentServer(): Promise<{ port: number; connections: () => number; close: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: (server.address() as AddressInfo).port, connections: () => sockets.size, close };
}

describe('closing', () => {
  it('does not wait for a server that hangs', { timeout: 10_000 }, async () => {
    const server = await silentServer();
    const database = `postgres://u@127.0.0.1:${server.port}/db`;
    const consumer = new Consumer({ database, keyring: { keys: [] }, databaseTimeout: 60_000 });
    const waiting = assert.rejects(consumer.credential(CUSTOMER), Closed);
    while (server.connections() < 2) await new Promise((done) => setTimeout(done, 5));
    await consumer.close();
    await waiting;
    server.close();
  });

  it('ends every wait, and whoever asks afterwards is told', async () => {
    const at = await stage();
    await at.rotateTo(1);
    at.database.gate = gate().promise;
    const waiting = at.consumer.credential(CUSTOMER);
    let why: unknown;
    waiting.catch((error) => {
      why = error;
    });
    await at.consumer.close();
    assert.ok(why instanceof Closed, 'when it is closed all have their answer');
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
    for (const poll of [0, Number.NaN, 2 ** 31]) assert.throws(() => new Consumer({ ...good, poll }), /poll/);
    assert.throws(() => new Consumer({ ...good, database: undefined as never }), /the database is missing/);
    assert.throws(() => new Consumer({ ...good, acknowledgeAfter: -1 }), /acknowledgeAfter/);
    assert.throws(() => new Consumer({ ...good, keyring: {} as never }), /JWK Set/);
  });

  it('with an address that cannot be read are refused without a word of it', () => {
    const hidden = ['u:hid/den@host/db', 'u:12/hid@host/db', 'u:12?hid@host/db', 'u:12#hid@host/db', '[hidden', '%ff:hid@host'];
    for (const database of ['host=db user=u password=hidden', ...hidden.map((rest) => `postgres://${rest}`)]) {
      for (const given of [{ database }, { database: { connectionString: database } }]) {
        assert.throws(
          () => new Consumer({ ...given, keyring: { keys: [] } }),
          (error) => {
            assert.match(`${error}`, /address of the database/);
            assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }).split('\n    at ')[0] ?? '', /hid/);
            return error instanceof TypeError;
          },
        );
      }
    }
    const good = ['postgresql://u:p%2Fss@host:6432/db?sslmode=disable', 'postgres://host/db?user=u@server'];
    for (const database of [...good, '/run/postgresql tenantd']) new Consumer({ database, keyring: { keys: [] } });
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

describe('a listener of events', () => {
  it('that is asynchronous and rejects harms nobody, and is warned of', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on('warning', warned);
    const at = await stage({
      onEvent: async () => {
        throw new Error('of the app, later');
      },
    });
    await at.rotateTo(1);
    await at.consumer.credential(CUSTOMER);
    await at.rotateTo(2);
    await at.until(() => warnings.some(({ message }) => message === 'onEvent threw: Error: of the app, later'));
    process.off('warning', warned);
    assert.equal((await at.consumer.credential(CUSTOMER)).version, 2);
  });
});

describe('a notification', () => {
  it('is of the tenant that it names, and of nobody where it is none of the contract', () => {
    assert.equal(tenantOf('{"external_id": "customer-42", "event": "x"}'), CUSTOMER);
    const deep = '['.repeat(8_000);
    for (const payload of [undefined, '', 'hello', 'null', '5', '[]', '{}', '{"external_id": 5}', deep]) {
      assert.equal(tenantOf(payload), undefined);
    }
  });
});

describe('a statement', () => {
  it('is repeated where the connection failed, and not where the server refused it', () => {
    const said = (code: string) => Object.assign(new pg.DatabaseError('no', 2, 'error'), { code });
    for (const code of ['EPIPE', 'ECONNRESET', undefined]) {
      assert.ok(isOfConnection(Object.assign(new Error('lost'), { code })), code);
    }
    for (const code of ['08006', '57P01']) assert.ok(isOfConnection(said(code)), code);
    for (const code of ['42P01', 'P0002', '57014']) assert.ok(!isOfConnection(said(code)), code);
  });
});
