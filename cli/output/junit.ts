// SPDX-License-Identifier: Apache-2.0

export type JunitCase = {
  readonly suite: string;
  readonly name: string;
  readonly status: "passed" | "failed" | "skipped" | "unsupported";
  readonly message: string;
};

/** JUnit XML as CI systems read it: one suite per file, an unsupported check is an error, not a failure. */
export function formatJunit(cases: readonly JunitCase[], seconds: number): string {
  const suites = Map.groupBy(cases, (one) => one.suite);
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts(cases)} time="${seconds.toFixed(3)}">`,
    ...[...suites].flatMap(([suite, below]) => [
      `  <testsuite name="${escape(suite)}" ${counts(below)}>`,
      ...below.map(formatCase),
      "  </testsuite>",
    ]),
    "</testsuites>",
  ];
  return `${lines.join("\n")}\n`;
}

function counts(cases: readonly JunitCase[]): string {
  const of = (status: JunitCase["status"]): number =>
    cases.filter((one) => one.status === status).length;
  return `tests="${cases.length}" failures="${of("failed")}" errors="${of("unsupported")}" skipped="${of("skipped")}"`;
}

function formatCase(one: JunitCase): string {
  const start = `    <testcase classname="${escape(one.suite)}" name="${escape(one.name)}"`;
  const message = escape(one.message);
  switch (one.status) {
    case "passed":
      return `${start}/>`;
    case "failed":
      return `${start}><failure message="${message}"/></testcase>`;
    case "unsupported":
      return `${start}><error type="unsupported" message="${message}"/></testcase>`;
    case "skipped":
      return `${start}><skipped message="${message}"/></testcase>`;
    default:
      return one.status satisfies never;
  }
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\n": "&#10;",
  "\t": "&#9;",
  "\r": "&#13;",
};

/** Control characters that XML 1.0 cannot hold even escaped become U+FFFD. */
const escape = (text: string): string =>
  text.replace(/[&<>"\p{Cc}\uFFFE\uFFFF]/gu, (character) => entities[character] ?? "\uFFFD");
