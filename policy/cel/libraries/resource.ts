// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Library, Overload } from "#policy/cel/library";
import { anyType, mapOf, objectOf, stringType, type CelType } from "#policy/cel/types";
import { CelError, CelObject, type CelResult, type CelValue } from "#policy/cel/values";
import type { GroupVersionResource } from "#policy/review";
import { alias, callCost, declare, memberOverload, type Implementation } from "./declare.ts";
import { answered, jsonOf, Receiver, textMap, worldKey, type WorldValue } from "./world.ts";

const contextType = objectOf("resource.Context");
const gvrType = objectOf("schema.GroupVersionResource");
const labelsType = mapOf(stringType, stringType);
const objectMap = mapOf(stringType, anyType);

class GvrValue extends CelObject {
  readonly type: CelType = gvrType;
  readonly gvr: GroupVersionResource;
  constructor(gvr: GroupVersionResource) {
    super();
    this.gvr = gvr;
  }
}

/** Kyverno's resource library of cluster-scoped kinds: the namespace is an argument. */
export const resourceLibrary: Library = makeResourceLibrary(false);

/** The same for Namespaced kinds: all functions take the policy's namespace, which the World value carries. */
export const namespacedResourceLibrary: Library = makeResourceLibrary(true);

function makeResourceLibrary(namespaced: boolean): Library {
  const where = namespaced ? [] : [stringType];
  const scope: Scope = (world, args) =>
    namespaced
      ? { namespace: world.namespace, rest: args }
      : { namespace: text(args[0]), rest: args.slice(1) };
  return {
    name: "kyverno.resource",
    constants: [{ name: "resource", type: contextType, value: new Receiver(contextType) }],
    functions: [
      ...both("Get", "get", readOverloads("get", "", [...where, stringType], get, scope)),
      ...both("List", "list", [
        ...readOverloads("list", "", where, list, scope),
        ...readOverloads("list", "_labels", [...where, labelsType], list, scope),
      ]),
      ...both("Post", "post", postOverloads(namespaced)),
      ...both("ToGVR", "toGVR", [
        overload("to_gvr", [stringType, stringType], gvrType, (world, args) =>
          toGvr(world, text(args[0]), text(args[1])),
        ),
      ]),
    ],
  };
}

type Args = readonly CelValue[];
type Scope = (world: WorldValue, args: Args) => { readonly namespace: string; readonly rest: Args };
type Read = (
  world: WorldValue,
  gvr: GroupVersionResource,
  namespace: string,
  rest: Args,
) => CelResult;

function text(value: CelValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function both(
  pascal: string,
  camel: string,
  overloads: readonly Overload[],
): readonly FunctionDeclaration[] {
  return alias(declare(pascal, ...overloads), camel);
}

function overload(
  id: string,
  types: readonly CelType[],
  result: CelType,
  call: (world: WorldValue, args: Args) => CelResult,
): Overload {
  const implementation: Implementation = (
    world: WorldValue,
    _receiver: CelValue,
    ...args: CelValue[]
  ) => call(world, args);
  return memberOverload(`resource_${id}`, [contextType, ...types], result, implementation, {
    implicit: worldKey,
    cost: callCost,
  });
}

/** By API version and plural, or by what `ToGVR` gave. */
function readOverloads(
  verb: "get" | "list",
  suffix: string,
  types: readonly CelType[],
  read: Read,
  scope: Scope,
): readonly Overload[] {
  return [
    overload(
      `${verb}${suffix}_string_string`,
      [stringType, stringType, ...types],
      objectMap,
      (world, args) => {
        const gvr = parseGvr(text(args[0]), text(args[1]));
        if (gvr instanceof CelError)
          return new CelError(`failed to ${verb} resource: ${gvr.message}`);
        const { namespace, rest } = scope(world, args.slice(2));
        return read(world, gvr, namespace, rest);
      },
    ),
    overload(`${verb}${suffix}_gvr`, [gvrType, ...types], objectMap, (world, args) => {
      const [gvr] = args;
      if (!(gvr instanceof GvrValue)) return new CelError("no such overload");
      const { namespace, rest } = scope(world, args.slice(1));
      return read(world, gvr.gvr, namespace, rest);
    }),
  ];
}

function parseGvr(apiVersion: string, resource: string): GroupVersionResource | CelError {
  const parts = apiVersion.split("/");
  if (parts.length > 2) return new CelError(`unexpected GroupVersion string: ${apiVersion}`);
  const version = parts.at(-1) ?? "";
  return { group: parts.length === 2 ? (parts[0] ?? "") : "", version, resource };
}

const apiVersionOf = (gvr: GroupVersionResource): string =>
  gvr.group === "" ? gvr.version : `${gvr.group}/${gvr.version}`;

const groupResource = (gvr: GroupVersionResource): string =>
  gvr.group === "" ? gvr.resource : `${gvr.resource}.${gvr.group}`;

/** An object that does not exist is null, since Kyverno 1.18. */
function get(
  world: WorldValue,
  gvr: GroupVersionResource,
  namespace: string,
  rest: Args,
): CelResult {
  const query = {
    apiVersion: apiVersionOf(gvr),
    resource: gvr.resource,
    namespace,
    name: text(rest[0]),
  };
  return answered(world.world.get(query), "failed to get resource", () => null);
}

function list(
  world: WorldValue,
  gvr: GroupVersionResource,
  namespace: string,
  rest: Args,
): CelResult {
  const labels = rest[0] === undefined ? {} : textMap(rest[0]);
  if (labels instanceof CelError) return labels;
  const query = { apiVersion: apiVersionOf(gvr), resource: gvr.resource, namespace, labels };
  return answered(
    world.world.list(query),
    "failed to list resource",
    () => new CelError(`failed to list resource: ${groupResource(gvr)} resource not found`),
  );
}

function postOverloads(namespaced: boolean): readonly Overload[] {
  const body = objectMap;
  const without = overload("post_map", [stringType, stringType, body], objectMap, (world, args) =>
    post(world, args, namespaced ? world.namespace : "", args[2]),
  );
  if (namespaced) return [without];
  return [
    overload(
      "post_string_map",
      [stringType, stringType, stringType, body],
      objectMap,
      (world, args) => post(world, args, text(args[2]), args[3]),
    ),
    without,
  ];
}

function post(
  world: WorldValue,
  args: Args,
  namespace: string,
  body: CelValue | undefined,
): CelResult {
  const gvr = parseGvr(text(args[0]), text(args[1]));
  if (gvr instanceof CelError) return new CelError(`failed to create resource: ${gvr.message}`);
  const json = jsonOf(body ?? null);
  if (json instanceof CelError) return json;
  const root = gvr.group === "" ? `/api/${gvr.version}` : `/apis/${gvr.group}/${gvr.version}`;
  const place = namespace === "" ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  const url = `${root}${place}/${encodeURIComponent(gvr.resource)}`;
  const prefix = "failed to create resource";
  return answered(
    world.world.call({ method: "POST", url, headers: {}, body: json }),
    prefix,
    () => new CelError(`${prefix}: ${groupResource(gvr)} resource not found`),
  );
}

function toGvr(world: WorldValue, apiVersion: string, kind: string): CelResult {
  const parsed = parseGvr(apiVersion, "");
  if (parsed instanceof CelError) return parsed;
  const known = world.world.resourceOf({ group: parsed.group, version: parsed.version, kind });
  if (known === undefined) {
    return new CelError(
      `failed to map kind to resource: no matches for kind "${kind}" in version "${apiVersion}"`,
      "unsupported",
    );
  }
  return new GvrValue({ ...parsed, resource: known.resource });
}
