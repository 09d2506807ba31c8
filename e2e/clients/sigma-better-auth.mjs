// A Better Auth server with the Sigma plugin, as apps run one: it keeps its users, their
// accounts and their sessions in SQLite.
import { sigmaCallbackPlugin } from "@sigma-auth/better-auth-plugin/server";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { SqliteDialect } from "kysely";
import Database from "libsql";

export async function betterAuthOn(file) {
  const auth = betterAuth({
    baseURL: process.env.NEXT_PUBLIC_APP_URL,
    secret: "of the app, and long enough for it",
    database: { dialect: new SqliteDialect({ database: new Database(file) }), type: "sqlite" },
    plugins: [sigmaCallbackPlugin()],
  });
  await (await getMigrations(auth.options)).runMigrations();
  return auth;
}
