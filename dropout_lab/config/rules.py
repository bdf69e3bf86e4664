"""What must hold between keys; each rule is checked when the sections it reads are in order."""

from collections.abc import Callable, Collection, Iterable, Iterator

from dropout_lab.config.conditional_keys import keys_read, readers
from dropout_lab.config.dropout_rules import (
    Complaint,
    activation_fits,
    cautions_of_dropout,
    loss_fits,
    p_in_range,
    place_fits,
    schedule_fits,
)
from dropout_lab.config.inference_rules import (
    at_end,
    cautions_of_measures,
    measures_fit,
    patience_fits,
)
from dropout_lab.config.messages import shown
from dropout_lab.config.schema import ModelSettings, Settings, p_of_places, places
from dropout_lab.config.sizes import training_examples
from dropout_lab.config.training_rules import (
    average_fits,
    bound_fits,
    cautions_of_averages,
    momentum_fits,
    penalties_fit,
    rate_fits,
    sparsity_fits,
)
from dropout_lab.datasets import DATASETS

Rule = Callable[[Settings], Iterator[Complaint]]


def _sizes(settings: Settings) -> Iterator[Complaint]:
    data = settings.dataset
    whole, classes = DATASETS[data.name].train, DATASETS[data.name].classes
    left = whole - data.validation_size
    if left < classes:
        yield (
            "dataset.validation_size",
            f"dataset.validation_size is {data.validation_size}; {data.name} has {whole} training "
            f"examples, so at most {whole - classes} can be held out.",
        )
        return
    if 0 < data.validation_size < classes:
        yield (
            "dataset.validation_size",
            f"dataset.validation_size is {data.validation_size}; give 0, or at least {classes}, "
            "so that each class is in it.",
        )
    if data.train_size is not None and not classes <= data.train_size <= left:
        yield (
            "dataset.train_size",
            f"dataset.train_size is {data.train_size}; {left} examples of {data.name} are left "
            f"after validation: give {classes} to {left}, or null for all.",
        )


def _subset(settings: Settings) -> Iterator[Complaint]:
    data = settings.dataset
    if (
        data.subset == "first"
        and data.train_size is not None
        and DATASETS[data.name].sorted_by_class
    ):
        yield (
            "dataset.subset",
            f"dataset.subset is first, but {data.name} is sorted by class: its first images do not "
            "have all classes. Write subset: stratified, or another dataset.name.",
        )


def _components(settings: Settings) -> Iterator[Complaint]:
    pca, examples = settings.dataset.pca, training_examples(settings)
    if pca is None:
        return
    pixels = DATASETS[settings.dataset.name].pixels
    most = min(pixels, examples - 1)
    if pca > most > 0:
        yield (
            "dataset.pca",
            f"dataset.pca is {pca}; an image has {pixels} pixels, and {examples} training examples "
            f"have at most {examples - 1} principal components: give at most {most}, or null for "
            "the pixels.",
        )
    if "features" in at_end(settings.evaluation):
        yield (
            "dataset.pca",
            f"dataset.pca is {pca}, but evaluation.at_end names features, which are drawn as "
            "images: they need one weight for each pixel. Leave one of them out.",
        )


def _batch(settings: Settings) -> Iterator[Complaint]:
    examples = training_examples(settings)
    if settings.training.batch_size > examples >= DATASETS[settings.dataset.name].classes:
        yield (
            "training.batch_size",
            f"training.batch_size is {settings.training.batch_size}, more than the {examples} "
            f"training examples: give at most {examples}.",
        )


def _model(settings: Settings) -> Iterator[Complaint]:
    model = settings.model
    if model.init == "normal" and model.init_std is None:
        yield "model.init", "model.init is normal, which needs model.init_std, e.g. init_std: 0.01."
    if model.init != "normal" and model.init_std is not None:
        yield (
            "model.init_std",
            f"model.init_std is given, but model.init is {model.init}: write init: normal, "
            "or leave init_std out.",
        )
    if model.init == "uniform":
        yield from _init_range(model)
    if model.activation == "maxout" and model.pieces is None:
        yield (
            "model.activation",
            "model.activation is maxout, which needs model.pieces, e.g. pieces: 5.",
        )
    if model.activation != "maxout" and model.pieces is not None:
        yield (
            "model.pieces",
            f"model.pieces is given, but model.activation is {model.activation}: write "
            "activation: maxout, or leave pieces out.",
        )


def _init_range(model: ModelSettings) -> Iterator[Complaint]:
    matrices, given = len(model.hidden) + 1, model.init_range
    if given is None:
        yield (
            "model.init",
            "model.init is uniform, which needs model.init_range, e.g. init_range: 0.05.",
        )
        return
    ranges = given if isinstance(given, tuple) else (given,)
    if isinstance(given, tuple) and len(given) != matrices:
        yield (
            "model.init_range",
            f"model.init_range lists {len(given)} numbers for {matrices} weight matrices; give one "
            "number, or one for each matrix.",
        )
    elif not all(ranges[: max(1, matrices - 1)]):
        yield (
            "model.init_range",
            f"model.init_range is {shown(given)}; only the weights of the output units can start "
            "at 0, because hidden units that start equal stay equal.",
        )


