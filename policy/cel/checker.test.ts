// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { compileExpression } from "./compile.ts";
import { twoVariableComprehensionLibrary } from "./comprehensions-two.ts";
import { makeEnvironment, withVariables } from "./environment.ts";
import type { ObjectType } from "./library.ts";
import { optionalLibrary } from "./optionals.ts";
import {
  anyType,
  boolType,
  dynType,
  formatType,
  intType,
  listOf,
  mapOf,
  nullType,
  objectOf,
  stringType,
} from "./types.ts";

const user: ObjectType = {
  name: "example.User",
  field: (name) =>
    name === "name" ? stringType : name === "groups" ? listOf(stringType) : undefined,
};

const box: ObjectType = {
  name: "Box",
  field: (name) => (name === "size" ? intType : undefined),
  make: (fields) => Object.fromEntries(fields),
};

const environment = makeEnvironment({
  variables: {
    object: dynType,
    user: objectOf("example.User"),
    labels: mapOf(stringType, stringType),
    ports: listOf(intType),
    "a.b": intType,
    found: mapOf(stringType, anyType),
  },
  libraries: [
    optionalLibrary,
    twoVariableComprehensionLibrary,
    { name: "example", objectTypes: [user, box] },
  ],
  options: { homogeneousAggregates: true },
});

const typed: readonly (readonly [source: string, type: string, reason: string])[] = [
  ["object.spec.x", "dyn", "fields of dyn are dyn"],
  ["found.items", "any", "of a map its values"],
  ["found.items.x", "dyn", "fields of any are dyn"],
  ["dyn(found.items).exists(x, x == 1)", "bool", "dyn may be a range"],
  ["found.items[0] == 1", "bool", "and any goes where dyn goes"],
  ["user.name", "string", "declared fields have their type"],
  ["user.groups[0]", "string", "elements of lists"],
  ["labels.app", "string", "values of maps"],
  ["labels.?app", "optional_type(string)", "optional selection"],
  ["labels.?app.orValue('')", "string", "out of the optional"],
  ["object.?a.b", "optional_type(dyn)", "an optional chain stays optional"],
  ["ports.map(p, string(p))", "list(string)", "what the macro makes"],
  ["ports.filter(p, p > 1)", "list(int)", "filter keeps the type"],
  ["labels.map(k, size(k))", "list(int)", "maps go over keys"],
  ["labels.transformMap(k, v, size(v))", "map(string, int)", "two variables"],
  ["ports.transformList(i, p, i * p)", "list(int)", "indices are ints"],
  ["ports.all(p, p > 0)", "bool", "quantifiers"],
  ["[]", "list(dyn)", "an empty list"],
  ["[] + ports", "list(int)", "takes the type of the other"],
  ["{}", "map(dyn, dyn)", "an empty map"],
  ["object.x ? 1 : 2", "int", "both sides agree"],
  ["true ? object.x : 1", "dyn", "one side is dyn"],
  ["[optional.of(1), optional.none()]", "list(optional_type(int))", "none is of any type"],
  ["type(1)", "type(int)", "types of types"],
  ["Box{size: 1}", "Box", "a literal with fields"],
  ["a.b + 1", "int", "a qualified variable"],
  ["1 < 2.5 && 1u >= 1", "bool", "comparison across number types"],
];

test.for(typed)("%s is typed", ([source, type]) => {
  const compiled = compileExpression(source, environment);
  expect(compiled.ok ? formatType(compiled.program.type) : compiled.issues).toBe(type);
});

