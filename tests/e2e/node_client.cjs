// An ordinary node pg program: what it sees is printed as JSON, and compared by the case that runs it.
const { Client } = require('pg');

async function code(promise) {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return error.code;
  }
}

async function main() {
  const ssl = process.env.WEIR_TEST_TLS ? { rejectUnauthorized: false } : false;
  const client = new Client({ ssl });
  await client.connect();
  const seen = {};
  seen.parameter = (await client.query('select $1::int + 1 as n', [41])).rows[0].n;
  seen.named = [];
  for (const n of [1, 2, 3]) {
    seen.named.push((await client.query({ name: 'give-back', text: 'select $1::int as n', values: [n] })).rows[0].n);
  }
  seen.count = Number((await client.query('select count(*) as n from scratch')).rows[0].n);
  seen.failed = await code(client.query('select 1 / $1::int', [0]));
  seen.blocked = await code(client.query('delete from scratch'));
  seen.after = (await client.query("select 'fine' as word")).rows[0].word;
  await client.query('begin');
  await client.query('insert into scratch values ($1, $2)', [9001, 'from node']);
  await client.query('rollback');
  seen.rolled_back = Number((await client.query('select count(*) as n from scratch where id = 9001')).rows[0].n);
  seen.large = (await client.query('select i, md5(i::text) from generate_series(1, 20000) as i')).rows.length;
  await client.end();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
