// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { compileQuery } from "#policy/jmespath/compile";
import { QueryFailure } from "#policy/jmespath/query";
import { compileContextEntries } from "#policy/kyverno/classic/context";
import { makeScope, type Scope } from "#policy/kyverno/classic/scope";
import type { Review } from "#policy/review";
import { emptyWorld, type ContextValues, type World } from "#policy/world";

const object: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "shop" },
  spec: {
    containers: [
      { name: "main", image: "ghcr.io/shop/web:1.2" },
      { name: "side", image: "nginx" },
    ],
  },
};

const review: Review = {
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subResource: "",
  name: "web",
  namespace: "shop",
  object,
  oldObject: null,
  userInfo: null,
  dryRun: false,
  options: null,
};

const identity = { policy: "p", rule: "r" };

function ask(scope: Scope, expression: string): Json {
  const result = scope.query(compileQuery(expression));
  return result instanceof QueryFailure ? `! ${result.kind}: ${result.message}` : result;
}

function scopeWith(context: Json, world: Partial<World> = {}): Scope {
  const { context: entries, problems } = compileContextEntries(context);
  expect(problems).toEqual([]);
  return makeScope(review, { ...emptyWorld(0), ...world }, identity).withEntries(entries);
}

const unknown = (key: string): string =>
  `! unknown-key: JMESPath query failed: Unknown key "${key}" in path`;

describe("what a review says", () => {
  const scope = makeScope(review, emptyWorld(0), identity);

  test.each<[string, Json]>([
    ["request.operation", "CREATE"],
    ["request.namespace", "shop"],
    ["request.object.metadata.name", "web"],
    ["request.oldObject", unknown("oldObject")],
    ["request.userInfo", unknown("userInfo")],
    ["request.name", unknown("name")],
    ["serviceAccountName", unknown("serviceAccountName")],
    ["target", unknown("target")],
    ["images.containers.main.registry", "ghcr.io"],
    ["images.containers.side.reference", "docker.io/nginx:latest"],
    ["images.containers.*.name", ["web", "nginx"]],
  ])("without a user: %s", (expression, want) => {
    expect(ask(scope, expression)).toEqual(want);
  });

  const userInfo = {
    username: "system:serviceaccount:ci:robot",
    uid: "",
    groups: ["g"],
    extra: {},
    roles: [],
    clusterRoles: ["admin"],
  };
  const admitted = makeScope({ ...review, userInfo }, emptyWorld(0), identity);

  test.each<[string, Json]>([
    ["request.userInfo", { username: userInfo.username, groups: ["g"] }],
    ["request.clusterRoles", ["admin"]],
    ["request.roles", null],
    ["request.name", "web"],
    ["request.kind.kind", "Pod"],
    ["request.resource.resource", "pods"],
    ["request.dryRun", false],
    ["serviceAccountName", "robot"],
    ["serviceAccountNamespace", "ci"],
  ])("with a user: %s", (expression, want) => {
    expect(ask(admitted, expression)).toEqual(want);
  });

  test("a user that is no service account has empty names of one", () => {
    const person = makeScope(
      { ...review, userInfo: { ...userInfo, username: "jane@example.org:x" } },
      emptyWorld(0),
      identity,
    );
    expect(ask(person, "[serviceAccountName, serviceAccountNamespace]")).toEqual(["", ""]);
  });

  test("on DELETE there is only the old object", () => {
    const deleted = makeScope(
      { ...review, operation: "DELETE", object: null, oldObject: object },
      emptyWorld(0),
      identity,
    );
    expect(deleted.isDelete).toBe(true);
    expect(ask(deleted, "request.oldObject.kind")).toBe("Pod");
    expect(ask(deleted, "request.object")).toBe(unknown("object"));
  });

  test("an image that is none is an error where images are asked for, and nowhere else", () => {
    const odd = { ...object, spec: { containers: [{ name: "x", image: "UPPER CASE" }] } };
    const broken = makeScope({ ...review, object: odd }, emptyWorld(0), identity);
    expect(ask(broken, "request.operation")).toBe("CREATE");
    expect(ask(broken, "images.containers")).toMatch(/^! failed: invalid image/);
  });
});

