# SPDX-License-Identifier: Apache-2.0
"""Which of ONNX Runtime's execution providers runs a bundle: TensorRT, CUDA, or the CPU.

ONNX Runtime drops a provider that it cannot load and continues without telling the program. Here each
is tried separately and checked afterwards, and each one that is not used is reported with its reason.
"""

from __future__ import annotations

from mvloc_ros.backends.backend import BackendError, BackendOptions
from mvloc_ros.backends.gpu import NoGpuError, find_gpu
from mvloc_ros.backends.onnxruntime_backend import OnnxRuntimeBackend, Provider, import_onnxruntime
from mvloc_ros.backends.precision import choose
from mvloc_ros.model.bundle import Bundle

# On a GPU float16 is fastest. On a CPU it is slower than float32, and int8 is used on request only.
_GPU_BY_SPEED = ("fp16",)
_GPU_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider")


def open_onnxruntime(bundle: Bundle, options: BackendOptions) -> OnnxRuntimeBackend:
    """The backend on the best provider that works here; a GPU that is not used is reported.

    Raises:
        BackendError: onnxruntime is missing, or cannot run the bundle even on the CPU.
    """
    available = import_onnxruntime().get_available_providers()
    wanted = [name for name in _GPU_PROVIDERS if name in available]
    reasons: list[str] = []
    try:
        gpu = find_gpu()
    except NoGpuError as error:
        reasons += [str(error)] if wanted else []
    else:
        for name in wanted:
            try:
                precision = choose(bundle, options.precision, _GPU_BY_SPEED)
                return OnnxRuntimeBackend(bundle, options.threads, precision, gpu_provider(name, precision))
            except BackendError as error:
                reasons.append(str(error))
        if not wanted:
            reasons.append(
                f"The {gpu.name} is not used: this onnxruntime package supports CPUs only; install TensorRT or "
                "onnxruntime-gpu, or set `backend` to torch."
            )
    if reasons:
        options.report(f"onnxruntime runs on the CPU. {' '.join(reasons)}")
    precision = choose(bundle, options.precision, ())
    return OnnxRuntimeBackend(bundle, options.threads, precision)


def gpu_provider(name: str, precision: str) -> Provider:
    """A GPU's provider; CUDA's is kept from rounding float32 to the ten bits of TF32."""
    if name == "CUDAExecutionProvider":
        return Provider(name, "CUDA", {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"})
    return Provider(name, "TensorRT", {"trt_fp16_enable": "1"} if precision == "fp16" else {})
