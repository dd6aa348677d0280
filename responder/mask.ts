// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { isArray } from "#policy/json";

/** Words by which credentials are called, in names of variables, flags and members. */
const called =
  "(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key)";

/** What looks like a credential in a command line or a message. Each alternative is bounded, so linear in the text. */
const secrets: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\w+/=\s\\-]{0,16384}/g, "[masked private key]"],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, "[masked token]"],
  // docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, "[masked key id]"],
  // GitHub, GitLab, Slack, Google, Stripe, npm: the prefixes that their own scanners look for.
  [
    /\b(?:gh[pousr]_\w{20,255}|github_pat_\w{20,255}|glpat-[\w-]{16,255}|xox[abeprs]-[\w-]{8,255}|AIza[\w-]{30,60}|[rs]k_live_\w{16,255}|npm_\w{30,60})/g,
    "[masked token]",
  ],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, "$1 [masked]"],
  [/(:\/\/[^\s/:@]{0,128}:)[^\s/@]{1,256}@/g, "$1[masked]@"],
  // curl -u name:password
  [/(\s(?:-u|--user)[\s=]{1,4}[^\s:]{1,128}:)\S{1,256}/g, "$1[masked]"],
  // NAME=value, "name": "value", and whatever the name ends with: AWS_SECRET_ACCESS_KEY.
  [
    new RegExp(
      `(${called}[\\w-]{0,40}["']?\\s{0,4}[=:]\\s{0,4})(?:"[^"]{1,512}"?|'[^']{1,512}'?|[^\\s"',;&]{1,512})`,
      "gi",
    ),
    "$1[masked]",
  ],
  // --password value
  [
    new RegExp(`(\\s--?[\\w-]{0,40}?${called}[\\w-]{0,20}\\s{1,4})[^\\s-]\\S{0,511}`, "gi"),
    "$1[masked]",
  ],
  // mysql -pPASSWORD: no space, or it would be asked for.
  [/(\b(?:mysql|mysqldump|mariadb)\b[^\n]{0,256}?\s-p)[^\s]{1,256}/g, "$1[masked]"],
];

/** A text from outside for records that many may read: credentials masked. Hunting for others' secrets is not the reader's job. */
export function mask(text: string): string {
  let masked = text;
  for (const [pattern, replacement] of secrets) masked = masked.replaceAll(pattern, replacement);
  return masked;
}

/** Names of values that are credentials, whatever they look like. */
const secretName = /pass|secret|token|credential|api[_-]?key|private[_-]?key|auth/i;
const depthMax = 60;

/** The same for a whole object: each text masked, and the values of environment variables whose name tells what they are. */
export function maskJson(value: Json, depth = 0): Json {
  if (typeof value === "string") return mask(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= depthMax) return "[too deep]";
  if (isArray(value)) return value.map((item) => maskJson(item, depth + 1));
  const isNamedSecret =
    typeof value["name"] === "string" &&
    typeof value["value"] === "string" &&
    secretName.test(value["name"]);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      isNamedSecret && key === "value" ? "[masked]" : maskJson(item, depth + 1),
    ]),
  );
}
