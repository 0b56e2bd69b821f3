"""A request on its way through a pool, and the events that tell of its way."""

from __future__ import annotations

from dataclasses import dataclass

from agentic.errors import ModelError
from agentic.events import Failover, ModelNotice, ModelStarted, Origin
from agentic.llm.answers import AnswerReader
from agentic.llm.clock import Clock
from agentic.llm.conversations import Conversation
from agentic.llm.course import Course
from agentic.llm.member import Member, News
from agentic.llm.prefix import PromptChain
from agentic.ports.model import ModelRequest


@dataclass(frozen=True, slots=True)
class Asking:
    """A request, what is known of its conversation, and what it has been through. `name` is its id in the events."""

    name: str
    request: ModelRequest
    conversation: Conversation
    chain: PromptChain
    clock: Clock
    course: Course

    @property
    def origin(self) -> Origin:
        return self.request.origin

    def reader(self, member: Member) -> AnswerReader:
        """For the answer of one attempt at this endpoint."""
        return AnswerReader(
            self.origin,
            self.conversation.calls,
            self.request.tools,
            reasoning_splits=member.client.reasoning_splits,
            asked=member.client.dialect.tools == "prompted",
        )

    def started(self, member: Member, prompt: int) -> ModelStarted:
        """An attempt begins; it is counted by this."""
        self.course.attempts += 1
        return ModelStarted(
            **self.origin,
            request=self.name,
            endpoint=member.url,
            model=member.client.info.model,
            attempt=self.course.attempts,
            prompt_tokens=prompt,
        )

    def failover(self, member: Member, to: str, failure: ModelError, wait: float) -> Failover:
        """The attempt at `member` failed, and another follows."""
        return Failover(
            **self.origin,
            request=self.name,
            endpoint=member.url,
            to=to,
            code=failure.code,
            reason=str(failure),
            wait=wait,
        )

    def notice(self, news: News) -> ModelNotice:
        """Something that a person should know."""
        return ModelNotice(
            **self.origin,
            request=self.name,
            endpoint=news.url,
            code=news.code,
            message=news.message,
            hint=news.hint,
        )