describe("context entries", () => {
  test("load when a query names them, in order, and see those before them", () => {
    const scope = scopeWith([
      { name: "first", variable: { jmesPath: "request.object.metadata.name" } },
      { name: "second", variable: { value: "{{ first }}-{{ request.operation }}" } },
      { name: "third", variable: { value: { list: ["{{ second }}"] }, jmesPath: "list[0]" } },
    ]);
    expect(ask(scope, "third")).toBe("web-CREATE");
    expect(ask(scope, "[first, second]")).toEqual(["web", "web-CREATE"]);
  });

  test("do not see themselves or those after them", () => {
    const scope = scopeWith([
      { name: "early", variable: { jmesPath: "late", default: "unknown" } },
      { name: "self", variable: { jmesPath: "self || 'none'" } },
      { name: "late", variable: { value: "x" } },
    ]);
    expect(ask(scope, "[early, self, late]")).toEqual(["unknown", "none", "x"]);
  });

  test("do not load for a field of the same name", () => {
    const scope = scopeWith([{ name: "operation", variable: { jmesPath: "broken" } }]);
    expect(ask(scope, "request.operation")).toBe("CREATE");
    expect(ask(scope, "operation")).toBe(
      '! failed: failed to apply jmespath broken to variable <nil>: JMESPath query failed: Unknown key "broken" in path',
    );
  });

  test("are asked for once", () => {
    let calls = 0;
    const scope = scopeWith([{ name: "gone", configMap: { name: "x" } }], {
      get: () => {
        calls += 1;
        return { kind: "absent" };
      },
    });
    ask(scope, "gone");
    ask(scope.withElement(1, 0, 0), "gone");
    expect(calls).toBe(1);
  });

  test.each<{ reason: string; variable: JsonObject; want: Json }>([
    { reason: "a value of any type", variable: { value: { a: [1] } }, want: { a: [1] } },
    {
      reason: "the default for an unknown key",
      variable: { jmesPath: "none", default: 7 },
      want: 7,
    },
    {
      reason: "the default for null",
      variable: { jmesPath: "request.object.spec.containers[9]", default: "d" },
      want: "d",
    },
    {
      reason: "the default may hold variables",
      variable: { jmesPath: "none", default: "{{ request.namespace }}" },
      want: "shop",
    },
    {
      reason: "the path may hold variables",
      variable: { jmesPath: "request.{{ 'operation' }}" },
      want: "CREATE",
    },
    {
      reason: "null is no value",
      variable: { jmesPath: "request.object.spec.containers[9]" },
      want: "! failed: failed to add context entry for variable v since it evaluated to nil",
    },
  ])("variable: $reason", ({ variable, want }) => {
    expect(ask(scopeWith([{ name: "v", variable }]), "v")).toEqual(want);
  });

  const configMap: JsonObject = { metadata: { name: "teams" }, data: { shop: "a,b" } };

  test.each<{ reason: string; world: Partial<World>; want: Json }>([
    {
      reason: "data and metadata",
      world: { get: () => ({ kind: "found", value: configMap }) },
      want: ["a,b", "teams"],
    },
    {
      reason: "absent",
      world: { get: () => ({ kind: "absent" }) },
      want: '! failed: failed to retrieve config map for context entry cm: failed to get configmap default/teams : configmaps "teams" not found',
    },
    {
      reason: "not to be known",
      world: {},
      want: "! unavailable: failed to retrieve config map for context entry cm: failed to get configmap default/teams : nothing outside the object is known here",
    },
  ])("configMap: $reason", ({ world, want }) => {
    const scope = scopeWith([{ name: "cm", configMap: { name: "{{ 'teams' }}" } }], world);
    expect(ask(scope, "[cm.data.shop, cm.metadata.name]")).toEqual(want);
  });

  const pods: JsonObject = { items: [{ metadata: { name: "a" } }, { metadata: { name: "b" } }] };
  const apiCall = {
    urlPath: "/api/v1/namespaces/{{ request.namespace }}/pods",
    jmesPath: "items | length(@)",
  };

  test.each<{ reason: string; call: JsonObject; world: Partial<World>; want: Json }>([
    {
      reason: "the answer of a call",
      call: apiCall,
      world: {
        call: ({ url }) => ({ kind: "found", value: url.endsWith("/shop/pods") ? pods : null }),
      },
      want: 2,
    },
    {
      reason: "a list that the World knows",
      call: apiCall,
      world: {
        list: ({ resource, namespace }) => ({
          kind: "found",
          value: resource === "pods" && namespace === "shop" ? pods : null,
        }),
      },
      want: 2,
    },
    {
      reason: "an object that it knows",
      call: { urlPath: "/apis/apps/v1/namespaces/x/deployments/y" },
      world: { get: ({ apiVersion, name }) => ({ kind: "found", value: `${apiVersion} ${name}` }) },
      want: "apps/v1 y",
    },
    {
      reason: "the default when the call fails",
      call: { ...apiCall, jmesPath: "", default: 0 },
      world: { call: () => ({ kind: "absent" }) },
      want: 0,
    },
    {
      reason: "no default where nothing can be known",
      call: { ...apiCall, default: 0 },
      world: {},
      want: "! unavailable: failed to fetch data for APICall: failed to GET resource with raw url: /api/v1/namespaces/shop/pods: nothing outside the object is known here",
    },
    {
      reason: "a path that does not fit",
      call: { ...apiCall, jmesPath: "items.length(@) | abs(@)" },
      world: { call: () => ({ kind: "found", value: {} }) },
      want: '! failed: failed to store data for APICall: failed to apply JMESPath items.length(@) | abs(@) for context entry api: Invalid type for: <nil>, expected: []jmespath.JpType{"number"}',
    },
    {
      reason: "a variable that cannot be resolved",
      call: { urlPath: "/api/{{ none }}" },
      world: {},
      want: '! failed: failed to fetch data for APICall: failed to substitute variables in context entry api /api/{{ none }}: failed to resolve none at path /urlPath: JMESPath query failed: Unknown key "none" in path',
    },
    {
      reason: "a service with data",
      call: {
        method: "POST",
        service: { url: "http://s.x" },
        data: [{ key: "n", value: "{{ request.object.metadata.name }}" }],
      },
      world: {
        call: ({ method, url, body }) => ({ kind: "found", value: [method, url, body ?? null] }),
      },
      want: ["POST", "http://s.x", { n: "web" }],
    },
  ])("apiCall: $reason", ({ call, world, want }) => {
    expect(ask(scopeWith([{ name: "api", apiCall: call }], world), "api")).toEqual(want);
  });

  test("globalReference and imageRegistry ask the World", () => {
    const scope = scopeWith(
      [
        { name: "g", globalReference: { name: "deployments", jmesPath: "[0]" } },
        {
          name: "i",
          imageRegistry: {
            reference: "{{ images.containers.main.reference }}",
            jmesPath: "configData.user",
          },
        },
      ],
      {
        globalContext: (name) => ({ kind: "found", value: [name] }),
        imageData: (reference) => ({ kind: "found", value: { configData: { user: reference } } }),
      },
    );
    expect(ask(scope, "[g, i]")).toEqual(["deployments", "ghcr.io/shop/web:1.2"]);
    expect(ask(scopeWith([{ name: "g", globalReference: { name: "x" } }]), "g")).toMatch(
      /^! unavailable: /,
    );
    expect(ask(scopeWith([{ name: "i", imageRegistry: { reference: "x" } }]), "i")).toMatch(
      /^! unavailable: /,
    );
  });

  test("entries of more than 2 MB together are refused", () => {
    const scope = scopeWith(
      [
        { name: "some", configMap: { name: "x" } },
        { name: "big", configMap: { name: "x" } },
      ],
      {
        get: () => ({ kind: "found", value: { data: { k: "x".repeat(1_500_000) } } }),
      },
    );
    expect(ask(scope, "length(some.data.k)")).toBe(1_500_000);
    expect(ask(scope, "big.data.k")).toBe(
      "! failed: context size limit exceeded: more than the limit of 2097152 bytes",
    );
  });

  test.each<{ reason: string; context: Json; want: readonly string[] }>([
    { reason: "no list", context: {}, want: ["context"] },
    { reason: "no name", context: [{ variable: { value: 1 } }], want: ["context[0]"] },
    { reason: "no kind", context: [{ name: "x" }], want: ["context[0]"] },
    {
      reason: "a path that is no JMESPath",
      context: [{ name: "x", variable: { jmesPath: "a..b" } }],
      want: ["context[0].variable.jmesPath"],
    },
    {
      reason: "a path with variables is not known yet",
      context: [{ name: "x", variable: { jmesPath: "a.{{ b }}" } }],
      want: [],
    },
    { reason: "nothing", context: null, want: [] },
  ])("names what is wrong: $reason", ({ context, want }) => {
    expect(compileContextEntries(context).problems.map(({ path }) => path)).toEqual(want);
  });
});

