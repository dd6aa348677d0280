// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { compileExpression } from "#policy/cel/compile";
import { makeBudget } from "#policy/cel/budget";
import { makeEnvironment } from "#policy/cel/environment";
import { CelError } from "#policy/cel/values";
import { authorizerLibrary, authorizerType, authorizerValue } from "./authorizer.ts";
import { inShort, makeEvaluate } from "./evaluate.fixture.ts";
import { kubernetesLibraries, kubernetesMutationLibraries } from "./kubernetes.ts";

const evaluate = makeEvaluate(kubernetesLibraries);

const rows: readonly (readonly [source: string, want: unknown, reason: string])[] = [
  ["quantity('1.5Gi').isGreaterThan(quantity('1Gi'))", true, "compares"],
  ["quantity('50k').add(20) == quantity('50020')", true, "adds ints"],
  ["quantity('50k').sub(quantity('1k')).compareTo(quantity('49k'))", 0, "subtracts"],
  ["sign(quantity('-1'))", -1, "a function"],
  ["quantity('1').sign()", "compile: found no matching overload for 'sign'", "and no method"],
  ["quantity('1500m').asInteger()", "error: cannot convert value to integer", "a fraction"],
  ["quantity('1500m').isInteger() || quantity('1').isInteger()", true, "isInteger"],
  ["quantity('1.5').asApproximateFloat()", 1.5, "a double"],
  ["quantity('1') == quantity('1000m')", true, "equal by value"],
  ["dyn(quantity('1')) == dyn(1)", false, "not equal to a number"],
  ["quantity('x')", "error: quantities must match the regular expression", "no quantity"],
  ["isQuantity('1Mi') && !isQuantity('1Mx')", true, "isQuantity"],
  ["url('https://u:p@h:80/a%20b?x=1&x=2#f').getHost()", "h:80", "host and port"],
  ["url('https://h/?x=1&x=2').getQuery()['x']", ["1", "2"], "all values"],
  ["url('https://[::1]:80/a').getHostname()", "::1", "host"],
  ["url('../x')", "error: URL parse error during conversion from string: parse", "relative"],
  ["url('https://h/a b') == url('https://h/a%20b')", true, "equal by text"],
  ["isURL('/x') && !isURL('x')", true, "isURL"],
  ["ip('127.0.0.1').isLoopback() && ip('::1').family() == 6", true, "addresses"],
  ["ip.isCanonical('2001:DB8::1')", false, "upper case is not canonical"],
  ["ip.isCanonical('x')", 'error: IP Address "x" parse error', "not even an address"],
  ["string(ip('2001:DB8:0:0:0:0:0:1'))", "2001:db8::1", "canonical"],
  ["type(ip('1.1.1.1')) == net.IP", true, "the type has a name"],
  ["cidr('192.168.0.0/24').containsIP('192.168.0.5')", true, "as text"],
  ["cidr('192.168.0.0/24').containsIP(ip('192.168.1.5'))", false, "as address"],
  ["cidr('192.168.0.0/24').containsIP('x')", "error: no such overload", "the message is lost"],
  ["cidr('192.168.0.0/16').containsCIDR('192.168.10.0')", "no '/'", "the message is kept"],
  ["string(cidr('192.168.0.1/24').masked())", "192.168.0.0/24", "masked"],
  ["cidr('10.0.0.0/8').ip().isGlobalUnicast()", true, "ip() of a network"],
  ["format.dns1123Label().validate('ok').hasValue()", false, "valid is none"],
  [
    "format.named('dns1123Label').value().validate('a.b').value()",
    ["must not contain dots"],
    "named",
  ],
  ["format.named('nope').hasValue()", false, "unknown"],
  ["semver('1.2.3').isLessThan(semver('1.10.0'))", true, "versions"],
  ["semver('v1.2', true).minor()", 2, "lenient"],
  ["semver('v1.2')", "error: No Major.Minor.Patch elements found", "strict"],
  ["[1, 3].sum() + [1, 3].max() + [1, 3].min()", 8, "lists"],
  ["[].sum()", 0, "of nothing"],
  ["[duration('1m'), duration('1s')].sum() == duration('61s')", true, "durations"],
  ["['b', 'a'].isSorted()", false, "isSorted"],
  ["[1, 2, 2].indexOf(2) + [1, 2, 2].lastIndexOf(2)", 3, "places"],
  ["[1].includes(1)", "compile: undeclared reference to 'includes'", "comes with 1.37"],
  ["math.abs(1)", "compile: undeclared reference to 'math'", "not there"],
  ["base64.encode(b'a')", "compile: undeclared reference to 'base64'", "not there"],
  ["cel.bind(x, 1, x)", "compile: undeclared reference to", "not there"],
  ["regex.extract('a', 'b')", "compile: undeclared reference to 'regex'", "not there"],
  ["jsonpatch.escapeKey('a')", "compile: undeclared reference to", "only for mutation"],
  ["[1, 2].transformList(i, v, i + v)", [1, 3], "two-variable macros"],
];

test.each(rows)("%s is %j: %s", (source, want) => {
  const value = evaluate(source);
  expect(inShort(value, want)).toEqual(want);
});

test("lists from outside find the overload of their elements", () => {
  expect(evaluate("d.sum()", [1, 2])).toBe(3);
  expect(evaluate("d.sum()", [1.5, 2.5])).toBe(4);
  expect(evaluate("d.sum()", [1.5, 2])).toBe("error: no such overload");
  expect(evaluate("d.max()", [])).toBe("error: max called on empty list");
  expect(evaluate("d.max()", [1, 2.5])).toBe(2.5);
  expect(evaluate("d.min()", [[1]])).toBe("error: no such overload: min(list)");
});

test("objects from outside are no values of a library's types", () => {
  expect(evaluate("string(d)", { family: 4, bits: 1 })).toContain(
    "error: no such overload: string",
  );
  expect(evaluate("d.isGreaterThan(quantity('1'))", { held: 1 })).toContain(
    "error: no such overload",
  );
  expect(evaluate("d.getHost()", {})).toContain("error: no such overload");
});

test("a mutating policy can escape keys of a JSON pointer", () => {
  const mutate = makeEvaluate(kubernetesMutationLibraries);
  expect(mutate("jsonpatch.escapeKey('k8s.io/my~label')")).toBe("k8s.io~1my~0label");
});

test("authorizer checks compile and end in an unsupported error", () => {
  const environment = makeEnvironment({
    variables: { authorizer: authorizerType },
    libraries: [authorizerLibrary],
  });
  const run = (source: string): unknown => {
    const compiled = compileExpression(source, environment);
    if (!compiled.ok) return compiled.issues;
    return compiled.program.evaluate({ authorizer: authorizerValue }, makeBudget());
  };
  const chain = "authorizer.serviceAccount('ns', 'sa').group('apps').resource('deployments')";
  const asked = run(
    `${chain}.subresource('status').namespace('x').name('y').check('get').allowed()`,
  );
  expect(asked).toBeInstanceOf(CelError);
  expect(asked).toMatchObject({ code: "unsupported" });
  expect(run("authorizer.path('/healthz').check('get').allowed()")).toMatchObject({
    code: "unsupported",
  });
  expect(run("authorizer.path(' ').check('get').allowed()")).toMatchObject({ code: "evaluation" });
  expect(
    run("authorizer.serviceAccount('NS', 'a').path('/').check('get').allowed()"),
  ).toMatchObject({
    message: "Invalid service account namespace",
  });
  expect(run("authorizer.check('get')")).toBeInstanceOf(Array);
});
