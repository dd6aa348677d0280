// SPDX-License-Identifier: Apache-2.0

/** The cron dialects of Kyverno's two controllers that delete: that of DeletingPolicy, and that of CleanupPolicy. */
export type ScheduleDialect = "deleting" | "cleanup";

type Field = {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Names of values, in lower case; the first is `min`. */
  readonly words?: readonly string[];
  /** What only this field may hold beside values, ranges and steps. */
  readonly special?: RegExp;
};

const months = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
const days = "sun mon tue wed thu fri sat".split(" ");
const minute: Field = { name: "minute", min: 0, max: 59 };
const hour: Field = { name: "hour", min: 0, max: 23 };
const dayOfMonth: Field = {
  name: "day-of-month",
  min: 1,
  max: 31,
  special: /^(l|lw|(0?[1-9]|[12]\d|3[01])w)$/,
};
const month: Field = { name: "month", min: 1, max: 12, words: months };
const dayOfWeek: Field = {
  name: "day-of-week",
  min: 0,
  max: 6,
  words: days,
  special: /^([0-7]|[a-z]{3})(l|#[1-5])$|^0?7$/,
};
const standardFields: readonly Field[] = [minute, hour, dayOfMonth, month, dayOfWeek];
const second: Field = { name: "second", min: 0, max: 59 };
const year: Field = { name: "year", min: 1970, max: 2099 };

const descriptors = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@hourly"];

/** Longest schedule that is read. */
const lengthMax = 500;

/**
 * What is wrong with a schedule; undefined when the controller can read it. A DeletingPolicy's has five to seven fields
 * (year, then seconds, are optional; aptible/supercronic/cronexpr), a CleanupPolicy's five (robfig/cron ParseStandard).
 */
export function scheduleProblem(schedule: string, dialect: ScheduleDialect): string | undefined {
  if (schedule.length > lengthMax) return `must not be longer than ${lengthMax} characters`;
  const text = schedule.trim().toLowerCase();
  if (text === "") return 'must be a schedule in cron format, e.g. "0 1 * * *"';
  if (text.startsWith("@")) return descriptorProblem(text, dialect);
  const parts = text.split(/\s+/);
  const most = dialect === "deleting" ? 7 : 5;
  if (parts.length < 5 || parts.length > most) {
    const wanted = most === 5 ? "5 fields" : "5 to 7 fields";
    return `must have ${wanted} (minute hour day-of-month month day-of-week), got ${parts.length}`;
  }
  for (const [index, field] of fieldsOf(parts.length).entries()) {
    const wrong = fieldProblem(parts[index] ?? "", field, dialect);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

const fieldsOf = (count: number): readonly Field[] => [
  ...(count === 7 ? [second] : []),
  ...standardFields,
  ...(count > 5 ? [year] : []),
];

function descriptorProblem(text: string, dialect: ScheduleDialect): string | undefined {
  const known = dialect === "cleanup" ? [...descriptors, "@midnight"] : descriptors;
  if (known.includes(text)) return undefined;
  if (dialect === "cleanup" && /^@every (\d+(\.\d+)?(ns|us|ms|s|m|h))+$/.test(text)) {
    return undefined;
  }
  return `must be one of ${known.join(", ")}, got ${text}`;
}

function fieldProblem(text: string, field: Field, dialect: ScheduleDialect): string | undefined {
  const entries = text.split(",").filter((entry) => entry !== "");
  const wrong = entries.find((entry) => !isEntry(entry, field, dialect));
  if (entries.length > 0 && wrong === undefined) return undefined;
  const values = `${field.min}-${field.max}`;
  return `the ${field.name} field must hold *, values of ${values}, ranges or steps, got ${wrong ?? text}`;
}

function isEntry(entry: string, field: Field, dialect: ScheduleDialect): boolean {
  if (entry === "*" || entry === "?") return true;
  if (dialect === "deleting" && field.special?.test(entry) === true) return true;
  const [, span = "", step] = /^([^/]*)(?:\/(\d+))?$/.exec(entry) ?? [];
  if (step !== undefined && !isStep(Number(step), field, dialect)) return false;
  if (span === "*") return true;
  const [, from = "", to] = /^([^-]+)(?:-([^-]+))?$/.exec(span) ?? [];
  const first = valueOf(from, field);
  const last = to === undefined ? first : valueOf(to, field);
  return first !== undefined && last !== undefined && first <= last;
}

/** One controller refuses steps that are longer than the field, the other takes them. */
const isStep = (step: number, field: Field, dialect: ScheduleDialect): boolean =>
  step >= 1 && (dialect === "cleanup" || step <= Math.min(field.max, 59));

/** Names may be written out: `january` and `jan` are the same. */
function valueOf(text: string, field: Field): number | undefined {
  if (/^\d{1,4}$/.test(text)) {
    const value = Number(text);
    return value >= field.min && value <= field.max ? value : undefined;
  }
  const index = field.words?.indexOf(text.slice(0, 3)) ?? -1;
  return /^[a-z]{3,9}$/.test(text) && index >= 0 ? field.min + index : undefined;
}
