"""Colour changes of crops that are tensors: their kind, their share, and that they are drawn from torch."""

import torch

from training.views.crop_colours import blur, jitter


def crops(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 12, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_four_of_five_crops_have_other_colours() -> None:
    torch.manual_seed(0)
    before = crops(200)
    after = jitter(before)
    assert (after.shape, after.dtype) == (before.shape, before.dtype)
    changed = (after != before).flatten(1).any(dim=1).float().mean()
    assert 0.7 < changed < 0.9


def test_jitter_keeps_every_pixel_in_its_place() -> None:
    torch.manual_seed(0)
    one = torch.zeros(50, 8, 8, 3, dtype=torch.uint8)
    one[:, 2, 3] = torch.tensor([200, 100, 50], dtype=torch.uint8)
    # Contrast and brightness move the background too, but all of it alike.
    after = jitter(one)
    background = after[:, 0, 0]
    is_other = (after != background[:, None, None]).any(dim=3)
    assert is_other[:, 2, 3].all()
    is_other[:, 2, 3] = False
    assert not is_other.any()


def test_every_other_crop_is_blurred_and_none_gets_brighter() -> None:
    torch.manual_seed(0)
    before = crops(200)
    after = blur(before)
    changed = (after != before).flatten(1).any(dim=1)
    assert 0.4 < changed.float().mean() < 0.6
    assert torch.allclose(after.float().mean(dim=(1, 2, 3)), before.float().mean(dim=(1, 2, 3)), atol=5)
    assert (after[changed].float().var(dim=(1, 2, 3)) <= before[changed].float().var(dim=(1, 2, 3))).all()


def test_changes_come_from_the_seed_of_torch() -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        found.append(blur(jitter(crops(8))))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], blur(jitter(crops(8))))
