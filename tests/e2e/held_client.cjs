// A node pg program whose command is held: `first`, then the statement of WEIR_TEST_SQL with its parameter, then `behind`.  Prints a
// line of JSON: what came of each.  SIGINT cancels what runs, as pg does it: by a connection of its own.
const { Client, Query } = require('pg');

function run(client, text, values, started) {
  return new Promise((resolve) => {
    const query = new Query({ text, values }, (error, result) => resolve(error ? { code: error.code, message: error.message } : { rows: result.rows.map((row) => Object.values(row)) }));
    if (started) started(query);
    client.query(query);
  });
}

async function main() {
  const client = new Client({ ssl: false });
  client.on('error', () => {});
  const notices = [];
  client.on('notice', (notice) => notices.push(notice.message));
  await client.connect();
  let held = null;
  process.on('SIGINT', () => new Client({ ssl: false }).cancel(client, held));
  const seen = { first: await run(client, "select 'first'") };
  const values = process.env.WEIR_TEST_PARAMETER ? [process.env.WEIR_TEST_PARAMETER] : undefined;
  seen.held = await run(client, process.env.WEIR_TEST_SQL, values, (query) => { held = query; });
  seen.behind = await run(client, "select 'behind'");
  seen.notices = notices;
  await client.end();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
