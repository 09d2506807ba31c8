// Reads clawnet's TypeScript as bun does, which it is written for: types are dropped, and what
// is imported as .js may be a .ts.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import typescript from "typescript";

export async function resolve(specifier, context, next) {
  if (!specifier.startsWith(".") || !context.parentURL.endsWith(".ts")) return next(specifier, context);
  return next(specifier.replace(/\.js$/, ".ts"), context);
}

export async function load(url, context, next) {
  if (!url.endsWith(".ts")) return next(url, context);
  const { outputText } = typescript.transpileModule(await readFile(fileURLToPath(url), "utf8"), {
    compilerOptions: { module: typescript.ModuleKind.ESNext, target: typescript.ScriptTarget.ES2022 },
  });
  return { format: "module", shortCircuit: true, source: outputText };
}
