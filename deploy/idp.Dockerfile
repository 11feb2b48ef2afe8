# The IdP: a static binary on a small base that has wget for the health check.
# Build from the top folder: docker build -f deploy/idp.Dockerfile -t agentidp .
FROM golang:1.26-alpine AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOWORK=off
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN go build -trimpath -tags grpcnotrace -ldflags "-s -w -X github.com/sentryagent/agentidp/shared/obs.Version=${VERSION}" -o /out/agentidp ./idp/cmd/agentidp \
 && mkdir /out/data

FROM alpine:3.22
COPY --from=build /out/agentidp /usr/local/bin/agentidp
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
VOLUME /data
ENV AGENTIDP_DATA_DIR=/data AGENTIDP_ADDR=0.0.0.0:8080 AGENTIDP_ADMIN_ADDR=0.0.0.0:8083
EXPOSE 8080 8083
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"]
ENTRYPOINT ["agentidp"]
CMD ["serve"]
