// SPDX-License-Identifier: Apache-2.0
import {
  anything,
  documentWith,
  fieldProblems,
  listOf,
  named,
  objectWith,
} from "#policy/document-fields";
import type { Fields } from "#policy/document-fields";
import type { JsonObject } from "#policy/json";
import type { RuleProblem } from "#policy/kyverno/classic/rule-state";

// The fields of a rule, as Kyverno v1.19's definition of ClusterPolicy has them (config/crds/kyverno). What expressions,
// patterns and patches hold is their readers' matter.

const selector = objectWith({
  matchExpressions: listOf(named("key", "operator", "values")),
  matchLabels: anything,
});

const filter = {
  clusterRoles: anything,
  resources: objectWith({
    annotations: anything,
    kinds: anything,
    name: anything,
    names: anything,
    namespaceSelector: selector,
    namespaces: anything,
    operations: anything,
    selector,
  }),
  roles: anything,
  subjects: listOf(named("apiGroup", "kind", "name", "namespace")),
};

const anyAll = { all: listOf(objectWith(filter)), any: listOf(objectWith(filter)) };
/** `match` and `exclude`. */
const blocks = objectWith({ ...filter, ...anyAll });

const context = listOf(
  objectWith({
    apiCall: objectWith({
      data: listOf(named("key", "value")),
      default: anything,
      jmesPath: anything,
      method: anything,
      service: objectWith({
        caBundle: anything,
        headers: listOf(named("key", "value")),
        url: anything,
      }),
      urlPath: anything,
    }),
    configMap: named("name", "namespace"),
    globalReference: named("jmesPath", "name"),
    imageRegistry: named("imageRegistryCredentials", "jmesPath", "reference"),
    name: anything,
    variable: named("default", "jmesPath", "value"),
  }),
);

const loop = { context, foreach: anything, list: anything, preconditions: anything };

const validate = objectWith({
  allowExistingViolations: anything,
  anyPattern: anything,
  assert: anything,
  cel: objectWith({
    auditAnnotations: listOf(named("key", "valueExpression")),
    expressions: listOf(named("expression", "message", "messageExpression", "reason")),
    generate: anything,
    paramKind: named("apiVersion", "kind"),
    paramRef: objectWith({
      name: anything,
      namespace: anything,
      parameterNotFoundAction: anything,
      selector,
    }),
    variables: listOf(named("expression", "name")),
  }),
  deny: named("conditions"),
  failureAction: anything,
  failureActionOverrides: listOf(
    objectWith({ action: anything, namespaceSelector: selector, namespaces: anything }),
  ),
  foreach: listOf(
    objectWith({
      ...loop,
      anyPattern: anything,
      deny: named("conditions"),
      elementScope: anything,
      pattern: anything,
    }),
  ),
  manifests: anything,
  message: anything,
  pattern: anything,
  podSecurity: objectWith({
    exclude: listOf(named("controlName", "images", "restrictedField", "values")),
    level: anything,
    version: anything,
  }),
});

const mutate = objectWith({
  foreach: listOf(
    objectWith({
      ...loop,
      order: anything,
      patchStrategicMerge: anything,
      patchesJson6902: anything,
    }),
  ),
  mutateExistingOnPolicyUpdate: anything,
  patchStrategicMerge: anything,
  patchesJson6902: anything,
  targets: listOf(
    objectWith({
      apiVersion: anything,
      context,
      kind: anything,
      name: anything,
      namespace: anything,
      preconditions: anything,
      selector,
      uid: anything,
    }),
  ),
});

const source = {
  apiVersion: anything,
  clone: named("name", "namespace"),
  cloneList: objectWith({ kinds: anything, namespace: anything, selector }),
  data: anything,
  kind: anything,
  name: anything,
  namespace: anything,
  uid: anything,
};

const generate = objectWith({
  ...source,
  foreach: listOf(objectWith({ ...source, context, list: anything, preconditions: anything })),
  generateExisting: anything,
  orphanDownstreamOnPolicyDelete: anything,
  synchronize: anything,
});

const images = listOf(
  named(
    ..."additionalExtensions annotations attestations attestors cosignOCI11 failureAction image imageReferences".split(
      " ",
    ),
    ..."imageRegistryCredentials issuer key mutateDigest repository required roots skipImageReferences".split(
      " ",
    ),
    ..."subject type useCache validate verifyDigest".split(" "),
  ),
);

const rule = objectWith({
  celPreconditions: listOf(named("expression", "name")),
  context,
  exclude: blocks,
  generate,
  imageExtractors: anything,
  match: blocks,
  mutate,
  name: anything,
  preconditions: anything,
  reportProperties: anything,
  skipBackgroundRequests: anything,
  validate,
  verifyImages: images,
});

/** Fields that a rule states and no rule has: passed over, a misspelt `operations` would match every operation. */
export const unknownFields = (stated: JsonObject): readonly RuleProblem[] =>
  fieldProblems(stated, rule);

const conditions = named("all", "any");
const cleanup = documentWith({
  conditions,
  context,
  deletionPropagationPolicy: anything,
  exclude: objectWith(anyAll),
  match: objectWith(anyAll),
  schedule: anything,
});

/** The other kinds of kyverno.io, by group and kind. */
export const classicKindFields: ReadonlyMap<string, Fields> = new Map([
  [
    "kyverno.io/PolicyException",
    documentWith({
      background: anything,
      conditions,
      exceptions: listOf(named("policyName", "ruleNames")),
      match: objectWith(anyAll),
      podSecurity: listOf(named("controlName", "images", "restrictedField", "values")),
    }),
  ],
  ["kyverno.io/CleanupPolicy", cleanup],
  ["kyverno.io/ClusterCleanupPolicy", cleanup],
]);
