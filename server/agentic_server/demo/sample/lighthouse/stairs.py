"""The stairs: which room lies on which floor.

Keepers count floors as they climb them: the kitchen at the foot of the stairs is on floor 1.
"""

ROOMS = ("kitchen", "workshop", "bedroom", "lamp room")
TOP_FLOOR = len(ROOMS)


def room_on(floor: int) -> str:
    """The room on a floor."""
    if not 1 <= floor <= TOP_FLOOR:
        raise ValueError(f"there is no floor {floor}")
    return ROOMS[floor - 1]