describe("scopes inside scopes", () => {
  test("elements of nested loops", () => {
    const scope = makeScope(review, emptyWorld(0), identity);
    const outer = scope.withElement({ name: "a" }, 1, 0);
    const inner = outer.withElement("x", 2, 1);
    expect(ask(outer, "[element.name, element0.name, elementIndex, elementIndex0]")).toEqual([
      "a",
      "a",
      1,
      1,
    ]);
    expect(
      ask(inner, "[element, element0.name, element1, elementIndex, elementIndex0, elementIndex1]"),
    ).toEqual(["x", "a", "x", 2, 1, 2]);
    expect(ask(scope, "element")).toBe(unknown("element"));
  });

  test("an index is no number to the language, only outside it", () => {
    const scope = makeScope(review, emptyWorld(0), identity).withElement("x", 1, 0);
    expect(ask(scope, "elementIndex")).toBe(1);
    expect(ask(scope, "elementIndex > `0`")).toBe(null);
    expect(ask(scope, "to_string(elementIndex)")).toBe("1");
    expect(ask(scope, "add(elementIndex, `1`)")).toBe(
      "! failed: JMESPath query failed: JMESPath function 'add': invalid operands",
    );
  });

  test("an entry of an outer scope that an inner one loads first is seen by both", () => {
    const scope = scopeWith([{ name: "v", variable: { value: "x" } }]);
    const inner = scope.withElement(1, 0, 0);
    expect(ask(inner, "[v, element]")).toEqual(["x", 1]);
    expect(ask(scope, "v")).toBe("x");
  });

  test("an inner entry hides an outer one of its name", () => {
    const { context } = compileContextEntries([{ name: "v", variable: { value: "inner" } }]);
    const scope = scopeWith([{ name: "v", variable: { value: "outer" } }]);
    expect(ask(scope.withElement(1, 0, 0).withEntries(context), "v")).toBe("inner");
    expect(ask(scope, "v")).toBe("outer");
  });

  test("after a mutation what was loaded stays, and the rest sees the new object", () => {
    const scope = scopeWith([
      { name: "before", variable: { jmesPath: "request.object.metadata.name" } },
      { name: "after", variable: { jmesPath: "request.object.metadata.name" } },
    ]);
    ask(scope, "before");
    const mutated = scope.withElement(1, 0, 0).withObject({ ...object, metadata: { name: "new" } });
    expect(ask(mutated, "[before, after, request.object.metadata.name, element]")).toEqual([
      "web",
      "new",
      "new",
      1,
    ]);
    expect(ask(scope, "request.object.metadata.name")).toBe("web");
  });
});

