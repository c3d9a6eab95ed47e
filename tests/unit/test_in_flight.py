"""Work that gives way to requests: it waits while there are any, but not for ever."""

from __future__ import annotations

import asyncio

from recallr_litellm.tasks import QUIET_SECONDS, InFlight, give_way

FOR_EVER = 3600.0


async def test_what_can_wait_does_so_until_the_last_request_has_ended() -> None:
    in_flight = InFlight()
    with in_flight.one_more():
        with in_flight.one_more():
            waiting = asyncio.create_task(in_flight.quiet(within=FOR_EVER))
            await asyncio.sleep(2 * QUIET_SECONDS)
            assert not waiting.done(), "it has not waited for two requests"
        await asyncio.sleep(2 * QUIET_SECONDS)
        assert not waiting.done(), "it has not waited for the second request"
    await asyncio.wait_for(waiting, timeout=20)


async def test_a_request_that_follows_at_once_is_waited_for_too() -> None:
    in_flight = InFlight()
    with in_flight.one_more():
        waiting = asyncio.create_task(in_flight.quiet(within=FOR_EVER))
        await asyncio.sleep(0)
    with in_flight.one_more():
        await asyncio.sleep(2 * QUIET_SECONDS)
        assert not waiting.done(), "it has begun between two requests of one client"
    await asyncio.wait_for(waiting, timeout=20)


async def test_between_its_pieces_work_lets_requests_go_first_for_a_time() -> None:
    in_flight = InFlight()
    await give_way()  # nobody is said to go first
    with in_flight.one_more():
        with in_flight.first(within=FOR_EVER):
            waiting = asyncio.create_task(give_way())
        await asyncio.sleep(0.05)
        assert not waiting.done(), "it has not waited for the request"
        with in_flight.first(within=FOR_EVER, in_all=0.01):
            await give_way()
            await give_way()
        await give_way()
    await asyncio.wait_for(waiting, timeout=20)
