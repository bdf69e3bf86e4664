"""What a layer in anybody's PyTorch model must be able to do: one function for each ability.

A function takes a subject and raises where the ability is missing. tests/layers/test_abilities.py
runs each with each variant, and compares the table in how-to/layers.md with what is here.
"""

import copy
import pickle
import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from dropout_lab.layers import VARIANTS, Dropout, DropoutLinear, UnitInputs
from dropout_lab.layers.sample_inputs import move_from_start
from tests.layers.cases import BY_ARM, FEW_MASKS, LEARNED, NAMES, QUIET, STATEFUL, UNIT, make

UNITS, OUTPUTS = 6, 4
P = 0.4
HALVES = (torch.float16, torch.bfloat16)


class Entered(nn.Module):
    """A DropoutLinear whose variant also looks at what enters its units."""

    def __init__(self, linear: DropoutLinear) -> None:
        super().__init__()
        self.linear = linear
        self.before = nn.Parameter(torch.randn(3, UNITS).clamp(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.linear(x, UnitInputs(self.before, x))
        return z


@dataclass(frozen=True)
class Subject:
    """A variant in its place.

    Args:
        name: That of the variant.
        linear: Whether in ``DropoutLinear``, or as a layer of units.
    """

    name: str
    linear: bool

    def __str__(self) -> str:
        return f"DropoutLinear({self.name})" if self.linear else self.name

    def layer(self, p: float = P, dtype: torch.dtype = torch.float32, **rest: object) -> nn.Module:
        """Make it, with the same weights each time."""
        with torch.random.fork_rng():
            torch.manual_seed(7)
            dropout = make(self.name, p, **rest)
            if not self.linear:
                return dropout if dtype == torch.float32 else dropout.to(dtype)
            linear = DropoutLinear(UNITS, OUTPUTS, dropout, activation="relu")
            move_from_start(dropout)
            layer: nn.Module = Entered(linear) if self.name == "targeted_unit" else linear
            return layer if dtype == torch.float32 else layer.to(dtype)

    def dropout(self, layer: nn.Module) -> Dropout:
        """Return the dropout layer in what ``layer`` made."""
        modules = layer.modules()
        return next(module for module in modules if isinstance(module, Dropout))


SUBJECTS = [
    *(Subject(name, linear=False) for name in UNIT),
    *(Subject(name, linear=True) for name in NAMES),
]
Ability = Callable[[Subject], None]
ABILITIES: dict[str, Ability] = {}
# What an ability does not hold for: by its words, whether in DropoutLinear, and the variant; with
# what the error says.
MISSING: dict[str, dict[bool, dict[str, str]]] = {}
NEED_A_BATCH = dict.fromkeys(("evolutional", "batchwise"), "needs a batch axis")


def ability(
    words: str,
    *,
    missing_as_layer: dict[str, str] | None = None,
    missing_in_linear: dict[str, str] | None = None,
) -> Callable[[Ability], Ability]:
    """Enter an ability under the words of its row in how-to/layers.md."""

    def enter(function: Ability) -> Ability:
        ABILITIES[words] = function
        MISSING[words] = {False: missing_as_layer or {}, True: missing_in_linear or {}}
        return function

    return enter


def shown(words: str, linear: bool) -> str:
    """Return what the table in how-to/layers.md says: for which variants an ability holds."""
    missing = MISSING[words][linear]
    if not missing:
        return "all"
    if len(missing) == len(NAMES if linear else UNIT):
        return "none"
    return "all except " + ", ".join(f"`{name}`" for name in missing)


def batch(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(shape or (8, UNITS), generator=generator).to(dtype)


def seeded(function: Callable[[], Tensor]) -> Tensor:
    """Call with PyTorch's global generator at a known place."""
    torch.manual_seed(3)
    return function()


def linear_of(layer: nn.Module) -> nn.Module:
    """Return the DropoutLinear in a layer, or the layer."""
    return layer.linear if isinstance(layer, Entered) else layer


def linear_keys(subject: Subject) -> tuple[str, str]:
    """Return the names of the weight and the bias of the linear map."""
    before = "linear." if subject.name == "targeted_unit" else ""
    return before + "weight", before + "bias"


def called(layer: nn.Module, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Call a layer with other weights than its own."""
    y: Tensor = torch.func.functional_call(layer, weights, (x,))
    return y


def trained_by_gradient(layer: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]


def step(layer: nn.Module, x: Tensor | None = None) -> list[Tensor]:
    """Take a forward and a backward pass in training; return what came out and the gradients."""
    x = (batch() if x is None else x).detach().clone().requires_grad_()
    layer.train()
    y = seeded(lambda: layer(x))
    leaves = [x, *trained_by_gradient(layer)]
    gradients = torch.autograd.grad(y.square().sum(), leaves, allow_unused=True)
    assert y.isfinite().all()
    assert all(g is None or g.isfinite().all() for g in gradients)
    return [y.detach(), *(g for g in gradients if g is not None)]


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def modes(subject: Subject, **rest: object) -> list[nn.Module]:
    """Return the layer in training and in evaluation."""
    return [subject.layer(**rest).train(), subject.layer(**rest).eval()]


# What nn.Dropout does


@ability("`p = 0` changes nothing; outputs and gradients are finite at the largest p")
def takes_every_p(subject: Subject) -> None:
    x, layer = batch(), subject.layer(0.0)
    wanted = x
    if subject.linear:
        weight, bias = (dict(layer.named_parameters())[key] for key in linear_keys(subject))
        wanted = nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(layer(x), wanted)
    torch.testing.assert_close(layer.eval()(x), wanted)
    step(subject.layer(VARIANTS[subject.name].variant.highest_p))


@ability("an invalid p raises `ValueError` and leaves the layer as it was")
def refuses_an_invalid_p(subject: Subject) -> None:
    layer = subject.layer()
    for p in (-0.1, 1.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a drop probability lies in"):
            subject.layer(p)
        with pytest.raises(ValueError, match="a drop probability lies in"):
            subject.dropout(layer).p = p
    assert_same(step(layer), step(subject.layer()))


@ability("`torch.manual_seed` repeats the noise")
def repeats(subject: Subject) -> None:
    layer, x = subject.layer(), batch()
    first = seeded(lambda: layer(x))
    assert torch.equal(layer(x), first) == (subject.name in QUIET)
    assert torch.equal(seeded(lambda: layer(x)), first)


@ability("evaluation draws nothing, and no call changes its input")
def leaves_the_input_alone(subject: Subject) -> None:
    x = batch()
    for layer in modes(subject):
        before = torch.get_rng_state()
        first = layer(x)
        assert torch.equal(x, batch())
        if not layer.training:
            assert torch.equal(torch.get_rng_state(), before)
            assert torch.equal(layer(x), first)


@ability("`print` shows the p that was given")
def shows_p(subject: Subject) -> None:
    layer = subject.layer(0.3)
    assert re.search(r"p=0\.3\b(?!\d)", repr(layer))
    subject.dropout(layer).p = 0.1
    assert re.search(r"p=0\.1\b(?!\d)", repr(layer))
    assert float(subject.dropout(layer).p) == pytest.approx(0.1, abs=0.1)


# PyTorch's compilers


def compiled(subject: Subject, backend: str) -> None:
    torch._dynamo.reset()
    for layer in modes(subject):
        graph = torch.compile(layer, backend=backend, fullgraph=True)
        x, weights = batch().requires_grad_(), trained_by_gradient(layer)
        y = graph(x)
        torch.autograd.grad(y.sum(), [x, *weights], allow_unused=True)
        if not layer.training:
            torch.testing.assert_close(y, layer(x))
        elif subject.name not in QUIET:
            assert not torch.equal(graph(x), y)


@ability("`torch.compile(fullgraph=True)`, in training and in evaluation")
def compiles(subject: Subject) -> None:
    compiled(subject, "eager")


def exported(layer: nn.Module) -> nn.Module:
    # A dimension left to AUTO: any batch, if the program allows.
    shapes = ({0: torch.export.Dim("batch", min=2)},)
    return torch.export.export(layer, (batch(),), dynamic_shapes=shapes).module()


@ability("`torch.export` in evaluation, for a batch of any size")
def exports_in_evaluation(subject: Subject) -> None:
    layer = subject.layer().eval()
    program = exported(layer)
    for x in (batch(), batch(5, UNITS)):
        torch.testing.assert_close(program(x), layer(x))


@ability("`torch.export` in training, for a batch of any size")
def exports_in_training(subject: Subject) -> None:
    program = exported(subject.layer().train())
    x = batch(5, UNITS)
    assert program(x).shape == subject.layer().eval()(x).shape
    if subject.name not in QUIET:
        assert not torch.equal(program(x), program(x))


@ability("`torch.jit.trace` in evaluation")
def traces(subject: Subject) -> None:
    layer = subject.layer().eval()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        program = torch.jit.trace(layer, (batch(),))
    torch.testing.assert_close(program(batch(5, UNITS)), layer(batch(5, UNITS)))


# torch.func


@ability("`torch.func.vmap` with `randomness` `same` and `different`")
def maps(subject: Subject) -> None:
    xs = batch(8, UNITS).expand(5, -1, -1).clone()
    for layer in modes(subject) + modes(subject, mask="batch"):
        same = torch.func.vmap(layer, randomness="same")(xs)
        torch.testing.assert_close(same, same[:1].expand_as(same))
        different = torch.func.vmap(layer, randomness="different")(xs)
        if layer.training and subject.name not in QUIET:
            others = different[1:] if subject.name in FEW_MASKS else different[1:2]
            assert not torch.allclose(different[:1], others)
        else:
            torch.testing.assert_close(different, same)


@ability("`torch.func.functional_call` and `grad`")
def differentiates(subject: Subject) -> None:
    for layer in modes(subject):
        weights, x = dict(layer.named_parameters()), batch()

        def loss(weights: dict[str, Tensor], x: Tensor, layer: nn.Module = layer) -> Tensor:
            return called(layer, weights, x).square().sum()

        of_weights, of_x = torch.func.grad(loss, (0, 1))(weights, x)
        assert all(g.isfinite().all() for g in (*of_weights.values(), of_x))
        if not layer.training:
            x.requires_grad_()
            weights = {key: weight.requires_grad_() for key, weight in weights.items()}
            leaves = [x, *weights.values()]
            wanted = torch.autograd.grad(loss(weights, x), leaves, allow_unused=True)
            for ours, theirs in zip([of_x, *of_weights.values()], wanted, strict=True):
                torch.testing.assert_close(
                    ours, torch.zeros_like(ours) if theirs is None else theirs
                )


@ability("`torch.func.jvp` and forward-mode `torch.autograd`")
def pushes_forward(subject: Subject) -> None:
    x, v = batch(dtype=torch.float64), batch(8, UNITS, dtype=torch.float64).flip(0)
    for layer in (
        subject.layer(dtype=torch.float64).train(),
        subject.layer(dtype=torch.float64).eval(),
    ):

        def function(x: Tensor, layer: nn.Module = layer) -> Tensor:
            return seeded(lambda: layer(x))

        y, forward = torch.func.jvp(function, (x,), (v,))
        u = torch.ones_like(y)
        (backward,) = torch.func.vjp(function, x)[1](u)
        torch.testing.assert_close((forward * u).sum(), (backward * v).sum())
        with torch.autograd.forward_ad.dual_level():
            dual = function(torch.autograd.forward_ad.make_dual(x, v))
            tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
        assert tangent is not None
        assert tangent.isfinite().all()


@ability("gradients per example by `vmap(grad)`")
def differentiates_each_example(subject: Subject) -> None:
    for layer in modes(subject):
        weights, xs = dict(layer.named_parameters()), batch()

        def loss(weights: dict[str, Tensor], x: Tensor, layer: nn.Module = layer) -> Tensor:
            return called(layer, weights, x[None]).square().sum()

        each = torch.func.vmap(torch.func.grad(loss, (0, 1)), (None, 0), randomness="different")
        of_weights, of_x = each(weights, xs)
        assert of_x.shape == xs.shape
        assert all(g.isfinite().all() for g in (*of_weights.values(), of_x))
        if not layer.training:
            torch.testing.assert_close(of_x[3], torch.func.grad(loss, 1)(weights, xs[3]))


@ability("double backward (`gradcheck`, `gradgradcheck`)")
def differentiates_twice(subject: Subject) -> None:
    x = batch(3, UNITS, dtype=torch.float64).requires_grad_()
    for mask in ("element", "batch"):
        layer = subject.layer(dtype=torch.float64, mask=mask)
        names = [name for name, _ in layer.named_parameters()]

        def function(x: Tensor, *weights: Tensor, layer=layer, names=names) -> Tensor:
            given = dict(zip(names, weights, strict=True))
            return seeded(lambda: called(layer, given, x))

        given = (x, *(w.detach().clone().requires_grad_() for w in layer.parameters()))
        if VARIANTS[subject.name].variant.surrogate:  # a slope that is not that of its output
            total = function(*given).square().sum()
            once = torch.autograd.grad(total, given, create_graph=True, allow_unused=True)
            again = sum(g.square().sum() for g in once if g is not None)
            twice = torch.autograd.grad(again, given, allow_unused=True)
            assert all(g is None or g.isfinite().all() for g in twice)
            continue
        assert torch.autograd.gradcheck(function, given, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, given, fast_mode=True)


@ability("ensembles: `vmap` over stacked weights")
def maps_over_weights(subject: Subject) -> None:
    for training in (True, False):
        layers = [subject.layer().train(training) for _ in range(3)]
        stacked, _ = torch.func.stack_module_state(layers)
        if not stacked:
            return

        def one(weights: dict[str, Tensor], x: Tensor, layer: nn.Module = layers[0]) -> Tensor:
            return called(layer, weights, x)

        every = torch.func.vmap(one, (0, None), randomness="different")(stacked, batch())
        if not training:
            wanted = layers[0](batch())
            torch.testing.assert_close(every, wanted.expand_as(every))


# What comes before the first step


def first_calls(x: Tensor) -> dict[str, Callable[[nn.Module], object]]:
    def fake(layer: nn.Module) -> None:
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            layer(mode.from_tensor(x))

    def inference(layer: nn.Module) -> None:
        with torch.inference_mode():
            layer(x)

    def no_grad(layer: nn.Module) -> None:
        with torch.no_grad():
            layer(x)

    def autocast(layer: nn.Module) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            layer(x)

    return {
        "inference_mode": inference,
        "no_grad": no_grad,
        "autocast": autocast,
        "fake tensor": fake,
        "vmap": lambda layer: torch.func.vmap(layer, randomness="different")(x[None]),
        "grad": lambda layer: torch.func.grad(lambda x: layer(x).sum())(x),
        "jvp": lambda layer: torch.func.jvp(layer, (x,), (x,)),
    }


@ability(
    "training after a first call under `inference_mode`, `no_grad`, `autocast`, `vmap`, `grad`, "
    "`jvp`, or with a fake tensor"
)
def is_not_poisoned(subject: Subject) -> None:
    wanted = step(subject.layer())
    for training in (True, False):
        for name, call in first_calls(batch()).items():
            layer = subject.layer().train(training)
            try:
                call(layer)
                assert_same(step(layer), wanted)
            except Exception as error:
                raise AssertionError(f"after {name}: {error}") from error


@ability("a layer made under `inference_mode` or with fake tensors")
def is_made_anywhere(subject: Subject) -> None:
    with torch.inference_mode():
        layer = subject.layer()
        layer(batch())
    if not list(layer.parameters()):
        step(layer)
    with FakeTensorMode() as mode:
        layer = subject.layer()
        assert layer(mode.from_tensor(batch())).shape[0] == 8
        assert repr(P) in repr(layer) or subject.name == "none"


@ability('`device="meta"`, then `to_empty` and a `state_dict`')
def begins_on_meta(subject: Subject) -> None:
    with torch.device("meta"):
        layer = subject.layer()
        for training in (True, False):
            assert layer.train(training)(batch().to("meta")).is_meta
    assert all(weight.is_meta for weight in layer.parameters())
    real = subject.layer()
    layer.to_empty(device="cpu").load_state_dict(real.state_dict())
    assert_same(step(layer), step(real))


# Copies


@ability("`copy.deepcopy` and `pickle`, before and after a call")
def copies(subject: Subject) -> None:
    layer = subject.layer()
    for _ in range(2):
        wanted = step(layer)
        assert_same(step(copy.deepcopy(layer)), wanted)
        assert_same(step(pickle.loads(pickle.dumps(layer))), wanted)
    twin = copy.deepcopy(layer)
    subject.dropout(twin).p = 0.0
    assert_same(step(layer), wanted)


@ability("the `state_dict` of `nn.Dropout` or `nn.Linear` loads")
def takes_a_state(subject: Subject) -> None:
    theirs = nn.Linear(UNITS, OUTPUTS) if subject.linear else nn.Dropout()
    ours = linear_of(subject.layer())
    ours.load_state_dict(theirs.state_dict())
    if isinstance(theirs, nn.Linear):
        assert torch.equal(ours.weight, theirs.weight)
        assert torch.equal(ours.bias, theirs.bias)


@ability(
    "its `state_dict` loads into `nn.Dropout` or `nn.Linear`",
    missing_as_layer={name: "Unexpected key" for name in UNIT if name in LEARNED},
    missing_in_linear=dict.fromkeys(STATEFUL, "Unexpected key"),
)
def gives_a_state(subject: Subject) -> None:
    theirs = nn.Linear(UNITS, OUTPUTS) if subject.linear else nn.Dropout()
    theirs.load_state_dict(linear_of(subject.layer()).state_dict())


@ability("replicas, as `nn.DataParallel` makes them")
def replicates(subject: Subject) -> None:
    layer = subject.layer()

    def replica(module: nn.Module) -> nn.Module:
        made: nn.Module = module._replicate_for_data_parallel()
        for name, child in module._modules.items():
            made._modules[name] = None if child is None else replica(child)
            setattr(made, name, made._modules[name])
        for name, weight in module._parameters.items():
            if weight is None:
                made._parameters[name] = None
            else:
                setattr(made, name, weight.clone())
        return made

    x = batch()
    ours = seeded(lambda: replica(layer)(x))
    assert torch.equal(ours, seeded(lambda: layer(x)))
    weights = trained_by_gradient(layer)
    if weights and not (subject.name in BY_ARM and not subject.linear):
        gradients = torch.autograd.grad(ours.sum(), weights, allow_unused=True)
        assert any(g is not None for g in gradients)


@ability("`torch.utils.checkpoint`, both kinds: the same mask again")
def recomputes(subject: Subject) -> None:
    layer = subject.layer()

    def gradients(call: Callable[[Tensor], Tensor]) -> list[Tensor]:
        x = batch().requires_grad_()
        y = seeded(lambda: call(x))
        torch.rand(3)
        leaves = [x, *trained_by_gradient(layer)]
        for leaf in leaves:
            leaf.grad = None
        y.square().sum().backward()
        return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    wanted = gradients(layer)
    for reentrant in (True, False):
        assert_same(gradients(lambda x, r=reentrant: checkpoint(layer, x, use_reentrant=r)), wanted)


@ability("several threads at once")
def runs_in_threads(subject: Subject) -> None:
    layer, failed = subject.layer(), []

    def work() -> None:
        try:
            for rows in range(1, 9):
                x = batch(rows, UNITS).requires_grad_()
                layer(x).sum().backward(inputs=[x])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


# Inputs


@ability("`float16`, `bfloat16` and `float64`: the output has the input's dtype")
def keeps_the_dtype(subject: Subject) -> None:
    for dtype in (*HALVES, torch.float64):
        x = batch(dtype=dtype) * (torch.arange(8) > 0)[:, None]  # with an example of zeros
        layer = subject.layer(dtype=dtype)
        assert step(layer, x)[0].dtype == dtype
        assert layer.eval()(x).dtype == dtype


@ability("`torch.autocast`, forward and backward")
def runs_under_autocast(subject: Subject) -> None:
    layer = subject.layer()
    for x in (batch(), batch(dtype=torch.bfloat16)):
        x.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        assert y.isfinite().all()
        torch.autograd.grad(y.sum(), [x, *trained_by_gradient(layer)], allow_unused=True)


def of_shape(subject: Subject, *shape: int) -> None:
    x = batch(*shape) if shape else torch.tensor(0.5)
    for layer in modes(subject):
        x = x.clone().requires_grad_()
        y = layer(x)
        wanted = (*shape[:-1], OUTPUTS) if subject.linear else shape
        assert y.shape == wanted
        assert torch.autograd.grad(y.sum(), x)[0].shape == x.shape
    if subject.linear and x.numel():
        rows = layer(x.reshape(-1, UNITS))
        torch.testing.assert_close(y.reshape(-1, OUTPUTS), rows)


@ability(
    "an input without axes (0-d)",
    missing_as_layer=NEED_A_BATCH,
    missing_in_linear=dict.fromkeys(NAMES, "x has no axis"),
)
def takes_0d(subject: Subject) -> None:
    of_shape(subject)


@ability("one example (1-d)", missing_as_layer=NEED_A_BATCH)
def takes_1d(subject: Subject) -> None:
    of_shape(subject, UNITS)


@ability("`(batch, time, features)` and more axes")
def takes_3d(subject: Subject) -> None:
    of_shape(subject, 3, 2, UNITS)
    of_shape(subject, 2, 1, 3, UNITS)


@ability("an empty batch")
def takes_empty(subject: Subject) -> None:
    of_shape(subject, 0, UNITS)
    of_shape(subject, 3, 0, UNITS)
    if not subject.linear:
        of_shape(subject, 3, 0)


@ability("an input that is not contiguous")
def takes_any_stride(subject: Subject) -> None:
    x = batch(UNITS, 8).T
    layer = subject.layer()
    for given in (x, batch(1, UNITS).expand(8, -1), batch(16, 2 * UNITS)[::2, ::2]):
        for ours, theirs in zip(step(layer, given), step(layer, given.contiguous()), strict=True):
            torch.testing.assert_close(ours, theirs)
