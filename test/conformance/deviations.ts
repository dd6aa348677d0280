// SPDX-License-Identifier: Apache-2.0

/** A known place where we and the reference disagree, with the reason. The list only gets shorter. */
export type Deviation = {
  readonly suite: "policies" | "cli" | "cel" | "classic" | "mutated";
  /** The test or policy file, relative to its corpus. */
  readonly file: string;
  /** Narrows the deviation to a policy or a rule of it. */
  readonly rule?: string;
  readonly reason: string;
};

const registry = "image signatures and registry look-ups need a registry, which nothing here calls";
const manifests =
  "validate.manifests verifies signatures over a canonical form of the resource: recognised, unsupported";

const cli = (file: string, reason: string): Deviation => ({
  suite: "cli",
  file: `${file}/kyverno-test.yaml`,
  reason,
});

/** Everything that the conformance suites let differ. An entry that no longer differs fails them. */
export const deviations: readonly Deviation[] = [
  cli("registry", registry),
  cli("test-image-validating-policy/with-cel-exceptions", registry),
  cli("test/images/signatures", registry),
  cli("test/images/verify-signature", registry),
  cli("test/manifests/verify-signature", manifests),
];

/** Whether a difference of a suite is one of the known ones; remembers which were needed. */
export function makeDeviationFilter(suite: Deviation["suite"]): {
  readonly isKnown: (file: string, rule: string) => boolean;
  /** Entries that nothing needed: they have to be taken out of the list. */
  readonly unused: () => readonly Deviation[];
} {
  const own = deviations.filter((one) => one.suite === suite);
  const used = new Set<Deviation>();
  return {
    isKnown: (file, rule) => {
      const found = own.filter(
        (one) => one.file === file && (one.rule === undefined || one.rule === rule),
      );
      for (const one of found) used.add(one);
      return found.length > 0;
    },
    unused: () => own.filter((one) => !used.has(one)),
  };
}
