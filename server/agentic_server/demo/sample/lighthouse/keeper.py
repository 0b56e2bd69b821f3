"""The keeper of the lighthouse, who climbs its stairs with a backpack."""

from lighthouse.backpack import Backpack
from lighthouse.stairs import TOP_FLOOR, room_on


class Keeper:
    """Someone on a floor of the lighthouse. A day begins in the kitchen."""

    def __init__(self) -> None:
        self.floor = 1
        self.backpack = Backpack()

    @property
    def room(self) -> str:
        return room_on(self.floor)

    def climb(self, floors: int = 1) -> str:
        """Go up, at most to the top of the stairs, and say where that is."""
        self.floor = min(self.floor + floors, TOP_FLOOR - 1)
        return self.room

    def descend(self, floors: int = 1) -> str:
        """Go down, at most to the foot of the stairs, and say where that is."""
        self.floor = max(self.floor - floors, 1)
        return self.room

    def light_lamp(self) -> str:
        """Light the lamp. It takes matches, and being in the right room."""
        if self.room != "lamp room":
            return f"There is no lamp to light in the {self.room}."
        if "matches" not in self.backpack:
            return "It is dark, and the matches are elsewhere."
        return "The lamp is lit. Far out, a ship answers."
