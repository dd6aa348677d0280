// SPDX-License-Identifier: Apache-2.0
import type { Environment } from "./environment.ts";

/** Builds the environment of a scope once: scopes are few, and many policies share each. Scopes are told apart as JSON. */
export function cachedEnvironments<Scope>(
  build: (scope: Scope) => Environment,
): (scope: Scope) => Environment {
  const made = new Map<string, Environment>();
  return (scope) => {
    const key = JSON.stringify(scope);
    const known = made.get(key);
    if (known !== undefined) return known;
    const environment = build(scope);
    made.set(key, environment);
    return environment;
  };
}
