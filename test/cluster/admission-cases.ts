// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";

export type Case = {
  readonly reason: string;
  readonly spec: JsonObject;
  /** Of the policy's binding; none for a policy without params. */
  readonly paramRef?: JsonObject;
};

const limits = (namespace: string, name: string, labels: JsonObject, max: string): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace, labels },
  data: { max },
});

/** The objects that policies find as their params. */
export const params: readonly JsonObject[] = [
  limits("judged", "small", { tier: "x", one: "y" }, "1"),
  limits("judged", "large", { tier: "x" }, "9"),
  limits("free", "elsewhere", { tier: "x", far: "y" }, "5"),
];

const one = (expression: string, more: JsonObject = {}): JsonObject => ({
  validations: [{ expression, ...more }],
});
/** One validation on its own. */
const check = (expression: string, reason: string): Case => ({ reason, spec: one(expression) });

const parameterised = (
  reason: string,
  expression: string,
  paramRef?: JsonObject,
  more: JsonObject = {},
): Case => ({
  reason,
  spec: { paramKind: { apiVersion: "v1", kind: "ConfigMap" }, ...one(expression), ...more },
  ...(paramRef === undefined ? {} : { paramRef }),
});
const enough = "object.spec.containers.size() <= int(params.data.max)";
const selected = (labels: JsonObject, more: JsonObject = {}): JsonObject => ({
  selector: { matchLabels: labels },
  parameterNotFoundAction: "Deny",
  ...more,
});

/** Policies with params. */
const parameters: Readonly<Record<string, Case>> = {
  "p-name": parameterised("by name", enough, { name: "large", parameterNotFoundAction: "Deny" }),
  "p-name-fails": parameterised("by name", enough, {
    name: "small",
    parameterNotFoundAction: "Deny",
  }),
  "p-name-absent": parameterised("nothing found, denied", enough, {
    name: "absent",
    parameterNotFoundAction: "Deny",
  }),
  "p-name-absent-ignored": parameterised(
    "nothing found, which failurePolicy does not forgive or does",
    enough,
    { name: "absent", parameterNotFoundAction: "Deny" },
    { failurePolicy: "Ignore" },
  ),
  "p-name-absent-allowed": parameterised("nothing found, allowed", enough, {
    name: "absent",
    parameterNotFoundAction: "Allow",
  }),
  "p-other-namespace": parameterised("in a namespace that is named", enough, {
    name: "elsewhere",
    namespace: "free",
    parameterNotFoundAction: "Deny",
  }),
  "p-not-there": parameterised("only in another namespace", enough, {
    name: "elsewhere",
    parameterNotFoundAction: "Deny",
  }),
  "p-selector": parameterised("one fails of two", enough, selected({ tier: "x" })),
  "p-selector-one": parameterised("the only one", enough, selected({ one: "y" })),
  "p-selector-far": parameterised(
    "in a namespace that is named",
    enough,
    selected({ far: "y" }, { namespace: "free" }),
  ),
  "p-selector-none": parameterised("nothing found, denied", enough, selected({ far: "y" })),
  "p-selector-none-allowed": parameterised(
    "nothing found, allowed",
    enough,
    selected({ far: "y" }, { parameterNotFoundAction: "Allow" }),
  ),
  "p-selector-all": parameterised("an empty selector finds all", "has(params.data)", {
    selector: {},
    parameterNotFoundAction: "Deny",
  }),
  "p-unused": parameterised("a binding without paramRef: null", "params == null"),
  "p-unused-read": parameterised("null has no fields", enough),
  "p-condition": parameterised(
    "match conditions see params",
    "false",
    { name: "large", parameterNotFoundAction: "Deny" },
    { matchConditions: [{ name: "few", expression: "params.data.max == '1'" }] },
  ),
  "p-variables": parameterised(
    "variables and messages see params",
    "variables.max > 10",
    { name: "large", parameterNotFoundAction: "Deny" },
    {
      variables: [{ name: "max", expression: "int(params.data.max)" }],
      validations: [
        {
          expression: "variables.max > 10",
          messageExpression: "params.metadata.name + ' says ' + string(variables.max)",
        },
      ],
    },
  ),
  "p-absent-key": parameterised("what params lack is an error", "params.data.min == '1'", {
    name: "large",
    parameterNotFoundAction: "Deny",
  }),
  "p-no-kind": {
    reason: "paramRef without paramKind",
    spec: one("params == null"),
    paramRef: { name: "large", parameterNotFoundAction: "Deny" },
  },
};

