"""Every ability with every variant, and the table of how-to/layers.md; exceptions give a reason."""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor

from dropout_lab.layers import (
    BatchwiseDropout,
    DropConnect,
    DropoutLinear,
    EvolutionalDropout,
    InvertedDropout,
    ShakeoutDropout,
    SparseVariationalDropout,
    StandardDropout,
    TargetedUnitDropout,
    UnitInputs,
    affine,
)
from dropout_lab.layers.coins import uniform_draws
from dropout_lab.rng import NumpyNoise, PhiloxNoise, TorchNoise
from tests.layers.abilities import ABILITIES, MISSING, SUBJECTS, Subject, compiled, shown
from tests.layers.cases import CPU, FEW_MASKS, KINDS, UNIT, make

SLOW = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "pages" / "how-to" / "layers.md"
# Of PyTorch: jvp and trace load a deprecated compiler; vmap copies what searchsorted is given.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    pytest.mark.filterwarnings("ignore:.*searchsorted"),
]


# What these find is of PyTorch's compilers more than of a variant.
BY_COMPILERS = ("compiles", "exports_in_evaluation", "exports_in_training")


def case(words: str, subject: Subject) -> ParameterSet:
    name = ABILITIES[words].__name__
    missing = subject.name in MISSING[words][subject.linear]
    quick = missing or name not in BY_COMPILERS or subject.name in KINDS
    return pytest.param(words, subject, marks=[] if quick else [SLOW], id=f"{name}-{subject}")


@pytest.mark.parametrize(
    ("words", "subject"), [case(words, subject) for words in ABILITIES for subject in SUBJECTS]
)
def test_an_ability(words: str, subject: Subject) -> None:
    """The quick part compiles and exports one variant of each kind, and tries all else."""
    message = MISSING[words][subject.linear].get(subject.name)
    if message is None:
        ABILITIES[words](subject)
    else:
        with pytest.raises((ValueError, RuntimeError), match=message):
            ABILITIES[words](subject)


def test_the_table_says_what_the_tests_know() -> None:
    table = PAGE.read_text().partition("## What each variant supports")[2].partition("\n## ")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| ")]
    assert rows[1:] == [[words, shown(words, False), shown(words, True)] for words in ABILITIES]


def test_the_examples_of_the_page_run() -> None:
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), {})


@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="no C++ compiler")
@pytest.mark.parametrize(
    "subject",
    [
        # One of them crashed in inductor, so it is always tried.
        pytest.param(each, marks=[] if str(each) == "DropoutLinear(dropconnect)" else SLOW)
        for each in SUBJECTS
    ],
    ids=str,
)
def test_inductor_compiles_it(subject: Subject) -> None:
    compiled(subject, "inductor")


# What cannot hold

