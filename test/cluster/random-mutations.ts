// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Case } from "#test/cluster/admission-cases";
import { makeRandom } from "#test/conformance/cel-spec-generate";
import type { Random } from "#test/conformance/cel-spec-generate";

/** What may stand at a place of an object: one of some literals, an object of fields or a list. */
type Shape =
  | { readonly literals: readonly string[] }
  | { readonly fields: Readonly<Record<string, Shape>>; readonly always?: readonly string[] }
  | { readonly items: Shape };

const oneOf = (...literals: readonly string[]): Shape => ({ literals });
const name = oneOf('"app"', '"proxy"', '"side"', '"z"');
const someInt = oneOf("1", "2", "80");
const someBool = oneOf("true", "false");
const texts = oneOf('{"a": "1"}', '{"b": "2", "a": "3"}', '{"disk": "hdd"}', "{}");
const amounts = oneOf('{"cpu": "100m"}', '{"memory": "2Gi", "cpu": "1"}');
const selector: Shape = { fields: { matchLabels: texts } };

const ports: Shape = {
  items: {
    fields: {
      containerPort: oneOf("80", "443", "8080"),
      protocol: oneOf('"TCP"', '"UDP"'),
      name: oneOf('"http"', '"web"'),
      hostPort: oneOf("80"),
    },
    always: ["containerPort"],
  },
};
const env: Shape = {
  items: {
    fields: { name: oneOf('"A"', '"B"', '"C"'), value: oneOf('"1"', '"2"', '""') },
    always: ["name"],
  },
};
const securityContext: Shape = {
  fields: {
    runAsNonRoot: someBool,
    runAsUser: someInt,
    capabilities: { fields: { drop: oneOf('["ALL"]', '["A", "B"]', "[]") } },
    seccompProfile: { fields: { type: oneOf('"RuntimeDefault"', '"Unconfined"') } },
  },
};
const container: Shape = {
  fields: {
    name,
    image: oneOf('"new:1"', '"registry.example/app:2"'),
    args: oneOf('["x"]', "[]"),
    imagePullPolicy: oneOf('"Always"', '"Never"'),
    ports,
    env,
    securityContext,
    resources: { fields: { limits: amounts, requests: amounts } },
    volumeMounts: {
      items: {
        fields: {
          name: oneOf('"data"', '"tmp"'),
          mountPath: oneOf('"/data"', '"/tmp"'),
          readOnly: someBool,
        },
        always: ["name", "mountPath"],
      },
    },
  },
  always: ["name"],
};
const toleration: Shape = {
  fields: { key: oneOf('"k"', '"gpu"'), operator: oneOf('"Exists"') },
  always: ["key", "operator"],
};
const spread: Shape = {
  fields: {
    topologyKey: oneOf('"zone"', '"rack"'),
    whenUnsatisfiable: oneOf('"DoNotSchedule"', '"ScheduleAnyway"'),
    maxSkew: oneOf("1", "2"),
    labelSelector: selector,
  },
  always: ["topologyKey", "whenUnsatisfiable", "maxSkew"],
};
const podShape: Shape = {
  fields: {
    metadata: {
      fields: {
        labels: texts,
        annotations: texts,
        finalizers: oneOf('["example.org/a"]', '["example.org/b", "example.org/a"]', "[]"),
        ownerReferences: {
          items: {
            fields: {
              apiVersion: oneOf('"v1"'),
              kind: oneOf('"ConfigMap"'),
              name: oneOf('"o"', '"p"'),
              uid: oneOf('"u1"', '"u2"'),
            },
            always: ["apiVersion", "kind", "name", "uid"],
          },
        },
      },
    },
    spec: {
      fields: {
        containers: { items: container },
        initContainers: { items: container },
        tolerations: { items: toleration },
        nodeSelector: texts,
        priority: oneOf("0"),
        hostNetwork: someBool,
        shareProcessNamespace: someBool,
        schedulerName: oneOf('"other"'),
        dnsConfig: { fields: { nameservers: oneOf('["10.0.0.1"]'), searches: oneOf('["a.b"]') } },
        securityContext: {
          fields: { runAsUser: someInt, supplementalGroups: oneOf("[1, 2]", "[3]") },
        },
        imagePullSecrets: { items: { fields: { name: oneOf('"s1"', '"s2"') }, always: ["name"] } },
        hostAliases: {
          items: {
            fields: { ip: oneOf('"10.0.0.1"', '"10.0.0.2"'), hostnames: oneOf('["h"]', '["i"]') },
            always: ["ip"],
          },
        },
        topologySpreadConstraints: { items: spread },
        volumes: {
          items: {
            fields: {
              name: oneOf('"data"', '"tmp"'),
              emptyDir: { fields: { medium: oneOf('"Memory"', '""') } },
            },
            always: ["name"],
          },
        },
        readinessGates: {
          items: { fields: { conditionType: oneOf('"a.b/c"') }, always: ["conditionType"] },
        },
      },
    },
  },
};

