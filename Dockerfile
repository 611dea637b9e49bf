# One image for the Prefect server, the worker and the page; docker-compose.yml says which of them a container is.
#
# Base images are pinned by tag. For a build that is the same to the byte, pin the digest too:
#   docker buildx imagetools inspect python:3.11.14-slim-bookworm
# and build with --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:DIGEST
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# The small torch build for CPUs; empty for the ordinary index, whose torch brings its CUDA libraries.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/opt/venv/bin:$PATH
WORKDIR /app
# The dependencies alone: this layer is made again only when pyproject.toml changes.
COPY pyproject.toml ./
RUN python -m venv /opt/venv \
    && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /opt/requirements.txt \
    && pip install -r /opt/requirements.txt
COPY . .
RUN pip install --no-deps --editable . \
    && python -m compileall -q app flows fvrec tasks warehouse

FROM ${PYTHON_IMAGE}
# The numbers are named so that volumes keep their owner, which a new named volume takes from the image's folder.
RUN groupadd --gid 10001 fvrec \
    && useradd --uid 10001 --gid 10001 --create-home fvrec \
    && install -d -o 10001 -g 10001 /var/lib/fvrec
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 FVREC_ROOT=/var/lib/fvrec FVREC_CHECKOUT=/app
WORKDIR /app
USER 10001:10001
VOLUME /var/lib/fvrec
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
# The variable is the page's alone: flows/page.py says why.
CMD ["env", "MALLOC_ARENA_MAX=1", "streamlit", "run", "app/Home.py", "--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true", "--server.showEmailPrompt", "false", "--browser.gatherUsageStats", "false", "--runner.magicEnabled", "false", "--client.toolbarMode", "minimal", "--client.showErrorDetails", "none"]
