// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { compileQuery } from "#policy/jmespath/compile";
import { formatForMessage } from "#policy/jmespath/go-format";
import { QueryFailure, type QueryRuntime } from "#policy/jmespath/query";
import { parseImageReference } from "#policy/kubernetes/image-reference";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** Where images stand in resources of one kind. */
export type ImageExtractor = {
  /** `containers`, `initContainers`, ...; `custom` where a rule names none. */
  readonly name: string;
  /** Keys from the resource on; `*` stands for every item of a list or map. */
  readonly fields: readonly string[];
  /** The field that an image goes by; '' for its JSON pointer. */
  readonly key: string;
  readonly value: string;
  /** Applied to the text before it is read as an image; '' for none. */
  readonly jmesPath: string;
};

/** `imageExtractors` of a rule by kind. */
export type ImageExtractors = Readonly<Record<string, readonly ImageExtractor[]>>;

/** One image of a resource. */
export type ImageInfo = {
  readonly registry: string;
  readonly name: string;
  readonly path: string;
  readonly tag: string;
  readonly digest: string;
  readonly reference: string;
  readonly referenceWithTag: string;
  /** Where the image stands in the resource, as a JSON pointer. */
  readonly pointer: string;
};

/** Images by extractor and then by container name. */
export type Images = Readonly<Record<string, Readonly<Record<string, ImageInfo>>>>;

/** Most images read from one resource. */
export const imagesMax = 10_000;

const standard = (...path: readonly string[]): readonly ImageExtractor[] =>
  ["initContainers", "containers", "ephemeralContainers"].map((name) => ({
    name,
    fields: [...path, name, "*"],
    key: "name",
    value: "image",
    jmesPath: "",
  }));

const ofTemplate = standard("spec", "template", "spec");

/** Kinds whose images Kyverno knows by itself (pkg/utils/api/image.go). */
const standardExtractors: ImageExtractors = {
  Pod: standard("spec"),
  DaemonSet: ofTemplate,
  Deployment: ofTemplate,
  ReplicaSet: ofTemplate,
  ReplicationController: ofTemplate,
  StatefulSet: ofTemplate,
  Job: ofTemplate,
  CronJob: standard("spec", "jobTemplate", "spec", "template", "spec"),
};

/** The images of a resource. Never throws; the message says what about them is not as it should be. */
export function extractImages(
  resource: JsonObject,
  extractors: ImageExtractors | undefined,
  runtime: QueryRuntime,
): Parsed<Images> {
  const kind = textAt(resource, ["kind"]);
  const own = extractors !== undefined && Object.hasOwn(extractors, kind);
  const table = own ? extractors : standardExtractors;
  const chosen = Object.hasOwn(table, kind) ? (table[kind] ?? []) : [];
  if (own && chosen.length === 0) return unparsed(`no extractors found for ${kind}`);
  const all: [string, Readonly<Record<string, ImageInfo>>][] = [];
  const search: Search = { images: [], runtime };
  for (const extractor of chosen) {
    const from = search.images.length;
    const problem = extract(resource, [], extractor, 0, search);
    if (problem !== undefined) return unparsed(problem);
    const found = search.images.slice(from);
    if (found.length > 0) all.push([extractor.name, Object.fromEntries(found)]);
  }
  return parsed(Object.fromEntries(all));
}

/** The `images` variable. Parts that are empty are no keys: the tag of an image that has a digest alone is unknown. */
export function imagesVariable(images: Images): JsonObject {
  return mapValues(images, (group) => mapValues(group, shownImage));
}

const shownImage = ({ pointer, ...info }: ImageInfo): JsonObject => ({
  ...Object.fromEntries(Object.entries(info).filter(([, value]) => value !== "")),
  jsonPointer: pointer,
});

function mapValues<T>(
  record: Readonly<Record<string, T>>,
  map: (value: T) => JsonObject,
): JsonObject {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

/** One image reference in its parts. */
export function parseImage(image: string): Parsed<ImageInfo> {
  const reference = parseImageReference(image);
  if (!reference.ok) return reference;
  const { registry, name, path, tag, digest, full, withTag } = reference.value;
  return parsed({
    registry,
    name,
    path,
    tag,
    digest,
    reference: full,
    referenceWithTag: withTag,
    pointer: "",
  });
}

/** Reads `imageExtractors` of a rule; what is no extractor is left out. */
export function readImageExtractors(document: Json | undefined): ImageExtractors | undefined {
  if (!isObject(document)) return undefined;
  return Object.fromEntries(
    Object.entries(document).map(([kind, list]) => [
      kind,
      isArray(list) ? list.filter(isObject).map(readExtractor) : [],
    ]),
  );
}

function readExtractor(document: JsonObject): ImageExtractor {
  const fields = textAt(document, ["path"])
    .split("/")
    .map((field) => field.trim())
    .filter((field) => field !== "");
  const value = textAt(document, ["value"]);
  return {
    name: textAt(document, ["name"]) || "custom",
    fields: value === "" ? fields.slice(0, -1) : fields,
    key: textAt(document, ["key"]),
    value: value === "" ? (fields.at(-1) ?? "") : value,
    jmesPath: textAt(document, ["jmesPath"]),
  };
}

type Search = { readonly images: [string, ImageInfo][]; readonly runtime: QueryRuntime };

/** Follows the fields; what is wrong, or undefined. Absent parts are no fault. */
function extract(
  value: Json | undefined,
  path: readonly string[],
  extractor: ImageExtractor,
  depth: number,
  search: Search,
): string | undefined {
  if (value === null || value === undefined) return undefined;
  const field = extractor.fields[depth];
  if (field === "*") {
    if (!isArray(value) && !isObject(value)) return "invalid type";
    for (const [key, item] of Object.entries(value)) {
      const problem = extract(item, [...path, key], extractor, depth + 1, search);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  if (!isObject(value)) return "invalid image config";
  if (field === undefined) return takeImage(value, path, extractor, search);
  const next = Object.hasOwn(value, field) ? value[field] : undefined;
  return extract(next, [...path, field], extractor, depth + 1, search);
}

function takeImage(
  holder: JsonObject,
  path: readonly string[],
  extractor: ImageExtractor,
  search: Search,
): string | undefined {
  const pointer = `/${[...path, extractor.value].join("/")}`;
  const name = extractor.key === "" ? pointer : own(holder, extractor.key);
  if (typeof name !== "string") return "invalid key";
  const text = own(holder, extractor.value);
  if (typeof text !== "string" || text.trim() === "") return undefined;
  const image = applyPath(text, extractor.jmesPath, search.runtime);
  if (!image.ok) return image.message;
  const info = parseImage(image.value);
  if (!info.ok) return `invalid image '${image.value}' (${info.message})`;
  if (search.images.length >= imagesMax) return `more than ${imagesMax} images`;
  search.images.push([name, { ...info.value, pointer }]);
  return undefined;
}

const own = (holder: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(holder, key) ? holder[key] : undefined;

function applyPath(text: string, jmesPath: string, runtime: QueryRuntime): Parsed<string> {
  if (jmesPath === "") return parsed(text);
  const query = compileQuery(jmesPath);
  if (query.syntaxError !== undefined) {
    return unparsed(`invalid jmespath ${jmesPath}: ${query.syntaxError}`);
  }
  const value = query.evaluate(text, runtime);
  if (value instanceof QueryFailure) {
    return unparsed(`failed to apply jmespath ${jmesPath}: ${value.message}`);
  }
  return typeof value === "string"
    ? parsed(value)
    : unparsed(
        `jmespath ${jmesPath} must produce a string, but produced ${formatForMessage(value)}`,
      );
}
