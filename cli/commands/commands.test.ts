// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { at, isArray, parseJson } from "#policy/json";
import type { Json } from "#policy/json";
import { parseArguments } from "../arguments.ts";
import { formatHelp, helpOption } from "../command.ts";
import type { Command, Io } from "../command.ts";
import { parseText } from "#policy/yaml";
import { approveCommand } from "./approve.ts";
import { auditCommand } from "./audit.ts";
import { checkCommand } from "./check.ts";
import { completionCommand } from "./completion.ts";
import { demoCommand } from "./demo.ts";
import { explainCommand } from "./explain.ts";
import { importCommand } from "./import.ts";
import { migrateCommand } from "./migrate.ts";
import { mutateCommand } from "./mutate.ts";
import { rbacCommand } from "./rbac.ts";
import { testCommand } from "./test.ts";

const files: Readonly<Record<string, string>> = {
  "policies/labels.yaml": `
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata:
  name: require-app
  annotations:
    policies.kyverno.io/severity: high
    policies.kyverno.io/category: Labels
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  validations:
    - expression: "'app' in object.metadata.?labels.orValue({})"
      message: label app is missing
`,
  "policies/defaults.yaml": `
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata:
  name: add-team
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  matchConditions:
    - {name: new, expression: "object.metadata.name != 'good'"}
  mutations:
    - patchType: ApplyConfiguration
      applyConfiguration:
        expression: "Object{metadata: Object.metadata{labels: Object.metadata.labels{team: 'a'}}}"
`,
  "policies/kustomization.yaml": "resources: [labels.yaml]\n",
  "audit.yaml": `
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: audited}
spec:
  validationActions: [Audit]
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  validations: [{expression: "false", message: never}]
`,
  "brackets.yaml": `
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: brackets}
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  validations:
    - expression: >-
        (object.metadata.name == "x" || true) && !(object.metadata.name == "x") && object.kind == "Pod"
`,
  "classic.yaml": `
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: classic}
spec:
  rules:
    - name: label
      match: {any: [{resources: {kinds: [Pod]}}]}
      mutate: {patchStrategicMerge: {metadata: {labels: {team: a}}}}
    - name: keep
      match: {any: [{resources: {kinds: [Pod], operations: [DELETE]}}]}
      validate:
        message: "{{ request.oldObject.metadata.name }} may not be deleted"
        deny: {}
`,
  "selecting.yaml": `
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: selecting}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {env: prod}}
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  validations: [{expression: "false", message: never}]
`,
  "broken.yaml": `
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: broken}
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  validations: [{expression: "object.("}]
`,
  "good.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: good, labels: {app: x}}\nspec: {}\n",
  "bad.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: bad, namespace: prod}\nspec: {}\n",
  "list.json": `{"apiVersion": "v1", "kind": "List", "items": [
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "two"}}]}`,
  "syntax.yaml": "a: b: c\n",
  "suite/kyverno-test.yaml": `
apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: suite}
policies: [../policies/labels.yaml]
resources: [../good.yaml, ../bad.yaml]
results:
  - {policy: require-app, kind: Pod, resources: [good], result: pass}
  - {policy: require-app, kind: Pod, resources: [bad], result: fail}
`,
  "failing/kyverno-test.yaml": `
apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: failing}
policies: [../policies/labels.yaml]
resources: [../good.yaml]
results:
  - {policy: require-app, kind: Pod, resources: [good], result: fail}
`,
  "empty.yaml": "# nothing yet\n",
  "sweep.yaml": `
apiVersion: policies.kyverno.io/v1
kind: DeletingPolicy
metadata: {name: sweep}
spec:
  schedule: "0 1 * * *"
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], resources: [pods]}]
  conditions: [{name: unlabelled, expression: "!has(object.metadata.labels)"}]
`,
  "remote/kyverno-test.yaml": `
kind: Test
policies: [https://example.org/policy.yaml]
resources: [../good.yaml]
results:
  - {policy: require-app, kind: Pod, resources: [good], result: pass}
`,
  "absent/kyverno-test.yaml": `
kind: Test
policies: [nowhere.yaml]
resources: [../good.yaml]
results:
  - {policy: require-app, kind: Pod, resources: [good], result: fail}
`,
};

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "parapet-cli-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