describe("a Values file", () => {
  const values: ContextValues = {
    values: {
      "request.operation": "UPDATE",
      "request.object.metadata.labels.app": "mock",
      'cm.data."a.b"': "given",
      api: { items: 3 },
    },
    foreachValues: { found: ["first", "second"] },
  };
  const world: World = {
    ...emptyWorld(0),
    contextValues: (_policy, rule) => (rule === "r" ? values : undefined),
  };
  const { context } = compileContextEntries([
    { name: "cm", configMap: { name: "x" } },
    { name: "api", apiCall: { urlPath: "/api/v1/x" } },
    { name: "v", variable: { jmesPath: "api.items" } },
  ]);
  const scope = makeScope(review, world, identity).withEntries(context);

  test.each<[string, Json]>([
    ["request.operation", "UPDATE"],
    ["request.object.metadata.labels.app", "mock"],
    ["request.object.metadata.name", "web"],
    ['cm.data."a.b"', "given"],
    ["api.items", 3],
    ["v", 3],
    ["found", "first"],
  ])("stands in for the world: %s", (expression, want) => {
    expect(ask(scope, expression)).toEqual(want);
  });

  test("has one value per element", () => {
    expect(ask(scope.withElement("e", 1, 0), "[element, found]")).toEqual(["e", "second"]);
  });

  test("names rules as their author did", () => {
    for (const rule of ["autogen-r", "autogen-cronjob-r"]) {
      expect(ask(makeScope(review, world, { policy: "p", rule }), "api.items")).toBe(3);
    }
    expect(ask(makeScope(review, world, { policy: "p", rule: "other" }), "api")).toBe(
      unknown("api"),
    );
  });

  test("cannot reach what every object inherits", () => {
    const hostile: World = {
      ...world,
      contextValues: () => ({
        values: { "__proto__.polluted": true, "constructor.prototype.polluted": true },
        foreachValues: {},
      }),
    };
    expect(ask(makeScope(review, hostile, identity), "__proto__")).toEqual({ polluted: true });
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });
});
