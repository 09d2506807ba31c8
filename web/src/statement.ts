// The approval statement (design D7, requirement N-11) as the person who signs it must
// read it. The server wrote it and is not trusted with that: it is parsed strictly, and
// must say what the page showed.

import { hex, utf8 } from "./crypto/bytes";

export interface Statement {
  v: number;
  iss: string;
  purpose: string;
  user_code_hash: string;
  client_id: string;
  scope: string;
  resource?: string[];
  agent?: { name: string; jkt: string };
  bap_id: string;
  nonce: string;
  iat: number;
  exp: number;
}

/** What the statement must say: what was shown to the person. */
export interface Shown {
  issuer: string;
  userCode: string;
  clientId: string;
  /** Space-separated, in the order shown. */
  scope: string;
  bapId: string;
  /** The URIs of whose APIs it is for, in the order shown. */
  resources: string[];
}

/** The statement is not what was shown, or not one at all. Nothing was signed. */
export class StatementError extends Error {
  override readonly name = "StatementError";
}

/** The five minutes of a statement, and as much between the clocks of browser and server. */
const longest = 2 * 5 * 60 * 1000;
const statementVersion = 1;
const deviceApproval = "device-approval";

const texts = ["iss", "purpose", "user_code_hash", "client_id", "scope", "bap_id", "nonce"] as const;
const numbers = ["v", "iat", "exp"] as const;
/** The order of the members in the statement's one encoding. */
const order = ["v", "iss", "purpose", "user_code_hash", "client_id", "scope", "resource", "agent", "bap_id", "nonce", "iat", "exp"];

/** Reads a statement that is in its one encoding, and holds nothing unknown. Throws StatementError. */
export function parseStatement(text: string): Statement {
  let value: Partial<Record<keyof Statement, unknown>>;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    throw new StatementError("the statement cannot be read");
  }
  if (!isStatement(value) || encode(value) !== text) throw new StatementError("the statement is not in its one form");
  if (value.v !== statementVersion || value.purpose !== deviceApproval) throw new StatementError("the statement is of another version or purpose");
  return value;
}

function isStatement(value: Partial<Record<keyof Statement, unknown>>): value is Statement & Record<string, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    texts.every((name) => typeof value[name] === "string") &&
    numbers.every((name) => Number.isSafeInteger(value[name])) &&
    (value.resource === undefined || (Array.isArray(value.resource) && value.resource.every((r) => typeof r === "string"))) &&
    (value.agent === undefined || isAgent(value.agent))
  );
}

function isAgent(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { name, jkt, ...rest } = value as Record<string, unknown>;
  return typeof name === "string" && typeof jkt === "string" && Object.keys(rest).length === 0;
}

/** Compact JSON in the fixed order; whatever is not known is left out, so that it shows as a difference. */
function encode(s: Record<string, unknown>): string {
  const agent = s["agent"] as Statement["agent"];
  const ordered = { ...s, ...(agent && { agent: { name: agent.name, jkt: agent.jkt } }) };
  const text = JSON.stringify(Object.fromEntries(order.filter((name) => name in s).map((name) => [name, ordered[name as keyof typeof ordered]])));
  return text.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029"); // as the server writes them
}

/** The hash of a user code: of its letters, without the dash. */
export async function userCodeHash(code: string): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(code.replaceAll("-", "")))));
}

/** Makes sure that a statement says what was shown. Throws StatementError. */
export async function checkStatement(text: string, shown: Shown, now: Date): Promise<Statement> {
  const s = parseStatement(text);
  const codeHash = await userCodeHash(shown.userCode);
  const differences: [boolean, string][] = [
    [s.iss !== shown.issuer, "server"],
    [s.user_code_hash !== codeHash, "code"],
    [s.client_id !== shown.clientId, "client"],
    [s.scope !== shown.scope, "scope"],
    [s.bap_id !== shown.bapId, "identity"],
    [(s.resource ?? []).join(" ") !== shown.resources.join(" "), "resource"],
  ];
  if (s.agent) throw new StatementError("the statement names an agent, and the page showed none");
  const difference = differences.find(([differs]) => differs);
  if (difference) throw new StatementError(`the statement names another ${difference[1]} than the page showed`);
  if (s.exp * 1000 <= now.getTime()) throw new StatementError("the statement has expired");
  if (s.exp * 1000 > now.getTime() + longest) throw new StatementError("the statement could be used for too long");
  return s;
}
