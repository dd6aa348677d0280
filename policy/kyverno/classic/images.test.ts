// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import {
  extractImages,
  imagesVariable,
  parseImage,
  readImageExtractors,
} from "#policy/kyverno/classic/images";

const runtime = { nowMs: 0, random: () => 0 };
const digest = `sha256:${"ab".repeat(32)}`;

describe("references", () => {
  test.each([
    {
      reason: "a name alone",
      image: "nginx",
      want: ["docker.io", "nginx", "nginx", "latest", "", "docker.io/nginx:latest"],
    },
    {
      reason: "a folder is no registry",
      image: "library/nginx:1",
      want: ["docker.io", "library/nginx", "nginx", "1", "", "docker.io/library/nginx:1"],
    },
    {
      reason: "a dot makes one",
      image: "ghcr.io/a/b/c:2",
      want: ["ghcr.io", "a/b/c", "c", "2", "", "ghcr.io/a/b/c:2"],
    },
    {
      reason: "so does a port",
      image: "reg:5000/x",
      want: ["reg:5000", "x", "x", "latest", "", "reg:5000/x:latest"],
    },
    {
      reason: "and localhost",
      image: "localhost/x",
      want: ["localhost", "x", "x", "latest", "", "localhost/x:latest"],
    },
    {
      reason: "and upper case",
      image: "Reg/x",
      want: ["Reg", "x", "x", "latest", "", "Reg/x:latest"],
    },
    {
      reason: "a digest needs no tag",
      image: `nginx@${digest}`,
      want: ["docker.io", "nginx", "nginx", "", digest, `docker.io/nginx@${digest}`],
    },
    {
      reason: "both",
      image: `nginx:1@${digest}`,
      want: ["docker.io", "nginx", "nginx", "1", digest, `docker.io/nginx@${digest}`],
    },
  ])("$reason", ({ image, want }) => {
    const info = parseImage(image);
    const {
      registry,
      path,
      name,
      tag,
      digest: found,
      reference,
    } = info.ok
      ? info.value
      : { registry: info.message, path: "", name: "", tag: "", digest: "", reference: "" };
    expect([registry, path, name, tag, found, reference]).toEqual(want);
  });

  test.each([
    "",
    "UPPER",
    "a b",
    "x:",
    "x@sha256:12",
    "-x",
    "a//b",
    `x:${"t".repeat(200)}`,
    "é",
    "x".repeat(5_000),
  ])("refuses %j", (image) => {
    expect(parseImage(image).ok).toBe(false);
  });
});

const pod = (spec: JsonObject): JsonObject => ({ kind: "Pod", spec });

test.each([
  {
    kind: "Pod",
    resource: pod({
      containers: [{ name: "c", image: "a" }],
      initContainers: [{ name: "i", image: "b" }],
    }),
  },
  {
    kind: "Deployment",
    resource: {
      kind: "Deployment",
      spec: {
        template: {
          spec: {
            containers: [{ name: "c", image: "a" }],
            initContainers: [{ name: "i", image: "b" }],
          },
        },
      },
    },
  },
  {
    kind: "CronJob",
    resource: {
      kind: "CronJob",
      spec: {
        jobTemplate: {
          spec: {
            template: {
              spec: {
                containers: [{ name: "c", image: "a" }],
                initContainers: [{ name: "i", image: "b" }],
              },
            },
          },
        },
      },
    },
  },
])("finds the images of a $kind", ({ resource }) => {
  const images = extractImages(resource, undefined, runtime);
  expect(images.ok && Object.keys(images.value)).toEqual(["initContainers", "containers"]);
  expect(images.ok && images.value["containers"]?.["c"]?.reference).toBe("docker.io/a:latest");
});

test.each([
  { reason: "other kinds have none", resource: { kind: "Service", spec: {} }, want: [] },
  {
    reason: "a container without an image has none",
    resource: pod({ containers: [{ name: "c" }] }),
    want: [],
  },
  { reason: "no list has none", resource: pod({}), want: [] },
])("$reason", ({ resource, want }) => {
  const images = extractImages(resource, undefined, runtime);
  expect(images.ok && Object.keys(images.value)).toEqual(want);
});

test.each([
  {
    reason: "a container without a name",
    resource: pod({ containers: [{ image: "a" }] }),
    want: "invalid key",
  },
  {
    reason: "a container that is a text",
    resource: pod({ containers: ["a"] }),
    want: "invalid image config",
  },
  {
    reason: "containers that are a text",
    resource: pod({ containers: "a" }),
    want: "invalid type",
  },
])("says what is wrong: $reason", ({ resource, want }) => {
  expect(extractImages(resource, undefined, runtime)).toEqual({ ok: false, message: want });
});

test("a rule's own extractors", () => {
  const extractors = readImageExtractors({
    Task: [
      { path: "/spec/steps/*/image", name: "steps" },
      { path: "/spec/params/*", value: "value", key: "name", jmesPath: "trim_prefix(@, 'oci://')" },
    ],
    Empty: [],
    Odd: "x",
  });
  const task = {
    kind: "Task",
    spec: { steps: [{ image: "a" }], params: [{ name: "p", value: "oci://b:1" }] },
  };
  const images = extractImages(task, extractors, runtime);
  expect(images.ok && images.value["steps"]?.["/spec/steps/0/image"]?.name).toBe("a");
  expect(images.ok && images.value["custom"]?.["p"]?.tag).toBe("1");
  expect(extractImages({ kind: "Empty" }, extractors, runtime)).toEqual({
    ok: false,
    message: "no extractors found for Empty",
  });
  expect(
    extractImages(pod({ containers: [{ name: "c", image: "a" }] }), extractors, runtime).ok,
  ).toBe(true);
});

test("variables see the parts that are there", () => {
  const resource = pod({ containers: [{ name: "c", image: `ghcr.io/a/b@${digest}` }] });
  const images = extractImages(resource, undefined, runtime);
  expect(images.ok && imagesVariable(images.value)).toEqual({
    containers: {
      c: {
        registry: "ghcr.io",
        path: "a/b",
        name: "b",
        digest,
        reference: `ghcr.io/a/b@${digest}`,
        referenceWithTag: "ghcr.io/a/b:",
        jsonPointer: "/spec/containers/0/image",
      },
    },
  });
});
