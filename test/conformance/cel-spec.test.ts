// SPDX-License-Identifier: Apache-2.0
import { getConformanceSuite } from "@bufbuild/cel-spec/testdata/tests.js";
import { describe, expect, test } from "vitest";
import { casesOf, failureOf, type SpecCase } from "./cel-spec.ts";

type Exclusion = {
  readonly file: string;
  readonly section?: string;
  /** Names of cases; without them the whole file or section. */
  readonly names?: readonly string[];
  readonly reason: string;
};

const messages = "protobuf messages, which expressions in Kubernetes do not have";
const wrappers = "protobuf wrapper and Any values, which expressions in Kubernetes do not have";

/** What the engine does not answer as the suite wants, all of it. */
const exclusions: readonly Exclusion[] = [
  {
    file: "block_ext",
    reason: "cel.block is what optimizers write; no environment of ours has it",
  },
  { file: "dynamic", reason: wrappers },
  { file: "enums", reason: "protobuf enums, which expressions in Kubernetes do not have" },
  { file: "proto2", reason: messages },
  { file: "proto2_ext", reason: "extension fields of protobuf messages" },
  { file: "proto3", reason: messages },
  { file: "wrappers", reason: wrappers },
  { file: "comparisons", section: "eq_wrapper", reason: wrappers },
  {
    file: "comparisons",
    section: "eq_literal",
    names: ["eq_dyn_json_null"],
    reason: wrappers,
  },
  {
    file: "comparisons",
    section: "ne_literal",
    names: [
      "ne_proto2_any_unpack",
      "ne_proto2_any_unpack_bytewise_fallback",
      "ne_proto3_any_unpack",
      "ne_proto3_any_unpack_bytewise_fallback",
    ],
    reason: wrappers,
  },
  { file: "type_deductions", section: "wrappers", reason: wrappers },
  {
    file: "type_deductions",
    section: "legacy_nullable_types",
    reason: "cel-go, which we follow, leaves it out too (conformance/BUILD.bazel)",
  },
  {
    file: "timestamps",
    section: "duration_converters",
    names: ["get_milliseconds"],
    reason:
      "cel-go, which we follow, gives all milliseconds of a duration (conformance/BUILD.bazel)",
  },
  {
    file: "string_ext",
    section: "value_errors",
    names: ["indexof_out_of_range", "lastindexof_out_of_range"],
    reason: "cel-go, which we follow, gives -1 (conformance/BUILD.bazel)",
  },
];

const isExcluded = (item: SpecCase): boolean =>
  exclusions.some(
    ({ file, section, names }) =>
      file === item.file &&
      (section === undefined || section === item.section) &&
      (names === undefined || names.includes(item.name)),
  );

const cases = casesOf(getConformanceSuite());
const files = [...new Set(cases.map((item) => item.file))];

describe.for(files)("cel-spec %s", (file) => {
  const included = cases.filter((item) => item.file === file && !isExcluded(item));
  const excluded = cases.filter((item) => item.file === file && isExcluded(item));

  test(`passes ${included.length} cases, ${excluded.length} excluded`, () => {
    const failures = included.flatMap((item) => {
      const failure = failureOf(item);
      return failure === undefined
        ? []
        : [`${item.section}/${item.name}: ${item.test.original.expr}: ${failure}`];
    });
    expect(failures).toEqual([]);
  });
});

test("every exclusion by name is needed", () => {
  const needless = exclusions
    .filter((exclusion) => exclusion.names !== undefined)
    .flatMap(({ file, section, names }) =>
      cases.filter(
        (item) => item.file === file && item.section === section && names?.includes(item.name),
      ),
    )
    .filter((item) => failureOf(item) === undefined)
    .map((item) => item.name);
  expect(needless).toEqual([]);
});

test("the suite is there", () => {
  expect(cases.length).toBeGreaterThan(2000);
  expect(cases.filter((item) => !isExcluded(item)).length).toBeGreaterThan(1500);
});