type Ran = { readonly code: number; readonly out: string; readonly err: string };

async function run(command: Command, line: string, stdin = ""): Promise<Ran> {
  const words = line.split(" ").filter((word) => word !== "");
  const parsed = parseArguments(words, [...command.options, helpOption]);
  if (!parsed.ok) throw new Error(parsed.message);
  let out = "";
  let err = "";
  const io: Io = {
    folder,
    stdin: () => stdin,
    out: (text) => (out += text),
    err: (text) => (err += text),
    interactive: false,
    nowMs: () => 1_750_000_000_000,
  };
  const code = await command.run(parsed.args, io);
  return { code, out, err };
}

const resultsOf = (ran: Ran): readonly Json[] => {
  const results = at(parseJson(ran.out), ["results"]);
  return isArray(results) ? results : [];
};

describe("check", () => {
  test.each([
    ["nothing is wrong", "-p policies/labels.yaml -r good.yaml", 0],
    ["an enforced violation", "-p policies/labels.yaml -r bad.yaml", 1],
    ["an audited violation only reports", "-p audit.yaml -r bad.yaml", 0],
    ["unless asked to fail", "-p audit.yaml -r bad.yaml --fail-on violation", 1],
    ["violations may be ignored", "-p policies/labels.yaml -r bad.yaml --fail-on never", 0],
    ["a file that is not there", "-p policies/labels.yaml -r nowhere.yaml", 2],
    ["a file that is no YAML", "-p policies/labels.yaml -r syntax.yaml", 2],
    ["a policy that does not compile", "-p broken.yaml policies/labels.yaml -r good.yaml", 2],
    ["no policy", "-r good.yaml", 2],
    ["no resource", "-p audit.yaml", 2],
    ["standard input twice", "-p - -r -", 2],
    ["an argument that nothing takes", "good.yaml -p audit.yaml -r bad.yaml", 2],
    ["labels of another form", "-p audit.yaml -r bad.yaml --namespace-labels prod", 2],
  ])("%s", async (_reason, line, want) => {
    const { code, err } = await run(checkCommand, line);
    expect(code).toBe(want);
    expect(err === "").toBe(want !== 2);
  });

  test.each([
    ["no policy in a file", "-p empty.yaml -r good.yaml", "", "empty.yaml: holds no policy"],
    ["no resource in a file", "-p audit.yaml -r empty.yaml", "", "empty.yaml: holds no resource"],
    ["a pipe whose command failed", "-p audit.yaml -r -", "", "-: holds no resource"],
    ["a folder without policies", "-p suite -r good.yaml", "", "suite: holds no policy"],
    [
      "a Pod that is no UserInfo",
      "-p audit.yaml -r good.yaml -u good.yaml",
      "",
      "good.yaml: is Pod, which is nothing for --userinfo",
    ],
    ["nor values", "-p audit.yaml -r good.yaml -f good.yaml", "", "is Pod, which is nothing"],
    ["nor a context", "-p audit.yaml -r good.yaml --context good.yaml", "", "is Pod, which is"],
    ["an empty one", "-p audit.yaml -r good.yaml -u empty.yaml", "", "empty.yaml: holds no object"],
  ])("is no check that passes: %s", async (_reason, line, stdin, want) => {
    const { code, err } = await run(checkCommand, line, stdin);
    expect(code).toBe(2);
    expect(err).toContain(want);
  });

  test("policies that speak about nothing that is given are told of", async () => {
    const { code, err } = await run(checkCommand, "-p audit.yaml -r audit.yaml");
    expect(code).toBe(0);
    expect(err).toContain("warning: no policy speaks about any of the resources");
  });

  test("what a policy would delete is named, and is no violation", async () => {
    const line = "-p sweep.yaml -r good.yaml bad.yaml --fail-on warning";
    const table = await run(checkCommand, line);
    expect(table.code).toBe(0);
    expect(table.out).toMatch(/Pod\/prod\/bad +DeletingPolicy\/sweep +0 1 \* \* \* +would be/);
    expect(table.out).not.toContain("/good ");
    const json = await run(checkCommand, `${line} -o json`);
    expect(resultsOf(json)).toEqual([]);
    expect(at(parseJson(json.out), ["deletions"])).toMatchObject([{ resource: { name: "bad" } }]);
    const why = await run(checkCommand, `${line} --explain`);
    expect(why.out).toContain("=> is kept: condition unlabelled is false");
  });

  test("errors name the file and the place", async () => {
    const { err } = await run(checkCommand, "-p policies/labels.yaml -r syntax.yaml nowhere.yaml");
    expect(err).toMatch(/syntax\.yaml: .*line 1, column 5/);
    expect(err).toMatch(/nowhere\.yaml: no such file or folder/);
  });

  test("a policy's error names file, document and path", async () => {
    const { err } = await run(checkCommand, "-p broken.yaml -r good.yaml");
    expect(err).toMatch(
      /check: broken\.yaml: ValidatingPolicy\/broken: spec\.validations\[0\]\.expression: /,
    );
  });

  test("JSON is one entry per verdict; what no rule matched has none", async () => {
    const ran = await run(checkCommand, "-p policies -r bad.yaml good.yaml list.json -o json");
    expect(at(parseJson(ran.out), ["summary"])).toMatchObject({ pass: 3, fail: 2, error: 0 });
    const failed = resultsOf(ran).filter((one) => at(one, ["result"]) === "fail");
    expect(failed[0]).toEqual({
      policy: "require-app",
      rule: "",
      resource: { apiVersion: "v1", kind: "Pod", namespace: "prod", name: "bad" },
      result: "fail",
      message: "label app is missing",
      severity: "high",
      category: "Labels",
      action: "Enforce",
    });
    expect(at(failed[1], ["resource", "namespace"])).toBe("default");
  });

  test("a folder, a glob and standard input are the same resources", async () => {
    const fromGlob = await run(checkCommand, "-p policies/labels.yaml -r {good,bad}.yaml -o json");
    const fromStdin = await run(
      checkCommand,
      "-p policies/labels.yaml -r - -o json",
      `${files["bad.yaml"]}---\n${files["good.yaml"]}`,
    );
    expect(fromGlob.out).toBe(fromStdin.out);
  });

  test.each(["bad.yaml", "./bad.yaml", "suite/../bad.yaml", ""])(
    "a file named %s is named from the root",
    async (given) => {
      const resource = given === "" ? path.join(folder, "bad.yaml") : given;
      const github = await run(checkCommand, `-p policies/labels.yaml -r ${resource} -o github`);
      expect(github.out).toMatch(/^::error file=bad\.yaml,line=1,/);
      const sarif = await run(checkCommand, `-p policies/labels.yaml -r ${resource} -o sarif`);
      expect(sarif.out).toContain('"uri": "bad.yaml"');
    },
  );

  test("namespaces whose labels nothing tells are named where a policy selects by them", async () => {
    const line = "-p selecting.yaml -r bad.yaml";
    const unknown = await run(checkCommand, line);
    expect(unknown.code).toBe(0);
    expect(unknown.err).toMatch(
      /warning: ValidatingPolicy\/selecting selects namespaces .* none are known of prod /,
    );
    const known = await run(checkCommand, `${line} --namespace-labels prod:env=prod`);
    expect([known.code, known.err]).toEqual([1, ""]);
  });

  test("the explanation quotes expressions with their brackets", async () => {
    const { out } = await run(checkCommand, "-p brackets.yaml -r bad.yaml --explain");
    expect(out).toMatch(/^ +\(object\.metadata\.name == "x" \|\| true\) = true$/m);
    expect(out).toMatch(/ !\(object\.metadata\.name == "x"\) = true$/m);
  });

  test("a mutate rule leaves what is deleted to the rules after it", async () => {
    const ran = await run(
      checkCommand,
      "-p classic.yaml -r bad.yaml --operation DELETE --fail-on violation -o json",
    );
    expect(resultsOf(ran).map((one) => at(one, ["message"]))).toEqual(["bad may not be deleted"]);
    expect(ran.code).toBe(1);
    const mutated = await run(mutateCommand, "-p classic.yaml -r bad.yaml --operation DELETE");
    expect(parseText(mutated.out)).toEqual(parseText(files["bad.yaml"] ?? ""));
  });

  test("the explanation shows what each part gave", async () => {
    const { out } = await run(checkCommand, "-p policies -r bad.yaml --explain");
    expect(out).toMatchInlineSnapshot(`
      "MutatingPolicy/add-team on Pod/prod/bad
        matchConditions[0] new: true
          object.metadata.name != 'good'
            object.metadata = {"name":"bad","namespace":"prod"}
            object.metadata.name = "bad"
        mutations[0]: {"metadata":{"labels":{"team":"a"}}}
          Object{metadata: Object.metadata{labels: Object.metadata.labels{team: 'a'}}}
            Object.metadata.labels{team: 'a'} = {"team":"a"}
            Object.metadata{labels: Object.metadata.labels{team: 'a'}} = {"labels":{"team":"a"}}
        => pass: success

      ValidatingPolicy/require-app on Pod/prod/bad
        validations[0]: false
          'app' in object.metadata.?labels.orValue({})
            object.metadata = {"name":"bad","namespace":"prod","labels":{"team":"a"}}
            object.metadata.?labels = {"team":"a"}
            object.metadata.?labels.orValue({}) = {"team":"a"}
        => fail: label app is missing
      "
    `);
  });

  test.each(["wgpolicyk8s.io", "openreports.io"])(
    "reports of %s, one per namespace",
    async (group) => {
      const line = `-p policies/labels.yaml -r bad.yaml list.json -o report --report-group ${group}`;
      const { out } = await run(checkCommand, line);
      const parsed = parseText(out);
      const reports = parsed.ok ? parsed.documents : [];
      expect(reports.map((one) => at(one, ["metadata", "namespace"]))).toEqual(["default", "prod"]);
      expect(at(reports[1], ["apiVersion"])).toMatch(group);
      expect(at(reports[1], ["summary"])).toEqual({ pass: 0, fail: 1, warn: 0, error: 0, skip: 0 });
      expect(at(reports[1], ["results", 0])).toMatchObject({
        policy: "require-app",
        result: "fail",
        severity: "high",
        resources: [{ apiVersion: "v1", kind: "Pod", namespace: "prod", name: "bad" }],
      });
    },
  );

  test("an operation that the policy does not match has no verdict", async () => {
    const ran = await run(
      checkCommand,
      "-p policies/labels.yaml -r bad.yaml --operation DELETE -o json",
    );
    expect(resultsOf(ran)).toEqual([]);
  });
});

