"""Neighbours: everybody in a small room, few and well mixed in a large one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.p2p.proto.graph import FULL, PARTED_MAX, Graph
from transports.p2p.proto.limits import BRIDGES, DEGREE, MAX_NEIGHBOURS


def _grown(members: int, seed: int = 1) -> Graph:
    graph = Graph(random.Random(seed))
    for member in range(members):
        graph.add(member)
    return graph


def _reached(graph: Graph, members: set[int]) -> set[int]:
    start = min(members)
    found, todo = {start}, [start]
    while todo:
        new = graph.neighbours(todo.pop()) - found
        found |= new
        todo += new
    return found


@pytest.mark.parametrize("members", [1, 2, 8, DEGREE + 1])
def test_in_a_small_room_everybody_knows_everybody(members: int) -> None:
    graph = _grown(members)
    assert all(len(graph.neighbours(member)) == members - 1 for member in range(members))


@pytest.mark.parametrize("members", [30, 300])
def test_a_large_swarm_hangs_together_with_an_even_degree(members: int) -> None:
    graph = _grown(members)
    degrees = [len(graph.neighbours(member)) for member in range(members)]
    assert min(degrees) >= DEGREE // 2
    assert max(degrees) <= FULL
    assert DEGREE - 1 <= sum(degrees) / members <= DEGREE + 3
    assert _reached(graph, set(range(members))) == set(range(members))


def test_who_comes_late_to_a_crowd_meets_those_who_came_first_as_well() -> None:
    graph, made = _grown(2 * DEGREE), []
    for member in range(2 * DEGREE, 4 * DEGREE):
        made += graph.add(member)
    assert sum(other <= DEGREE for other in made) > len(made) / 5


def test_who_lost_its_neighbours_is_given_others() -> None:
    graph = _grown(40)
    lonely = min(range(40), key=lambda member: len(graph.neighbours(member)))
    for other in sorted(graph.neighbours(lonely)):
        assert lonely in graph.remove(other)
        graph.fill(lonely)
    assert len(graph.neighbours(lonely)) >= DEGREE // 2


def test_two_who_were_parted_stay_parted() -> None:
    graph = _grown(5)
    assert graph.part(1, 2)
    assert not graph.part(1, 2)
    assert not graph.connect(2, 1)
    assert graph.fill(1) == graph.fill(2) == []
    graph.remove(2)
    graph.add(2)
    assert 1 in graph.neighbours(2)


def test_one_member_cannot_part_with_everybody() -> None:
    graph = _grown(200)
    parted = 0
    for _ in range(200):
        other = next(iter(graph.neighbours(0)), None)
        if other is None or not graph.part(0, other):
            break
        parted += 1
        graph.fill(0)
    assert parted == PARTED_MAX


def test_an_edge_needs_two_members_with_room() -> None:
    graph = _grown(MAX_NEIGHBOURS + 20)
    assert not graph.connect(1, 1)
    assert not graph.connect(1, 999)
    for other in range(1, MAX_NEIGHBOURS + 20):
        graph.connect(0, other)
    assert len(graph.neighbours(0)) == MAX_NEIGHBOURS - BRIDGES


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("+-/f"), st.integers(0, 15), st.integers(0, 15)), max_size=60), st.integers())
def test_edges_have_two_ends_whatever_happens(steps: list[tuple[str, int, int]], seed: int) -> None:
    graph, here = Graph(random.Random(seed)), set()
    for kind, first, second in steps:
        if kind == "+" and first not in here:
            graph.add(first)
            here.add(first)
        elif kind == "-":
            graph.remove(first)
            here.discard(first)
        elif kind == "/":
            graph.part(first, second)
        elif kind == "f" and first in here:
            graph.fill(first)
        assert len(graph) == len(here)
        for member in here:
            assert member not in graph.neighbours(member)
            for other in graph.neighbours(member):
                assert member in graph.neighbours(other)
