// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  alertView,
  fieldText,
  isHostAlert,
  parseTimeNs,
  readAlerts,
} from "#responder/intake/alert";
import { clueOf, fingerprint } from "#responder/finding";
import { workedMs } from "#test/support/cpu-time";
import { toSidekickBody } from "#test/support/falcosidekick";
import { shared } from "#test/support/shared";

const folder = shared("alerts");
const files =
  folder === undefined ? [] : readdirSync(folder).filter((name) => /^\d\d-.*\.json$/.test(name));
const body = (file: string): Buffer => readFileSync(join(folder ?? "", file));
const read = (text: string) => readAlerts(Buffer.from(text));

describe.skipIf(folder === undefined)("real alerts", () => {
  it("are there in full number", () => {
    expect(files).toHaveLength(65);
  });

  it.each(files)("%s is read without a problem", (file) => {
    const { alerts, problems } = readAlerts(body(file));
    expect(problems).toEqual([]);
    expect(alerts).toHaveLength(file.includes("batched") ? 2 : 1);
    for (const { alert } of alerts) {
      expect(alert.rule).not.toBe("");
      expect(alert.priority).not.toBe("Unknown");
      expect(() => alertView(alert)).not.toThrow();
      expect(() => clueOf(alert)).not.toThrow();
    }
  });

  it("keep every digit of integers above 2^53", () => {
    const [one] = readAlerts(body("04-drop-and-execute-uint64-overflow.json")).alerts;
    expect(one?.alert.fields).toMatchObject({
      "proc.exe_ino.ctime_duration_proc_start": 18446744073670260079n,
      "evt.time.iso8601": 1783763098682419669n,
      "proc.tty": 0,
      "user.loginuid": -1,
    });
  });

  it("are two findings exactly where they are two alerts", () => {
    const seen = new Map<string, string>();
    const equal: string[] = [];
    for (const file of files) {
      for (const { alert } of readAlerts(body(file)).alerts) {
        const key = fingerprint(alert, files.indexOf(file));
        if (seen.has(key)) equal.push(`${seen.get(key)} = ${file}`);
        seen.set(key, file);
      }
    }
    expect(equal).toEqual([
      // The array and the NDJSON hold the same two alerts.
      "29-batched-array-2.json = 30-batched-ndjson-2.json",
      "29-batched-array-2.json = 30-batched-ndjson-2.json",
      // falcosidekick's own test alert, once with a custom field more.
      "49-test-rule.json = 53-test-rule.json",
      // The same capture twice.
      "18-cloudtrail-authorize-sg.json = 65-terraform-managed-resource-modified.json",
    ]);
  });

  it("have one fingerprint with falcosidekick's copy of them", () => {
    let compared = 0;
    for (const file of files) {
      const source = body(file).toString("utf8");
      const copy = toSidekickBody(source, ["added", "tags"]);
      const [direct] = readAlerts(Buffer.from(source)).alerts;
      // The stand-in knows keys by their exact names only, so not the `Rule` of Talon's examples.
      if (copy === undefined || !source.includes('"rule"')) continue;
      if (direct === undefined || direct.alert.timeNs === undefined) continue;
      const [relayed] = readAlerts(Buffer.from(copy)).alerts;
      expect([file, relayed && fingerprint(relayed.alert, 2)]).toEqual([
        file,
        fingerprint(direct.alert, 1),
      ]);
      compared += 1;
    }
    expect(compared).toBeGreaterThan(50);
  });
});

const alert = (members: string): string => `{"rule":"r","priority":"Notice",${members}}`;

