// SPDX-License-Identifier: Apache-2.0
import { byteLength } from "#policy/kubernetes/go-text";
import { checkRequestUri } from "#policy/kubernetes/url";

/** Says what is wrong with a text in the words of the API server; empty when it is valid. */
export type FormatCheck = (text: string) => readonly string[];

/** A named format: `name` is what two formats are compared by. */
export type NamedFormat = { readonly name: string; readonly check: FormatCheck };

const label1123 = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const label1035 = "[a-z]([-a-z0-9]*[a-z0-9])?";
const subdomain1123 = `${label1123}(\\.${label1123})*`;
const labelKey = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const labelValue = `(${labelKey})?`;

const label1123Message =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const subdomain1123Message =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const label1035Message =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
const labelKeyMessage =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const labelValueMessage =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/** Longest label and subdomain in bytes: RFC 1123, RFC 1035 and apimachinery. */
const labelLengthMax = 63;
const subdomainLengthMax = 253;

/** RFC 1123 label, as most names of objects' parts are. */
export const checkLabel1123: FormatCheck = (text) => [
  ...tooLong(text, labelLengthMax, "characters"),
  ...label1123Problems(text),
];

/** RFC 1123 subdomain, as most names of objects are. */
export const checkSubdomain1123: FormatCheck = (text) => [
  ...tooLong(text, subdomainLengthMax, "characters"),
  ...(isSubdomain1123(text)
    ? []
    : [mismatch(subdomain1123Message, subdomain1123, ["example.com"])]),
];

/** RFC 1035 label, as names of Services are. */
export const checkLabel1035: FormatCheck = (text) => [
  ...tooLong(text, labelLengthMax, "characters"),
  ...(isLabel1035(text) ? [] : [mismatch(label1035Message, label1035, ["my-name", "abc-123"])]),
];

/** A label value; the empty text is one. */
export const checkLabelValue: FormatCheck = (text) => [
  ...tooLong(text, labelLengthMax, "bytes"),
  ...(text === "" || isLabelKeyName(text)
    ? []
    : [mismatch(labelValueMessage, labelValue, ["MyValue", "my_value", "12345"])]),
];

/** A label key: `name` or `prefix/name`. */
export const checkQualifiedName: FormatCheck = (text) => {
  const parts = text.split("/");
  const pattern = mismatch(labelKeyMessage, labelKey, ["MyName", "my.name", "123-abc"]);
  if (parts.length > 2) {
    return [
      `a valid label key ${pattern} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const name = parts.at(-1) ?? "";
  const problems = parts.length === 2 ? prefixProblems(parts[0] ?? "") : [];
  if (name === "") problems.push("name part must be non-empty");
  else problems.push(...tooLong(name, labelLengthMax, "bytes").map((why) => `name part ${why}`));
  if (!isLabelKeyName(name)) problems.push(`name part ${pattern}`);
  return problems;
};

/** The formats of the `format` library by the names of `format.named`. */
export const namedFormats: ReadonlyMap<string, NamedFormat> = new Map<string, NamedFormat>([
  ["dns1123Label", { name: "DNS1123Label", check: checkLabel1123 }],
  ["dns1123Subdomain", { name: "DNS1123Subdomain", check: checkSubdomain1123 }],
  ["dns1035Label", { name: "DNS1035Label", check: checkLabel1035 }],
  ["qualifiedName", { name: "QualifiedName", check: checkQualifiedName }],
  ["dns1123LabelPrefix", { name: "DNS1123LabelPrefix", check: asPrefix(checkLabel1123) }],
  [
    "dns1123SubdomainPrefix",
    { name: "DNS1123SubdomainPrefix", check: asPrefix(checkSubdomain1123) },
  ],
  ["dns1035LabelPrefix", { name: "DNS1035LabelPrefix", check: asPrefix(checkLabel1035) }],
  ["labelValue", { name: "LabelValue", check: checkLabelValue }],
  ["uri", { name: "URI", check: checkUri }],
  ["uuid", { name: "uuid", check: unless(isUuid, "does not match the UUID format") }],
  ["byte", { name: "byte", check: unless(isBase64, "invalid base64") }],
  ["date", { name: "date", check: unless(isDate, "invalid date") }],
  ["datetime", { name: "datetime", check: unless(isDateTime, "invalid datetime") }],
]);

// The patterns below say the same as the published ones without nested repetition, so that none backtracks.
const edges1123 = /^[a-z0-9](?:[-a-z0-9]*)$/;

function isLabel1123(text: string): boolean {
  return edges1123.test(text) && !text.endsWith("-");
}

function isLabel1035(text: string): boolean {
  return isLabel1123(text) && /^[a-z]/.test(text);
}

function isSubdomain1123(text: string): boolean {
  return text.split(".").every(isLabel1123);
}

function isLabelKeyName(text: string): boolean {
  return /^[A-Za-z0-9][-A-Za-z0-9_.]*$/.test(text) && /[A-Za-z0-9]$/.test(text);
}

function label1123Problems(text: string): readonly string[] {
  if (isLabel1123(text)) return [];
  if (isSubdomain1123(text)) return ["must not contain dots"];
  return [mismatch(label1123Message, label1123, ["my-name", "123-abc"])];
}

function prefixProblems(prefix: string): string[] {
  if (prefix === "") return ["prefix part must be non-empty"];
  return checkSubdomain1123(prefix).map((why) => `prefix part ${why}`);
}

function tooLong(text: string, max: number, unit: string): readonly string[] {
  return byteLength(text) > max ? [`must be no more than ${max} ${unit}`] : [];
}

function mismatch(message: string, pattern: string, examples: readonly string[]): string {
  const shown = examples.map((example) => `'${example}', `).join(" or ");
  return `${message} (e.g. ${shown}regex used for validation is '${pattern}')`;
}

/** A generateName may end in a dash, which the generated part follows. */
function asPrefix(check: FormatCheck): FormatCheck {
  return (text) => check(text.length > 1 && text.endsWith("-") ? `${text.slice(0, -2)}a` : text);
}

function checkUri(text: string): readonly string[] {
  const uri = checkRequestUri(text);
  return uri.ok ? [] : [uri.message];
}

function unless(isValid: (text: string) => boolean, message: string): FormatCheck {
  return (text) => (isValid(text) ? [] : [message]);
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text);
}

function isBase64(text: string): boolean {
  return text.length > 0 && text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

function isDate(text: string): boolean {
  const match = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/.exec(text);
  if (match === null) return false;
  const [year, month, day] = match.slice(1).map(Number);
  if (year === undefined || month === undefined || day === undefined) return false;
  return month >= 1 && month <= 12 && day >= 1 && day <= daysOf(year, month);
}

function daysOf(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function isDateTime(text: string): boolean {
  const [date = "", time, ...rest] = text.toLowerCase().split("t");
  if (time === undefined || rest.length > 1_000 || !isDate(date)) return false;
  const match = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})$/.exec(time);
  if (match === null) return false;
  const [hour = "", minute = "", second = ""] = match.slice(1);
  return hour <= "23" && minute <= "59" && second <= "59";
}
