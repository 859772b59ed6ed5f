"""What is remembered of earlier steps: queues and prototypes of classes."""

import pytest
import torch

from training.methods.parts.memory_bank import ClassQueues, RunningPrototypes

CPU = torch.device("cpu")


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None].expand(-1, 2)


def test_oldest_embeddings_leave_first() -> None:
    queues = ClassQueues(3, 4, 2, CPU)
    queues.push(1, rows(1, 2, 3))
    assert sorted(queues.of(1)[:, 0].tolist()) == [1, 2, 3]
    queues.push(1, rows(4, 5))
    assert sorted(queues.of(1)[:, 0].tolist()) == [2, 3, 4, 5]
    queues.push(1, rows(6, 7, 8))
    assert sorted(queues.of(1)[:, 0].tolist()) == [5, 6, 7, 8]
    assert len(queues.of(0)) == 0


def test_queues_go_on_where_their_state_left() -> None:
    queues, other = ClassQueues(3, 4, 2, CPU), ClassQueues(3, 4, 2, CPU)
    queues.push(2, rows(1, 2, 3))
    other.load_state({name: tensor.clone() for name, tensor in queues.state().items()})
    for one in (queues, other):
        one.push(2, rows(4, 5))
    assert torch.equal(queues.of(2), other.of(2))


def test_first_mean_of_a_class_is_taken_as_it_is_and_then_moves_by_a_ramp() -> None:
    prototypes = RunningPrototypes(3, 2, 0.6, CPU)
    assert prototypes.of(0) is None
    prototypes.move(torch.tensor([[1.0, 0.0], [3.0, 0.0], [9.0, 9.0]]), torch.tensor([0, 0, 255]))
    assert prototypes.means[0].tolist() == [2.0, 0.0]
    # Half of the way, 1 - 1/2, then 0.4 of it, as 1 - 1/3 is above the momentum.
    prototypes.move(torch.tensor([[0.0, 4.0]]), torch.tensor([0]))
    assert prototypes.means[0].tolist() == [1.0, 2.0]
    prototypes.move(torch.tensor([[1.0, 7.0]]), torch.tensor([0]))
    assert prototypes.means[0].tolist() == pytest.approx([1.0, 4.0])
    assert prototypes.of(1) is None


def test_class_that_is_not_shown_keeps_its_prototype_which_has_length_one() -> None:
    prototypes = RunningPrototypes(3, 2, 0.9, CPU)
    prototypes.move(torch.tensor([[3.0, 4.0]]), torch.tensor([2]))
    prototypes.move(torch.tensor([[7.0, 7.0]]), torch.tensor([1]))
    found = prototypes.of(2)
    assert found is not None
    assert found.tolist() == pytest.approx([0.6, 0.8])


def test_prototypes_go_on_where_their_state_left() -> None:
    prototypes, other = RunningPrototypes(2, 2, 0.9, CPU), RunningPrototypes(2, 2, 0.9, CPU)
    prototypes.move(torch.tensor([[3.0, 4.0]]), torch.tensor([1]))
    other.load_state(prototypes.state())
    for one in (prototypes, other):
        one.move(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert torch.equal(prototypes.means, other.means)
    assert prototypes.means[1].tolist() == [2.0, 2.0]
