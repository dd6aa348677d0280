// SPDX-License-Identifier: Apache-2.0
import { documentName } from "#policy/document";
import { isObject, textAt } from "#policy/json";
import { formatProblem, type Problem } from "#policy/problem";
import type { SourceDocument } from "./files.ts";
import { unpackList } from "./resources.ts";

/** The kinds of the files that Kyverno's command line has for itself; `Value` and no kind at all are older forms. */
const ownKinds: Readonly<Record<string, RegExp>> = {
  values: /^(Values?)?$/,
  userinfo: /^(UserInfo)?$/,
  context: /^(Context)?$/,
};

/** Why a file is none for that option, which would be read as one that says nothing; undefined when it is one. */
export function findWrongKind(
  option: string,
  document: SourceDocument | undefined,
): string | undefined {
  if (document === undefined || !isObject(document.value)) return "holds no object";
  const kind = textAt(document.value, ["kind"]);
  const isOwn = ownKinds[option]?.test(kind) ?? true;
  return isOwn ? undefined : `is ${kind}, which is nothing for --${option}`;
}

/** Problems as lines that begin with the file, as somebody with a folder of policies looks for them. */
export function formatWithFile(
  problems: readonly Problem[],
  documents: readonly SourceDocument[],
): readonly string[] {
  const files = new Map<string, string>();
  for (const { file, value } of documents) {
    for (const item of unpackList(value)) {
      const name = isObject(item) ? documentName(item) : "";
      if (!files.has(name)) files.set(name, file);
    }
  }
  return problems.map((problem) => {
    const file = files.get(problem.document);
    return `${file === undefined ? "" : `${file}: `}${formatProblem(problem)}`;
  });
}