X = torch.ones(3, 4)
WHOLE = torch.ones(3, 4, dtype=torch.int64)
REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "units alone under a variant of weights": (
        lambda: DropConnect(0.5)(X),
        "DropoutLinear(in, out",
    ),
    "one example, one mask for a batch": (
        lambda: InvertedDropout(0.5, mask="batch")(X[0]),
        "Pass x of shape (batch, features)",
    ),
    "one example, batchwise": (lambda: BatchwiseDropout(0.5)(X[0]), "Pass x of shape (batch, f"),
    "one example, evolutional": (
        lambda: EvolutionalDropout(0.5)(X[0]),
        "Pass x of shape (batch, f",
    ),
    "a learned variant before setup": (
        lambda: SparseVariationalDropout(0.5).connect(X, torch.ones(4, 2), None),
        "put it into DropoutLinear(in, out, layer)",
    ),
    "targeted units, nothing before": (
        lambda: DropoutLinear(4, 2, TargetedUnitDropout(0.5, share=0.5))(X),
        "pass entering=UnitInputs(weight, preactivation)",
    ),
    "whole numbers in training": (lambda: InvertedDropout(0.5)(WHOLE), "Pass x.float()"),
    "whole numbers, batchwise": (lambda: BatchwiseDropout(0.5)(WHOLE), "Pass x.float()"),
    "whole numbers in evaluation": (lambda: StandardDropout(0.5).eval()(WHOLE), "Pass x.float()"),
    "whole numbers, batchwise, before weights": (
        lambda: DropoutLinear(4, 2, BatchwiseDropout(0.5))(WHOLE),
        "Pass x.float()",
    ),
    "no axis": (
        lambda: DropoutLinear(4, 2, InvertedDropout(0.5))(torch.tensor(1.0)),
        "pass x of shape (features,)",
    ),
    "a p with axes that x lacks": (
        lambda: InvertedDropout(torch.tensor([0.1, 0.2]))(X),
        "Pass one number for p",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_hold_says_what_to_do_instead(case: str) -> None:
    call, advice = REFUSALS[case]
    with pytest.raises((ValueError, TypeError), match=re.escape(advice)) as refusal:
        call()
    assert "\n" not in str(refusal.value)


def test_weights_without_values_set_up_nothing() -> None:
    layer = SparseVariationalDropout(0.5)
    linear = DropoutLinear(4, 2, layer, device="meta", dtype=torch.float64)
    assert {(w.device.type, w.dtype) for w in (linear.weight, linear.bias)} == {
        ("meta", torch.float64)
    }
    assert layer.log_variance.is_meta
    linear.to_empty(device="cpu")
    with pytest.raises(ValueError, match="put it into DropoutLinear"):
        layer.p = 0.2
    layer.setup(torch.ones(4, 2), "relu")
    layer.p = 0.2
    assert layer.log_variance.isfinite().all()


def numpy_noise() -> NumpyNoise:
    return NumpyNoise(np.random.Generator(np.random.SFC64(0)))


@pytest.mark.parametrize("noise", [numpy_noise(), PhiloxNoise(torch.tensor([1]))])
@pytest.mark.parametrize("draw", ["lanes", "normal"])
def test_draws_outside_pytorch_are_refused_where_they_would_be_constants(noise, draw) -> None:
    def drawn(x: Tensor) -> Tensor:
        draws: Tensor = getattr(noise, draw)((1, 4), CPU)
        return x * draws

    assert drawn(X[:1]).shape == (1, 4)
    assert torch.func.grad(lambda x: drawn(x).sum())(X[:1]).shape == (1, 4)
    each = torch.func.vmap(torch.func.grad(lambda x: drawn(x).sum()), randomness="different")
    for call in (lambda: each(X[:, None]), lambda: torch.func.vmap(drawn)(X[:, None])):
        with pytest.raises(RuntimeError, match=r"give the layer noise=TorchNoise\(\) there"):
            call()


def test_compiled_code_leaves_the_graph_for_draws_of_numpy() -> None:
    layer = torch.compile(InvertedDropout(0.5, noise=numpy_noise()), backend="eager")
    x = torch.ones(50)
    assert not torch.equal(layer(x), layer(x))


def test_a_generator_of_its_own_serves_under_vmap() -> None:
    layer = InvertedDropout(0.5, noise=TorchNoise(torch.Generator().manual_seed(1)))
    y = torch.func.vmap(layer, randomness="different")(torch.ones(2, 50))
    assert not torch.equal(y[0], y[1])


def test_a_compiled_layer_follows_p_without_being_compiled_for_each() -> None:
    torch._dynamo.reset()
    compilations = []

    def backend(graph, inputs):
        compilations.append(graph)
        return graph

    layer = InvertedDropout(0.5)
    graph = torch.compile(layer, backend=backend, fullgraph=True)
    for p in torch.arange(1, 20) / 20:
        layer.p = p
        dropped = float((graph(torch.ones(10_000)) == 0).float().mean())
        assert dropped == pytest.approx(float(p), abs=0.03)
    assert len(compilations) <= 3


def test_one_compiled_program_serves_every_shape() -> None:
    """Also of a layer whose constants are powers of numbers, and of one that counts units."""
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    layers = torch.nn.Sequential(*(make(name, 0.4) for name in ("alpha", "multinomial")))
    program = torch.compile(layers, backend=backend, fullgraph=True, dynamic=True)
    for shape in ((8, 6), (5, 6), (3, 11)):
        assert program(torch.rand(shape)).shape == shape
    assert len(graphs) == 1


# The plain operations that serve the compilers and transforms, beside the fast ones


class Tape:
    """Draws that were made before, as one tensor or as one for each example."""

    def __init__(self, lanes: Tensor) -> None:
        self.lanes_of_all, self.taken = lanes, 0

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        if tuple(shape) == tuple(self.lanes_of_all.shape):
            return self.lanes_of_all
        self.taken += 1
        return self.lanes_of_all[self.taken - 1]


def under_grad(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Call in a transform that changes no number."""

    def summed(x: Tensor) -> tuple[Tensor, Tensor]:
        y = function(x)
        return y.sum(), y

    y: Tensor = torch.func.grad_and_value(summed, has_aux=True)(x)[1][1]
    return y


def drawn_lanes(*shape: int) -> Tensor:
    return TorchNoise(torch.Generator().manual_seed(2)).lanes(shape, CPU)


def test_uniform_draws_are_the_same_numbers() -> None:
    tape = Tape(drawn_lanes(500, 2))
    fast = uniform_draws(tape, (500,), CPU)
    plain = under_grad(lambda x: x * uniform_draws(tape, (500,), CPU), torch.ones(500).double())
    assert torch.equal(plain, fast)


def test_products_with_a_mask_for_each_example_are_the_same() -> None:
    x, weight = torch.randn(3, 4), torch.randn(4, 2)
    lanes = drawn_lanes(3, 4, 2)

    def product(x: Tensor) -> Tensor:
        return DropConnect(0.5, noise=Tape(lanes)).connect(x, weight, None)

    torch.testing.assert_close(under_grad(product, x), product(x))


def test_submatrices_are_the_same() -> None:
    x, bias = torch.randn(2, 3, 6), torch.zeros(2, 1, 6)
    entering, leaving = torch.randn(2, 5, 6), torch.randn(2, 6, 4)
    layer = BatchwiseDropout(torch.tensor([0.5, 0.5]), noise=Tape(drawn_lanes(2, 6, 2)))

    def through(x: Tensor) -> Tensor:
        w, b = layer.select_incoming(entering, bias)
        return layer.connect(affine(x[..., :5], w, b), layer.select_outgoing(leaving), None)

    torch.testing.assert_close(under_grad(through, x), through(x))
    assert through(x).std() > 0


def test_the_slope_of_sign_is_that_of_tanh_in_both() -> None:
    x = torch.randn(3, 4)
    layer = ShakeoutDropout(0.5, strength=0.7, noise=Tape(drawn_lanes(3, 4)))

    def loss(weight: Tensor) -> Tensor:
        return layer.connect(x, weight, None).square().sum()

    weight = torch.randn(4, 2, requires_grad=True)
    (wanted,) = torch.autograd.grad(loss(weight), weight)
    torch.testing.assert_close(torch.func.grad(loss)(weight.detach()), wanted)


@pytest.mark.parametrize("name", [name for name in UNIT if name != "alpha"])
@pytest.mark.parametrize("mask", ["element", "batch"])
def test_the_gradient_is_multiplied_by_the_same_noise(name: str, mask: str) -> None:
    """The gradient of ``sum(x r)`` is r, which is ``y / x``."""
    x = (0.5 + torch.rand(6, 20)).requires_grad_()
    y = make(name, 0.4, mask=mask)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, (y / x).detach())
    if mask == "element" or name not in FEW_MASKS:
        assert (gradient != 1).any() == (name != "none")


# Shapes


def test_leading_axes_of_a_linear_layer_are_one_batch() -> None:
    """One weight mask for all rows with mask batch; what enters keeps step with x."""
    linear = DropoutLinear(4, 2, DropConnect(0.5, mask="batch"))
    same = torch.ones(3, 2, 4)
    y = linear(same)
    assert torch.equal(y, y[:1, :1].expand_as(y))
    targeted = DropoutLinear(4, 2, TargetedUnitDropout(0.5, share=0.5, mask="batch"))
    before = UnitInputs(torch.randn(5, 4), same)
    assert targeted(same, before).shape == (3, 2, 2)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_a_fleets_map_is_differentiated_twice(*, autocast: bool, shared: bool) -> None:
    """The gradient of ``sum (x w)^2`` is ``2 x w w^T``; the gradient of its sum, ``2 w w^T 1``."""
    given = torch.randn(1 if shared else 2, 3, 4, requires_grad=True)
    weight = torch.randn(2, 4, 5)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        z = affine(given.expand(2, -1, -1), weight, None)
    (once,) = torch.autograd.grad(z.square().sum(), given, create_graph=True)
    (twice,) = torch.autograd.grad(once.sum(), given)
    wanted = (2 * weight @ weight.mT).sum(dim=-1).unsqueeze(1).expand(2, 3, 4)
    wanted = wanted.sum(dim=0, keepdim=True) if shared else wanted
    rounding = {"rtol": 0.05, "atol": 0.2} if autocast else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(twice, wanted, **rounding)
