// What both peers share: a plain HTTP server on a free loopback port, whose codes live
// so many seconds (LIFETIME). The port is known before the peer is made, because each
// wants to know its own address.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

export const lifetime = Number(process.env.LIFETIME ?? 15 * 60);

// serve starts make(origin), a Node request handler or the promise of one, and
// resolves to the origin. Nothing is answered before the handler is there.
export async function serve(make) {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${server.address().port}`;
  server.on("request", await make(origin));
  return origin;
}

// tellVersions prints a line for the table, which must say what was measured.
export function tellVersions(...packages) {
  const versions = packages.map((name) => {
    const { version } = JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8"));
    return `${name} ${version}`;
  });
  console.log(`version ${versions.join(", ")}`);
}
