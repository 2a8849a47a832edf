# Two images from one file, for each kind of processor that packages are made for:
#   docker buildx build --platform linux/amd64,linux/arm64 --target agent .   and   --target cloud
# The users have fixed numbers, so that a volume keeps its owner over images: 10770 the agent, 10771 the cloud.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/build && python -m venv /opt/agent && python -m venv /opt/cloud
COPY constraints constraints
RUN for each in build agent cloud; do \
        /opt/$each/bin/pip install --no-cache-dir --require-hashes -r constraints/$each.txt || exit; \
    done
COPY pyproject.toml README.md LICENSE config.example.toml ./
COPY contract contract
COPY drivers drivers
COPY systemd systemd
COPY service service
COPY release release
COPY agent agent
COPY cloud cloud
COPY simulator simulator
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && for each in agent cloud; do /opt/$each/bin/pip install --no-cache-dir --no-deps dist/*.whl || exit; done

# The agent sits beside the miners: host networking, its state on a volume, no root.
#   docker run --network host -v miner-agent:/var/lib/miner-agent -v ./config.toml:/etc/miner-agent/config.toml:ro IMAGE
FROM python:3.11-slim AS agent
RUN useradd --uid 10770 --user-group --home-dir /var/lib/miner-agent --shell /usr/sbin/nologin miner-agent \
    && install -d -o miner-agent -g miner-agent -m 0700 /var/lib/miner-agent
COPY --from=build /opt/agent /opt/agent
ENV PATH=/opt/agent/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER miner-agent
VOLUME /var/lib/miner-agent
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["miner-agent", "health"]
ENTRYPOINT ["miner-agent"]
CMD ["run", "--wait", "--config", "/etc/miner-agent/config.toml"]

# The cloud: state on a volume; TLS by --tls-cert/--tls-key or by a proxy in front.
#   docker run -p 8443:8443 -v miner-cloud:/var/lib/miner-cloud IMAGE serve --data /var/lib/miner-cloud --host 0.0.0.0 ...
FROM python:3.11-slim AS cloud
RUN useradd --uid 10771 --user-group --home-dir /var/lib/miner-cloud --shell /usr/sbin/nologin miner-cloud \
    && install -d -o miner-cloud -g miner-cloud -m 0700 /var/lib/miner-cloud
COPY --from=build /opt/cloud /opt/cloud
ENV PATH=/opt/cloud/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER miner-cloud
VOLUME /var/lib/miner-cloud
EXPOSE 8443
# Where it is asked, from within: another port or TLS is another address.
ENV MINER_CLOUD_HEALTH=http://127.0.0.1:8080/health
HEALTHCHECK --interval=30s --timeout=20s --start-period=900s \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['MINER_CLOUD_HEALTH'], timeout=15)"]
ENTRYPOINT ["miner-cloud"]
