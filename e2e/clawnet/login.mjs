// `clawnet login`, its own code, at our server: its authority's address is written into it, so
// that what it asks there is asked here. It is told as the other clients' runs are.
import { register } from "node:module";

register("./typescript.mjs", import.meta.url);
const { login } = await import("./node_modules/clawnet/src/commands/login.ts");
const { SIGMA_AUTH_URL } = await import("./node_modules/clawnet/src/config.ts");

const server = process.env.COUNTERSIGN_SERVER;
const { log, error: complain } = console;
const tell = (event, members) => log(JSON.stringify({ event, ...members }));

const answers = {};
const { fetch } = globalThis;
globalThis.fetch = async (address, init) => {
  const path = address.replace(SIGMA_AUTH_URL, "");
  const response = await fetch(server + path, init);
  answers[path] = { status: response.status, body: await response.clone().json() };
  return response;
};

process.env.PATH = ""; // no browser is to be opened
let token;
console.log = (text) => {
  const shown = /Enter code: (\S+)/.exec(text);
  if (shown) tell("code", { user_code: shown[1] });
  token = /CLAWNET_TOKEN="(.+)"/.exec(text)?.[1] ?? token;
};
// It says what the server says, and ends.
console.error = (text) => tell("error", { error: answers["/api/auth/device/token"]?.body.error, text });
const { exit } = process;
process.exit = () => exit(0);

await login();
const response = await fetch(`${server}/api/auth/oauth2/userinfo`, { headers: { Authorization: `Bearer ${token}` } });
const claims = await response.json();
// To it an identity is an organization, which it chooses.
const [organization] = answers["/api/auth/organization/list"].body;
const active = answers["/api/auth/organization/set-active"];
if (organization?.id !== claims.bap_id || active?.status !== 200 || active.body.id !== claims.bap_id) {
  tell("error", { error: "organization", text: JSON.stringify(answers) });
} else {
  tell("userinfo", { claims });
}
