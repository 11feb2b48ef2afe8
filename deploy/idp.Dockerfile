# The IdP: one static program that signs with OpenSSL's libcrypto, on nothing. docs/compose.md says why.
# Build from the top folder: docker build -f deploy/idp.Dockerfile -t agentidp .
FROM golang:1.26-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
ENV CGO_ENABLED=1 GOWORK=off
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN go build -trimpath -tags "libcrypto netgo osusergo grpcnotrace" \
      -ldflags "-s -w -X github.com/sentryagent/agentidp/shared/obs.Version=${VERSION} -linkmode external -extldflags -static" \
      -o /out/agentidp ./idp/cmd/agentidp \
 && mkdir /out/data

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="AgentIdP" \
      org.opencontainers.image.description="Identity provider for AI agents" \
      org.opencontainers.image.source="https://github.com/sentryagent/agentidp" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/agentidp /usr/local/bin/agentidp
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
VOLUME /data
ENV AGENTIDP_DATA_DIR=/data AGENTIDP_ADDR=0.0.0.0:8080 AGENTIDP_ADMIN_ADDR=0.0.0.0:8083
EXPOSE 8080 8083
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/bin/agentidp", "health"]
ENTRYPOINT ["/usr/local/bin/agentidp"]
CMD ["serve"]
