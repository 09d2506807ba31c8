// Does what the device page does, with the bundle that the binary embeds, as far
// as that needs no browser: makes an identity, signs in, approves and denies.
import { clientId, issuer, scope, tell } from "./story.mjs";

const page = await import(process.env.PAGE_SCRIPT);
const lib = await page.identity();

let cookie = "";
const api = {
  issuer,
  now: () => new Date(),
  async fetch(path, init) {
    if (cookie) init.headers.set("Cookie", cookie);
    // There is no page whose origin could be the same.
    const response = await fetch(issuer + path, { ...init, mode: "cors" });
    cookie = response.headers.get("set-cookie")?.split(";")[0] ?? cookie;
    return response;
  },
};

async function newCode() {
  const response = await fetch(`${issuer}/api/auth/device/code`, { method: "POST", body: new URLSearchParams({ client_id: clientId, scope }) });
  return (await response.json()).user_code;
}

const password = await page.passphrase();
const { record } = await lib.createIdentity("satoshi", password, lib.systemRandom, api.now());
const vault = new lib.Vault();
const signer = await vault.unlock(record, password);

tell("signed-in", { user: await lib.signIn(api, signer), strength: page.strength(password), bep: record.bep, password });
tell("profile", { profile: await lib.setProfile(api, signer, { name: "Satoshi ✓" }) });

const second = await lib.createIdentity("work", password, lib.systemRandom, api.now());
tell("linked", { identity: await lib.linkIdentity(api, vault.hold(second.identity), "work") });

const facts = await lib.fetchApproval(api, signer, await newCode(), "openid");
const match = facts.match.kind === "letters" ? facts.user_code.slice(-4) : "";
const grant = await lib.approve(api, signer, facts, match);
const path = `/api/grants/${grant}/receipt`;
const receipt = await fetch(issuer + path, { headers: { [lib.authHeader]: await lib.authToken(signer, path, "", api.now()) } });
tell("approved", { receipt: await receipt.text(), scope: facts.scopes.map((s) => s.scope).join(" ") });

const code = await newCode();
await lib.deny(api, signer, code, true);
const again = await lib.fetchApproval(api, signer, code).catch((error) => error);
tell("denied", { error: again.error, status: again.status });

vault.lock();
const locked = await lib.signIn(api, signer).catch((error) => error);
tell("locked", { error: locked.name });
