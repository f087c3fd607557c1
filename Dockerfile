# Over HTTP on port 8420; it does not start without PLAIT_TOKEN, which clients send as
# "Authorization: Bearer TOKEN":
#   docker run -e PLAIT_TOKEN="$(openssl rand -hex 32)" -p 127.0.0.1:8420:8420 -v "$PWD/servers.toml:/etc/plait/servers.toml:ro" plait
# Over stdio:
#   docker run -i --rm -v "$PWD/servers.toml:/etc/plait/servers.toml:ro" plait serve
# Without a servers.toml of yours, the bundled workspace server alone serves what is mounted at /workspace:
#   docker run -i --rm --user "$(id -u):$(id -g)" -v "$PWD:/workspace" plait serve

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/plait \
    && pip --python /opt/plait/bin/python install --no-cache-dir --no-deps --require-hashes \
        -r requirements.lock \
    && pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /dist . \
    && pip --python /opt/plait/bin/python install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Plait" \
      org.opencontainers.image.description="An MCP gateway that runs DAGs of tool calls in parallel" \
      org.opencontainers.image.licenses="MIT" \
      io.modelcontextprotocol.server.name="io.github.plait-mcp/plait"
# hadolint ignore=DL3008  # the base image's distribution has one version of each at a time
RUN apt-get update \
    && apt-get install --no-install-recommends -y git ripgrep \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory /workspace \
    && useradd --create-home --uid 10001 plait \
    && install -d -o plait /workspace \
    && install -d /etc/plait \
    && printf '[servers.workspace]\nbuiltin = "workspace"\nroot = "/workspace"\n' >/etc/plait/servers.toml
COPY --from=build /opt/plait /opt/plait
ENV PATH=/opt/plait/bin:$PATH \
    PLAIT_CONFIG=/etc/plait/servers.toml \
    PLAIT_ISOLATED=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /workspace
EXPOSE 8420
STOPSIGNAL SIGTERM
# Over stdio nothing listens, and the container is called unhealthy: add --no-healthcheck where that matters.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8420, timeout=4); \
c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["plait"]
CMD ["serve", "--http", "0.0.0.0:8420"]
