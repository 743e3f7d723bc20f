"""Methods by name: ``segmenter/estimator+upscaler``."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Any

from mkgan_core.errors import ConfigError, DatasetError
from mkgan_core.machine.storage import content_key
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.parts import Kind

DEFAULT_METHOD = "auto+zssr"  # for a photograph whose blur nobody knows
DEFAULT_METHODS = (
    "bicubic",
    "bicubic+zssr",
    "kernelgan+zssr",
    "multi-kernelgan+zssr",
    "spectral+zssr",
    DEFAULT_METHOD,
    "ground-truth+zssr",
)
NAMED_METHODS = {  # name -> what it is, and when to use it
    "bicubic": "bicubic interpolation: the baseline that every other method has to beat",
    "bicubic+zssr": "ZSSR with the bicubic kernel: for images that a program reduced bicubically",
    "michaeli-irani+zssr": "kernel by patches that recur across scales (2013), then ZSSR: the classic baseline; slow",
    "kernelgan+zssr": "KernelGAN, then ZSSR, the published method (2019): to compare with it; see --preset paper",
    "multi-kernelgan+zssr": "KernelGAN for each region: for an object and a background that are blurred differently",
    "spectral+zssr": "Gaussian kernel off the power spectrum, then ZSSR: for out-of-focus or soft images; ours, quick",
    "multi-spectral+zssr": "the spectral kernel for each region: as multi-kernelgan+zssr, and quicker",
    "auto+zssr": "chooses among Gaussian, program and camera shake, then ZSSR: if you do not know the blur; ours",
    "camera-shake+zssr": "kernel of any shape, from edges, then ZSSR: for images blurred by motion of the camera; ours",
    "ground-truth+zssr": "ZSSR with the true kernels: an oracle, for benchmarks on data sets that have them",
}
OBJECTS = "-objects"  # after a segmenter's name: one region per object
Changes = tuple[tuple[str, Any], ...]
# Replacements for a part for which an image is too small: the first that fits is used.
_SMALLER: dict[Kind, tuple[str, ...]] = {
    "segmenter": ("whole",),
    "estimator": ("bicubic",),
    "upscaler": ("back-projection", "bicubic"),
}


@dataclass(frozen=True)
class Method:
    """Three names, and settings that differ from the preset's.

    Attributes:
        name: as the user gave it.
        segmenter: splits the image.
        estimator: estimates each region's kernel; None if the upscaler uses no kernel (plain ``bicubic``).
        upscaler: enlarges each region.
        segmenter_changes: settings of the segmenter that differ from the preset's.
        upscaler_changes: likewise of the upscaler.
        feather: std in high-resolution pixels over which regions are blended; 0 for hard borders.
    """

    name: str
    segmenter: str
    estimator: str | None
    upscaler: str
    segmenter_changes: Changes = ()
    upscaler_changes: Changes = ()
    feather: float = 0.0

    @property
    def parts(self) -> list[tuple[Kind, str, Changes]]:
        """Kind, name and changed settings of each part."""
        named: list[tuple[Kind, str | None, Changes]] = [
            ("segmenter", self.segmenter, self.segmenter_changes),
            ("estimator", self.estimator, ()),
            ("upscaler", self.upscaler, self.upscaler_changes),
        ]
        return [(kind, name, changes) for kind, name, changes in named if name]

    def settings_hash(self, preset: str) -> str:
        """A hash of the settings and part versions that a row of the report depends on."""
        return content_key({kind: parts.identity(kind, name, preset, dict(c)) for kind, name, c in self.parts})[:16]

    def for_real_images(self) -> Method:
        """The method with its settings for noisy photographs.

        Raises:
            ConfigError: if its upscaler has no such settings.
        """
        changes = parts.part_class("upscaler", self.upscaler).real_images
        if changes is None:
            raise ConfigError(f"upscaler '{self.upscaler}' has no settings for real, noisy images (--real); use zssr")
        return replace(self, upscaler_changes=tuple(changes.items()))

    @property
    def tells_objects_apart(self) -> bool:
        """Whether its segmenter can make one region per object."""
        return hasattr(parts.part_class("segmenter", self.segmenter).settings_class, "per_object")

    def per_object(self) -> Method:
        """The method with one region per object instead of their union.

        Raises:
            ConfigError: if its segmenter cannot tell objects apart.
        """
        if not self.tells_objects_apart:
            raise ConfigError(
                f"segmenter '{self.segmenter}' cannot make one region per object (--per-object); "
                "use yolo-seg, yolo-sam or yolo-grabcut"
            )
        return replace(self, segmenter_changes=(("per_object", True),))

    def fitting(self, shape: tuple[int, int]) -> tuple[Method, list[str]]:
        """The method; if an image is too small for one of its parts, the next best method that can enlarge it.

        An estimator is replaced by the bicubic kernel. An upscaler is replaced by back-projection, or if the image is
        too small for that as well, by bicubic enlargement. Benchmarks refuse such images instead (`check_size`).

        Args:
            shape: (H, W) of the image.

        Returns:
            The method, and one sentence for each replaced part.

        Example:
            >>> parse("auto+zssr").fitting((40, 30))[0].name
            'bicubic+back-projection'
        """
        fitted, notes = self, []
        for kind in ("upscaler", "segmenter", "estimator"):
            name = getattr(fitted, kind)
            if name is None or _fits(kind, name, shape):
                continue
            instead = next(other for other in _SMALLER[kind] if _fits(kind, other, shape))
            needed = parts.part_class(kind, name).min_side
            size = f"{shape[1]}x{shape[0]} pixels"
            notes.append(f"{size} are too few for the {kind} '{name}', which needs {needed} each way; used '{instead}'")
            fitted = replace(fitted, **{kind: instead, **({} if kind == "estimator" else {f"{kind}_changes": ()})})
            if not parts.part_class("upscaler", fitted.upscaler).needs_kernel:
                fitted = replace(fitted, estimator=None)
        if not notes:
            return self, notes
        segmenter = "" if fitted.segmenter == "whole" else f"{fitted.segmenter}/"
        estimator = f"{fitted.estimator}+" if fitted.estimator else ""
        return replace(fitted, name=f"{segmenter}{estimator}{fitted.upscaler}"), notes


def parse(name: str) -> Method:
    """The method with a name: ``bicubic``, ``kernelgan+zssr``, ``multi-kernelgan+zssr``, ``given/bicubic+zssr``, ...

    ``multi-X+Y`` is ``auto/X+Y``; no segmenter means ``whole``; ``yolo-seg-objects/X+Y`` has one region per object.

    Raises:
        ConfigError: for unknown parts, with the nearest known names.

    Example:
        >>> parse("given/spectral+zssr")
        Method(name='given/spectral+zssr', segmenter='given', estimator='spectral', upscaler='zssr', \
segmenter_changes=(), upscaler_changes=(), feather=0.0)
    """
    if not isinstance(name, str):
        raise ConfigError(f"method {name!r}: give its name, such as '{DEFAULT_METHOD}'")
    segmenter, slash, rest = name.rpartition("/")
    if not slash:
        segmenter = "whole"
        if rest.startswith("multi-"):
            segmenter, rest = "auto", rest.removeprefix("multi-")
    objects = segmenter.endswith(OBJECTS) and segmenter not in parts.names("segmenter")
    segmenter = segmenter.removesuffix(OBJECTS) if objects else segmenter
    if segmenter == "auto":
        segmenter = parts.resolve_auto()
    estimator, plus, upscaler = rest.rpartition("+")
    named: list[tuple[Kind, str]] = [("segmenter", segmenter), ("upscaler", upscaler)]
    if plus:
        named.insert(1, ("estimator", estimator))
    for kind, part in named:
        try:
            parts.check_part(kind, part)
        except ConfigError as fault:
            near = difflib.get_close_matches(name, NAMED_METHODS, n=2, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(f"unknown method '{name}'{hint}: {fault}") from fault
    uses_kernel = parts.part_class("upscaler", upscaler).needs_kernel
    if uses_kernel and not plus:
        raise ConfigError(f"method '{name}': upscaler '{upscaler}' needs an estimator, as in 'kernelgan+{upscaler}'")
    method = Method(name, segmenter, estimator if plus and uses_kernel else None, upscaler)
    return method.per_object() if objects else method


def _fits(kind: Kind, name: str, shape: tuple[int, int]) -> bool:
    return min(shape) >= parts.part_class(kind, name).min_side


def check_size(method: Method, image: str, shape: tuple[int, int]) -> None:
    """Check before anything starts that an image is large enough for all parts.

    Raises:
        DatasetError: naming the image, the part and the remedy, if it is not.
    """
    for kind, name, _ in method.parts:
        if not _fits(kind, name, shape):
            needed = parts.part_class(kind, name).min_side
            raise DatasetError(
                f"image {image} is {shape[1]}x{shape[0]} pixels, but {kind} '{name}' needs at least {needed} each way; "
                f"leave the image out, or choose another {kind}"
            )


def check_single_image(method: Method, *, with_masks: bool = False) -> None:
    """Check before anything starts that a method can run, and that it needs no data set.

    Args:
        method: the method.
        with_masks: whether the user gave masks.

    Raises:
        ConfigError: naming the part and the remedy.
        WeightsError: if network weights are missing or damaged.
    """
    if parts.part_class("segmenter", method.segmenter).needs_masks != with_masks:
        if with_masks:
            raise ConfigError(
                f"segmenter '{method.segmenter}' uses no masks; leave out --mask, or use segmenter 'mask'"
            )
        raise ConfigError(
            f"segmenter '{method.segmenter}' needs masks; give one per object (--mask), or choose another"
        )
    for kind, name, _ in method.parts:
        parts.check_ready(kind, name)
    if method.estimator and parts.part_class("estimator", method.estimator).needs_truth:
        raise ConfigError(f"estimator '{method.estimator}' needs a data set with true kernels; choose another")
