// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  FunctionRunnerServiceService,
  to,
  type RunFunctionRequest,
  type RunFunctionResponse,
} from "@crossplane-org/function-sdk-typescript";
import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from "@grpc/grpc-js";

// What the function is compared with, each in a process of its own: `floor` gives the bytes back, `sdk` is a pass-through
// with the SDK's codec and `to()`, as its serve() runs one (but with the client's certificate verified, like the others).

const bytes = (value: Buffer): Buffer => value;

function floor(): Server {
  const server = new Server({ "grpc.max_receive_message_length": -1 });
  server.addService(
    {
      runFunction: {
        path: "/apiextensions.fn.proto.v1.FunctionRunnerService/RunFunction",
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes,
        requestDeserialize: bytes,
        responseSerialize: bytes,
        responseDeserialize: bytes,
      },
    },
    {
      runFunction: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
        reply(null, call.request),
    },
  );
  return server;
}

function passThrough(): Server {
  const server = new Server();
  server.addService(FunctionRunnerServiceService, {
    runFunction: (
      call: ServerUnaryCall<RunFunctionRequest, RunFunctionResponse>,
      reply: sendUnaryData<RunFunctionResponse>,
    ) => reply(null, to(call.request)),
  });
  return server;
}

const folder = process.env["TLS_SERVER_CERTS_DIR"] ?? "";
const read = (file: string): Buffer => readFileSync(join(folder, file));
const server = process.argv[2] === "floor" ? floor() : passThrough();
server.bindAsync(
  "127.0.0.1:0",
  ServerCredentials.createSsl(
    read("ca.crt"),
    [{ cert_chain: read("tls.crt"), private_key: read("tls.key") }],
    true,
  ),
  (error, port) => {
    if (error !== null) throw error;
    console.log(JSON.stringify({ port }));
  },
);
