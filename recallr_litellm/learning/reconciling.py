"""Reconciling extracted facts with what is known, and writing what comes of it.

Each decision is kept before it is carried out, and carrying one out twice writes nothing new: a kill anywhere, and
the same memory comes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from zoneinfo import ZoneInfo

from recallr_litellm.core.facts import Decision, Extraction, Fact, Outcome
from recallr_litellm.core.knowledge import Conflict
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.errors import ModelRefused
from recallr_litellm.learning.decisions import BATCH, SCHEMA, decided
from recallr_litellm.learning.duplicates import candidates, same_as
from recallr_litellm.learning.extracting import Rules, count_facts
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.learning.model import WriteJson
from recallr_litellm.learning.prompts import reconcile, repair
from recallr_litellm.learning.versions import Changes, changes, conflict_id

_ANSWER_TOKENS = 3_000
_ROUNDS = 30
"""How often facts of an extraction are decided; what is left then is new. Several facts of one call may concern one
memory, of which one a call changes it."""
_SHAPE = '{"decisions": […]}'

OnConflict = Callable[[Owner, Conflict], Awaitable[None]]


class Reconciliation:
    """The facts of one extraction on their way into memory.

    Args:
        write: asks the model.
        timezone: that of the user.
        on_conflict: told of each conflict that is raised, perhaps twice.
    """

    def __init__(
        self,
        owner: Owner,
        extraction: Extraction,
        knowing: Knowing,
        write: WriteJson,
        *,
        timezone: ZoneInfo,
        rules: Rules,
        on_conflict: OnConflict | None = None,
    ) -> None:
        self._on_conflict = on_conflict
        self._owner = owner
        self._extraction = extraction
        self._knowing = knowing
        self._write = write
        self._timezone = timezone
        self._rules = rules
        self._facts = {fact.id: fact for fact in extraction.facts}
        self._batch = BATCH
        """Facts of one call: fewer after an answer that was cut off; 0 once one for a single fact was."""
        self.outcomes: Counter[str] = Counter()
        """Outcomes of the facts that were decided."""

    async def run(self) -> None:
        """Carry out what is decided, decide what is not.

        Raises:
            Unavailable: the model or a store does not answer. Run again, it goes on.
        """
        before = [decision for decision in self._extraction.decisions if decision.fact in self._facts]
        left = await self._carried_out(before)
        done = {decision.fact for decision in before}
        left += [fact for fact in self._extraction.facts if fact.id not in done]
        await self._knowing.sentences.vectors(self._owner, [fact.text for fact in left])  # at once, for what follows
        for _ in range(_ROUNDS):
            if left:
                left = await self._round(left)
        for fact in left:
            await self._settle([Decision(fact=fact.id)])
        await self._keep([], reconciled=True)

    async def _round(self, left: Sequence[Fact]) -> list[Fact]:
        """Decide and carry out, with one call of the model at most. Returns the facts that are still to be decided."""
        asked: list[tuple[Fact, list[Memory]]] = []
        for number, fact in enumerate(left):
            if asked and len(asked) == self._batch:
                return await self._ask(asked, [*left[number:]])
            known = await self._knowing.near(self._owner, fact)
            same = same_as(fact, known) or same_as(fact, await self._knowing.ended(self._owner, fact))
            if same is not None:
                await self._settle([Decision(fact=fact.id, outcome=Outcome.SAME, memory=same.id)])
            elif self._batch and (compared := candidates(fact, known)):
                asked.append((fact, compared))
            else:
                await self._settle([Decision(fact=fact.id)])
        return await self._ask(asked, []) if asked else []

    async def _ask(self, asked: Sequence[tuple[Fact, list[Memory]]], later: list[Fact]) -> list[Fact]:
        """The model's decisions. Without any that can be read each fact is new: what is known stays as it is."""
        facts, compared = [fact for fact, _ in asked], [memories for _, memories in asked]
        chat = reconcile.messages(facts, compared, self._timezone)
        try:
            written = await self._write(chat, SCHEMA, name="decisions", max_tokens=_ANSWER_TOKENS)
            found = decided(written.text, facts, compared, cut_off=written.cut_off)
            if found is None and not written.cut_off:
                again = repair.messages(chat, written.text, _SHAPE)
                written = await self._write(again, SCHEMA, name="decisions", max_tokens=_ANSWER_TOKENS)
                found = decided(written.text, facts, compared, cut_off=written.cut_off)
            if written.cut_off:
                self._batch = len(facts) // 2 or int(bool(found and found[0]))
                found = found or ([], facts)
        except ModelRefused:
            found = None
        decisions, waiting = found or ([Decision(fact=fact.id) for fact in facts], [])
        return [*await self._settle(decisions), *waiting, *later]

    async def _settle(self, decisions: Sequence[Decision]) -> list[Fact]:
        """Keep decisions, then carry them out; without those for facts whose memory was deleted meanwhile."""
        decisions = await self._keep(decisions)
        outcomes = Counter(decision.outcome.value for decision in decisions)
        count_facts(outcomes)
        self.outcomes += outcomes
        return await self._carried_out(decisions)

    async def _keep(self, decisions: Sequence[Decision], *, reconciled: bool = False) -> list[Decision]:
        """Keep decisions. Returns those for facts that are still there."""
        async with self._knowing.alone(self._owner):
            stored = await self._stored()
            there = {fact.id for fact in stored.facts} if stored is not None else set()
            left = [decision for decision in decisions if decision.fact in there]
            new = {decision.fact for decision in left}
            before = (one for one in self._extraction.decisions if one.fact in there and one.fact not in new)
            self._extraction = self._extraction.model_copy(
                update={
                    "facts": tuple(fact for fact in self._extraction.facts if fact.id in there),
                    "decisions": (*before, *left),
                    "reconciled": reconciled,
                }
            )
            if stored is not None:
                await self._knowing.vectors.keep_extraction(self._owner, self._extraction)
        return left

    async def _stored(self) -> Extraction | None:
        return await self._knowing.vectors.get_extraction(
            self._owner, self._extraction.session, self._extraction.window
        )

    async def _carried_out(self, decisions: Sequence[Decision]) -> list[Fact]:
        """Write what decisions mean. Returns the facts whose memory is another one by now: they are decided anew."""
        return [self._facts[one.fact] for one in decisions if not await self._write_changes(one)]

    async def _write_changes(self, decision: Decision) -> bool:
        owner, fact, session = self._owner, self._facts[decision.fact], self._extraction.session
        memory_id = decision.memory or fact.id
        outdated = False

        def change(memory: Memory | None, earlier: Sequence[Memory]) -> Changes:
            nonlocal outdated
            found = changes(decision, fact, session, memory, earlier, conflicts=self._rules.conflicts)
            outdated = found is None
            return found or Changes()

        async def wanted() -> bool:
            stored = await self._stored()
            return stored is not None and fact.id in {one.id for one in stored.facts}

        written = await self._knowing.change(owner, memory_id, change, wanted=wanted)
        if outdated:  # unless it is in conflict with what was true then
            conflict = conflict_id(memory_id, fact.id)
            return await self._knowing.vectors.get_conflict(owner, conflict) is not None
        if written and written.conflict is not None and self._on_conflict is not None:
            await self._on_conflict(owner, written.conflict)
        return True
