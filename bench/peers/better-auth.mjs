// better-auth with its device-authorization plugin and a better-sqlite3 file, as its
// documentation sets it up: secret and base URL given, tables made by its own
// migration, e-mail and password for sign-in. Its rate limiter, log and telemetry
// are off; all else is its default. Without a file it keeps everything in memory.
//
//   node better-auth.mjs [DATABASE]
//
// prints "version …", "cookie …" (the Cookie header of a signed-in user) and, once
// it serves, "listening ORIGIN".
import { randomBytes } from "node:crypto";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { deviceAuthorization } from "better-auth/plugins";
import { lifetime, serve, tellVersions } from "./server.mjs";

async function open(path) {
  const { default: Database } = await import("better-sqlite3");
  // A committed write is on disk, as ours is.
  const database = new Database(path);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  return database;
}

const path = process.argv[2];
const database = path ? await open(path) : memoryAdapter({ user: [], session: [], account: [], verification: [], deviceCode: [] });

async function handler(baseURL) {
  const auth = betterAuth({
    baseURL,
    database,
    secret: randomBytes(32).toString("base64"),
    emailAndPassword: { enabled: true },
    plugins: [deviceAuthorization({ expiresIn: `${lifetime}s`, interval: process.env.INTERVAL ?? "1s" })],
    rateLimit: { enabled: false },
    logger: { disabled: true },
    telemetry: { enabled: false },
  });
  if (path) await (await getMigrations(auth.options)).runMigrations();
  return toNodeHandler(auth);
}

// cookieOf signs a new person up over HTTP, as a browser would.
async function cookieOf(origin) {
  const answer = await fetch(`${origin}/api/auth/sign-up/email`, {
    method: "POST",
    headers: { "content-type": "application/json", origin },
    body: JSON.stringify({ name: "Owner", email: "owner@example.com", password: randomBytes(16).toString("hex") }),
  });
  if (!answer.ok) throw new Error(`sign-up: ${answer.status} ${await answer.text()}`);
  return answer.headers.getSetCookie().map((line) => line.split(";", 1)[0]).join("; ");
}

tellVersions("better-auth", "better-sqlite3");
const origin = await serve(handler);
console.log(`cookie ${await cookieOf(origin)}`);
console.log(`listening ${origin}`);
