# The notes API of the development stack, and what enrols its sidecar.
# Build from the top folder: docker build -f deploy/dev/notes.Dockerfile -t agentidp-notes .
FROM golang:1.26-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOWORK=off
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -ldflags "-s -w" -o /out/ ./deploy/dev/cmd/notes ./deploy/dev/cmd/enrol \
 && mkdir /out/data

FROM scratch
LABEL org.opencontainers.image.title="AgentIdP notes API" \
      org.opencontainers.image.description="An API to protect, for trying AgentIdP" \
      org.opencontainers.image.source="https://github.com/sentryagent/agentidp" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /out/notes /out/enrol /usr/local/bin/
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
VOLUME /data
EXPOSE 8090
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/local/bin/notes", "-health", "http://127.0.0.1:8090/healthz"]
CMD ["/usr/local/bin/notes", "-addr", "0.0.0.0:8090", "-file", "/data/notes.jsonl"]
