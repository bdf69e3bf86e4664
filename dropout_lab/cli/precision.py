"""Refuse bfloat16 on a processor on which it is slow."""

from dropout_lab.cli import encoding
from dropout_lab.config.grid import Run
from dropout_lab.errors import ConfigError
from dropout_lab.study import Study, preview
from dropout_lab.training import precision

_ON_WORKERS = (
    "bfloat16 is not measured on the workers of a scheduler. On a processor without units for it, "
    "a product takes 20 to 100 times as long as in float32."
)


def check_precision(study: Study, *, forced: bool) -> None:
    """Measure the speed of bfloat16 if runs use it on this machine's processor.

    Args:
        study: What is asked.
        forced: Whether to train all the same where it is slow.

    Raises:
        ConfigError: It is slow.
    """
    if study.device.type != "cpu" or not any(map(_is_rough, study.runs)):
        return
    asked = {r.settings for fleet in preview(study).fleets for r in fleet if _is_rough(r)}
    if not asked:
        return
    if study.scheduler is not None:
        encoding.tell(_ON_WORKERS)
        return
    found = precision.time_products(*precision.largest_product(asked))
    if found.slowdown <= precision.TOO_SLOW:
        return
    if forced:
        encoding.tell(f"warning: {found.sentence}.")
        return
    raise ConfigError(
        [
            f"training.precision is bfloat16. {found.sentence}: it is {found.slowdown:.0f} times "
            "slower. Train in float32 with --set training.precision=float32, or in bfloat16 all "
            "the same with --force-precision."
        ]
    )


def _is_rough(run: Run) -> bool:
    return run.settings.training.precision == "bfloat16"