/** Policies that judge the test's pod; expressions that hold, fail, err or are refused. */
export const validations: Readonly<Record<string, Case>> = {
  ...parameters,
  holds: check("object.spec.containers.size() == 2", "nothing to deny"),
  fails: check("object.spec.containers.size() == 3", "the expression is the message"),
  message: { reason: "the message, trimmed", spec: one("false", { message: " no " }) },
  "message-expression": {
    reason: "wins over the message",
    spec: one("false", { message: "no", messageExpression: "'found ' + object.metadata.name" }),
  },
  "message-expression-error": {
    reason: "falls back to the message",
    spec: one("false", { message: "no", messageExpression: "object.metadata.labels['x']" }),
  },
  "message-expression-lines": {
    reason: "several lines are dropped",
    spec: one("false", { messageExpression: "'a\\nb'" }),
  },
  "message-expression-blank": {
    reason: "blank is none",
    spec: one("false", { message: "no", messageExpression: "'  '" }),
  },
  "message-expression-long": {
    reason: "more than 5 KiB are dropped",
    spec: one("false", { message: "no", messageExpression: `'${"x".repeat(5121)}'` }),
  },
  "second-fails": {
    reason: "the first denial is the message",
    spec: {
      validations: [
        { expression: "true" },
        { expression: "false", message: "two" },
        { expression: "false", message: "three" },
      ],
    },
  },
  "missing-key": check("object.spec.nothing == 1", "an error with the expression"),
  "missing-key-ignored": {
    reason: "failurePolicy Ignore",
    spec: { failurePolicy: "Ignore", ...one("object.spec.nothing == 1") },
  },
  "missing-label": check("object.metadata.labels['absent'] == 'x'", "an index that is not there"),
  "index-range": check("object.spec.containers[5].name == 'x'", "an index out of range"),
  "absorbed-error": check("object.spec.nothing == 1 || true", "|| absorbs an error"),
  "not-absorbed": check("object.spec.nothing == 1 || false", "|| keeps it otherwise"),
  "absorbed-and": check("object.spec.nothing == 1 && false", "&& absorbs an error by false"),
  "absorbed-in-all": check(
    "object.spec.containers.all(c, c.args.size() == 0)",
    "all stops at a false",
  ),
  "error-in-all": check(
    "object.spec.containers.all(c, c.args.size() == 1)",
    "all keeps an error when nothing is false",
  ),
  "exists-one": check("object.spec.containers.exists_one(c, c.name == 'app')", "exists_one"),
  "divide-by-zero": check("1 / (object.spec.containers.size() - 2) == 1", "division by zero"),
  "modulus-by-zero": check("1 % (object.spec.containers.size() - 2) == 1", "modulus by zero"),
  overflow: check("9223372036854775807 + object.spec.containers.size() > 0", "integer overflow"),
  "int-of-text": check("int(object.metadata.name) > 0", "a text that is no number"),
  "no-overload": check(
    "object.spec.containers + 1 == object.spec",
    "values of types that do not go together",
  ),
  "no-overload-bool": check("object.metadata.name && true", "text is no boolean"),
  "ternary-not-bool": check(
    "object.metadata.name ? true : false",
    "a condition that is no boolean",
  ),
  "has-on-missing": check("has(object.spec.a.b)", "has() of a field of nothing"),
  "has-missing": check("!has(object.spec.hostNetwork)", "defaults are not written into pods here"),
  "ints-are-ints": check(
    "object.spec.containers[0].ports[0].containerPort / 3 == 26",
    "whole numbers divide as ints",
  ),
  "int-and-double": check(
    "object.spec.containers[0].ports[0].containerPort < 80.5",
    "numbers of different types compare",
  ),
  "map-equality": check("object.spec.nodeSelector == {'disk': 'ssd'}", "maps compare by content"),
  "in-map": check("'team' in object.metadata.labels", "keys of a map"),
  "in-list": check("object.spec.containers[0].name in ['app', 'proxy']", "a list of texts"),
  optional: check("object.spec.?securityContext.?runAsNonRoot.orValue(true)", "optional fields"),
  "optional-index": check(
    "object.metadata.?labels[?'absent'].orValue('none') == 'none'",
    "optional keys",
  ),
  "optional-value-of-none": check("object.spec.?nothing.value() == 1", "value() of none"),
  "two-variables": check(
    "object.metadata.labels.all(k, v, k != '' && v.size() > 0)",
    "macros of two variables",
  ),
  transform: check(
    "object.spec.containers.transformList(i, c, string(i) + c.name) == ['0app', '1proxy']",
    "transformList",
  ),
  strings: check(
    "object.spec.containers[0].image.split(':')[1].replace('.', '-') == '1-2-3'",
    "string functions",
  ),
  "substring-range": check("object.metadata.name.substring(100) == ''", "a substring out of range"),
  regex: check("object.spec.containers.all(c, c.image.matches('^registry[.]example/'))", "RE2"),
  "regex-find": check("object.spec.containers[0].image.find('[0-9]+') == '1'", "find"),
  "regex-bad-dynamic": check(
    "object.metadata.name.matches(object.metadata.name + '(')",
    "a pattern that is no pattern, seen at run time",
  ),
  quantity: check(
    "quantity(object.spec.containers[0].resources.limits.memory).isGreaterThan(quantity('999Mi'))",
    "quantities",
  ),
  "quantity-bad": check(
    "quantity(object.metadata.name + '!').isGreaterThan(quantity('1'))",
    "no quantity",
  ),
  semver: check(
    "semver(object.spec.containers[0].image.split(':')[1]).isLessThan(semver('2.0.0'))",
    "versions",
  ),
  "semver-bad": check("semver(object.metadata.name).major() == 1", "no version"),
  ip: check(
    "ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.1.2.3')",
    "addresses",
  ),
  "ip-bad": check("ip(object.metadata.name).family() == 4", "no address"),
  url: check("url('https://example.org:80/a?b=c').getPort() == '80'", "URLs"),
  "url-bad": check("url(object.metadata.name + ' x').getHost() == ''", "no URL"),
  format: check(
    "!format.dns1123Label().validate(object.metadata.name).hasValue()",
    "named formats",
  ),
  duration: check("duration('1h30m') > duration('80m')", "durations"),
  "duration-bad": check("duration(object.metadata.name) > duration('1s')", "no duration"),
  timestamp: check("timestamp('2024-02-29T00:00:00Z').getDayOfYear() == 59", "timestamps"),
  "lists-k8s": check(
    "[3, 1, 2].max() == 3 && ['a', 'b'].isSorted() && [1, 2].sum() == 3",
    "list functions",
  ),
  "lists-ext": check(
    "[1, 2, 3].slice(1, 3) == [2, 3] && [3, 1].sort() == [1, 3]",
    "list functions of cel-go",
  ),
  sets: check("sets.contains(object.spec.containers.map(c, c.name), ['app'])", "sets"),
  "type-of": check(
    "type(object.spec.containers[0].ports[0].containerPort) == int",
    "types are values",
  ),
  "string-of": check(
    "string(1.5) == '1.5' && string(true) == 'true' && string(10u) == '10'",
    "conversions to text",
  ),
  "double-text": check("string(1e21) == '1e+21' && string(0.1) == '0.1'", "doubles as text"),
  bytes: check("string(bytes('aä')) == 'aä' && size(bytes('ä')) == 2", "bytes"),
  variables: {
    reason: "earlier variables may be used",
    spec: {
      variables: [
        { name: "a", expression: "object.spec.containers.size()" },
        { name: "b", expression: "variables.a + 1" },
      ],
      ...one("variables.b == 2"),
    },
  },
  "variable-error": {
    reason: "the variable is named",
    spec: {
      variables: [{ name: "a", expression: "object.spec.nothing" }],
      ...one("variables.a == 1"),
    },
  },
  "variable-of-variable-error": {
    reason: "both are named",
    spec: {
      variables: [
        { name: "a", expression: "object.spec.nothing" },
        { name: "b", expression: "variables.a" },
      ],
      ...one("variables.b == 1"),
    },
  },
  "unused-variable-error": {
    reason: "variables are lazy",
    spec: { variables: [{ name: "a", expression: "object.spec.nothing" }], ...one("true") },
  },
  "condition-false": {
    reason: "not matched",
    spec: { matchConditions: [{ name: "c", expression: "false" }], ...one("false") },
  },
  "condition-error": {
    reason: "an error decides by failurePolicy",
    spec: {
      matchConditions: [{ name: "c", expression: "object.spec.nothing == 1" }],
      ...one("true"),
    },
  },
  "condition-two-errors": {
    reason: "both errors are told",
    spec: {
      matchConditions: [
        { name: "c", expression: "object.spec.nothing == 1" },
        { name: "d", expression: "object.spec.other == 1" },
      ],
      ...one("true"),
    },
  },
  "condition-error-then-false": {
    reason: "false decides",
    spec: {
      matchConditions: [
        { name: "c", expression: "object.spec.nothing == 1" },
        { name: "d", expression: "false" },
      ],
      ...one("false"),
    },
  },
  request: check(
    "request.operation == 'CREATE' && request.kind.kind == 'Pod' && request.resource.resource == 'pods' && request.namespace == 'judged'",
    "the request",
  ),
  "request-user": check(
    "request.userInfo.username == 'admin' && 'system:masters' in request.userInfo.groups",
    "the user",
  ),
  "request-name": check(
    "request.name == object.metadata.name && !has(request.subResource)",
    "empty fields are absent",
  ),
  "request-missing": check("request.subResource == ''", "reading an absent field is an error"),
  "namespace-object": check(
    "namespaceObject.metadata.name == 'judged' && namespaceObject.metadata.labels['kubernetes.io/metadata.name'] == 'judged'",
    "the namespace",
  ),
  "old-object": check("oldObject == null", "null on CREATE"),
  "old-object-field": check("oldObject.metadata.name == 'x'", "a field of null"),
  "audit-error": {
    reason: "an error in an audit annotation denies",
    spec: {
      ...one("true"),
      auditAnnotations: [{ key: "a", valueExpression: "object.metadata.labels['absent']+''" }],
    },
  },
  "audit-null": {
    reason: "null is left out",
    spec: {
      ...one("true"),
      auditAnnotations: [{ key: "a", valueExpression: "true ? null : null" }],
    },
  },
  "unknown-variable": check("nobody == 1", "refused: undeclared"),
  "unknown-function": check("object.metadata.name.shout() == 'X'", "refused: no such function"),
  "not-boolean": check("object.metadata.name", "refused: dyn is no bool"),
  "text-result": check("'yes'", "refused: text is no bool"),
  syntax: check("object.metadata.name ==", "refused: syntax"),
  "bad-regex": check(
    "object.metadata.name.matches('(')",
    "refused: a literal pattern that is none",
  ),
  "bad-duration": check(
    "duration('1x') > duration('1s')",
    "refused: a literal duration that is none",
  ),
  "mixed-list": check("[1, 'a'].size() == 2", "refused: lists hold one type"),
  "dyn-list": check("[dyn(1), dyn('a')].size() == 2", "dyn() lets them"),
  "wrong-types": check("1 + 'a' == 2", "refused: no such overload"),
  "no-math": check("math.greatest(1, 2) == 2", "refused: not offered here"),
  "no-base64": check("base64.encode(b'a') == 'YQ=='", "refused: not offered here"),
  "no-reverse": check("'abc'.reverse() == 'cba'", "refused: of a later string library"),
  "request-unknown-field": check("request.nobody == 1", "refused: the request's fields are known"),
  "variables-unknown": check("variables.nobody == 1", "refused: no such variable"),
  "message-not-text": {
    reason: "refused: a message is text",
    spec: one("false", { messageExpression: "1" }),
  },
  "annotation-not-text": {
    reason: "refused: an annotation is text or null",
    spec: { ...one("true"), auditAnnotations: [{ key: "a", valueExpression: "1" }] },
  },
  "condition-with-variables": {
    reason: "refused: conditions are evaluated before variables",
    spec: {
      variables: [{ name: "a", expression: "1" }],
      matchConditions: [{ name: "c", expression: "variables.a == 1" }],
      ...one("true"),
    },
  },
};

