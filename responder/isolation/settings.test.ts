// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseConfig } from "#responder/config/config";
import { repository } from "#test/support/shared";

const token = { PARAPET_INTAKE_TOKEN: "0123456789abcdef" };
const rootOf = (file: unknown, environment: Record<string, string> = {}) => {
  const parsed = parseConfig(file, { ...token, ...environment });
  return parsed.ok ? parsed.config.isolation.istioRootNamespace : parsed.problems.join();
};

describe("Istio's root namespace", () => {
  it.each([
    { reason: "Istio's own default.", file: {}, want: "istio-system" },
    {
      reason: "As the file has it.",
      file: { isolation: { istioRootNamespace: "mesh-root" } },
      want: "mesh-root",
    },
    {
      reason: "The environment goes before the file.",
      file: { isolation: { istioRootNamespace: "mesh-root" } },
      environment: { PARAPET_ISTIO_ROOT_NAMESPACE: "istio-config" },
      want: "istio-config",
    },
    {
      reason: "It becomes part of a path.",
      file: {},
      environment: { PARAPET_ISTIO_ROOT_NAMESPACE: "../secrets" },
      want: "isolation.istioRootNamespace: must be the name of a namespace (from PARAPET_ISTIO_ROOT_NAMESPACE)",
    },
  ])("$want: $reason", ({ file, environment, want }) => {
    expect(rootOf(file, environment)).toBe(want);
  });

  it("stands in the guide", () => {
    const page = readFileSync(join(repository, "package/install/isolation.md"), "utf8");
    expect(page).toContain("PARAPET_ISTIO_ROOT_NAMESPACE");
  });
});
