// SPDX-License-Identifier: Apache-2.0
import { field, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { QueryFailure, type Query } from "#policy/jmespath/query";
import type { ContextEntries, ContextEntry } from "#policy/kyverno/classic/context";
import { countSize, type ContextSize } from "#policy/kyverno/classic/context-size";
import { givenValues, setAll, withElementValues } from "#policy/kyverno/classic/given-values";
import {
  extractImages,
  imagesVariable,
  type ImageExtractors,
} from "#policy/kyverno/classic/images";
import { requestVariables } from "#policy/kyverno/classic/request-variables";
import type { Review } from "#policy/review";
import type { ContextValues, World } from "#policy/world";

/** Which rule a scope is for: the key of a Values file, and where its images are. */
export type RuleIdentity = {
  readonly policy: string;
  readonly rule: string;
  readonly imageExtractors?: ImageExtractors;
};

/**
 * The JSON that variables of a rule see. Scopes do not change: what adds a variable gives a new scope over the same
 * data. Context entries load on the first query that names them and are remembered in the scope that declares them.
 */
export type Scope = {
  readonly world: World;
  /** `request.operation` is DELETE: variables speak of request.oldObject then. */
  readonly isDelete: boolean;
  /** The reference's Context.Query: loads the entries that the query names, then searches. Never throws. */
  readonly query: (query: Query) => Json | QueryFailure;
  /** With more top-level variables, e.g. `target`. They hide entries of the same name. */
  readonly withVariables: (variables: JsonObject) => Scope;
  /** With the variables of one foreach element: element, elementN, elementIndex, elementIndexN. */
  readonly withElement: (element: Json, index: number, nesting: number) => Scope;
  /** With another `request.object` (after a mutation). What was loaded stays, as in the reference; the rest sees it. */
  readonly withObject: (object: JsonObject) => Scope;
  /** With the `context` of a rule or of a foreach. */
  readonly withEntries: (entries: ContextEntries) => Scope;
};

/** The scope of one rule on one review, before its own context entries. Cheap: what a review says is built once. */
export function makeScope(review: Review, world: World, identity: RuleIdentity): Scope {
  const resource = review.object ?? review.oldObject ?? {};
  const values = givenValues(
    world,
    identity,
    textAt(resource, ["metadata", "name"]) || review.name,
  );
  const shared = requestVariables(review);
  const settings: Settings = {
    world,
    values,
    images: () => loadImages(resource, world, identity.imageExtractors),
    size: { used: 0 },
  };
  const root = values === undefined ? shared : withElementValues(setAll(shared, values), values, 0);
  return new RuleScope(settings, undefined, root, noEntries);
}

const noEntries: readonly ContextEntry[] = [];

type Settings = {
  readonly world: World;
  readonly values: ContextValues | undefined;
  readonly images: () => Json | undefined | QueryFailure;
  readonly size: ContextSize;
};

function loadImages(
  resource: JsonObject,
  world: World,
  extractors: ImageExtractors | undefined,
): Json | undefined | QueryFailure {
  const images = extractImages(resource, extractors, world);
  if (!images.ok) return new QueryFailure("failed", images.message);
  return Object.keys(images.value).length === 0 ? undefined : imagesVariable(images.value);
}

/** What became of an entry; absent while no query has named it. */
type Loaded = { readonly value: Json } | QueryFailure;

/** Objects of one shape for loops that are not nested, which most are. */
function elementVariables(element: Json, index: number, nesting: number): JsonObject {
  if (nesting === 0) {
    return { element, element0: element, elementIndex: index, elementIndex0: index };
  }
  return {
    element,
    [`element${nesting}`]: element,
    elementIndex: index,
    [`elementIndex${nesting}`]: index,
  };
}

class RuleScope implements Scope {
  readonly world: World;
  readonly isDelete: boolean;
  readonly #settings: Settings;
  readonly #parent: RuleScope | undefined;
  readonly #base: RuleScope;
  /** Whether this scope or one around it has entries. */
  readonly #loads: boolean;
  /** Variables that this scope adds; the whole root in the outermost one. */
  readonly #own: JsonObject;
  readonly #entries: readonly ContextEntry[];
  readonly #loaded: Map<ContextEntry, Loaded> | undefined;
  #imagesLoaded = false;
  /** Whether the root was built after the images had loaded. */
  #hasImages: boolean;
  #root: JsonObject;
  /** How many values the root was built from; it is built anew when there are more. */
  #version = 0;

  constructor(
    settings: Settings,
    parent: RuleScope | undefined,
    own: JsonObject,
    entries: readonly ContextEntry[],
    loaded?: ReadonlyMap<ContextEntry, Loaded>,
  ) {
    this.world = settings.world;
    this.#loaded = entries.length === 0 ? undefined : new Map(loaded);
    this.#settings = settings;
    this.#parent = parent;
    this.#own = own;
    this.#entries = entries;
    this.#root = parent === undefined ? own : { ...parent.#currentRoot(), ...own };
    this.#base = parent === undefined ? this : parent.#base;
    this.#hasImages = this.#base.#imagesLoaded;
    this.#loads = entries.length > 0 || (parent !== undefined && parent.#loads);
    this.#version = this.#loadedCount() - (this.#loaded?.size ?? 0);
    this.isDelete =
      parent === undefined || Object.hasOwn(own, "request")
        ? field(this.#root["request"], "operation") === "DELETE"
        : parent.isDelete;
  }

  query(query: Query): Json | QueryFailure {
    return this.#queryBefore(query, this.#entries.length);
  }

  withVariables(variables: JsonObject): Scope {
    return new RuleScope(this.#settings, this, variables, noEntries);
  }

  withElement(element: Json, index: number, nesting: number): Scope {
    const variables = elementVariables(element, index, nesting);
    const { values } = this.#settings;
    if (values === undefined) return this.withVariables(variables);
    const root = { ...this.#currentRoot(), ...variables };
    return this.withVariables(withElementValues(root, values, index));
  }

  withEntries({ entries }: ContextEntries): Scope {
    const wanted = entries.filter((entry) => !this.#isGiven(entry));
    return wanted.length === 0 ? this : new RuleScope(this.#settings, this, {}, wanted);
  }

  withObject(object: JsonObject): Scope {
    return this.#rebuilt(object);
  }

  /** A Values file stands in for what would be read from elsewhere. */
  #isGiven(entry: ContextEntry): boolean {
    return (
      this.#settings.values !== undefined &&
      entry.kind !== "variable" &&
      Object.hasOwn(this.#currentRoot(), entry.name)
    );
  }

  #rebuilt(object: JsonObject): RuleScope {
    const parent = this.#parent === undefined ? undefined : this.#parent.#rebuilt(object);
    const request = field(this.#own, "request");
    const own = isObject(request) ? { ...this.#own, request: { ...request, object } } : this.#own;
    return new RuleScope(this.#settings, parent, own, this.#entries, this.#loaded);
  }

  #queryBefore(query: Query, limit: number): Json | QueryFailure {
    const base = this.#base;
    const problem =
      (base.#imagesLoaded ? undefined : base.#loadImages(query)) ??
      (this.#loads ? this.#load(query, limit) : undefined);
    if (problem !== undefined) return problem;
    if (query.source === "") return new QueryFailure("failed", "invalid query (nil)");
    if (query.syntaxError !== undefined) {
      return new QueryFailure("failed", `incorrect query ${query.source}: ${query.syntaxError}`);
    }
    const result = query.evaluate(this.#currentRoot(), this.world);
    return result instanceof QueryFailure ? searchFailure(result) : result;
  }

  /** Loads what the query names: outer entries first, each seeing only those before it. */
  #load(query: Query, limit: number): QueryFailure | undefined {
    const parent = this.#parent;
    const outer =
      parent !== undefined && parent.#loads
        ? parent.#load(query, parent.#entries.length)
        : undefined;
    if (outer !== undefined) return outer;
    for (let index = 0; index < limit; index += 1) {
      const entry = this.#entries[index];
      if (entry === undefined || !entry.isNamedIn(query)) continue;
      const loaded = this.#loaded?.get(entry) ?? this.#loadEntry(entry, index);
      if (loaded instanceof QueryFailure) return loaded;
    }
    return undefined;
  }

  #loadEntry(entry: ContextEntry, index: number): Loaded {
    const value = entry.load({
      world: this.world,
      isDelete: this.isDelete,
      query: (query) => this.#queryBefore(query, index),
      withVariables: (variables) => this.withVariables(variables),
      withElement: (element, at, nesting) => this.withElement(element, at, nesting),
      withObject: (object) => this.withObject(object),
      withEntries: (entries) => this.withEntries(entries),
    });
    const failure = value instanceof QueryFailure ? value : countSize(value, this.#settings.size);
    const loaded = value instanceof QueryFailure ? value : (failure ?? { value });
    this.#loaded?.set(entry, loaded);
    return loaded;
  }

  #loadImages(query: Query): QueryFailure | undefined {
    if (!namesImages(query)) return undefined;
    const images = this.#settings.images();
    if (images instanceof QueryFailure) return images;
    this.#imagesLoaded = true;
    if (images !== undefined && !Object.hasOwn(this.#root, "images")) {
      this.#root = { ...this.#root, images };
    }
    return undefined;
  }

  #loadedCount(): number {
    const here = (this.#loaded?.size ?? 0) + (this.#imagesLoaded ? 1 : 0);
    return this.#parent === undefined ? here : here + this.#parent.#loadedCount();
  }

  #currentRoot(): JsonObject {
    if (this.#parent === undefined) return this.#root;
    if (!this.#loads && this.#base.#imagesLoaded === this.#hasImages) return this.#root;
    const version = this.#loadedCount();
    if (version === this.#version) return this.#root;
    const root: Record<string, Json> = { ...this.#parent.#currentRoot() };
    for (const [{ name }, loaded] of this.#loaded ?? []) {
      if (!(loaded instanceof QueryFailure)) define(root, name, loaded.value);
    }
    this.#root = { ...root, ...this.#own };
    this.#version = version;
    this.#hasImages = this.#base.#imagesLoaded;
    return this.#root;
  }
}

/** An own property whatever the name is. */
function define(object: Record<string, Json>, name: string, value: Json): void {
  Object.defineProperty(object, name, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

function searchFailure(failure: QueryFailure): QueryFailure {
  return new QueryFailure(failure.kind, `JMESPath query failed: ${failure.message}`);
}

const imagesNamed = new WeakMap<Query, boolean>();

function namesImages(query: Query): boolean {
  const known = imagesNamed.get(query);
  if (known !== undefined) return known;
  const named = /(?:^|[^.0-9A-Za-z])images\b/.test(query.source);
  imagesNamed.set(query, named);
  return named;
}
