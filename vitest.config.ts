import { defineConfig } from "vitest/config";

// Three suites that differ in what they need: unit nothing but seconds, conformance the corpora and time, cluster real
// servers. A test beside the code that takes seconds (hostile input by the thousand, a program started for each row) is
// named *.slow.test.ts and runs with conformance, so that `npm test` stays a matter of seconds.
const rooms = "{policy,function,responder,advisor,cli,test/support}";

// A limit is for what will never end. It leaves time to a machine that is ten times slower, or busy with something else.
const limits = { testTimeout: 600_000, hookTimeout: 600_000 };

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          // The code has no state of its own, so its tests may share a process: a third of the time.
          isolate: false,
          ...limits,
          include: [`${rooms}/**/*.test.ts`],
          exclude: ["**/*.slow.test.ts"],
        },
      },
      {
        test: {
          name: "conformance",
          include: ["test/conformance/**/*.test.ts", `${rooms}/**/*.slow.test.ts`],
          ...limits,
        },
      },
      {
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts", "examples/**/*.test.ts"],
          ...limits,
          fileParallelism: false,
        },
      },
    ],
  },
});
