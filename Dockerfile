# Undertone for others to use: README, "For others to use", says what belongs around it.
FROM python:3.11-slim

# `on`: visitors can train; TensorFlow comes along.
ARG TRAINING=off

WORKDIR /undertone
COPY requirements.txt constraints.txt ./
RUN if [ "$TRAINING" = off ]; then \
        sed -i -E '/^(keras|onnx|tensorboard|tensorflow|tf2onnx)==/d' requirements.txt; \
    fi \
    && pip install --no-cache-dir -r requirements.txt \
    && useradd --uid 10001 --create-home undertone \
    && install -d -o undertone -g undertone /data

COPY app.py server.py LICENSE ./
COPY .streamlit .streamlit
COPY assets assets
COPY benchmarks/results/systems.json benchmarks/results/
COPY models models
COPY pages pages
COPY ser_core ser_core

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    SER_DATA_DIR=/data/recordings \
    SER_RUNS_DIR=/data/runs \
    SER_CACHE_DIR=/data/cache \
    UNDERTONE_LOG=info \
    UNDERTONE_TRAINING=$TRAINING \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501 \
    STREAMLIT_SERVER_HEADLESS=true \
    STREAMLIT_SERVER_FILE_WATCHER_TYPE=none \
    STREAMLIT_LOGGER_HIDE_WELCOME_MESSAGE=true

USER 10001
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/healthz')"]
CMD ["streamlit", "run", "server.py"]
