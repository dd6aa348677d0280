// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Library } from "#policy/cel/library";
import { boolType, intType, objectOf, stringType } from "#policy/cel/types";
import { intValue, type CelResult } from "#policy/cel/values";
import type { Parsed } from "#policy/kubernetes/parsed";
import {
  compareSemver,
  parseLenientSemver,
  parseSemver,
  type Semver,
} from "#policy/kubernetes/semver";
import { declare, globalOverload, memberOverload, Opaque, orError } from "./declare.ts";

const semverType = objectOf("kubernetes.Semver");

type SemverValue = Opaque<Semver>;

const same = (a: Semver, b: Semver): boolean => compareSemver(a, b) === 0;

const read = (text: string, lenient = false): Parsed<Semver> =>
  lenient ? parseLenientSemver(text) : parseSemver(text);

const toSemver = (text: string, lenient?: boolean): CelResult =>
  orError(read(text, lenient), (version) => new Opaque(semverType, version, same));

const isSemver = (text: string, lenient?: boolean): boolean => read(text, lenient).ok;

const compareTo = (a: SemverValue, b: SemverValue): number => compareSemver(a.held, b.held);

/** A part of a version as CEL's int, into which the reference wraps its 64 unsigned bits. */
const part = (name: string, id: string, of: (version: Semver) => bigint): FunctionDeclaration =>
  declare(
    name,
    memberOverload(id, [semverType], intType, (version: SemverValue) =>
      intValue(BigInt.asIntN(64, of(version.held))),
    ),
  );

const v = semverType;

/** Version 1 of Kubernetes' semver library. */
export const semverLibrary: Library = {
  name: "kubernetes.Semver",
  functions: [
    declare(
      "semver",
      globalOverload("string_to_semver", [stringType], v, toSemver),
      globalOverload("string_bool_to_semver", [stringType, boolType], v, toSemver),
    ),
    declare(
      "isSemver",
      globalOverload("is_semver_string", [stringType], boolType, isSemver),
      globalOverload("is_semver_string_bool", [stringType, boolType], boolType, isSemver),
    ),
    declare(
      "isGreaterThan",
      memberOverload(
        "semver_is_greater_than",
        [v, v],
        boolType,
        (a: SemverValue, b: SemverValue) => compareTo(a, b) > 0,
      ),
    ),
    declare(
      "isLessThan",
      memberOverload(
        "semver_is_less_than",
        [v, v],
        boolType,
        (a: SemverValue, b: SemverValue) => compareTo(a, b) < 0,
      ),
    ),
    declare("compareTo", memberOverload("semver_compare_to", [v, v], intType, compareTo)),
    part("major", "semver_major", (version) => version.major),
    part("minor", "semver_minor", (version) => version.minor),
    part("patch", "semver_patch", (version) => version.patch),
  ],
};
