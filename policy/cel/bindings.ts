// SPDX-License-Identifier: Apache-2.0
import type { Library } from "./library.ts";
import { argument, isError, variableName } from "./macros.ts";

/** `cel.bind(name, value, expression)`: cel-go's ext.Bindings. The value is computed when the name is first read. */
export const bindingsLibrary: Library = {
  name: "bindings",
  macros: [
    {
      name: "bind",
      receiver: true,
      arity: 3,
      expand(make, target, args) {
        if (target?.kind !== "ident" || target.name !== "cel") return undefined;
        const name = variableName(args[0], "cel.bind() variable names must be simple identifiers");
        if (isError(name)) return name;
        return make.fold({
          range: make.list(),
          iterVar: "#unused",
          accuVar: name,
          accuInit: argument(args, 1),
          condition: make.literal(false),
          step: make.ident(name),
          result: argument(args, 2),
          shape: { kind: "bind" },
        });
      },
    },
  ],
};
