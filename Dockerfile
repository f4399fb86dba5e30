# The operator's image, and with `--target fetch` the one that fetches models.
# Builds with any Dockerfile builder: `docker build -t modelward .`
# What it is built in may have a shell and a package manager; what it is has Python, its libraries and the operator.

ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim

FROM ${PYTHON_IMAGE} AS dependencies
COPY requirements.lock /build/
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--no-compile", "--require-hashes", "--no-deps", \
     "--only-binary=:all:", "--target=/app", "--requirement=/build/requirements.lock"]
# Hash-based bytecode stays valid whatever times a builder gives to files; a read-only root could not renew it.
# Not for the Kubernetes client's 1,400 classes of objects, which the operator does not load: a third of the image.
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "-x", "/kubernetes/.*client/(api|models)/", "/app"]
# Commands of the packages, for people.
RUN ["python", "-c", "import shutil; shutil.rmtree('/app/bin')"]

FROM ${PYTHON_IMAGE} AS package
COPY requirements-build.lock /build/
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "--no-deps", "--only-binary=:all:", \
     "--requirement=/build/requirements-build.lock"]
COPY pyproject.toml README.md LICENSE /source/
COPY operator /source/operator
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--no-compile", "--no-index", "--no-deps", \
     "--no-build-isolation", "--target=/app", "/source"]
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "/app"]
RUN ["python", "-c", "import shutil; shutil.rmtree('/app/bin')"]

# What fetches is in an image of its own: none of it in the operator's, and of the operator's one small module in that.
FROM package AS operator-package
COPY operator/image /build/image
RUN ["python", "/build/image/keep_package.py", "/app", "modelward"]

FROM package AS fetch-package
COPY operator/image /build/image
RUN ["python", "/build/image/keep_package.py", "/app", "modelward_fetch"]

FROM ${PYTHON_IMAGE} AS fetch-dependencies
COPY requirements-fetch.lock /build/
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--no-compile", "--require-hashes", "--no-deps", \
     "--only-binary=:all:", "--target=/app", "--requirement=/build/requirements-fetch.lock"]
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "/app"]
RUN ["python", "-c", "import shutil; shutil.rmtree('/app/bin')"]

FROM fetch-dependencies AS fetch-runtime
COPY operator/image /build/image
RUN ["python", "/build/image/copy_runtime.py", "/runtime", "/app"]

FROM scratch AS fetch
COPY --from=fetch-runtime /runtime /
COPY --from=fetch-dependencies /app /app
COPY --from=fetch-package /app /app
ENV PATH=/usr/local/bin:/usr/bin \
    LANG=C.UTF-8 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="modelward-fetch" \
      org.opencontainers.image.description="Fetches the model of a ModelDeployment into its pod" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["python", "-m", "modelward_fetch"]

FROM dependencies AS runtime
COPY operator/image /build/image
RUN ["python", "/build/image/copy_runtime.py", "/runtime", "/app"]

FROM scratch
COPY --from=runtime /runtime /
COPY --from=dependencies /app /app
COPY --from=operator-package /app /app
# The root file system is read-only in the pod: nothing is written outside /tmp, an emptyDir, and nothing is
# imported from there.
ENV PATH=/usr/local/bin:/usr/bin \
    LANG=C.UTF-8 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="modelward" \
      org.opencontainers.image.description="Kubernetes operator that serves machine-learning models and rolls every change out safely" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["python", "-m", "modelward"]
CMD ["run"]
