// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

// DESIGN: imports go one way, the core does no I/O, and files stay small. Each broken line is printed with file and line.
const rooms: Readonly<Record<string, readonly string[]>> = {
  policy: [],
  function: ["policy"],
  responder: ["policy"],
  advisor: ["policy"],
  cli: ["policy", "function", "responder", "advisor"],
};

/** Node modules that are pure functions of their arguments; every other `node:` import in the core is I/O. */
const pureNodeModules = new Set([
  "node:crypto",
  "node:zlib",
  "node:buffer",
  "node:util",
  "node:assert",
]);
/** Packages that are pure functions, allowed in the core. */
const purePackages = new Set(["js-yaml", "re2js", "yaml"]);
/** Reading time, chance or the environment makes a verdict differ between two runs of the same request. */
const impurities =
  /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|process\.(env|argv|cwd|hrtime)|console\.)/;

const linesMax = 300;

type Finding = { readonly file: string; readonly line: number; readonly message: string };

const files = execFileSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts"],
  {
    encoding: "utf8",
  },
)
  .split("\n")
  .filter((file) => file !== "");
const findings = files.flatMap((file) => check(file, readFileSync(file, "utf8")));
for (const { file, line, message } of findings) console.error(`${file}:${line}: ${message}`);
if (findings.length > 0) process.exitCode = 1;

function check(file: string, text: string): readonly Finding[] {
  const room = file.split("/")[0] ?? "";
  const isTest = file.endsWith(".test.ts");
  const allowed = rooms[room];
  if (allowed === undefined || isTest) return [];
  const lines = text.split("\n");
  const size =
    lines.length - 1 > linesMax
      ? [
          {
            file,
            line: linesMax,
            message: `${lines.length - 1} lines; a file has at most ${linesMax}`,
          },
        ]
      : [];
  return [
    ...size,
    ...lines.flatMap((line, index) => checkLine(file, room, allowed, line, index + 1)),
  ];
}

function checkLine(
  file: string,
  room: string,
  allowed: readonly string[],
  text: string,
  line: number,
): readonly Finding[] {
  const specifier = /(?:from|import)\s*\(?\s*"([^"]+)"/.exec(text)?.[1];
  const problems: string[] = [];
  if (specifier !== undefined) {
    const other = roomOf(file, specifier);
    if (other !== undefined && other !== room && !allowed.includes(other)) {
      problems.push(`${room}/ must not import ${other}/ (${specifier})`);
    }
    if (room === "policy" && other === undefined && !isPure(specifier)) {
      problems.push(`policy/ is pure: no import of ${specifier}`);
    }
  }
  const code = text.replace(/\/\/.*$/, "").replace(/^\s*\*.*$/, "");
  if (room === "policy" && impurities.test(code)) {
    problems.push("policy/ is pure: time, chance and environment are arguments");
  }
  return problems.map((message) => ({ file, line, message }));
}

/** The room that an import leads to; undefined for packages and Node's modules. */
function roomOf(file: string, specifier: string): string | undefined {
  if (specifier.startsWith("#")) return specifier.slice(1).split("/")[0];
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, `file:///${file}`).pathname.split("/")[1];
}

function isPure(specifier: string): boolean {
  return specifier.startsWith("node:")
    ? pureNodeModules.has(specifier)
    : purePackages.has(specifier);
}