def _output_starts_above_zero(settings: Settings) -> Iterator[Complaint]:
    """Sparse variational dropout starts from the size of the weights, which must not be 0."""
    model = settings.model
    last = p_of_places(settings).get(len(model.hidden), 0.0)
    given = model.init_range if model.init == "uniform" else None
    zero = isinstance(given, tuple) and given[-1] == 0
    if settings.dropout.variant == "sparse_variational" and zero and last > 0:
        yield (
            "model.init_range",
            "model.init_range is 0 for the output units, but sparse_variational sets its noise in "
            "proportion to the initial weights; give a number above 0, or another placement.",
        )


def _placement(settings: Settings) -> Iterator[Complaint]:
    dropout, hidden = settings.dropout, len(settings.model.hidden)
    named = places(settings)
    if isinstance(dropout.placement, tuple):
        outside = [place for place in named if place > hidden]
        if outside:
            yield (
                "dropout.placement",
                f"dropout.placement names layer {outside[0]}; with {hidden} hidden layers the "
                f"places are 0 (the input) to {hidden}. The output layer is never dropped.",
            )
        if not named or len(set(named)) < len(named):
            yield (
                "dropout.placement",
                f"dropout.placement is {list(named)}; name each place once, at least one. "
                "For no dropout write variant: none.",
            )
    if isinstance(dropout.p, tuple):
        if len(dropout.p) != len(named):
            yield (
                "dropout.p",
                f"dropout.p lists {len(dropout.p)} values for {len(named)} places "
                f"({', '.join(map(str, named))}); give one number, or one per place. "
                f"To vary p: sweep: {{grid: {{dropout.p: {shown(dropout.p)}}}}}.",
            )
        if 0 in named and dropout.input_p > 0:
            yield (
                "dropout.input_p",
                "dropout.input_p is given, and dropout.p already lists a value for the input; "
                "give it once.",
            )


def _length(settings: Settings) -> Iterator[Complaint]:
    training = settings.training
    if (training.epochs is None) == (training.updates is None):
        given = "both are" if training.epochs is not None else "neither is"
        yield "training.updates", f"training needs epochs or updates, one of them; {given} given."


RULES: tuple[tuple[frozenset[str], Rule], ...] = (
    (frozenset({"dataset"}), _sizes),
    (frozenset({"dataset"}), _subset),
    (frozenset({"dataset", "evaluation"}), _components),
    (frozenset({"dataset", "training"}), _batch),
    (frozenset({"model"}), _model),
    (frozenset({"model", "dropout"}), _output_starts_above_zero),
    (frozenset({"model", "dropout"}), _placement),
    (frozenset({"model", "dropout"}), p_in_range),
    (frozenset({"model", "dropout"}), place_fits),
    (frozenset({"model", "dropout"}), activation_fits),
    (frozenset({"model", "dropout"}), loss_fits),
    (frozenset({"dataset", "dropout", "training"}), schedule_fits),
    (frozenset({"training"}), _length),
    (frozenset({"training"}), momentum_fits),
    (frozenset({"dataset", "training"}), rate_fits),
    (frozenset({"dataset", "training"}), average_fits),
    (frozenset({"model", "regularization"}), bound_fits),
    (frozenset({"model", "dropout", "regularization"}), sparsity_fits),
    (frozenset({"dataset", "training", "regularization"}), penalties_fit),
    (frozenset({"evaluation"}), measures_fit),
    (frozenset({"dataset", "training"}), patience_fits),
)


def complaints(
    settings: Settings, *, except_sections: frozenset[str] = frozenset()
) -> list[Complaint]:
    """Return what does not hold between the keys of the sections that are in order."""
    return [
        complaint
        for sections, rule in RULES
        if not sections & except_sections
        for complaint in rule(settings)
    ]


def unread_keys(
    settings: Settings, cells: Iterable[Settings], swept: Collection[str]
) -> Iterator[Complaint]:
    """Keys that are given and that nothing in the study reads: most likely a mistake.

    Args:
        settings: Those of the config.
        cells: Those of its sweep; none if it is not run.
        swept: The dotted keys that it varies.
    """
    read = {key for each in (settings, *cells) for key in keys_read(each)}
    for key, words in readers().items():
        section, _, name = key.partition(".")
        given = getattr(getattr(settings, section), name) is not None or key in swept
        if given and key not in read:
            yield key, f"{key} is given, and nothing here reads it; it is for {', '.join(words)}."


def cautions_of(cells: Iterable[Settings]) -> list[str]:
    """Return what is allowed in some settings but hardly meant, each thing once."""
    return list(dict.fromkeys(text for settings in cells for text in cautions(settings)))


def cautions(settings: Settings) -> Iterator[str]:
    """What is allowed but hardly meant: told, not refused."""
    yield from cautions_of_dropout(settings)
    yield from cautions_of_measures(settings)
    yield from cautions_of_averages(settings)