const patch = (expression: string): JsonObject => ({
  patchType: "JSONPatch",
  jsonPatch: { expression },
});
const apply = (expression: string): JsonObject => ({
  patchType: "ApplyConfiguration",
  applyConfiguration: { expression },
});
const mutation = (reason: string, ...list: readonly JsonObject[]): Case => ({
  reason,
  spec: { reinvocationPolicy: "Never", failurePolicy: "Fail", mutations: list },
});

/** Policies that change the test's pod. */
export const mutations: Readonly<Record<string, Case>> = {
  "m-label": mutation(
    "a label",
    patch(`[JSONPatch{op: "add", path: "/metadata/labels/x", value: "y"}]`),
  ),
  "m-label-map": mutation(
    "a map as value",
    patch(
      `[JSONPatch{op: "add", path: "/metadata/labels", value: {"policy-case": "m-label-map", "x": "y"}}]`,
    ),
  ),
  "m-object-value": mutation(
    "an Object literal as value",
    patch(
      `[JSONPatch{op: "add", path: "/spec/containers/0/env/-", value: Object{name: "B", value: "2"}}]`,
    ),
  ),
  "m-negative-index": mutation(
    "the last element",
    patch(`[JSONPatch{op: "replace", path: "/spec/containers/-1/image", value: "z:1"}]`),
  ),
  "m-replace-missing": mutation(
    "replace of a key that is not there",
    patch(`[JSONPatch{op: "replace", path: "/metadata/annotations/new", value: "z"}]`),
  ),
  "m-remove": mutation(
    "remove",
    patch(`[JSONPatch{op: "remove", path: "/metadata/annotations/note"}]`),
  ),
  "m-remove-missing": mutation(
    "remove of nothing",
    patch(`[JSONPatch{op: "remove", path: "/metadata/annotations/absent"}]`),
  ),
  "m-remove-no-parent": mutation(
    "remove below nothing",
    patch(`[JSONPatch{op: "remove", path: "/spec/absent/x"}]`),
  ),
  "m-add-no-parent": mutation(
    "add below nothing",
    patch(`[JSONPatch{op: "add", path: "/spec/absent/x", value: 1}]`),
  ),
  "m-index-range": mutation(
    "an index out of range",
    patch(`[JSONPatch{op: "add", path: "/spec/containers/9", value: {"name": "x"}}]`),
  ),
  "m-index-text": mutation(
    "no index at all",
    patch(`[JSONPatch{op: "add", path: "/spec/containers/x", value: {"name": "x"}}]`),
  ),
  "m-test": mutation(
    "a failed test leaves all as it is",
    patch(
      `[JSONPatch{op: "add", path: "/metadata/labels/x", value: "y"}, JSONPatch{op: "test", path: "/metadata/name", value: "other"}]`,
    ),
  ),
  "m-test-holds": mutation(
    "a test that holds",
    patch(
      `[JSONPatch{op: "test", path: "/metadata/labels/team", value: "a"}, JSONPatch{op: "add", path: "/metadata/labels/x", value: "y"}]`,
    ),
  ),
  "m-test-no-parent": mutation(
    "a test below nothing",
    patch(`[JSONPatch{op: "test", path: "/spec/absent/x", value: "a"}]`),
  ),
  "m-copy": mutation(
    "copy",
    patch(
      `[JSONPatch{op: "copy", from: "/metadata/labels/team", path: "/metadata/annotations/team"}]`,
    ),
  ),
  "m-move": mutation(
    "move",
    patch(
      `[JSONPatch{op: "move", from: "/metadata/annotations/note", path: "/metadata/annotations/moved"}]`,
    ),
  ),
  "m-escape": mutation(
    "an escaped key",
    patch(
      `[JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("example.org/b"), value: "y"}]`,
    ),
  ),
  "m-empty": mutation(
    "no operations",
    patch(`object.metadata.name == "" ? [JSONPatch{op: "remove", path: "/x"}] : []`),
  ),
  "m-two": mutation(
    "the second sees the first",
    patch(`[JSONPatch{op: "add", path: "/metadata/labels/x", value: "y"}]`),
    patch(
      `[JSONPatch{op: "add", path: "/metadata/labels/n", value: string(object.metadata.labels.size())}]`,
    ),
  ),
  "m-error": mutation(
    "an error in an expression",
    patch(`[JSONPatch{op: "add", path: "/metadata/labels/x", value: object.spec.nothing}]`),
  ),
  "m-apply": mutation(
    "containers merge by name",
    apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "proxy", imagePullPolicy: "Always"}]}}`,
    ),
  ),
  "m-apply-new": mutation(
    "a new container",
    apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "side", image: "s:1"}]}}`,
    ),
  ),
  "m-apply-order": mutation(
    "the order of the configuration",
    apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "new", image: "n:1"}, Object.spec.containers{name: "proxy", image: "p:9"}, Object.spec.containers{name: "app", image: "a:9"}]}}`,
    ),
  ),
  "m-apply-env": mutation(
    "env merges by name, ports by port and protocol",
    apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "app", env: [Object.spec.containers.env{name: "A", value: "2"}, Object.spec.containers.env{name: "B", value: "3"}], ports: [Object.spec.containers.ports{containerPort: 80, name: "web"}]}]}}`,
    ),
  ),
  "m-apply-labels": mutation(
    "labels merge",
    apply(`Object{metadata: Object.metadata{labels: {"x": "y"}}}`),
  ),
  "m-apply-finalizers": mutation(
    "finalizers are a set",
    apply(`Object{metadata: Object.metadata{finalizers: ["example.org/a"]}}`),
  ),
  "m-apply-resources": mutation(
    "resource maps merge",
    apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "app", resources: Object.spec.containers.resources{limits: {"cpu": "1"}}}]}}`,
    ),
  ),
  "m-apply-quantity": mutation(
    "a quantity may be a number",
    apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "app", resources: Object.spec.containers.resources{limits: {"cpu": 1}}}]}}`,
    ),
  ),
  "m-apply-atomic-list": mutation(
    "atomic list",
    apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "app", args: ["y"]}]}}`,
    ),
  ),
  "m-apply-atomic-map": mutation(
    "atomic map",
    apply(`Object{spec: Object.spec{nodeSelector: {"a": "b"}}}`),
  ),
  "m-apply-tolerations": mutation(
    "atomic list of objects",
    apply(
      `Object{spec: Object.spec{tolerations: [Object.spec.tolerations{key: "a", operator: "Exists"}]}}`,
    ),
  ),
  "m-apply-unknown": mutation(
    "a field that is none",
    apply(`Object{spec: Object.spec{hostNetwrk: true}}`),
  ),
  "m-apply-wrong-scalar": mutation(
    "a text where a boolean belongs",
    apply(`Object{spec: Object.spec{hostNetwork: "yes"}}`),
  ),
  "m-apply-wrong-shape": mutation(
    "a map where a list belongs",
    apply(`Object{spec: Object.spec{containers: {"name": "x"}}}`),
  ),
  "m-apply-duplicates": mutation(
    "two elements with one key",
    apply(
      `Object{spec: Object.spec{containers: [Object.spec.containers{name: "x", image: "a"}, Object.spec.containers{name: "x", image: "b"}]}}`,
    ),
  ),
  "m-apply-type-name": mutation(
    "the name of a literal must be its place",
    apply(`Object{spec: Object.wrong{hostNetwork: false}}`),
  ),
  "m-apply-nested": mutation(
    "a security context",
    apply(
      `Object{spec: Object.spec{securityContext: Object.spec.securityContext{runAsNonRoot: true, seccompProfile: Object.spec.securityContext.seccompProfile{type: "RuntimeDefault"}}}}`,
    ),
  ),
  "m-apply-map": mutation(
    "containers by map()",
    apply(
      `Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, imagePullPolicy: "Always"})}}`,
    ),
  ),
  "m-apply-volume": mutation(
    "volumes merge by name",
    apply(
      `Object{spec: Object.spec{volumes: [Object.spec.volumes{name: "tmp", emptyDir: Object.spec.volumes.emptyDir{}}]}}`,
    ),
  ),
  "m-apply-empty": mutation("nothing", apply(`Object{}`)),
  "m-not-a-patch": mutation("refused: a list of JSONPatch is needed", patch(`[{"op": "add"}]`)),
  "m-not-an-object": mutation("refused: an Object is needed", apply(`{"spec": {}}`)),
  "m-patch-field": mutation(
    "refused: no such field of JSONPatch",
    patch(`[JSONPatch{operation: "add"}]`),
  ),
};
