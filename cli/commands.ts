// SPDX-License-Identifier: Apache-2.0
import type { Command } from "./command.ts";

export type Entry = { readonly summary: string; readonly load: () => Promise<Command> };

/** Each command is loaded only when it is asked for: none pays for the imports of the others. */
export const commands: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  [
    "approve",
    {
      summary: "approve or deny a remediation, or a change that the guard holds back",
      load: async () => (await import("./commands/approve.ts")).approveCommand,
    },
  ],
  [
    "audit",
    {
      summary: "check that the responder's audit log is whole",
      load: async () => (await import("./commands/audit.ts")).auditCommand,
    },
  ],
  [
    "check",
    {
      summary: "check manifests against policies",
      load: async () => (await import("./commands/check.ts")).checkCommand,
    },
  ],
  [
    "completion",
    {
      summary: "print a script with which the shell completes commands and options",
      load: async () => (await import("./commands/completion.ts")).completionCommand,
    },
  ],
  [
    "demo",
    {
      summary: "show the product: a guarded composition, an alert, a drift",
      load: async () => (await import("./commands/demo.ts")).demoCommand,
    },
  ],
  [
    "explain",
    {
      summary: "say what would happen to a Falco alert, and why",
      load: async () => (await import("./commands/explain.ts")).explainCommand,
    },
  ],
  [
    "import",
    {
      summary: "turn Falco Talon rules into ResponsePolicies",
      load: async () => (await import("./commands/import.ts")).importCommand,
    },
  ],
  [
    "migrate",
    {
      summary: "rewrite classic Kyverno policies as CEL kinds, with proof",
      load: async () => (await import("./commands/migrate.ts")).migrateCommand,
    },
  ],
  [
    "mutate",
    {
      summary: "print resources after mutation",
      load: async () => (await import("./commands/mutate.ts")).mutateCommand,
    },
  ],
  [
    "rbac",
    {
      summary: "print the responder's role for the actions that are enabled",
      load: async () => (await import("./commands/rbac.ts")).rbacCommand,
    },
  ],
  [
    "test",
    {
      summary: "run kyverno-test files",
      load: async () => (await import("./commands/test.ts")).testCommand,
    },
  ],
]);
