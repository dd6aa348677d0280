// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { objectOf, stringType, type CelType } from "#policy/cel/types";
import { CelObject, type CelResult, type CelValue } from "#policy/cel/values";
import { alias, declare, globalOverload } from "./declare.ts";

const serviceAccountType = objectOf("user.ServiceAccount");

class ServiceAccount extends CelObject {
  readonly type: CelType = serviceAccountType;
  readonly namespace: string;
  readonly name: string;
  constructor(namespace: string, name: string) {
    super();
    this.namespace = namespace;
    this.name = name;
  }
  override get hasFields(): boolean {
    return true;
  }
  override getField(name: string): CelResult | undefined {
    if (name === "Namespace") return this.namespace;
    return name === "Name" ? this.name : undefined;
  }
  override equals(other: CelObject): boolean {
    return (
      other instanceof ServiceAccount &&
      other.namespace === this.namespace &&
      other.name === this.name
    );
  }
  override get isZero(): boolean {
    return this.namespace === "" && this.name === "";
  }
  override toJson(): CelValue {
    return { Name: this.name, Namespace: this.namespace };
  }
}

const prefix = "system:serviceaccount:";

/** The parts of `system:serviceaccount:NAMESPACE:NAME`; both empty for any other user. */
function parse(user: string): CelValue {
  const rest = user.startsWith(prefix) ? user.slice(prefix.length) : "";
  const colon = rest.indexOf(":");
  return colon === -1
    ? new ServiceAccount("", "")
    : new ServiceAccount(rest.slice(0, colon), rest.slice(colon + 1));
}

/** Kyverno's user library. */
export const userLibrary: Library = {
  name: "kyverno.user",
  objectTypes: [
    {
      name: "user.ServiceAccount",
      field: (name) => (name === "Name" || name === "Namespace" ? stringType : undefined),
    },
  ],
  functions: alias(
    declare(
      "parseServiceAccount",
      globalOverload("parse_service_account_string", [stringType], serviceAccountType, parse),
    ),
    "user.parseServiceAccount",
  ),
};
