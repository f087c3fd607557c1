# The gateway over HTTP on port 8420:   docker run -p 127.0.0.1:8420:8420 -v "$PWD/servers.toml:/etc/plait/servers.toml:ro" plait
# The gateway over stdio:               docker run -i --rm -v "$PWD/servers.toml:/etc/plait/servers.toml:ro" plait serve
# Without a servers.toml it serves the bundled workspace server, rooted in /workspace.

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/plait \
    && /opt/plait/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY src ./src
RUN /opt/plait/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="Plait" \
      org.opencontainers.image.description="An MCP gateway that runs DAGs of tool calls in parallel" \
      org.opencontainers.image.licenses="MIT"
RUN apt-get update \
    && apt-get install --no-install-recommends -y git ripgrep \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 plait \
    && mkdir -p /etc/plait /workspace \
    && chown plait /workspace
COPY --from=build /opt/plait /opt/plait
ENV PATH=/opt/plait/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CONFIG_HOME=/etc
USER plait
WORKDIR /workspace
EXPOSE 8420
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8420/healthz', timeout=4)"]
ENTRYPOINT ["plait"]
CMD ["serve", "--http", "0.0.0.0:8420"]