describe("mutate", () => {
  test("prints every resource, without the namespace that reading put in", async () => {
    const { code, out } = await run(mutateCommand, "-p policies -r list.json");
    expect(code).toBe(0);
    expect(out).toBe(
      "apiVersion: v1\nkind: Pod\nmetadata:\n  name: one\n  labels:\n    team: a\n---\n" +
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: two\n",
    );
  });

  test.each([
    ["a policy cannot be read", "-p broken.yaml policies/defaults.yaml -r bad.yaml"],
    ["a resource cannot be read", "-p policies/defaults.yaml -r bad.yaml nowhere.yaml"],
  ])("prints nothing that somebody could apply where %s", async (_reason, line) => {
    const { code, out, err } = await run(mutateCommand, line);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).not.toBe("");
  });

  test("one resource is one JSON object, several are a List", async () => {
    const one = await run(mutateCommand, "-p policies -r bad.yaml -o json");
    expect(at(parseJson(one.out), ["metadata", "labels"])).toEqual({ team: "a" });
    const both = await run(mutateCommand, "-p policies -r list.json -o json");
    expect(at(parseJson(both.out), ["kind"])).toBe("List");
  });

  test("the diff says what changed and by which policy", async () => {
    const { out } = await run(mutateCommand, "-p policies -r bad.yaml good.yaml --diff");
    expect(out).toBe('Pod/prod/bad, by add-team\n  + metadata.labels: {"team":"a"}\n');
  });
});

