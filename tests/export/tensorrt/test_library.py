from runtime.backends.tensorrt.library import EngineLibrary

# What export/tensorrt and runtime/backends/tensorrt use. The bindings of TensorRT 10.16.1.11 and 11.4.0.106, imported
# with empty libraries because theirs need a GPU to be of use, had all of it too when this was written, and nothing of
# what TensorRT-RTX adds.
USED = {
    "": ["Builder", "OnnxParser", "Runtime", "__version__"],
    "Builder": ["build_serialized_network", "create_builder_config", "create_network", "create_optimization_profile"],
    "BuilderFlag": ["TF32", "VERSION_COMPATIBLE", "__members__"],
    "DataType": ["BF16", "FLOAT", "HALF", "UINT8"],
    "HardwareCompatibilityLevel": ["AMPERE_PLUS"],
    "IBuilderConfig": [
        "add_optimization_profile",
        "clear_flag",
        "create_timing_cache",
        "get_flag",
        "get_timing_cache",
        "hardware_compatibility_level",
        "progress_monitor",
        "set_flag",
        "set_memory_pool_limit",
        "set_timing_cache",
    ],
    "ICudaEngine": [
        "create_execution_context",
        "get_tensor_dtype",
        "get_tensor_name",
        "get_tensor_shape",
        "num_io_tensors",
    ],
    "IExecutionContext": ["execute_async_v3", "set_tensor_address"],
    "ILayer": ["get_input", "get_output", "type"],
    "ILogger": ["Severity", "log"],
    "ILogger.Severity": ["WARNING"],
    "INetworkDefinition": ["get_input", "get_layer", "num_inputs", "num_layers"],
    "IOptimizationProfile": ["set_shape"],
    "IProgressMonitor": ["phase_finish", "phase_start", "step_complete"],
    "ITensor": ["dtype", "name", "shape"],
    "ITimingCache": ["serialize"],
    "LayerType": ["CONVOLUTION", "DECONVOLUTION", "DEQUANTIZE", "MATRIX_MULTIPLY"],
    "MemoryPoolType": ["WORKSPACE"],
    "NetworkDefinitionCreationFlag": ["STRONGLY_TYPED"],
    "OnnxParser": ["get_error", "num_errors", "parse"],
    "Runtime": ["deserialize_cuda_engine", "engine_host_code_allowed"],
}
USED_OF_RTX = {
    "ComputeCapability": ["SM75", "SM80", "SM86", "SM89", "SM120", "SM121"],
    "IBuilderConfig": ["num_compute_capabilities", "set_compute_capability"],
}


def missing(module: object, used: dict[str, list[str]]) -> list[str]:
    found = []
    for owner, names in used.items():
        holder = module
        for part in filter(None, owner.split(".")):
            holder = getattr(holder, part, None)
        found += [f"{owner}.{name}" for name in names if not hasattr(holder, name)]
    return found


def test_library_has_everything_that_is_used(rtx: EngineLibrary) -> None:
    assert missing(rtx.module, USED) == []
    assert missing(rtx.module, USED_OF_RTX) == []
    assert missing(rtx.module, {"Builder": ["no_such_method"], "NoSuchClass": ["a"]}) == [
        "Builder.no_such_method",
        "NoSuchClass.a",
    ]
