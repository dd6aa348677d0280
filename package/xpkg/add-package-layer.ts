// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type Json, type JsonObject, at, isArray, isObject, parseJson, textAt } from "#policy/json";

// Appends the layer that makes an image a Crossplane package: package.yaml, the stream of the metadata and the CRDs.
// What the layer is stands in its manifest annotation and, for readers that lose annotations, in a label of the
// configuration (crossplane contributing/specifications/xpkg.md). buildah can't annotate a layer, hence this.
const [layout, packageRoot] = process.argv.slice(2);
if (layout === undefined || packageRoot === undefined) {
  console.error("usage: add-package-layer.ts OCI_LAYOUT PACKAGE_ROOT");
  process.exit(2);
}
addPackageLayer(layout, packageStream(packageRoot));

/** All YAML files below the root, the metadata first; Crossplane allows exactly one metadata document. */
function packageStream(root: string): string {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".yaml") && statSync(join(root, file)).isFile())
    .sort(
      (a, b) =>
        Number(b === "crossplane.yaml") - Number(a === "crossplane.yaml") || (a < b ? -1 : 1),
    );
  if (files[0] !== "crossplane.yaml") throw new Error(`${root} has no crossplane.yaml`);
  return files.map((file) => readFileSync(join(root, file), "utf8").trimEnd()).join("\n---\n");
}

function addPackageLayer(folder: string, stream: string): void {
  const tar = tarOf("package.yaml", Buffer.from(`${stream}\n`));
  const layer = gzipSync(tar, { level: 9 });
  const index = readJson(join(folder, "index.json"));
  const entry = first(at(index, ["manifests"]));
  const manifest = readJson(blobPath(folder, textAt(entry, ["digest"])));
  const config = readJson(blobPath(folder, textAt(manifest, ["config", "digest"])));
  const layerDigest = writeBlob(folder, layer);
  const newConfig = {
    ...config,
    config: {
      ...objectAt(config, "config"),
      Labels: {
        ...objectAt(at(config, ["config"]), "Labels"),
        [`io.crossplane.xpkg:${layerDigest}`]: "base",
      },
    },
    rootfs: {
      type: "layers",
      diff_ids: [...listAt(at(config, ["rootfs"]), "diff_ids"), digestOf(tar)],
    },
    history: [...listAt(config, "history"), { created_by: "parapet package layer" }],
  };
  const configBytes = Buffer.from(JSON.stringify(newConfig));
  const newManifest = {
    ...manifest,
    config: {
      ...objectAt(manifest, "config"),
      digest: writeBlob(folder, configBytes),
      size: configBytes.length,
    },
    layers: [
      ...listAt(manifest, "layers"),
      {
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        digest: layerDigest,
        size: layer.length,
        annotations: { "io.crossplane.xpkg": "base" },
      },
    ],
  };
  const manifestBytes = Buffer.from(JSON.stringify(newManifest));
  const newEntry = {
    ...entry,
    digest: writeBlob(folder, manifestBytes),
    size: manifestBytes.length,
  };
  writeFileSync(join(folder, "index.json"), JSON.stringify({ ...index, manifests: [newEntry] }));
}

/** A tar archive of one file, the same bytes for the same content: no times, no owners (POSIX.1-1988 ustar). */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(content.length, 11), 124);
  header.write(octal(0, 11), 136);
  header.write("        ", 148);
  header.write("0", 156);
  header.write("ustar\u000000", 257);
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function blobPath(folder: string, digest: string): string {
  return join(folder, "blobs", ...digest.split(":"));
}

function writeBlob(folder: string, bytes: Buffer): string {
  const digest = digestOf(bytes);
  writeFileSync(blobPath(folder, digest), bytes);
  return digest;
}

function readJson(file: string): JsonObject {
  const value = parseJson(readFileSync(file, "utf8"));
  if (!isObject(value)) throw new Error(`${file} holds no JSON object`);
  return value;
}

function first(list: Json | undefined): JsonObject {
  const item = isArray(list) ? list[0] : undefined;
  if (!isObject(item)) throw new Error("the layout's index lists no manifest");
  return item;
}

function objectAt(value: Json | undefined, key: string): JsonObject {
  const found = at(value, [key]);
  return isObject(found) ? found : {};
}

function listAt(value: Json | undefined, key: string): readonly Json[] {
  const found = at(value, [key]);
  return isArray(found) ? found : [];
}
