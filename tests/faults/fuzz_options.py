"""The fuzzer of options: any command with any of its options, and values that may belong to others."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from tests.faults.commands import SECRET
from tests.faults.fuzz_material import Trial, plain_picture, small_set

VALUES = (
    *("", " ", "0", "1", "2", "3", "4", "-1", "1e9", "nan", "inf", "1.5", "99999999999999999999", "0x10", "true"),
    *("a", "[/b]", "[red]x", "$HOME", "~", "..", "/", "/dev/null", "/proc/self/mem", "/nonexistent/x", "\udcff", "ü\n"),
    *(
        "bicubic",
        "bicubic+zssr+x",
        "given/bicubic",
        "spectral+back-projection",
        "fft-texture",
        "+",
        "/",
        "a/b/c",
        "multi-",
    ),
    *(
        "fast",
        "best",
        "paper",
        "auto",
        "cpu",
        "cuda",
        "cuda:9",
        "threads",
        "png",
        "jpg",
        "webp",
        "tif",
        "gif",
        "100",
        "101",
    ),
    *(
        "3G",
        "0G",
        "1K",
        "-3G",
        "memory://x",
        "faulty:///x",
        "nosuch://x",
        "file:///nonexistent",
        "im_1",
        "im_1,im_1",
        "im_9",
    ),
    *(f"http://alice:{SECRET}@127.0.0.1:1/x.png", f"ftp://alice:{SECRET}@127.0.0.1:1/x", "http://[::1", "data:,x"),
    *("bicubic:bicubic+back-projection", "a:b", ":", "run", "report.parquet"),
)
OPTIONS = {
    "upscale": "--out --scale --method -o --format --quality --recursive --overwrite --skip-existing --mask --preset"
    " --real --seed --per-object --feather --weights --html --max-memory --quiet --verbose",
    "segment": "--segmenter --mask --scale --out --preset --per-object --recursive --overwrite --skip-existing --quiet",
    "estimate": "--estimator --scale --preset --seed --mask --out --recursive --overwrite --skip-existing --quiet",
    "benchmark": "--dataset --scale --method --preset --seeds --seed --limit --images --store --runner --dask-address"
    " --device --weights --quiet --verbose",
    "report": "--html --pair --store",
    "compare": "--html --pair --store",
    "dataset check": "--scale",
    "store check": "--store",
    "store prune": "--store --older-than --dry-run",
    "methods": "--help",
}
FLAGS = frozenset(
    "--recursive --overwrite --skip-existing --real --per-object --quiet --verbose --dry-run --help".split()
)
SLOW = ("zssr", "kernelgan", "michaeli")


def options(data: st.DataObject, folder: Path) -> Trial:
    (folder / "image.png").write_bytes(plain_picture())
    command = data.draw(st.sampled_from(sorted(OPTIONS)))
    values = st.sampled_from([*VALUES, str(folder / "image.png"), str(folder), str(folder / "new")])
    chosen = data.draw(st.lists(st.sampled_from(OPTIONS[command].split()), max_size=4))
    arguments = [*command.split()]
    if command in ("upscale", "segment", "estimate"):
        image = str(folder / "image.png")
        arguments += (
            data.draw(st.lists(st.just(image) | values, min_size=0, max_size=2))
            if data.draw(st.booleans())
            else [image]
        )
        arguments += ["--out", str(folder / "out")]
        arguments += {
            "upscale": ["--method", "bicubic"],
            "segment": ["--segmenter", "edges"],
            "estimate": ["--estimator", "bicubic"],
        }[command]
    elif command == "benchmark":
        arguments += [
            "--dataset",
            str(small_set(folder.parent)),
            "--store",
            str(folder / "store"),
            "--method",
            "bicubic",
        ]
    elif command.startswith("store"):
        arguments += ["--store", str(folder / "store")]
    elif command != "methods":
        arguments += [data.draw(values) for _ in range({"compare": 2}.get(command, 1))]
    for option in chosen:
        value = data.draw(values)
        if any(part in value for part in SLOW) or (option in ("--weights",) and value == "/"):
            continue
        arguments += [option] if option in FLAGS else [option, value]
    # what an argument says is quoted in the message about it; a control character is written out
    quoted = [word.encode("ascii", "backslashreplace").decode() for word in arguments[1:]]
    # results and places are named as they are written
    quoted += [
        "_x2.png exists",
        "_kernel.npy exists",
        "/overlay.png exists",
        *(str(Path(word).expanduser()) for word in quoted if word == "~"),
        *(f"error: {word} " for word in quoted if len(word) <= 2),
        *(word.replace(":", "://", 1) for word in quoted if "data:" in word),
    ]
    shortest = [f" '{form}'" for word in arguments[1:] for form in (word, word.replace("\n", " "))]
    return Trial(arguments, [*arguments[1:], *quoted, *shortest, "image.png", "///lr_x2", "***", "/here", str(folder)])
