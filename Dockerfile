# The service and its worker in one container:
#   docker run -v shrinkml:/data shrinkml shrinkml token create anna
#   docker run -p 8765:8765 -v shrinkml:/data shrinkml
# A container is reached from outside, so it starts only with a token in its volume, or where SHRINKML_INSECURE=1 says that
# nobody need have one; publish the port to the machine itself alone then (-p 127.0.0.1:8765:8765).
FROM python:3.11 AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
# PyPI's torch for Linux brings several GB of CUDA libraries; this index holds the CPU build of the same version.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV OMP_WAIT_POLICY=passive PYTHONUNBUFFERED=1
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" --requirement /tmp/requirements.txt
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl \
    && useradd --create-home --uid 10001 shrinkml \
    && install --directory --owner shrinkml /data

USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/readyz', timeout=3)"]
CMD ["shrinkml", "serve", "--host", "0.0.0.0"]