describe("test", () => {
  test.each([
    ["all checks hold", "suite", 0],
    ["a check that fails", "suite failing", 1],
    ["a test that names a missing file", "suite absent", 2],
    ["a folder without tests", "policies", 2],
    ["a folder that is not there", "nowhere", 2],
    ["no path", "", 2],
  ])("%s", async (_reason, line, want) => {
    expect((await run(testCommand, line)).code).toBe(want);
  });

  test("a policy behind a URL is unsupported, which strict does not let pass", async () => {
    const ran = await run(testCommand, "remote -o json");
    expect(ran.code).toBe(0);
    expect(ran.err).toContain("1 check cannot be evaluated here; --strict fails on it");
    expect(at(parseJson(ran.out), ["results", 0, "ok"])).toBe(false);
    expect(at(parseJson(ran.out), ["results", 0, "message"])).toContain("nothing is fetched");
    expect((await run(testCommand, "remote --strict")).code).toBe(1);
  });

  test("a file that holds no check proves nothing", async () => {
    const { code, err } = await run(testCommand, "-", "");
    expect(code).toBe(2);
    expect(err).toContain("hold no check: nothing was proven");
  });

  test("JSON has the summary and one entry per check", async () => {
    const { out } = await run(testCommand, "suite failing -o json");
    const json = parseJson(out);
    expect(at(json, ["summary"])).toMatchObject({
      files: 2,
      checks: 3,
      passed: 2,
      failed: 1,
      skipped: 0,
      unsupported: 0,
    });
    expect(at(json, ["results", 2])).toEqual({
      file: "failing/kyverno-test.yaml",
      policy: "require-app",
      rule: "",
      kind: "Pod",
      resource: "good",
      expected: "fail",
      actual: "pass",
      status: "failed",
      ok: false,
      message: "expected fail, found pass: success",
    });
  });
});

