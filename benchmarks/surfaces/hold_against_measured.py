"""How far the simulated replicas are from published measurements of whole engines.

    python benchmarks/surfaces/hold_against_measured.py

Beside its tables the source package carries TTFT and TPOT as measured (systems/silicon_sample.csv, mostly
InferenceMAX and NVIDIA's own runs). Each is a closed loop of fixed lengths; limits that were not told are the
engines' defaults.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from statistics import median

from served.plan import Facts
from served.replica import Load, Replica, Rules
from served.sglang import Sglang
from served.step_times import StepTimes
from served.tables import cache_directory, key_of, tables_of
from served.trtllm import TrtLlm
from served.vllm import Vllm

_ENGINES = {"vllm": Vllm(), "sglang": Sglang(), "trtllm": TrtLlm()}
# (model, system, engine) -> (the tables' model, quantisation where the file says none, layers)
_HELD = {
    ("meta-llama/Llama-3.1-8B-Instruct", "h100_sxm", "trtllm"): (
        "meta-llama/Meta-Llama-3.1-8B",
        "bfloat16",
        32,
    ),
    ("meta-llama/Llama-3.1-8B-Instruct", "h200_sxm", "sglang"): ("meta-llama/Meta-Llama-3.1-8B", "fp8", 32),
    ("Qwen/Qwen3-32B", "h100_sxm", "vllm"): ("Qwen/Qwen3-32B", "bfloat16", 64),
    ("Qwen/Qwen3-32B", "h100_sxm", "sglang"): ("Qwen/Qwen3-32B", "bfloat16", 64),
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "vllm"): ("meta-llama/Meta-Llama-3.1-70B", "fp8", 80),
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "trtllm"): ("meta-llama/Meta-Llama-3.1-70B", "fp8", 80),
    ("meta-llama/Llama-3.1-70B", "b200_sxm", "vllm"): ("meta-llama/Meta-Llama-3.1-70B", "fp8", 80),
}
_LONGEST_OUTPUT = 1024


def rows() -> list[dict[str, str]]:
    path = next(
        cache_directory().glob("*/lib/python*/site-packages/aiconfigurator_core/systems/silicon_sample.csv")
    )
    with path.open(newline="", encoding="utf-8") as file:
        return [
            r
            for r in csv.DictReader(file)
            if (r["model_path"], r["system"], r["backend"]) in _HELD
            and r["mode"] == "agg"
            and r["precision"] in ("", "fp8")
            and int(r["osl"]) <= _LONGEST_OUTPUT
        ]


def main() -> None:
    found = rows()
    layouts = []
    for row in found:
        model, gemm, _ = _HELD[row["model_path"], row["system"], row["backend"]]
        layouts.append(
            {
                "model": model,
                "system": row["system"],
                "backend": row["backend"],
                "tp_size": int(row["tp_size"]),
                "gemm_quant_mode": gemm,
                "kvcache_quant_mode": "bfloat16",
                "fmha_quant_mode": "bfloat16",
            }
        )
    tables = {key: StepTimes(found) for key, found in tables_of(layouts).items()}
    ratios = defaultdict(list)
    for row, layout in zip(found, layouts, strict=True):
        taken, given, width = int(row["isl"]), int(row["osl"]), int(row["batch_size"])
        engine = _ENGINES[row["backend"]]
        layers = _HELD[row["model_path"], row["system"], row["backend"]][2]
        facts = Facts(row["system"], {}, layers, 128_000, 0, 0)
        rules = Rules(1024, 8192, row["backend"] != "sglang", True, 10_000_000)
        load = Load(lambda rng, ab=(taken, given): ab, width, 0.0, 20.0, 60.0, 4 * width + 50)
        measured = Replica(rules, tables[key_of(layout)], engine.host({}, facts), load, 0).run()
        if not measured.requests:
            continue
        tpot = median((r.last - r.first) / (r.output - 1) for r in measured.requests)
        ttft = median(r.first - r.sent for r in measured.requests)
        key = (row["backend"], row["system"], row["model_path"].split("/")[-1])
        ratios[key].append((tpot / float(row["silicon_tpot_ms"]), ttft / float(row["silicon_ttft_ms"])))
    print("| engine | system | model | points | TPOT, simulated to measured: median, and error | TTFT |")
    print("|---|---|---|--:|--:|--:|")
    for key, pairs in sorted(ratios.items()):
        tpots, ttfts = [a for a, _ in pairs], [b for _, b in pairs]
        error = median(abs(t - 1) for t in tpots)
        print(
            f"| {' | '.join(key)} | {len(pairs)} | {median(tpots):.2f}, {error:.0%} | {median(ttfts):.2f} |"
        )


if __name__ == "__main__":
    main()
