# Build: docker build -t zns-gateway .
# Run:   docker run -p 8080:8080 -v zns-data:/srv/var -v ./config:/srv/config:ro --env-file secrets.env zns-gateway
# In config/gateway.toml set server.host = "0.0.0.0" for a container.
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/gateway
COPY requirements/run.txt requirements/run.txt
RUN /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/run.txt
COPY gateway gateway
# The package is plain Python: its place on the path is all that an installation would add.
RUN cp -r gateway "$(/opt/gateway/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/" \
    && /opt/gateway/bin/python -m compileall -q /opt/gateway/lib

FROM python:3.11-slim
COPY --from=build /opt/gateway /opt/gateway
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin gateway \
    && mkdir -p /srv/var && chown gateway:gateway /srv/var
WORKDIR /srv
COPY --chown=root:root config config
USER 10001:10001
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /srv/var
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "gateway"]
CMD ["serve"]