const pick = <T>(random: Random, from: readonly T[]): T => {
  const found = from[Math.floor(random() * from.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
};

/** An expression of the shape; `path` is the name of the type that the reference gives to the place. */
function expressionOf(random: Random, shape: Shape, path: string): string {
  if ("literals" in shape) return pick(random, shape.literals);
  if ("items" in shape) {
    const count = pick(random, [0, 1, 1, 1, 2, 2, 3]);
    const items = Array.from({ length: count }, () => expressionOf(random, shape.items, path));
    return `[${items.join(", ")}]`;
  }
  const always = shape.always ?? [];
  const names = Object.keys(shape.fields);
  const wanted = new Set([...always, pick(random, names)]);
  while (random() < 0.4) wanted.add(pick(random, names));
  const fields = names.flatMap((field) => {
    const below = shape.fields[field];
    if (below === undefined || !wanted.has(field)) return [];
    const value = expressionOf(random, below, `${path}.${field}`);
    if (always.includes(field) || random() < 0.95) return [`${field}: ${value}`];
    return [`?${field}: ${random() < 0.5 ? `optional.of(${value})` : "optional.none()"}`];
  });
  return `${path}{${fields.join(", ")}}`;
}

const places: readonly (readonly [path: string, values: readonly string[]])[] = [
  ["/metadata/labels/x", ['"y"', '""']],
  ["/metadata/labels", ['{"x": "y"}', "{}"]],
  ["/metadata/labels/team", ['"b"', '"a"']],
  ["/metadata/annotations/a~1b", ['"1"']],
  ["/metadata/annotations/~01", ['"1"']],
  ["/metadata/annotations/note", ['"x"', '"y"']],
  ["/metadata/finalizers/0", ['"example.org/c"']],
  ["/metadata/finalizers/-", ['"example.org/d"']],
  ["/metadata/name", ['"w"', "object.metadata.name"]],
  ["/spec/containers/0/image", ['"new:1"', "object.spec.containers[1].image"]],
  ["/spec/containers/-1/image", ['"last:1"']],
  ["/spec/containers/-2/image", ['"first:1"']],
  ["/spec/containers/-3/image", ['"none:1"']],
  ["/spec/containers/1", ['{"name": "n", "image": "n:1"}']],
  ["/spec/containers/2", ['{"name": "n2", "image": "n:1"}']],
  ["/spec/containers/3", ['{"name": "n3", "image": "n:1"}']],
  ["/spec/containers/01", ['{"name": "n1", "image": "n:1"}']],
  ["/spec/containers/-", ['Object.spec.containers{name: "m", image: "m:1"}']],
  ["/spec/containers/-1", ['{"name": "l", "image": "l:1"}']],
  ["/spec/containers", ["object.spec.containers", '[{"name": "only", "image": "o:1"}]']],
  ["/spec/containers/0/env/0", ['{"name": "E", "value": "e"}']],
  ["/spec/containers/0/env/-", ['Object.spec.containers.env{name: "F", value: "f"}']],
  ["/spec/containers/1/env/-", ['{"name": "G", "value": "g"}']],
  ["/spec/containers/0/args/0", ['"first"']],
  ["/spec/containers/0/args/1", ['"second"']],
  ["/spec/containers/0/args/-1", ['"before"']],
  ["/spec/containers/0/ports/0/containerPort", ["81", "80"]],
  ["/spec/nodeSelector", ['{"a": "b"}', "object.metadata.labels"]],
  ["/spec/nodeSelector/disk", ['"hdd"', '"ssd"']],
  ["/spec/nowhere", ['"x"', '{"a": "b"}']],
  ["/spec/containers/1/nowhere", ['"x"']],
  ["/spec/nowhere/deep", ['"x"']],
  ["/spec/tolerations/-", ['{"key": "k", "operator": "Exists"}']],
  ["/spec/priority", ["0"]],
  ["/spec/hostNetwork", ["false"]],
  ["/metadata", ["object.metadata"]],
  ["", ["object"]],
  ["/", ['"x"']],
  ["metadata/labels/q", ['"pointer without its slash"']],
  ["nowhere", ['"x"']],
  ["/metadata/annotations/none", ["null", '"x"']],
  ["/metadata/annotations", ["null", "object.metadata.labels"]],
  ["/spec/volumes/0", ['Object.spec.volumes{name: "v", emptyDir: Object.spec.volumes.emptyDir{}}']],
  ["/spec/volumes/-", ['Object.spec.volumes{name: "w", emptyDir: Object.spec.wrong{}}']],
  ["/spec/imagePullSecrets/x", ['{"name": "s3"}']],
  ["/spec/imagePullSecrets/+0", ['{"name": "s4"}']],
  ["/spec/imagePullSecrets/0/name", ["object.metadata.name", "string(1)"]],
];

/** Where texts and lists come from and go to: of one kind on both sides, so that the object mostly stays a Pod. */
const transfers: readonly (readonly [from: readonly string[], to: readonly string[]])[] = [
  [
    ["/metadata/labels/team", "/metadata/annotations/note", "/metadata/x", "/spec/nowhere/x", "x"],
    ["/metadata/labels/z", "/metadata/annotations/z", "/spec/hostname", "/nowhere/x"],
  ],
  [
    ["/spec/containers/0", "/spec/containers/-1", "/spec/containers/5", "/spec/containers/x"],
    ["/spec/containers/0", "/spec/containers/-", "/spec/initContainers/0", "/spec/containers/9"],
  ],
  [
    ["/metadata/finalizers/0", "/metadata/finalizers/-1", "/spec/containers/0/args/0"],
    ["/metadata/finalizers/-1", "/spec/containers/0/args/0", "/spec/containers/0/args/y"],
  ],
  [["/metadata/labels"], ["/metadata/annotations", "/spec/nodeSelector"]],
];

function operationOf(random: Random): string {
  const op = pick(random, ["add", "add", "add", "replace", "replace", "remove", "test", "copy"]);
  const [path, values] = pick(random, places);
  const value = pick(random, values);
  if (op === "copy") {
    const [froms, targets] = pick(random, transfers);
    const from = pick(random, froms);
    const to = pick(random, targets);
    return `JSONPatch{op: "${pick(random, ["copy", "move"])}", from: "${from}", path: "${to}"}`;
  }
  if (op === "remove") return `JSONPatch{op: "remove", path: "${path}"}`;
  return `JSONPatch{op: "${op}", path: "${path}", value: ${value}}`;
}

const conditions = [
  "object.metadata.name != ''",
  "object.metadata.name == ''",
  "object.spec.nothing == 1",
  "object.spec.nothing == 1 || true",
] as const;

function mutationOf(random: Random): JsonObject {
  if (random() < 0.6) {
    return {
      patchType: "ApplyConfiguration",
      applyConfiguration: { expression: expressionOf(random, podShape, "Object") },
    };
  }
  const count = pick(random, [1, 1, 2, 3]);
  const operations = Array.from({ length: count }, () => operationOf(random));
  return { patchType: "JSONPatch", jsonPatch: { expression: `[${operations.join(", ")}]` } };
}

/**
 * Policies with random apply configurations and patches, the same for the same seed. One that removes is not run again:
 * between the runs the server itself forgets empty lists and fills in required zeros and a priority.
 */
export function randomMutations(seed: number, count: number): Readonly<Record<string, Case>> {
  const random = makeRandom(seed);
  const cases = Array.from({ length: count }, (_, index): readonly [string, Case] => {
    const mutations = [mutationOf(random)];
    if (random() < 0.3) mutations.push(mutationOf(random));
    const condition = pick(random, conditions);
    const policy = pick(random, ["Never", "Never", "IfNeeded"]);
    const spec = {
      reinvocationPolicy: JSON.stringify(mutations).includes("remove") ? "Never" : policy,
      failurePolicy: pick(random, ["Fail", "Fail", "Ignore"]),
      ...(random() < 0.8 ? {} : { matchConditions: [{ name: "c", expression: condition }] }),
      mutations,
    };
    return [`random-${seed}-${index}`, { reason: JSON.stringify(mutations), spec }];
  });
  return Object.fromEntries(cases);
}
