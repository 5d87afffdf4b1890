"""Batches: each question gets its own answer, none waits for a batch to fill, errors reach all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.data.batching import MAX_TOGETHER, MAX_UNDER_WAY, Batcher


class Squares:
    """Answers when released; records the questions."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, questions: Sequence[int]) -> list[int]:
        self.asked.append(list(questions))
        await self.gate.wait()
        if 13 in questions:
            raise LookupError("unlucky")
        return [number * number for number in questions]


async def test_single_question_is_asked_at_once() -> None:
    squares = Squares()
    batcher = Batcher(squares)
    assert [await batcher.ask(3), await batcher.ask(4)] == [9, 16]
    assert squares.asked == [[3], [4]]


@given(
    st.lists(
        st.tuples(st.integers(20, 999), st.integers(0, 4)), min_size=1, max_size=3 * MAX_TOGETHER
    )
)
def test_each_gets_its_own_answer(questions: list[tuple[int, int]]) -> None:
    async def ask_all() -> None:
        squares = Squares()
        batcher = Batcher(squares)

        async def ask(number: int, turns: int) -> int:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await batcher.ask(number)

        answers = await asyncio.gather(*(ask(*question) for question in questions))
        assert answers == [number * number for number, _ in questions]
        assert sorted(chain.from_iterable(squares.asked)) == sorted(
            number for number, _ in questions
        )
        assert max(map(len, squares.asked)) <= MAX_TOGETHER

    asyncio.run(ask_all())


async def test_questions_during_a_batch_form_the_next_one() -> None:
    squares = Squares()
    batcher = Batcher(squares)
    squares.gate.clear()
    first = []
    for number in range(MAX_UNDER_WAY):
        first.append(asyncio.create_task(batcher.ask(number)))
        await asyncio.sleep(0.01)
    later = [asyncio.create_task(batcher.ask(number)) for number in range(20, 50)]
    await asyncio.sleep(0.01)
    assert squares.asked == [[number] for number in range(MAX_UNDER_WAY)]
    later[0].cancel()
    squares.gate.set()
    await asyncio.gather(*first, *later[1:])
    assert squares.asked[MAX_UNDER_WAY:] == [list(range(21, 50))], "who gave up is not asked for"


async def test_error_reaches_its_whole_batch_and_no_other() -> None:
    squares = Squares()
    batcher = Batcher(squares)
    answers = await asyncio.gather(batcher.ask(2), batcher.ask(13), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LookupError, LookupError]
    assert await batcher.ask(5) == 25


async def test_wrong_number_of_answers_is_an_error() -> None:
    async def forgetful(questions: Sequence[int]) -> list[int]:
        return list(questions)[1:]

    with pytest.raises(ValueError, match="zip"):
        await Batcher(forgetful).ask(1)
