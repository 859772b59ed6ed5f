import torch

from training.views.mixing import class_mix, mask_blocks


def test_half_of_the_classes_of_each_crop_are_pasted_whole() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([[[0, 1, 2, 3], [3, 2, 1, 0]], [[5, 5, 5, 5], [5, 5, 5, 5]]])
    pasted = class_mix(labels)
    assert len(set(labels[0][pasted[0]].tolist())) == 2
    for train_id in range(4):
        assert len(set(pasted[0][labels[0] == train_id].tolist())) == 1
    assert pasted[1].all()


def test_pixels_without_a_label_are_never_pasted() -> None:
    labels = torch.tensor([[[255, 1], [255, 255]], [[255, 255], [255, 255]]])
    assert torch.equal(class_mix(labels), labels == 1)


def test_every_class_is_pasted_at_times() -> None:
    torch.manual_seed(0)
    labels = torch.arange(4).view(1, 2, 2)
    total = sum(class_mix(labels).int() for _ in range(200))
    assert isinstance(total, torch.Tensor)
    assert (total > 60).all()
    assert (total < 140).all()


def test_blocks_are_taken_whole_and_the_rest_is_unchanged() -> None:
    torch.manual_seed(0)
    images = torch.randint(1, 256, (2, 10, 13, 3), dtype=torch.uint8)
    masked = mask_blocks(images, share=0.5, block=4)
    assert masked.dtype == torch.uint8
    for image, before in zip(masked, images, strict=True):
        for top in range(0, 10, 4):
            for left in range(0, 13, 4):
                block = image[top : top + 4, left : left + 4]
                assert torch.equal(block, before[top : top + 4, left : left + 4]) or not block.any()
    assert 0 < (masked == 0).float().mean() < 1


def test_share_of_blocks_that_are_taken() -> None:
    images = torch.ones(1, 64, 64, 3, dtype=torch.uint8)
    assert torch.equal(mask_blocks(images, share=0.0, block=8), images)
    assert not mask_blocks(images, share=1.0, block=8).any()
