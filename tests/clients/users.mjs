// Makes a user in each tenant of the simulated Qlik Cloud, and says whom: JSON on stdout.
//
//   node users.mjs https://ADDRESS COUNT

const [, , address, count] = process.argv;
const tenants = [];
for (let n = 1; n <= Number(count); n += 1) {
  const host = `t${n}.us.qlikcloud.com`;
  const body = JSON.stringify({ host, subject: 'ada', name: 'Ada Lovelace' });
  const answer = await fetch(`${address}/__simulator/users`, { method: 'POST', body });
  if (answer.status !== 201) throw new Error(`the simulator makes no user: status ${answer.status}`);
  tenants.push({ external_id: `customer-${n}`, host, user_id: (await answer.json()).id });
}
console.log(JSON.stringify(tenants));
