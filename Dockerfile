# One file, two images: docker build --target function -t function-parapet . ; docker build --target responder -t parapet-responder .
# TypeScript runs as it is: Node 24 strips the types, so there is no build step and stack traces show the source.
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The optional package is a Node for developers' machines; the image has its own.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund && npm cache clean --force

FROM ${NODE_IMAGE} AS base
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY policy ./policy
# Crossplane runs functions as user 2000, the chart's responder as any: nothing under /app is written to.
USER 1000:1000

FROM base AS responder
COPY responder ./responder
EXPOSE 8080
ENTRYPOINT ["node", "responder/main.ts"]

FROM base AS function
COPY function ./function
EXPOSE 9443
ENTRYPOINT ["node", "function/main.ts"]