const bodies = [
  { reason: "Nothing is no alert.", text: "", alerts: 0, problem: "no alert" },
  {
    reason: "Half an object was cut on the way.",
    text: '{"rule":"r"',
    alerts: 0,
    problem: "ends in the middle",
  },
  { reason: "A number is no alert.", text: "12", alerts: 0, problem: "expected an object" },
  { reason: "A text is no alert.", text: '"rule"', alerts: 0, problem: "expected an object" },
  {
    reason: "A list of numbers holds none.",
    text: "[1,2]",
    alerts: 0,
    problem: "must be an object",
  },
  {
    reason: "An alert without a rule cannot be matched.",
    text: '{"priority":"Notice"}',
    alerts: 0,
    problem: "rule",
  },
  { reason: "A rule that is a number is none.", text: '{"rule":5}', alerts: 0, problem: "rule" },
  { reason: "Trailing commas are no JSON.", text: '{"rule":"r",}', alerts: 0, problem: "not JSON" },
  {
    reason: "The good part of a batch is kept, the rest is told.",
    text: '{"rule":"a"}\n{"rule":"b"}\n{"rule',
    alerts: 2,
    problem: "ends in the middle",
  },
  {
    reason: "A line that was cut costs itself, not those after it.",
    text: '{"rule":"a"}\n{"rule":"cut\n{"rule":"b"}\n',
    alerts: 2,
    problem: "ends in the middle",
  },
  {
    reason: "Nor does one whose object is not closed.",
    text: '{"rule":"a"}\n{"rule":"open",\n{"rule":"b"}\n{"rule":"c"}',
    alerts: 3,
    problem: "ends in the middle",
  },
  {
    reason: "Nor one that is no JSON at all.",
    text: 'panic: out of memory\n{"rule":"a"}\n{"rule":,}\n{"rule":"b"}',
    alerts: 2,
    problem: "expected an object",
  },
  {
    reason: "Brackets in strings are no brackets.",
    text: alert('"output":"}]{[\\"}"'),
    alerts: 1,
    problem: "",
  },
  {
    reason: "Windows line ends separate too.",
    text: '{"rule":"a"}\r\n{"rule":"b"}\r\n',
    alerts: 2,
    problem: "",
  },
  {
    reason: "Talon's examples write Rule, and Go's decoders read it.",
    text: '{"Rule":"a"}',
    alerts: 1,
    problem: "",
  },
  {
    reason: "A byte order mark is no part of the text.",
    text: '\ufeff{"rule":"a"}',
    alerts: 1,
    problem: "",
  },
] as const;

describe("a body", () => {
  it.each(bodies)("$reason", ({ text, alerts, problem }) => {
    const parsed = read(text);
    expect(parsed.alerts).toHaveLength(alerts);
    expect(parsed.problems.join()).toContain(problem);
    expect(parsed.problems.length > 0).toBe(problem !== "");
  });

  it("nested too deep is refused before anything is built", () => {
    const deep = `{"rule":"r","output_fields":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`;
    expect(read(deep)).toEqual({ alerts: [], problems: ["nested deeper than 32 levels"] });
    expect(read("[".repeat(200_000)).alerts).toEqual([]);
  });

  it("of nothing but faults is given up soon", () => {
    const lines = '{"a":[\n'.repeat(30_000);
    const startedAt = workedMs();
    expect(read(lines).alerts).toEqual([]);
    expect(read('{"rule":"r\n'.repeat(30_000)).problems).toHaveLength(20);
    expect(read(`{${"x".repeat(250_000)}\n{`.repeat(4)).alerts).toEqual([]);
    expect(workedMs() - startedAt).toBeLessThan(500);
  });

  it("with too many members or values is refused", () => {
    const members = Array.from({ length: 20_001 }, (_, i) => `"k${i}":1`).join(",");
    expect(read(`{"rule":"r","output_fields":{${members}}}`).problems).toEqual([
      "too many object members",
    ]);
    expect(read('{"rule":"r"}\n'.repeat(1_001)).alerts).toHaveLength(1_000);
    expect(read(`[${'{"rule":"r"},'.repeat(1_001)}{"rule":"r"}]`).alerts).toHaveLength(0);
  });

  it("of invalid UTF-8 is read with its bytes kept as evidence", () => {
    const bytes = Buffer.concat([
      Buffer.from('{"rule":"r","output":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}'),
    ]);
    const [one] = readAlerts(bytes).alerts;
    expect(one?.alert.output).toBe("\ufffd\ufffd");
    expect(one?.bytes).toEqual(bytes);
  });

  it("cannot reach a prototype", () => {
    const [one] = read(
      '{"rule":"r","__proto__":{"priority":"Critical"},"output_fields":{"__proto__":{"k8s.ns.name":"x"},"constructor":"y"}}',
    ).alerts;
    expect(one?.alert.priority).toBe("Unknown");
    expect(one && fieldText(one.alert, "k8s.ns.name")).toBe("");
    expect(one && fieldText(one.alert, "toString")).toBe("");
    expect(Object.hasOwn({}, "k8s.ns.name")).toBe(false);
  });
});

