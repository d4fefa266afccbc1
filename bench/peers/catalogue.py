"""The servers that this one is compared with, each set up as its own documentation recommends for it.

Where the documentation leaves a choice, the one was taken that was faster on two cores.
"""

from __future__ import annotations

from dataclasses import replace

from bench.peers import wire
from bench.peers.peer import Peer

LITSERVE = (
    "LitAPI(max_batch_size=32, batch_timeout=0): what came meanwhile is a batch; faster than waiting 0.01 s",
    "batch() hands all texts to one tokenizer call",
    "LitServer(accelerator='cpu', workers_per_device=1, fast_queue=True, timeout=120), one API server",
)
OPENVINO = (
    "our onnx/model.int8.onnx as it lies there, without what the service makes of it at its start (ADR 22), "
    "and with the service's options: PERFORMANCE_HINT=LATENCY, NUM_STREAMS=1, INFERENCE_NUM_THREADS=cores, "
    "ENABLE_CPU_PINNING=no, INFERENCE_PRECISION_HINT=f32; caches of kernels as large as they come; tokenizers"
)
TORCH = "torch.set_num_threads(cores), torch.inference_mode, fast tokenizer, no pipeline"

PLAIN = Peer(
    name="plain",
    title="FastAPI + transformers pipeline, as tutorials write it",
    engine="torch fp32",
    environment="fastapi-torch",
    program="plain",
    request=wire.text_request,
    scores=wire.best_label,
    configuration=(
        "pipeline('text-classification', model=…), made once; uvicorn[standard] with one worker",
        "def, not async def, so that FastAPI calls it in its thread pool: most tutorials have it so",
        "truncation=True, which most tutorials leave out; nothing else is set, torch's threads neither",
    ),
    source="https://huggingface.co/docs/transformers/pipeline_tutorial",
)

CAREFUL = Peer(
    name="careful",
    title="FastAPI + transformers, written with care",
    engine="torch fp32",
    environment="fastapi-torch",
    program="careful",
    request=wire.text_request,
    scores=wire.all_labels,
    bulk=wire.texts_request,
    bulk_scores=wire.many_labels,
    configuration=(
        "async def, the model in one worker thread beside the event loop, warmed up; no access log",
        TORCH,
        "bulk route in batches of 32 by length; no batching across requests; uvicorn[standard], one worker",
    ),
    source="https://fastapi.tiangolo.com/async/",
)

LITSERVE_TORCH = Peer(
    name="litserve-torch",
    title="LitServe with batching, torch",
    engine="torch fp32",
    environment="litserve",
    program="litserve_api",
    options=("--engine", "torch", "--batch-timeout-s", "0", "--fast-queue"),
    request=wire.text_request,
    scores=wire.all_labels,
    configuration=(*LITSERVE, TORCH),
    source="https://lightning.ai/docs/litserve/features/batching",
)

LITSERVE_OPENVINO = replace(
    LITSERVE_TORCH,
    name="litserve-openvino",
    title="LitServe with batching, our OpenVINO model",
    engine="openvino int8",
    options=("--engine", "openvino", "--batch-timeout-s", "0", "--fast-queue"),
    configuration=(*LITSERVE, OPENVINO),
)

MOSEC_OPENVINO = Peer(
    name="mosec-openvino",
    title="mosec with dynamic batching, our OpenVINO model",
    engine="openvino int8",
    environment="mosec",
    program="mosec_openvino",
    options=("--max-wait-ms", "1"),
    request=wire.text_request,
    scores=wire.all_labels,
    configuration=(
        "append_worker(num=1, max_batch_size=32, max_wait_time=1): 32 texts as in its own DistilBERT example",
        "a wait of 1 ms is the shortest; tokenising is in the same worker, since there are two cores",
        OPENVINO,
    ),
    source="https://mosecorg.github.io/mosec/examples/pytorch.html",
)

INFINITY = "infinity_emb v2 --device cpu --batch-size 32, its default, and its own sorting by length"
NO_WARMUP = "--no-model-warmup: it only prints a speed, and sends 2,048 tokens to a model of 512"

INFINITY_TORCH = Peer(
    name="infinity-torch",
    title="infinity_emb, torch",
    engine="torch fp32",
    environment="infinity",
    program="infinity",
    options=("--engine", "torch", "--batch-size", "32", "--no-model-warmup"),
    request=wire.infinity_request,
    scores=wire.infinity_scores,
    bulk=wire.infinity_requests,
    bulk_scores=wire.infinity_bulk_scores,
    configuration=(
        INFINITY,
        "--engine torch, with BetterTransformer and without torch.compile, its defaults",
        NO_WARMUP,
    ),
    source="https://michaelfeil.github.io/infinity/latest/cli_v2/",
    environ={"INFINITY_ANONYMOUS_USAGE_STATS": "0"},
)

INFINITY_ONNX = replace(
    INFINITY_TORCH,
    name="infinity-onnx",
    title="infinity_emb, ONNX Runtime",
    engine="onnx fp32",
    options=("--engine", "optimum", "--batch-size", "32", "--no-model-warmup"),
    configuration=(
        INFINITY,
        "--engine optimum, recommended for CPUs: it optimises onnx/model.onnx for ONNX Runtime at its start",
        NO_WARMUP + ", which this engine does not cut",
        "its classifier gives a batch to the pipeline without a batch size, so texts are computed one by one",
    ),
    truncates=False,
)

MLSERVER_HF = Peer(
    name="mlserver-hf",
    title="MLServer with its Hugging Face runtime",
    engine="torch fp32",
    environment="mlserver",
    program="mlserver_hf",
    options=("--max-batch-size", "32", "--max-batch-time-s", "0.001", "--parallel-workers", "1"),
    request=wire.mlserver_request,
    scores=wire.mlserver_scores,
    bulk=wire.mlserver_requests,
    bulk_scores=wire.mlserver_bulk_scores,
    configuration=(
        "text-classification, framework pt, intra_op_threads=cores; parallel_workers=1, the default",
        "adaptive batching: max_batch_size 32, max_batch_time 0.001 s",
        "[MASK] pads instead of [PAD], whose id 0 the runtime takes for none, and then does not batch",
    ),
    source="https://docs.seldon.ai/mlserver/user-guide/adaptive-batching",
    truncates=False,
)

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        PLAIN,
        CAREFUL,
        LITSERVE_TORCH,
        LITSERVE_OPENVINO,
        MOSEC_OPENVINO,
        INFINITY_TORCH,
        INFINITY_ONNX,
        MLSERVER_HF,
    )
}
"""By name, in the order of tables."""
