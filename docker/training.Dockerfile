# Adapts, exports and measures on NVIDIA GPUs; everything `make` does, with its environment made beforehand.
#   docker build -f docker/training.Dockerfile -t iapc-training .
#   docker run --rm --gpus all -v "$PWD/runs:/srv/iapc/runs" -v /data:/data:ro iapc-training adapt export CONFIG=/data/mine.yaml
# CUDA and cuDNN come from the wheels of PyTorch and ONNX Runtime, in the versions they were built for: the host needs
# a driver and NVIDIA's container toolkit. No image was built where this was written: there was no Docker engine.
ARG PYTHON=3.11

# The full image, for its C compiler, make and git.
FROM python:${PYTHON}-bookworm
# Runs are written by a user of the host; give its number where that is not 1000.
ARG USER_ID=1000
RUN useradd --uid "${USER_ID}" --create-home iapc && install --directory --owner iapc /srv/iapc
USER ${USER_ID}
WORKDIR /srv/iapc
ENV PIP_NO_CACHE_DIR=1 \
    ORT_DISABLE_TELEMETRY=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# First what the environment is made of, so that a change to other code does not make it again. The machine that
# builds may have no GPU, and make would then choose the engine for CPUs.
COPY --chown=iapc Makefile pyproject.toml constraints.txt requirements-tensorrt-rtx.txt setup.py README.md LICENSE ./
COPY --chown=iapc runtime runtime
RUN make setup ENGINE=gpu
COPY --chown=iapc . .
# What was copied just now may look younger than the environment that was made of the same files.
RUN touch .venv/ready-gpu
HEALTHCHECK NONE
ENTRYPOINT ["make", "ENGINE=gpu"]
CMD ["help"]
