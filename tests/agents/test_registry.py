"""Methods by name, and a user's by the file that holds them."""

import textwrap

import pytest

from driftpolicy.agents import METHODS, find_method, register_method
from driftpolicy.agents.dfp import DFP, DFPConfig
from driftpolicy.errors import UserError


def test_a_registered_method_is_found_and_taken_once(monkeypatch):
    monkeypatch.setattr("driftpolicy.agents.registry.METHODS", dict(METHODS))
    register_method("mine", DFP, DFPConfig)
    assert find_method("mine") == (DFP, DFPConfig)
    with pytest.raises(UserError, match="there is a method 'mine' already"):
        register_method("mine", DFP, DFPConfig)
    with pytest.raises(UserError, match=r"without a colon, not 'file\.py:Mine'"):
        register_method("file.py:Mine", DFP, DFPConfig)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.py:Mine", "nothing.py: no such file"),
        ("{file}:Other", "has no Other"),
        ("{file}:VALUE", "is no subclass of driftpolicy.agents.Agent"),
        ("{file}:Half", "does not define actor_loss, new_actor"),
        ("no_such_module_of_mine:Mine", "cannot import no_such_module_of_mine"),
        ("ppo", "unknown method 'ppo'; known: bfn, .* or file.py:Class of yours"),
    ],
)
def test_what_is_no_method_is_refused_in_one_line(name, message, tmp_path):
    file = tmp_path / "methods_of_mine.py"
    file.write_text(
        textwrap.dedent(
            """
            from driftpolicy.agents.actor_critic import ImitatingActorCritic

            VALUE = 3

            class Half(ImitatingActorCritic):
                pass
            """
        )
    )
    with pytest.raises(UserError, match=message) as raised:
        find_method(name.format(file=file))
    assert "\n" not in str(raised.value)