test("the demo takes no file", async () => {
  const { code, err } = await run(demoCommand, "alert.json");
  expect(code).toBe(2);
  expect(err).toContain("unexpected argument alert.json");
});

describe("help", () => {
  test.each([
    [approveCommand],
    [auditCommand],
    [checkCommand],
    [completionCommand],
    [demoCommand],
    [explainCommand],
    [importCommand],
    [migrateCommand],
    [mutateCommand],
    [rbacCommand],
    [testCommand],
  ])("of $name fits a terminal, says when it ends how, and has examples that parse", (command) => {
    const help = formatHelp(command);
    expect(help).toContain(`usage: parapet ${command.name}`);
    expect(help).toMatch(/exit code: 0 good, .*2 bad usage/s);
    for (const width of [72, 100]) {
      const [text = ""] = formatHelp(command, width).split("examples:");
      expect(text.split("\n").filter((line) => line.length > width)).toEqual([]);
      expect(text).not.toMatch(/\.\.\.\.| $/m);
    }
    for (const { line } of command.examples) {
      const own = line.slice(line.indexOf(`parapet ${command.name}`)).split(/[|>]/)[0] ?? "";
      const words = own.replaceAll("'", "").trim().split(" ").slice(2);
      expect(parseArguments(words, command.options)).toMatchObject({ ok: true });
    }
  });
});
