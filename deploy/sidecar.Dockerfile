# The sidecar: one static program on nothing. It verifies and does not sign: Go's own cryptography is all it needs.
# Build from the top folder: docker build -f deploy/sidecar.Dockerfile -t agentidp-sidecar .
FROM golang:1.26-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOWORK=off
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN go build -trimpath -tags grpcnotrace -ldflags "-s -w -X github.com/sentryagent/agentidp/shared/obs.Version=${VERSION}" \
      -o /out/agentidp-sidecar ./sidecar/cmd/agentidp-sidecar \
 && mkdir /out/data

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="AgentIdP sidecar" \
      org.opencontainers.image.description="Reverse proxy that lets AI agents reach one API by their AgentIdP tokens" \
      org.opencontainers.image.source="https://github.com/sentryagent/agentidp" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/agentidp-sidecar /usr/local/bin/agentidp-sidecar
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
VOLUME /data
ENV AGENTIDP_SIDECAR_DATA_DIR=/data AGENTIDP_SIDECAR_ADDR=0.0.0.0:8081 AGENTIDP_SIDECAR_ADMIN_ADDR=0.0.0.0:8082
EXPOSE 8081 8082
# Live, not ready: a sidecar without its IdP must not be restarted for that.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/bin/agentidp-sidecar", "health"]
ENTRYPOINT ["/usr/local/bin/agentidp-sidecar"]
CMD ["serve"]
