"""Splits drawn class by class, each draw from its own stream, pixels measured on training alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dropout_lab.data import Examples, draw_stratified, split
from dropout_lab.rng import Purpose, stream


def made(examples: int = 300, seed: int = 1) -> Examples:
    """Images whose first pixels spell their number, so that each can be told from all others."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (examples, 784), generator=generator, dtype=torch.uint8)
    numbers = torch.arange(examples)
    images[:, 0], images[:, 1] = (numbers % 256).byte(), (numbers // 256).byte()
    return Examples(images, numbers % 10)


def numbers(part: Examples) -> set[int]:
    return set((part.images[:, 0].int() + 256 * part.images[:, 1].int()).tolist())


DEFAULTS = {
    "shape": (28, 28), "classes": 10, "train_size": None, "validation_size": 50,
    "label_noise": 0.0, "normalize": "unit",
}  # fmt: skip


def splits(split_seed: int = 0, **changes: object):
    arguments = {**DEFAULTS, **changes}
    return split(made(), made(100, seed=2), split_seed=split_seed, **arguments)


def test_a_batch_for_each_run_is_what_indexing_gives() -> None:
    part = made()
    indices = torch.tensor([[3, 3, 0], [299, 17, 256]])
    batch = part[indices]
    assert torch.equal(batch.images, part.images[indices])
    assert torch.equal(batch.labels, part.labels[indices])


def test_parts_are_disjoint_whole_and_stratified() -> None:
    parts = splits()
    train, validation = numbers(parts.train), numbers(parts.validation)
    assert not train & validation
    assert train | validation == set(range(300))
    assert parts.validation.labels.bincount().tolist() == [5] * 10


def test_the_split_follows_its_seed() -> None:
    assert numbers(splits(0).validation) == numbers(splits(0).validation)
    assert numbers(splits(0).validation) != numbers(splits(1).validation)


def test_a_larger_training_subset_holds_the_smaller() -> None:
    small, large = splits(train_size=50), splits(train_size=120)
    assert len(small.train) == 50
    assert numbers(small.train) < numbers(large.train)
    assert small.train.labels.bincount().tolist() == [5] * 10
    assert numbers(small.validation) == numbers(large.validation)


def test_label_noise_moves_exactly_its_share_to_another_class() -> None:
    clean, noisy = splits(), splits(label_noise=0.2)
    assert torch.equal(clean.train.images, noisy.train.images)
    assert int((clean.train.labels != noisy.train.labels).sum()) == 50  # of 250
    assert torch.equal(clean.test.labels, noisy.test.labels)
    assert torch.equal(clean.validation.labels, noisy.validation.labels)
    assert int(noisy.train.labels.max()) <= 9


def test_more_label_noise_leaves_the_moved_labels_moved() -> None:
    clean, little, much = (splits(label_noise=f).train.labels for f in (0.0, 0.1, 0.5))
    moved = clean != little
    assert torch.equal(little[moved], much[moved])


def test_all_labels_can_be_moved() -> None:
    assert (splits().train.labels != splits(label_noise=1.0).train.labels).all()


def test_the_first_examples_are_the_first_of_the_file() -> None:
    parts = splits(train_size=40, validation_size=0, subset="first")
    assert numbers(parts.train) == set(range(40))
    held_out = numbers(splits().validation)
    left = [number for number in range(300) if number not in held_out]
    parts = splits(train_size=40, subset="first")
    assert numbers(parts.train) == set(left[:40])
    assert numbers(parts.validation) == held_out


def test_a_stratified_subset_is_the_default() -> None:
    given, default = splits(train_size=40, subset="stratified"), splits(train_size=40)
    assert given.digest == default.digest
    assert numbers(given.train) == numbers(default.train)


def test_standard_normalization_is_that_of_the_training_part_alone() -> None:
    parts = splits(normalize="standard", train_size=100)
    pixels = parts.pixels(parts.train.images).double()
    assert abs(float(pixels.mean())) < 1e-5
    assert abs(float(pixels.std(correction=0)) - 1) < 1e-5
    other = split(
        made(),
        made(100, seed=9),
        split_seed=0,
        **{**DEFAULTS, "normalize": "standard", "train_size": 100},
    )
    assert (other.shift, other.scale) == (parts.shift, parts.scale)


def test_unit_normalization_maps_0_to_0_and_255_to_1() -> None:
    pixels = splits().pixels(torch.tensor([[0, 255]], dtype=torch.uint8))
    torch.testing.assert_close(pixels, torch.tensor([[0.0, 1.0]]))


def test_images_of_one_grey_have_a_finite_normalization() -> None:
    flat = Examples(torch.full((100, 784), 7, dtype=torch.uint8), torch.arange(100) % 10)
    parts = split(flat, flat, split_seed=0, **{**DEFAULTS, "normalize": "standard"})
    assert np.isfinite([parts.shift, parts.scale]).all()


def test_the_digest_changes_with_a_pixel_and_with_a_label() -> None:
    training, test = made(), made(100, seed=2)
    digests = {split(training, test, split_seed=0, **DEFAULTS).digest}
    training.images[5, 700] ^= 1
    digests.add(split(training, test, split_seed=0, **DEFAULTS).digest)
    test.labels[0] = 9
    digests.add(split(training, test, split_seed=0, **DEFAULTS).digest)
    assert len(digests) == 3


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60).flatmap(
        lambda labels: st.tuples(st.just(labels), st.integers(0, len(labels)))
    )
)
def test_stratified_shares_differ_from_exact_by_less_than_one(case: tuple[list[int], int]) -> None:
    labels, size = np.array(case[0]), case[1]
    chosen = draw_stratified(labels, size, stream(Purpose.SPLIT, 0))
    assert len(set(chosen.tolist())) == size
    assert (np.diff(chosen) > 0).all()
    counts, shares = np.bincount(labels, minlength=10), np.bincount(labels[chosen], minlength=10)
    assert (np.abs(shares - counts * size / len(labels)) < 1).all()


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="11 examples were asked for and there are 10"):
        draw_stratified(np.arange(10), 11, stream(Purpose.SPLIT, 0))
