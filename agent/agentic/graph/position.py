"""LangGraph's checkpoints, kept as one small row in our log: they carry the position and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
)

from agentic.ports.store import Store


class PositionSaver(BaseCheckpointSaver[int]):
    """Saves the last checkpoint of a session. The thread of a config is the session's id.

    Writes of unfinished steps are not kept: a step that did not finish is done again, and its effects are guarded by
    the log's intents.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        saved = await self._store.position(_thread(config))
        if saved is None:
            return None
        kind, data = saved
        checkpoint, metadata = cast("tuple[Checkpoint, CheckpointMetadata]", self.serde.loads_typed((kind, data)))
        if get_checkpoint_id(config) not in (None, checkpoint["id"]):
            return None
        return CheckpointTuple(_config(config, checkpoint["id"]), checkpoint, metadata)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        kind, data = self.serde.dumps_typed((checkpoint, metadata))
        await self._store.save_position(_thread(config), kind, data)
        return _config(config, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        return None


def _thread(config: RunnableConfig) -> str:
    return str(config.get("configurable", {})["thread_id"])


def _config(config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
    configurable = {"thread_id": _thread(config), "checkpoint_ns": "", "checkpoint_id": checkpoint_id}
    return {"configurable": configurable}
