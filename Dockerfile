# Two images with the versions of constraints.txt, which uv reads in pyproject.toml:
#
#     docker build --target cpu --tag driftpolicy:cpu .
#     docker build --target gpu --tag driftpolicy:gpu .       # docs/install.md says how to run it
FROM python:3.11-slim-bookworm AS system
RUN apt-get update -qq && apt-get install -qq -y libegl1 libgl1-mesa-dri libosmesa6 \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir uv
WORKDIR /opt/driftpolicy
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
ENV PATH=/opt/driftpolicy/.venv/bin:$PATH UV_NO_CACHE=1
ENTRYPOINT ["dfp"]

FROM system AS cpu
RUN uv sync --no-dev --extra robomimic --extra benchmark --extra export --extra lerobot --extra minari --extra zarr --extra hub --extra tensorboard --extra wandb
ENV JAX_PLATFORMS=cpu
WORKDIR /work

# The wheels bring CUDA 12; the machine brings the driver, and with "graphics" its EGL.
FROM system AS gpu
RUN uv sync --no-dev --extra robomimic --extra benchmark --extra export --extra lerobot --extra minari --extra zarr --extra hub --extra tensorboard --extra wandb --extra cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics MUJOCO_GL=egl
WORKDIR /work
