// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Library } from "#policy/cel/library";
import { boolType, objectOf, stringType, type CelType } from "#policy/cel/types";
import { CelError, CelObject, type CelResult } from "#policy/cel/values";
import { checkLabel1123, checkSubdomain1123 } from "#policy/kubernetes/format-names";
import { declare, memberOverload, type Implementation } from "./declare.ts";

/** The type of `authorizer`. */
export const authorizerType = objectOf("kubernetes.authorization.Authorizer");
/** The type of `authorizer.requestResource`. */
export const resourceCheckType = objectOf("kubernetes.authorization.ResourceCheck");

const pathCheckType = objectOf("kubernetes.authorization.PathCheck");
const groupCheckType = objectOf("kubernetes.authorization.GroupCheck");
const decisionType = objectOf("kubernetes.authorization.Decision");

/** A question to an authorizer in the making. It has no content: nobody here can answer it. */
class Question extends CelObject {
  readonly type: CelType;
  constructor(type: CelType) {
    super();
    this.type = type;
  }
}

const pathCheck = new Question(pathCheckType);
const groupCheck = new Question(groupCheckType);

/** The value of the variable `authorizer`. */
export const authorizerValue: CelObject = new Question(authorizerType);

/** The value of `authorizer.requestResource`. */
export const resourceCheckValue: CelObject = new Question(resourceCheckType);

const unsupported = (): CelResult =>
  new CelError("authorizer checks are not supported: there is no authorizer here", "unsupported");

const method = (
  name: string,
  id: string,
  types: readonly CelType[],
  result: CelType,
  call: Implementation,
): FunctionDeclaration => declare(name, memberOverload(id, types, result, call));

const isBlank = (text: string): boolean => text.trim() === "";

/** Refines a check: another resource, name or selector, for the same missing authorizer. */
const refine = (name: string, id: string): FunctionDeclaration =>
  method(name, id, [resourceCheckType, stringType], resourceCheckType, () => resourceCheckValue);

const answer = (name: string, id: string, result: CelType): FunctionDeclaration =>
  method(name, id, [decisionType], result, unsupported);

function serviceAccount(_authorizer: CelObject, namespace: string, name: string): CelResult {
  if (checkSubdomain1123(name).length > 0) return new CelError("Invalid service account name");
  if (checkLabel1123(namespace).length > 0) {
    return new CelError("Invalid service account namespace");
  }
  return authorizerValue;
}

/**
 * Kubernetes' authz and authzSelectors libraries. Every expression compiles as in the API server; a check ends in an
 * error, so that the policy's failurePolicy decides.
 */
export const authorizerLibrary: Library = {
  name: "kubernetes.authz",
  functions: [
    method(
      "path",
      "authorizer_path",
      [authorizerType, stringType],
      pathCheckType,
      (_authorizer: CelObject, path: string) =>
        isBlank(path) ? new CelError("path must not be empty") : pathCheck,
    ),
    method(
      "group",
      "authorizer_group",
      [authorizerType, stringType],
      groupCheckType,
      () => groupCheck,
    ),
    method(
      "serviceAccount",
      "authorizer_serviceaccount",
      [authorizerType, stringType, stringType],
      authorizerType,
      serviceAccount,
    ),
    method(
      "resource",
      "groupcheck_resource",
      [groupCheckType, stringType],
      resourceCheckType,
      (_group: CelObject, resource: string) =>
        isBlank(resource) ? new CelError("resource must not be empty") : resourceCheckValue,
    ),
    refine("subresource", "resourcecheck_subresource"),
    refine("namespace", "resourcecheck_namespace"),
    refine("name", "resourcecheck_name"),
    refine("fieldSelector", "authorizer_fieldselector"),
    refine("labelSelector", "authorizer_labelselector"),
    declare(
      "check",
      memberOverload("pathcheck_check", [pathCheckType, stringType], decisionType, unsupported),
      memberOverload(
        "resourcecheck_check",
        [resourceCheckType, stringType],
        decisionType,
        unsupported,
      ),
    ),
    answer("errored", "decision_errored", boolType),
    answer("error", "decision_error", stringType),
    answer("allowed", "decision_allowed", boolType),
    answer("reason", "decision_reason", stringType),
  ],
};
