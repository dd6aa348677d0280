// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it lists folders and reads files for all commands.
import {
  closeSync,
  globSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  statSync,
} from "node:fs";
import type { Dirent } from "node:fs";
import path from "node:path";
import type { Json } from "#policy/json";
import { parseText } from "#policy/yaml";

/** Largest file that is read, in bytes: etcd holds 1.5 MiB per object, so this is some thousands of objects. */
export const fileBytesMax = 512 * 1024 * 1024;
/** Most files under one argument; a folder beyond it was hardly meant. */
export const filesMax = 100_000;

export type InputError = { readonly file: string; readonly message: string };

/** One document of a file, as it was read. */
export type SourceDocument = {
  /** The path as given, or `-` for standard input. */
  readonly file: string;
  /** Place among the file's documents, from 1. */
  readonly position: number;
  readonly value: Json;
};

export type ReadDocuments = {
  readonly documents: readonly SourceDocument[];
  readonly errors: readonly InputError[];
  readonly warnings: readonly InputError[];
};

/** What {@link findFiles} and {@link readDocuments} need beside their arguments. */
export type Disk = {
  /** Relative paths start here. */
  readonly folder: string;
  /** All of standard input, for the path `-`. */
  readonly stdin: () => string;
};

const manifestFile = /\.(ya?ml|json)$/i;

/**
 * Turns arguments into files: a file as it is, a folder into every .yaml, .yml and .json below it (sorted; names that
 * start with a dot are left out), a glob into what it matches, `-` into standard input.
 */
export function findFiles(paths: readonly string[], disk: Disk): FoundFiles {
  const files = new Set<string>();
  const named = new Set<string>();
  const errors: InputError[] = [];
  for (const given of paths) {
    const found = findOne(given, disk);
    if (typeof found === "string") {
      errors.push({ file: given, message: found });
      continue;
    }
    for (const file of found) files.add(file);
    if (found.length === 1 && found[0] === given) named.add(given);
  }
  return { files: [...files], named, errors };
}

export type FoundFiles = {
  readonly files: readonly string[];
  /** Those of `files` that were named one by one, not found in a folder or by a glob. */
  readonly named: ReadonlySet<string>;
  readonly errors: readonly InputError[];
};

function findOne(given: string, disk: Disk): readonly string[] | string {
  if (given === "-") return ["-"];
  if (isRemote(given)) return "remote addresses are not read: fetch it first and give the file";
  const kind = pathKind(given, disk);
  if (kind === "absent") return findByGlob(given, disk);
  if (kind === "file") return [given];
  const found = walk(given, disk, (name) => manifestFile.test(name));
  if (!found.ok) return found.message;
  const { files } = found;
  if (files.length > filesMax) return `more than ${filesMax} files`;
  return files.length === 0 ? "a folder without any .yaml, .yml or .json file" : files;
}

/** What a path leads to. */
export function pathKind(given: string, disk: Disk): "folder" | "file" | "absent" {
  const stats = statSync(path.resolve(disk.folder, given), { throwIfNoEntry: false });
  if (stats === undefined) return "absent";
  return stats.isDirectory() ? "folder" : "file";
}

function findByGlob(given: string, disk: Disk): readonly string[] | string {
  if (!/[*?[{]/.test(given)) return "no such file or folder";
  const matches = globSync(given, { cwd: disk.folder });
  const files = matches
    .filter((match) => statSync(path.resolve(disk.folder, match)).isFile())
    .sort();
  return files.length === 0 ? "no file matches" : files;
}

export const isRemote = (given: string): boolean => /^(https?|git|ssh):\/\//.test(given);

/**
 * All files below a folder whose name passes, sorted by path. Folders that start with a dot are entered only when
 * `hidden` says so: Kyverno's tests live in `.kyverno-test`.
 */
export function walk(
  folder: string,
  disk: Disk,
  wanted: (name: string) => boolean,
  hidden = false,
): FoundBelow {
  const files: string[] = [];
  const folders = [folder];
  while (folders.length > 0 && files.length <= filesMax) {
    const here = folders.pop() ?? "";
    const entries = readFolder(here, disk);
    if (typeof entries === "string") return { ok: false, message: `${here}: ${entries}` };
    for (const entry of entries) {
      const below = path.join(here, entry.name);
      const skipped = entry.name === "node_modules" || entry.name === ".git";
      const visible = hidden || !entry.name.startsWith(".");
      if (entry.isDirectory() && visible && !skipped) folders.push(below);
      if (!entry.isDirectory() && wanted(entry.name)) files.push(below);
    }
  }
  return { ok: true, files: files.sort() };
}

export type FoundBelow =
  | { readonly ok: true; readonly files: readonly string[] }
  | { readonly ok: false; readonly message: string };

function readFolder(folder: string, disk: Disk): readonly Dirent[] | string {
  try {
    return readdirSync(path.resolve(disk.folder, folder), { withFileTypes: true });
  } catch (error) {
    return describeError(error);
  }
}

/** Reads files into documents; what cannot be read or parsed is an error that names the file, the others stand. */
export function readDocuments(files: readonly string[], disk: Disk): ReadDocuments {
  const documents: SourceDocument[] = [];
  const errors: InputError[] = [];
  const warnings: InputError[] = [];
  for (const file of files) {
    const text = readText(file, disk);
    if (!text.ok) {
      errors.push({ file, message: text.message });
      continue;
    }
    const parsed = parseText(text.text);
    if (!parsed.ok) {
      errors.push({ file, message: parsed.message });
      continue;
    }
    warnings.push(...parsed.warnings.map((message) => ({ file, message })));
    for (const [index, value] of parsed.documents.entries()) {
      documents.push({ file, position: index + 1, value });
    }
  }
  return { documents, errors, warnings };
}

export type ReadText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly message: string };

export function readText(file: string, disk: Disk, bytesMax = fileBytesMax): ReadText {
  try {
    if (file === "-") return { ok: true, text: disk.stdin() };
    const bytes = readBytes(path.resolve(disk.folder, file), bytesMax);
    return bytes === undefined
      ? { ok: false, message: `more than ${bytesMax} bytes, which are the most that are read` }
      : { ok: true, text: bytes.toString("utf8") };
  } catch (error) {
    return { ok: false, message: describeError(error) };
  }
}

const chunkBytes = 1024 * 1024;

/** Anything but a plain file piece by piece: a pipe (`<(helm template .)`) says no size beforehand, a device has no end. */
function readBytes(full: string, bytesMax: number): Buffer | undefined {
  const stats = statSync(full);
  if (stats.size > bytesMax) return undefined;
  if (stats.isFile()) return readFileSync(full);
  const chunks: Buffer[] = [];
  let total = 0;
  const fd = openSync(full, "r");
  try {
    for (;;) {
      const chunk = Buffer.alloc(chunkBytes);
      const size = readSync(fd, chunk);
      if (size === 0) return Buffer.concat(chunks);
      total += size;
      if (total > bytesMax) return undefined;
      chunks.push(chunk.subarray(0, size));
    }
  } finally {
    closeSync(fd);
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "not allowed to read it",
  ENOTDIR: "no folder",
  EISDIR: "a folder, not a file",
};

function describeError(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const known = Object.hasOwn(reasons, code) ? reasons[code] : undefined;
  return known ?? (error instanceof Error ? error.message : String(error));
}
