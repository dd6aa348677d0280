// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json } from "#policy/json";
import type { Edit } from "#responder/edit";
import { canonical } from "#responder/exact-json";
import { maskJson } from "#responder/mask";

const secretName = /pass|secret|token|credential|api[-_.]?key|private[-_.]?key/i;
/** Names that say where a secret is, or of what kind, and hold none: `secretName`, `tokenUrl`, `passwordPolicy`. */
const pointer =
  /(?:names?|refs?|namespace|class|path|file|dir|url|uri|type|method|mode|policy|length|seconds|ttl)$/i;

/**
 * Whether an edit would put a credential into a record, which more people read than the object: by what the values look like, and by what the
 * path or a member calls them. A key of a ConfigMap and an environment variable are names as well.
 */
export const holdsSecret = (edits: readonly Edit[]): boolean =>
  edits.some(({ path, from, to }) => {
    const isNamed = path.some((step) =>
      typeof step === "string" ? isSecretName(step) : Object.values(step).some(isSecretText),
    );
    return [from, to].some(
      (value) => value !== undefined && ((isNamed && holdsText(value)) || isSecret(value)),
    );
  });

const isSecretName = (name: string): boolean => secretName.test(name) && !pointer.test(name);
const isSecretText = (value: Json): boolean => typeof value === "string" && isSecretName(value);

/** Switches and numbers called like a secret are none. */
const holdsText = (value: Json): boolean =>
  (typeof value === "string" && value !== "") ||
  (isArray(value) && value.some(holdsText)) ||
  (isObject(value) && Object.values(value).some(holdsText));

function isSecret(value: Json): boolean {
  if (canonical(maskJson(value)) !== canonical(value)) return true;
  if (isArray(value)) return value.some(isSecret);
  if (!isObject(value)) return false;
  return Object.entries(value).some(
    ([key, item]) => (isSecretName(key) && typeof item === "string") || isSecret(item),
  );
}
