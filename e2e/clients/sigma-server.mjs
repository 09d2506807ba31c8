// The server of sigma-page.mjs: the page with its script, and Better Auth, whose plugin trades
// the code with the app's member key.
//   node sigma-server.mjs SCRIPT DATABASE
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { toNodeHandler } from "better-auth/node";
import { betterAuthOn } from "./sigma-better-auth.mjs";

const [script, database] = process.argv.slice(2);
const page = `<!doctype html><html lang="en"><title>An app</title><link rel="icon" href="data:,"><main></main><script type="module" src="/app.js"></script></html>`;
const files = { "/app.js": ["text/javascript", await readFile(script)] };
const auth = toNodeHandler(await betterAuthOn(database));
createServer((request, response) => {
  if (request.url.startsWith("/api/auth/")) return auth(request, response);
  const [type, content] = files[request.url] ?? ["text/html; charset=utf-8", page];
  response.setHeader("Content-Type", type).end(content);
}).listen(new URL(process.env.NEXT_PUBLIC_APP_URL).port, "127.0.0.1");
