import assert from "node:assert/strict";
import { test } from "node:test";

import { checkStatement, parseStatement, type Shown, type Statement, StatementError, userCodeHash } from "../src/statement";
import { now } from "./vectors";

const shown: Shown = { issuer: "http://localhost:8628", userCode: "BCDF-GHJK", clientId: "my-app", scope: "openid profile", bapId: "itpJCFzZv9WWMcCkvoGQCtBDgQU", resources: [] };

async function statement(change: Partial<Record<keyof Statement, unknown>> = {}): Promise<string> {
  return JSON.stringify({
    v: 1, iss: shown.issuer, purpose: "device-approval", user_code_hash: await userCodeHash("BCDFGHJK"), client_id: shown.clientId,
    scope: shown.scope, bap_id: shown.bapId, nonce: "mzxw6ytboi", iat: now.getTime() / 1000 - 30, exp: now.getTime() / 1000 + 270, ...change,
  });
}

test("a statement that says what was shown is good", async () => {
  const s = await checkStatement(await statement(), shown, now);
  assert.equal(s.client_id, "my-app");
});

test("a statement that says another thing than was shown is not signed", async () => {
  const others: [Partial<Statement>, RegExp][] = [
    [{ iss: "https://evil.example" }, /another server/],
    [{ user_code_hash: await userCodeHash("ZZZZZZZZ") }, /another code/],
    [{ client_id: "your-app" }, /another client/],
    [{ scope: "openid profile wallet:spend" }, /another scope/],
    [{ bap_id: "another" }, /another identity/],
    [{ exp: now.getTime() / 1000 }, /expired/],
    [{ exp: now.getTime() / 1000 + 601 }, /too long/],
    [{ v: 2 }, /version or purpose/],
    [{ purpose: "sign-in" }, /version or purpose/],
  ];
  for (const [change, why] of others) {
    await assert.rejects(checkStatement(await statement(change), shown, now), (e) => e instanceof StatementError && why.test(e.message), JSON.stringify(change));
  }
});

test("a statement that names another resource or an agent than the page showed is not signed", async () => {
  const { bap_id, nonce, iat, exp, ...first } = JSON.parse(await statement()) as Statement;
  const rest = { bap_id, nonce, iat, exp };
  const api = ["https://api.example", "https://other.example"];
  const naming = (resource: string[]): string => JSON.stringify({ ...first, resource, ...rest });
  await checkStatement(naming(api), { ...shown, resources: api }, now);
  for (const [named, seen] of [[api, []], [[], api], [api, api.slice(0, 1)], [api, [...api].reverse()]] as const) {
    const refused = checkStatement(naming([...named]), { ...shown, resources: [...seen] }, now);
    await assert.rejects(refused, (e) => e instanceof StatementError && /another resource/.test(e.message), JSON.stringify([named, seen]));
  }
  const agent = JSON.stringify({ ...first, agent: { name: "a", jkt: "b" }, ...rest });
  await assert.rejects(checkStatement(agent, shown, now), (e) => e instanceof StatementError && /an agent/.test(e.message));
});

test("a statement is read in its one form only", async () => {
  const good = await statement();
  for (const text of [
    "", "null", "[]", "7", good + " ", good.replace("{", "{ "), good.replace('"v":1', '"v":1,"v":1'), good.replace('"v":1', '"v":"1"'), good.replace('"v":1', '"v":1.0'),
    good.replace("my-app", "my\\u002dapp"), good.replace(/}$/, ',"limit":5}'), good.replace('"scope":"openid profile",', ""),
    await statement({ resource: "https://api.example" }), await statement({ agent: { name: "a" } }), await statement({ iat: 1.5 }),
  ]) {
    assert.throws(() => parseStatement(text), StatementError, text);
  }
});

test("a statement with resource and agent is read, in the server's order", async () => {
  const { v, iss, purpose, user_code_hash, client_id, scope, ...rest } = JSON.parse(await statement()) as Statement;
  const text = JSON.stringify({ v, iss, purpose, user_code_hash, client_id, scope, resource: ["https://api.example"], agent: { name: "a", jkt: "b" }, ...rest });
  assert.deepEqual(parseStatement(text).agent, { name: "a", jkt: "b" });
  const moved = JSON.stringify({ ...(JSON.parse(text) as Statement), agent: { jkt: "b", name: "a" } });
  assert.throws(() => parseStatement(moved), StatementError);
});

test("characters that encoders differ in are as the server writes them", async () => {
  const text = (await statement({ client_id: "<&>é\u2028\u007f" })).replace("\u2028", "\\u2028");
  assert.equal(parseStatement(text).client_id, "<&>é\u2028\u007f");
  assert.throws(() => parseStatement(text.replace("<", "\\u003c")), StatementError);
});
