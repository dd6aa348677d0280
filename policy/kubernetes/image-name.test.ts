// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { imageIdentifier, parseImageName } from "./image-name.ts";

const digest = `sha256:${"a".repeat(64)}`;

test.each([
  ["nginx", "index.docker.io", "library/nginx", "latest", "", "latest", "Docker Hub's defaults"],
  ["nginx:1.25", "index.docker.io", "library/nginx", "1.25", "", "1.25", "a tag"],
  [
    "docker.io/nginx",
    "index.docker.io",
    "library/nginx",
    "latest",
    "",
    "latest",
    "the hub's alias",
  ],
  ["org/app:v1", "index.docker.io", "org/app", "v1", "", "v1", "no registry without a dot"],
  [
    "localhost/app",
    "index.docker.io",
    "localhost/app",
    "latest",
    "",
    "latest",
    "not even localhost",
  ],
  [
    "localhost:5000/app",
    "localhost:5000",
    "app",
    "latest",
    "",
    "latest",
    "a port makes a registry",
  ],
  ["ghcr.io/a/b:x", "ghcr.io", "a/b", "x", "", "x", "another registry"],
  [`ghcr.io/a/b@${digest}`, "ghcr.io", "a/b", "", digest, digest, "a digest has no tag"],
  [`ghcr.io/a/b:x@${digest}`, "ghcr.io", "a/b", "x", digest, `x@${digest}`, "tag and digest"],
])("%s", (text, registry, repository, tag, found, identifier) => {
  const image = parseImageName(text);
  if (!image.ok) throw new Error(image.message);
  expect([image.value, imageIdentifier(image.value)]).toEqual([
    { registry, repository, tag, digest: found },
    identifier,
  ]);
});

test.each([
  "",
  "a",
  `r.io:5/a@${digest}`,
  "UPPER/case",
  "nginx:bad tag",
  "nginx@sha256:abc",
  "a@b@c",
  "ghcr.io/",
  "a b.io/app",
  `nginx:${"t".repeat(200)}`,
  "n".repeat(300),
])("%s is no image", (text) => {
  expect(parseImageName(text)).toEqual({
    ok: false,
    message: `could not parse reference: ${text}`,
  });
});
