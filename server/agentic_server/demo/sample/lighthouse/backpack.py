"""A backpack with a few pockets."""

POCKETS = 3


class Backpack:
    """Holds as many things as it has pockets."""

    def __init__(self) -> None:
        self._things: list[str] = []

    def __contains__(self, thing: str) -> bool:
        return thing in self._things

    def __len__(self) -> int:
        return len(self._things)

    def put(self, thing: str) -> bool:
        """Put a thing into a free pocket; False when there is none."""
        if len(self._things) >= POCKETS:
            return False
        self._things.append(thing)
        return True

    def take(self, thing: str) -> str:
        """Take a thing out again."""
        self._things.remove(thing)
        return thing