const refused: readonly (readonly [source: string, want: string, reason: string])[] = [
  ["user.nam", "1:5: undefined field 'nam'", "an object's fields are known"],
  ["ports.x", "1:6: type 'list(int)' does not support field selection", "lists have no fields"],
  [
    "ports['a']",
    "1:6: found no matching overload for '_[_]' applied to '(list(int), string)'",
    "index",
  ],
  ["ports.all(p, p)", "1:14: expected type 'bool' but found 'int'", "a predicate is a bool"],
  [
    "'a'.all(x, true)",
    "1:1: expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)",
    "no range",
  ],
  [
    "found.items.exists(x, x == 1)",
    "1:6: expression of type 'any' cannot be range of a comprehension (must be list, map, or dynamic)",
    "of what resource.List finds, as Kyverno refuses it: dyn() makes it one",
  ],
  ["ports.all(1, true)", "1:11: argument must be a simple name", "a variable is a name"],
  ["ports.map(a.b, true)", "1:12: argument is not an identifier", "map words it differently"],
  ["has(object)", "1:5: invalid argument to has() macro", "has wants a selection"],
  ["[1, 2u]", "1:5: expected type 'int' but found 'uint'", "lists of one type"],
  ["{'a': 1, 'b': 'c'}", "1:15: expected type 'int' but found 'string'", "maps of one type"],
  ["{'a': 1, 2: 3}", "1:10: expected type 'string' but found 'int'", "keys of one type"],
  [
    "Box{size: 'a'}",
    "1:9: expected type of field 'size' is 'int' but provided type is 'string'",
    "fields",
  ],
  ["Box{width: 1}", "1:10: undefined field 'width'", "unknown field"],
  ["example.User{}", "1:13: 'example.User' is not a message type", "a type without literals"],
  ["Boxx{}", "1:5: undeclared reference to 'Boxx' (in container '')", "unknown type"],
  ["1 && true", "1:1: expected type 'bool' but found 'int'", "logic wants bools"],
  ["!1", "1:1: found no matching overload for '!_' applied to '(int)'", "so does not"],
  ["object.f(1)", "1:9: undeclared reference to 'f' (in container '')", "unknown method"],
  ["f(1)", "1:2: undeclared reference to 'f' (in container '')", "unknown function"],
  ["size()", "1:5: found no matching overload for 'size' applied to '()'", "too few arguments"],
  [
    "'a'.startsWith(1)",
    "1:15: found no matching overload for 'startsWith' applied to 'string.(int)'",
    "methods",
  ],
  ["timestamp('yesterday')", "1:11: invalid timestamp argument", "literal"],
  [
    "'x' +\n  1",
    "1:5: found no matching overload for '_+_' applied to '(string, int)'",
    "operator's place",
  ],
  ["1 +\n  unknown", "2:3: undeclared reference to 'unknown' (in container '')", "second line"],
  ["'😀' + y", "1:7: undeclared reference to 'y' (in container '')", "columns count code points"],
  ["for", "1:1: reserved identifier: for", "reserved words"],
  ["object.`a-b`", "1:8: unsupported syntax: '`'", "no backticks in Kubernetes"],
];

test.for(refused)("%s is refused", ([source, want]) => {
  const compiled = compileExpression(source, environment);
  const [first] = compiled.ok ? [] : compiled.issues;
  expect(first && `${first.line}:${first.column}: ${first.message}`).toBe(want);
});

test("the result must be of an expected type", () => {
  const messageOf = (source: string, ...expected: readonly (typeof boolType)[]): string => {
    const compiled = compileExpression(source, environment, { expect: expected });
    return compiled.ok ? "fine" : (compiled.issues[0]?.message ?? "");
  };
  expect(messageOf("true", boolType)).toBe("fine");
  expect(messageOf("object.x == 1", boolType)).toBe("fine");
  expect(messageOf("object.x", boolType)).toBe("must evaluate to bool but got dyn");
  expect(messageOf("object.x", dynType)).toBe("fine");
  expect(messageOf("1", stringType, nullType)).toBe(
    "must evaluate to one of [string null_type] but got int",
  );
});

test("a variable of a loop hides a qualified name and a function", () => {
  const compiled = compileExpression("[{'b': 'x'}].all(a, a.b == 'x')", environment);
  expect(compiled.ok).toBe(true);
});

test("variables are added without changing the environment", () => {
  const more = withVariables(environment, { extra: intType });
  expect(compileExpression("extra + 1", more).ok).toBe(true);
  expect(compileExpression("extra + 1", environment).ok).toBe(false);
});

test("names are looked up in the container first", () => {
  const inside = makeEnvironment({
    variables: { "a.b.x": intType, "a.x": stringType, x: boolType },
    options: { container: "a.b" },
  });
  const typeOf = (source: string): string => {
    const compiled = compileExpression(source, inside);
    return compiled.ok ? formatType(compiled.program.type) : (compiled.issues[0]?.message ?? "");
  };
  expect(typeOf("x")).toBe("int");
  expect(typeOf(".x")).toBe("bool");
  expect(typeOf("a.x")).toBe("string");
  expect(typeOf("y")).toBe("undeclared reference to 'y' (in container 'a.b')");
});
