# The sidecar: a static binary on a small base that has wget for the health check.
# Build from the top folder: docker build -f deploy/sidecar.Dockerfile -t agentidp-sidecar .
FROM golang:1.26-alpine AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOWORK=off
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN go build -trimpath -tags grpcnotrace -ldflags "-s -w -X github.com/sentryagent/agentidp/shared/obs.Version=${VERSION}" -o /out/agentidp-sidecar ./sidecar/cmd/agentidp-sidecar \
 && mkdir /out/data

FROM alpine:3.22
COPY --from=build /out/agentidp-sidecar /usr/local/bin/agentidp-sidecar
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
VOLUME /data
ENV AGENTIDP_SIDECAR_DATA_DIR=/data AGENTIDP_SIDECAR_ADDR=0.0.0.0:8081 AGENTIDP_SIDECAR_ADMIN_ADDR=0.0.0.0:8082
EXPOSE 8081 8082
# Live, not ready: a sidecar without its IdP must not be restarted for that.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8082/health"]
ENTRYPOINT ["agentidp-sidecar"]
CMD ["serve"]
