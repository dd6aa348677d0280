# One file, two images: docker build --target function -t function-parapet . ; docker build --target responder -t parapet-responder .
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY policy ./policy

# A few files instead of 200 MB of packages: they start in a third of the time. The maps keep stack traces readable.
FROM packages AS function-bundle
COPY function ./function
# Worker threads run main.js, too.
RUN npm exec -- rolldown function/main.ts --platform node --format esm --sourcemap -d dist/function

FROM ${NODE_IMAGE} AS function
ENV NODE_ENV=production NODE_OPTIONS=--enable-source-maps
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=function-bundle /app/dist/function ./function
# Crossplane runs functions as user 2000: nothing under /app is written to.
USER 1000:1000
EXPOSE 9443 8080
ENTRYPOINT ["node", "function/main.js"]

FROM packages AS responder-bundle
COPY responder ./responder
RUN npm exec -- rolldown responder/main.ts --platform node --format esm --sourcemap -d dist/responder
# What is read as a file, and the program of probe pods, which is one file.
RUN cp -r responder/console/assets dist/responder/assets \
  && mkdir dist/responder/verification && cp responder/verification/probe-main.ts dist/responder/verification/

FROM ${NODE_IMAGE} AS responder
ENV NODE_ENV=production NODE_OPTIONS=--enable-source-maps
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=responder-bundle /app/dist/responder ./responder
USER 1000:1000
EXPOSE 9801 9802 9803
ENTRYPOINT ["node", "responder/main.js"]
