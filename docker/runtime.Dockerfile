# What goes into a vehicle or onto a server: the wheel of `runtime` and one engine, nothing of training and export.
#   docker build -f docker/runtime.Dockerfile -t iapc-runtime .
#   docker build -f docker/runtime.Dockerfile --build-arg EXTRAS=cpu,openvino,video,live,trust -t iapc-runtime .
# docs/deploy.md tells how it is run. No image was built where this was written: there was no Docker engine.
ARG PYTHON=3.11

# The full image, for its C compiler: two parts are compiled, and the second image needs no compiler then.
FROM python:${PYTHON}-bookworm AS build
WORKDIR /build
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY runtime runtime
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
# Exactly one of cpu and gpu; the others are optional: openvino, tensorrt, video, live, trust.
ARG EXTRAS=cpu
RUN python -m venv /opt/iapc \
    && wheel="$(echo /wheels/iapc-*.whl)" \
    && /opt/iapc/bin/python -m pip install --no-cache-dir --constraint constraints.txt "${wheel}[${EXTRAS}]" \
    && /opt/iapc/bin/python -m pip check \
    && /opt/iapc/bin/python -m pip uninstall --yes pip setuptools

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/iapc /opt/iapc
# A user without rights, whose number a host can give the camera and the ring to.
RUN groupadd --gid 10001 iapc \
    && useradd --uid 10001 --gid iapc --no-create-home --shell /usr/sbin/nologin iapc \
    && install --directory --owner iapc --group iapc /var/lib/iapc
# The engines' makers are told nothing. The cache is that of races and engines.
ENV PATH=/opt/iapc/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    XDG_CACHE_HOME=/var/lib/iapc
USER 10001:10001
WORKDIR /var/lib/iapc
EXPOSE 8090
STOPSIGNAL SIGTERM
# Healthy is what a reader may use: a fresh result in the ring `front`, which the run file names as a sink.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["iapc-runtime", "watch", "front", "--once"]
# The supervisor is process 1: it ends in order on SIGTERM, and starts its child again where that fails.
ENTRYPOINT ["iapc-runtime"]
CMD ["serve", "/etc/iapc/run.yaml"]