const oddities = [
  {
    reason: "null fields are absent.",
    fields: '{"k8s.ns.name":null,"k8s.pod.name":"p"}',
    clue: "unresolved",
  },
  {
    reason: "<NA> is Falco's word for absent.",
    fields: '{"k8s.ns.name":"<NA>","k8s.pod.name":"p"}',
    clue: "unresolved",
  },
  {
    reason: "A number is no name (Talon exits on it).",
    fields: '{"k8s.ns.name":"a","k8s.pod.name":123}',
    clue: "unresolved",
  },
  {
    reason: "A host event has no pod.",
    fields: '{"container.id":"host","k8s.ns.name":null}',
    clue: "host",
  },
  {
    reason: "A path is no namespace.",
    fields: '{"k8s.ns.name":"../kube-system","k8s.pod.name":"p"}',
    clue: "unresolved",
  },
  {
    reason: "A name of 254 characters is none.",
    fields: `{"k8s.ns.name":"a","k8s.pod.name":"${"p".repeat(254)}"}`,
    clue: "unresolved",
  },
  {
    reason: "Names are enough for a look.",
    fields: '{"k8s.ns.name":"a","k8s.pod.name":"p.q-1"}',
    clue: "pod",
  },
  {
    reason: "No fields at all: json_include_output_fields_property is off.",
    fields: "null",
    clue: "unresolved",
  },
  { reason: "A list of fields is none.", fields: "[1]", clue: "unresolved" },
] as const;

describe("where an alert happened", () => {
  it.each(oddities)("$reason", ({ fields, clue }) => {
    const [one] = read(alert(`"output_fields":${fields}`)).alerts;
    expect(one && clueOf(one.alert).kind).toBe(clue);
  });

  it("in an audit alert is the pod that is entered, never the object of another request", () => {
    const of = (target: string) => {
      const [one] = read(alert(`"source":"k8s_audit","output_fields":{${target}}`)).alerts;
      return one && clueOf(one.alert).kind;
    };
    const pod = '"ka.target.resource":"pods","ka.target.namespace":"a","ka.target.name":"p"';
    expect(of(`${pod},"ka.target.subresource":"exec"`)).toBe("pod");
    expect(of(pod)).toBe("unresolved");
    expect(
      of('"ka.target.resource":"services","ka.target.namespace":"a","ka.target.name":"p"'),
    ).toBe("unresolved");
  });

  it("is the host where Falco says so", () => {
    const [one] = read(alert('"output_fields":{"container.id":"host"}')).alerts;
    expect(one && isHostAlert(one.alert)).toBe(true);
  });
});

describe("times", () => {
  it.each([
    ["2026-07-04T20:46:44.180672852Z", 1783198004180672852n],
    ["2026-07-22T14:24:41Z", 1784730281000000000n],
    ["2020-03-03T17:50:03.391768+00:00", 1583257803391768000n],
    ["2020-03-03T18:50:03.391768+0100", 1583257803391768000n],
    ["2021-04-13T20:58:00.746609046Z+2", undefined],
    ["2026-02-31T00:00:00Z", undefined],
    ["2026-01-01T25:00:00Z", undefined],
    ["yesterday", undefined],
    ["", undefined],
  ])("%s", (text, want) => {
    expect(parseTimeNs(text)).toBe(want);
  });
});

describe("fingerprints", () => {
  const base = '"time":"2026-07-04T20:46:44.180672852Z","hostname":"n","output_fields":';
  const of = (text: string, atMs = 1): string => {
    const [one] = read(text).alerts;
    if (one === undefined) throw new Error("no alert");
    return fingerprint(one.alert, atMs);
  };
  it.each([
    ["one nanosecond later", alert(base.replace("852Z", "853Z") + '{"proc.pid":1}')],
    ["another process", alert(`${base}{"proc.pid":2}`)],
    ["another pod", alert(`${base}{"proc.pid":1,"k8s.pod.name":"p"}`)],
    ["another host", alert(base.replace('"n"', '"m"') + '{"proc.pid":1}')],
    ["another rule", alert(`${base}{"proc.pid":1}`).replace('"r"', '"s"')],
    ["a digit beyond 2^53", alert(`${base}{"proc.pid":1,"evt.num":9007199254740993}`)],
  ])("%s is another alert", (_what, text) => {
    expect(of(text)).not.toBe(of(alert(`${base}{"proc.pid":1}`)));
  });
  it("do not see what relays add", () => {
    const direct = of(alert(`${base}{"proc.pid":1}`));
    const relayed = alert(
      `"uuid":"x","source":"syscalls","tags":["b"],${base}{"proc.pid":1,"cluster":"prod"}`,
    );
    expect(of(relayed)).toBe(direct);
  });
  it("of alerts without a time differ by when they came, so that none is merged away", () => {
    expect(of(alert('"output":"x"'), 1)).not.toBe(of(alert('"output":"x"'), 2));
  });
});
