# The service with its model. ./build-push.sh builds it with any model; docs/image.md explains it.
#
# The classic builder is enough: no mounts, no syntax line. Targets: `runtime`, and `runtime-torch` with PyTorch.

# Whoever builds for others pins it: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm


# What both targets start from. Changes when the base image does.
FROM ${PYTHON_IMAGE} AS base
COPY scripts/image/harden.py /tmp/harden.py
RUN groupadd --gid 10001 mlapi \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin mlapi \
    && python /tmp/harden.py --this-system \
    && rm /tmp/harden.py
WORKDIR /app
# The root file system may be read-only: no byte code is written, and HOME is /tmp. ONNX Runtime reports to its
# maker unless it is told not to.
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MLAPI_HOST=0.0.0.0 \
    MLAPI_PORT=8000 \
    MLAPI_MODEL=/models/default
EXPOSE 8000 9090


# The packages, by hash, in an environment without pip: the base image's pip fills it.
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
# A mirror, if wanted: the hashes hold for it, too.
ARG PIP_INDEX_URL
WORKDIR /build
RUN python -m venv --without-pip /app/.venv
COPY requirements/runtime.txt requirements/
RUN python -m pip --python /app/.venv/bin/python install --no-compile --only-binary :all: \
        --no-deps --require-hashes -r requirements/runtime.txt
COPY scripts/image/trim_packages.py scripts/image/
# Byte code that is valid by its place and not by its time: nothing is looked up at start.
RUN python scripts/image/trim_packages.py /app/.venv/lib/python3*/site-packages \
    && /app/.venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /app/.venv/lib


# The project itself: a wheel, installed into a tree of its own that is laid over the packages.
FROM dependencies AS project
COPY requirements/build.txt requirements/
RUN python -m venv --without-pip .venv-build \
    && python -m pip --python .venv-build/bin/python install --no-compile --only-binary :all: \
        --no-deps --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY mlapi mlapi
RUN python -m pip --python .venv-build/bin/python wheel \
        --no-deps --no-build-isolation --no-index --wheel-dir dist . \
    && python -m pip --python /app/.venv/bin/python install --root /project --no-compile \
        --no-deps --no-index dist/mlapi-*.whl \
    && /app/.venv/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /project /project/app \
    && install -m 644 LICENSE NOTICE /project/app/


# The models, readable whatever the umask of the checkout is.
FROM ${PYTHON_IMAGE} AS models
COPY models/lab /models/lab
# A directory inside the build context. build-push.sh puts models from elsewhere there.
ARG MODEL_DIR=models/starter
COPY ${MODEL_DIR} /models/default
RUN chmod -R u=rwX,go=rX /models


# What changes most comes last: packages, models, code.
FROM base AS runtime
COPY --from=dependencies /app/.venv /app/.venv
COPY --from=models /models /models
COPY --from=project /project/ /
USER 10001:10001
ENTRYPOINT ["mlapi"]
CMD ["serve"]
ARG SOURCE=""
ARG COMMIT=""
ARG VERSION=""
ARG MODEL_NAME=""
ARG MODEL_VERSION=""
LABEL org.opencontainers.image.title="mlapi" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.version="${VERSION}" \
      mlapi.model.name="${MODEL_NAME}" \
      mlapi.model.version="${MODEL_VERSION}"


# The same with PyTorch, which has no place in the hashed files: its builds differ by index.
FROM dependencies AS dependencies-torch
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_VERSION=2.13.0
RUN python -m pip --python /app/.venv/bin/python install --no-compile --only-binary :all: \
        --no-deps --index-url "${TORCH_INDEX}" "torch==${TORCH_VERSION}"
COPY requirements/runtime-torch.txt requirements/
RUN python -m pip --python /app/.venv/bin/python install --no-compile --only-binary :all: \
        --no-deps --require-hashes -r requirements/runtime-torch.txt \
    && python scripts/image/trim_packages.py --only torch /app/.venv/lib/python3*/site-packages \
    && /app/.venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /app/.venv/lib


FROM base AS runtime-torch
COPY --from=dependencies-torch /app/.venv /app/.venv
COPY --from=models /models /models
COPY --from=project /project/ /
USER 10001:10001
ENTRYPOINT ["mlapi"]
CMD ["serve"]
ARG SOURCE=""
ARG COMMIT=""
ARG VERSION=""
ARG MODEL_NAME=""
ARG MODEL_VERSION=""
LABEL org.opencontainers.image.title="mlapi" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.version="${VERSION}" \
      mlapi.model.name="${MODEL_NAME}" \
      mlapi.model.version="${MODEL_VERSION}"


# Built when no target is named.
FROM runtime
