// Ory Hydra on SQLite, as its quick start sets it up, with one client that authenticates
// by HTTP Basic. Who signs in and consents is its deployer's to write: here each request
// is accepted at its admin interface at once, as the person "owner".
//
//   node hydra.mjs PROGRAM DIRECTORY
//
// prints "version …", "client …", "secret …", a "refresh …" for each of 32 grants, "access …",
// "admin ORIGIN" and, once it serves, "listening ORIGIN".
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";

const [program, directory] = process.argv.slice(2);
const redirect = "http://127.0.0.1:9/callback"; // nobody listens there: only the address is read

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function json(address, method = "GET", body) {
  const answer = await fetch(address, { method, body: body && JSON.stringify(body), headers: { "content-type": "application/json" } });
  if (!answer.ok) throw new Error(`${method} ${new URL(address).pathname}: ${answer.status}`);
  return answer.json();
}

const [port, adminPort] = [await freePort(), await freePort()];
const origin = `http://127.0.0.1:${port}`;
const admin = `http://127.0.0.1:${adminPort}`;
const env = {
  ...process.env,
  DSN: `sqlite://${join(directory, "hydra.db")}?_fk=true&mode=rwc&_journal_mode=WAL&_sync=FULL&_busy_timeout=10000`,
  SERVE_PUBLIC_HOST: "127.0.0.1",
  SERVE_PUBLIC_PORT: String(port),
  SERVE_ADMIN_HOST: "127.0.0.1",
  SERVE_ADMIN_PORT: String(adminPort),
  SERVE_PUBLIC_REQUEST_LOG_DISABLE_FOR_HEALTH: "true",
  URLS_SELF_ISSUER: origin,
  URLS_LOGIN: `${origin}/login`, // only the challenge in its query is read
  URLS_CONSENT: `${origin}/consent`,
  SECRETS_SYSTEM: randomBytes(24).toString("hex"),
  LOG_LEVEL: "error",
  SQA_OPT_OUT: "true",
};
execFileSync(program, ["migrate", "sql", "-e", "--yes"], { env, stdio: ["ignore", "ignore", "inherit"] });
const server = spawn(program, ["serve", "all", "--dev"], { env, stdio: ["ignore", "ignore", "inherit"] });
process.on("SIGTERM", () => server.kill("SIGKILL"));
server.on("exit", () => process.exit(143));
for (let tries = 0; ; tries++) {
  const ready = await fetch(`${admin}/health/ready`).catch(() => undefined);
  if (ready?.ok) break;
  if (tries > 300) throw new Error("it is not ready");
  await new Promise((resolve) => setTimeout(resolve, 50));
}

const client = await json(`${admin}/admin/clients`, "POST", {
  redirect_uris: [redirect],
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
  scope: "openid offline_access",
  token_endpoint_auth_method: "client_secret_basic",
});

// follow goes where a browser is sent, with its cookies, until it leaves or arrives at a
// page that its deployer would have written.
async function follow(address, cookies) {
  for (;;) {
    const answer = await fetch(address, { redirect: "manual", headers: { cookie: [...cookies].map((pair) => pair.join("=")).join("; ") } });
    for (const line of answer.headers.getSetCookie()) {
      const [name, ...value] = line.split(";", 1)[0].split("=");
      cookies.set(name, value.join("="));
    }
    const to = new URL(answer.headers.get("location") ?? "", address);
    if (to.href.startsWith(redirect) || to.pathname === "/login" || to.pathname === "/consent") return to;
    if (answer.status < 300 || answer.status > 399) throw new Error(`${to.pathname}: ${answer.status}`);
    address = to.href;
  }
}

async function accept(kind, to, body) {
  const query = `${kind}_challenge=${encodeURIComponent(to.searchParams.get(`${kind}_challenge`))}`;
  const { redirect_to } = await json(`${admin}/admin/oauth2/auth/requests/${kind}/accept?${query}`, "PUT", body);
  return redirect_to;
}

async function grant() {
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirect,
    response_type: "code",
    scope: "openid offline_access",
    state: randomBytes(16).toString("hex"),
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  const cookies = new Map();
  const login = await follow(`${origin}/oauth2/auth?${query}`, cookies);
  const consent = await follow(await accept("login", login, { subject: "owner" }), cookies);
  const back = await follow(await accept("consent", consent, { grant_scope: ["openid", "offline_access"] }), cookies);
  const answer = await fetch(`${origin}/oauth2/token`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa(`${encodeURIComponent(client.client_id)}:${encodeURIComponent(client.client_secret)}`)}` },
    body: new URLSearchParams({ grant_type: "authorization_code", code: back.searchParams.get("code"), redirect_uri: redirect, code_verifier: verifier }),
  });
  if (!answer.ok) throw new Error(`token: ${answer.status}`);
  return answer.json();
}

const version = execFileSync("go", ["list", "-m", "-f", "{{.Version}}", "github.com/ory/hydra/v2"], { cwd: new URL("hydra", import.meta.url), encoding: "utf8" });
console.log(`version Hydra ${version.trim()}`);
console.log(`client ${client.client_id}`);
console.log(`secret ${client.client_secret}`);
let tokens;
for (let i = 0; i < 32; i++) {
  tokens = await grant();
  console.log(`refresh ${tokens.refresh_token}`);
}
console.log(`access ${tokens.access_token}`);
console.log(`admin ${admin}`);
console.log(`listening ${origin}`);
