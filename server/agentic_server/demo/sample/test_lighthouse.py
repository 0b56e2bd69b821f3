"""An evening at the lighthouse."""

import unittest

from lighthouse.backpack import POCKETS, Backpack
from lighthouse.keeper import Keeper
from lighthouse.stairs import ROOMS, room_on


class BackpackTest(unittest.TestCase):
    def test_every_pocket_can_be_filled(self) -> None:
        backpack = Backpack()
        filled = [backpack.put(f"shell {number}") for number in range(POCKETS + 1)]
        self.assertEqual(filled, [True] * POCKETS + [False])

    def test_what_is_taken_out_is_gone(self) -> None:
        backpack = Backpack()
        backpack.put("matches")
        self.assertEqual(backpack.take("matches"), "matches")
        self.assertNotIn("matches", backpack)


class StairsTest(unittest.TestCase):
    def test_floors_are_counted_from_one(self) -> None:
        self.assertEqual(room_on(1), ROOMS[0])
        self.assertEqual(room_on(len(ROOMS)), ROOMS[-1])
        self.assertRaises(ValueError, room_on, 0)


class EveningTest(unittest.TestCase):
    def test_the_day_begins_in_the_kitchen(self) -> None:
        self.assertEqual(Keeper().room, "kitchen")

    def test_nobody_climbs_down_into_the_rock(self) -> None:
        self.assertEqual(Keeper().descend(7), "kitchen")

    def test_the_keeper_lights_the_lamp(self) -> None:
        keeper = Keeper()
        keeper.backpack.put("matches")
        keeper.climb(3)
        self.assertEqual(keeper.light_lamp(), "The lamp is lit. Far out, a ship answers.")


if __name__ == "__main__":
    unittest.main()
