// SPDX-License-Identifier: Apache-2.0
import path from "node:path";

/** What the documents of a repository may speak of. */
export type Repository = {
  /** Text by path, of every Markdown file. */
  readonly documents: ReadonlyMap<string, string>;
  /** Every file, by its path from the root. */
  readonly files: readonly string[];
  /** npm's scripts and make's targets. */
  readonly scripts: ReadonlySet<string>;
  readonly targets: ReadonlySet<string>;
  /** What is wrong with the words after `parapet`; undefined when nothing is. */
  readonly commandProblem: (words: readonly string[]) => string | undefined;
};

/** What the documents say that is not so: links and headings, files, commands and their options. One line each. */
export function findUntruths(repository: Repository): readonly string[] {
  const known = knownPaths(repository.files);
  return [...repository.documents].flatMap(([file, text]) =>
    [
      ...linksOf(text).flatMap((link) => linkProblem(file, link, repository, known) ?? []),
      ...pathsOf(text).flatMap((name) => pathProblem(file, name, repository.files, known) ?? []),
      ...commandsOf(text).flatMap((line) => commandProblem(line, repository) ?? []),
    ].map((problem) => `${file}: ${problem}`),
  );
}

/** Files, and the folders that hold them. */
function knownPaths(files: readonly string[]): ReadonlySet<string> {
  const known = new Set<string>(["."]);
  for (const file of files) {
    for (let one = file; one !== "."; one = path.posix.dirname(one)) known.add(one);
  }
  return known;
}

const withoutFences = (text: string): string => text.replaceAll(/^```.*?^```/gms, "");

const linksOf = (text: string): readonly string[] =>
  [...withoutFences(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);

function linkProblem(
  file: string,
  link: string,
  { documents }: Repository,
  known: ReadonlySet<string>,
): string | undefined {
  if (/^[a-z]+:/.test(link)) return undefined;
  const [place = "", anchor] = link.split("#");
  const target = place === "" ? file : path.posix.join(path.posix.dirname(file), place);
  if (!known.has(target.replace(/\/$/, ""))) return `the link ${link} leads to nothing`;
  if (anchor === undefined) return undefined;
  const headings = headingsOf(documents.get(target) ?? "");
  return headings.includes(anchor) ? undefined : `the link ${link} leads to no heading`;
}

/** Headings as GitHub makes anchors of them. */
const headingsOf = (text: string): readonly string[] =>
  [...withoutFences(text).matchAll(/^#+ +(.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-"),
  );

const ownFolders = /^(cli|examples|function|package|policy|responder|test)\//;

/** Names in code spans and commands that can only be files of the repository. */
function pathsOf(text: string): readonly string[] {
  const spans = [...withoutFences(text).matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  const words = [...spans, ...commandsOf(text)].flatMap((span) => span.split(/[\s:=@]+/));
  const names = words.map((word) => word.replace(/^['"(]+|['"),;.]+$/g, ""));
  return names.filter((name) => /^[\w*./-]+\.ts$/.test(name) || ownFolders.test(name));
}

/** By its path from the root or from the document, or, as ARCHITECTURE.md has them, by its end. */
function pathProblem(
  file: string,
  name: string,
  files: readonly string[],
  known: ReadonlySet<string>,
): string | undefined {
  const plain = name.replace(/\/$/, "");
  const isThere =
    known.has(plain) ||
    known.has(path.posix.join(path.posix.dirname(file), plain)) ||
    (plain.endsWith(".ts") ? files.some((one) => endsWith(one, plain)) : plain.includes("*"));
  return isThere ? undefined : `${name} is no file of the repository`;
}

/** `metrics*.ts` is every file of such a name. */
function endsWith(file: string, end: string): boolean {
  const [start = "", rest] = end.split("*");
  return rest === undefined
    ? file.endsWith(`/${end}`)
    : path.posix.basename(file).startsWith(start) && file.endsWith(rest);
}

/** Lines of code blocks, and code spans, that call one of our commands, without their comments. */
function commandsOf(text: string): readonly string[] {
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, block = ""]) =>
    block.replaceAll(/\s*\\\n\s*/g, " ").split("\n"),
  );
  const spans = [...withoutFences(text).matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  return [...blocks, ...spans]
    .flatMap((line) =>
      line
        .replace(/^\$ /, "")
        .replace(/\s#.*$/, "")
        .split(/\s*(?:\||&&|>|;)\s+/),
    )
    .map((line) => line.trim().replace(/^\(?(?:[A-Z_]+=\S+ )*/, ""))
    .filter((line) => /^(npm run|make|parapet|kubectl parapet)\b/.test(line));
}

function commandProblem(line: string, repository: Repository): string | undefined {
  const [, target] = /^make ([a-z-]+)$/.exec(line) ?? [];
  if (target !== undefined && !repository.targets.has(target)) return `make has no ${target}`;
  const [, script] = /^npm run (?:-s |--silent )?([\w:-]+)/.exec(line) ?? [];
  if (script !== undefined && !repository.scripts.has(script)) return `npm has no script ${script}`;
  const [, words] = /^(?:npm run -s parapet --|kubectl parapet|parapet) (.+)$/.exec(line) ?? [];
  if (words === undefined) return undefined;
  const problem = repository.commandProblem(splitWords(words));
  return problem === undefined ? undefined : `${line}: ${problem}`;
}

const splitWords = (text: string): readonly string[] =>
  [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? "");
