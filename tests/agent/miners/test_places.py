from __future__ import annotations

from agent.miners.places import Places

MAC, OTHER = "02:11:22:33:44:55", "02:11:22:33:44:66"
OLD, NEW = "10.0.0.1", "10.0.0.2"
BOOT_S = 600.0


def places(*shown: str, mac: str = MAC) -> Places:
    found = Places(BOOT_S)
    for ip in shown:
        found.show(ip, mac)
    return found


def test_a_mac_that_two_addresses_show_makes_them_twins() -> None:
    found = places(OLD, NEW)
    assert (found.twins(OLD), found.twins(NEW)) == ((NEW,), (OLD,))
    found.show(OLD, OTHER)
    assert (found.twins(OLD), found.twins(NEW)) == ((), ())
    assert found.showing(MAC) == (NEW,)


def test_what_tells_no_mac_is_nobodys_twin() -> None:
    found = places(OLD)
    for ip in (NEW, "10.0.0.3"):
        found.show(ip, None)
        assert found.twins(ip) == ()
    assert found.showing(None) == ()


def test_the_one_that_is_silent_where_both_were_never_seen_has_moved() -> None:
    found = places(OLD, NEW)
    assert found.note_silence(OLD, 0.0, only_part=False)


def test_a_host_of_which_only_a_part_is_away_is_waited_for() -> None:
    found = places(OLD, NEW)
    assert not found.note_silence(OLD, 0.0, only_part=True)
    assert not found.note_silence(OLD, BOOT_S - 1.0, only_part=True)
    assert found.note_silence(OLD, BOOT_S, only_part=True)


def test_one_of_two_is_gone_once_it_was_silent_for_longer_than_a_boot() -> None:
    found = places(OLD, NEW)
    found.set_two(MAC)
    assert not found.note_silence(OLD, 0.0, only_part=False)
    found.show(OLD, MAC)  # it answers again: the silence starts over
    assert not found.note_silence(OLD, BOOT_S, only_part=False)
    assert found.note_silence(OLD, 2 * BOOT_S, only_part=False)


def test_a_silent_miner_whose_mac_nobody_else_shows_stays_where_it_was() -> None:
    found = places(OLD)
    assert not found.note_silence(OLD, 1e9, only_part=False)


def test_that_there_are_two_is_known_until_one_is_left() -> None:
    found = places(OLD, NEW)
    found.set_two(MAC)
    found.show(NEW, MAC)
    assert found.are_two(MAC)
    found.forget(OLD)
    assert not found.are_two(MAC)
    found.show(OLD, MAC)
    assert found.note_silence(NEW, 0.0, only_part=False)
