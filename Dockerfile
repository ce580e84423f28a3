# voxplain with the versions that were tested together; docs/deployment.md says how to build and run it, with GPUs too.
FROM python:3.12-slim-bookworm

# Where pip looks: only needed for another build of torch than the usual one.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL

COPY envs /opt/voxplain/envs
RUN python -m pip install --no-cache-dir --requirement /opt/voxplain/envs/requirements.txt

COPY Snakefile pyproject.toml LICENSE CITATION.cff /opt/voxplain/
COPY config /opt/voxplain/config
COPY profiles /opt/voxplain/profiles
COPY workflow /opt/voxplain/workflow
# Jobs are many and short, and cannot keep what they compile: it is done once.
RUN python -m compileall -q /opt/voxplain/workflow/scripts

# results/ appears in /study: mount a folder of yours there. Caches go where users may write whom the image does not know.
ENV HOME=/tmp NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN useradd --no-create-home --uid 1000 voxplain && install --directory --owner voxplain /study
USER voxplain
WORKDIR /study
ENTRYPOINT ["snakemake", "--snakefile", "/opt/voxplain/Snakefile"]
CMD ["--help"]
