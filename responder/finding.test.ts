// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readAlerts } from "#responder/intake/alert";
import { fingerprint } from "#responder/finding";
import { type Rewriting, toSidekickBody } from "#test/support/falcosidekick";
import { shared } from "#test/support/shared";

const folder = shared("alerts");
const files =
  folder === undefined ? [] : readdirSync(folder).filter((name) => /^\d\d-.*\.json$/.test(name));

/** Single alerts as Falco would have sent them: those that falcosidekick takes. */
const samples = files.flatMap((file) => {
  const text = readFileSync(join(folder ?? "", file), "utf8");
  const parsed = readAlerts(Buffer.from(text)).alerts;
  return parsed.map((one) => ({ file, text: one.text }));
});

const of = (text: string, relayed?: ReadonlySet<string>): string => {
  const [one] = readAlerts(Buffer.from(text)).alerts;
  if (one === undefined) throw new Error("no alert");
  return fingerprint(one.alert, 1, relayed);
};

/** Numbers below `max`, the same in every run. */
function makeRandom(seed: number): (max: number) => number {
  let state = seed;
  return (max) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % max;
  };
}

const pick = <T>(random: (max: number) => number, all: readonly T[]): T => {
  const one = all[random(all.length)];
  if (one === undefined) throw new Error("nothing to pick from");
  return one;
};

/** A member put into `output_fields`, in the text, so that all digits stay. */
const withField = (text: string, name: string, value: string): string =>
  text.replace(/("output_fields"\s*:\s*\{)/, `$1${JSON.stringify(name)}:${JSON.stringify(value)},`);

/** Falco's copies of an alert that falcosidekick would change in all ways that it can. */
function scene(text: string, random: (max: number) => number) {
  // Long ones with characters of one to four bytes, so that cuts fall into characters.
  const unit = pick(random, ["x", "\u00e9", "\u20ac", "\u{1f600}", "<&>"]);
  const long = "a".repeat(random(4)) + unit.repeat(600 + random(900));
  let direct = withField(text, "proc.cmdline", long);
  direct = withField(direct, "proc.aname[2]", "bash");
  direct = withField(direct, "ka.uri.param[command]", "id");
  const rewriting: Rewriting = {
    fields: { cluster: "prod", "k8s.cluster.name": "prod-1", "fd.rip": "templated" },
    ...(random(3) === 0 ? {} : { bracketReplacer: pick(random, ["_", "-", "."]) }),
    output: "rewritten by outputfieldformat",
  };
  return { direct, copy: toSidekickBody(direct, ["custom", "tags"], rewriting) };
}

describe.skipIf(folder === undefined)("the copies of every sample alert", () => {
  it("are one alert, however falcosidekick was told to change them", () => {
    const relayed = new Set(["fd.rip"]);
    const unequal: string[] = [];
    let compared = 0;
    for (const { file, text } of samples) {
      for (let seed = 1; seed <= 40; seed++) {
        const { direct, copy } = scene(text, makeRandom(seed));
        if (copy === undefined || !text.includes('"rule"')) continue;
        if (readAlerts(Buffer.from(direct)).alerts[0]?.alert.timeNs === undefined) continue;
        compared += 1;
        if (of(direct, relayed) !== of(copy, relayed)) unequal.push(`${file} seed ${seed}`);
      }
    }
    expect(unequal).toEqual([]);
    expect(compared).toBeGreaterThan(2_000);
  });

  it("are others as soon as anything is another that falcosidekick leaves as it is", () => {
    const equal: string[] = [];
    let compared = 0;
    for (const { file, text } of samples) {
      const [one] = readAlerts(Buffer.from(text)).alerts;
      const alert = one?.alert;
      const timeNs = alert?.timeNs;
      if (alert === undefined || timeNs === undefined) continue;
      const differs = (other: typeof alert): string =>
        Object.keys(alert.fields).find((key) => alert.fields[key] !== other.fields[key]) ?? "";
      const others = [
        { ...alert, rule: `${alert.rule}x` },
        { ...alert, hostname: `${alert.hostname}x` },
        { ...alert, timeNs: timeNs + 1n },
        { ...alert, priority: "Unknown" as const },
        ...Object.entries(alert.fields)
          .filter(([key, value]) => value !== null && isKept(key))
          .map(([key, value]) => ({
            ...alert,
            fields: { ...alert.fields, [key]: another(value) },
          })),
      ];
      for (const other of others) {
        compared += 1;
        if (fingerprint(other, 1) === fingerprint(alert, 1))
          equal.push(`${file} ${differs(other)}`);
      }
    }
    expect(equal).toEqual([]);
    expect(compared).toBeGreaterThan(600);
  });
});

const isKept = (key: string): boolean =>
  /^(?:evt|proc|fd|user|container|k8s|ka|ct)\.[a-z0-9_.]+$/.test(key);

/** Differs in its last place only. */
function another(value: unknown): string | number | bigint {
  if (typeof value === "bigint") return value + 1n;
  if (typeof value === "number") return value + 1;
  return typeof value === "string" ? `${value.slice(0, 506)}~` : "~";
}

describe("a field that falcosidekick overwrites", () => {
  const base = '{"rule":"r","priority":"Notice","time":"2026-07-04T20:46:44Z","output_fields":';
  const direct = `${base}{"proc.pid":1,"k8s.ns.name":null}}`;
  const copy = `${base}{"proc.pid":1,"k8s.ns.name":"from a template"}}`;
  it("makes two of one alert, unless it is named", () => {
    expect(of(copy)).not.toBe(of(direct));
    expect(of(copy, new Set(["k8s.ns.name"]))).toBe(of(direct, new Set(["k8s.ns.name"])));
  });
});

describe("a long string", () => {
  const at = (value: string): string =>
    of(
      `{"rule":"r","time":"2026-07-04T20:46:44Z","output_fields":{"proc.cmdline":${JSON.stringify(value)}}}`,
    );
  it.each([
    {
      reason: "All of what is never cut counts.",
      a: `${"x".repeat(511)}a`,
      b: `${"x".repeat(511)}b`,
      same: false,
    },
    {
      reason: "What is cut off cannot count.",
      a: `${"x".repeat(600)}a`,
      b: `${"x".repeat(600)}b`,
      same: true,
    },
    {
      reason: "A cut one is its whole.",
      a: "x".repeat(600),
      b: `${"x".repeat(507)}[...]`,
      same: true,
    },
    {
      reason: "A cut through a character of four bytes.",
      a: `ab${"\u{1f600}".repeat(200)}`,
      b: `ab${"\u{1f600}".repeat(126)}\ufffd[...]`,
      same: true,
    },
    {
      reason: "Half a surrogate pair arrives as U+FFFD.",
      a: "\ud83d",
      b: "\ufffd",
      same: true,
    },
  ])("$reason", ({ a, b, same }) => {
    expect(at(a) === at(b)).toBe(same);
  });
});
