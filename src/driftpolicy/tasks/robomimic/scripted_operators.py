"""Scripted operators for Robomimic's tasks: people of six skills, as programs.

An operator sees the simulator's true state and steers the hand by OSC_POSE's normalised deltas.
Operators differ in how well they do it (:class:`Skill`); their demonstrations differ in where they
come from and which grasp they take, drawn anew each time.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float64

_REACH = 0.05  # metres that a full action asks for
_TURN = 0.5  # radians
_OPEN, _CLOSE = -1.0, 1.0
_SMOOTHING = 0.8  # of the noise, from step to step
_STUCK = 8  # steps without motion after which an operator goes on
_GAIN, _INTEGRAL = 2.0, 0.15  # the arm stops short of what small actions ask for
Vector = Float64[np.ndarray, "3"]


@dataclasses.dataclass(frozen=True)
class Skill:
    """How well an operator does things."""

    level: str
    """Robomimic's word for operators of such a skill."""
    speed: float
    """Largest action, of 1."""
    hesitation: float
    """Probability, per step, of a pause."""
    pause: int
    """Longest pause in steps."""
    detour: float
    """Metres by which the way to a place is bent."""
    overshoot: float
    """Metres by which a place is passed first."""
    miss: float
    """Probability that a grasp is first tried beside the object."""
    noise: float
    """Deviation of the smooth noise on every action."""


OPERATORS: dict[str, Skill] = {
    "better_operator_1": Skill("better", 1.0, 0.0, 0, 0.02, 0.0, 0.0, 0.03),
    "better_operator_2": Skill("better", 0.85, 0.002, 4, 0.03, 0.0, 0.0, 0.05),
    "okay_operator_1": Skill("okay", 0.7, 0.006, 8, 0.05, 0.01, 0.1, 0.08),
    "okay_operator_2": Skill("okay", 0.6, 0.008, 10, 0.06, 0.02, 0.15, 0.08),
    "worse_operator_1": Skill("worse", 0.5, 0.012, 14, 0.08, 0.03, 0.3, 0.12),
    "worse_operator_2": Skill("worse", 0.42, 0.015, 18, 0.1, 0.03, 0.4, 0.12),
}
"""By Robomimic's names of its multi-human operators."""


class Operator:
    """One attempt at a task; :meth:`actions` yields an action for each step of the simulator."""

    def __init__(self, simulator: Any, skill: Skill, rng: np.random.Generator):
        """Take over a robosuite environment that has just been reset."""
        self._simulator = simulator
        self._skill = skill
        self._rng = rng
        self._noise = np.zeros(6)
        robot = simulator.robots[0]
        self._site = robot.eef_site_id["right"]

    def actions(self) -> Iterator[Float64[np.ndarray, "7"]]:
        """Yield actions until the plan is through; the caller steps the simulator in between."""
        plans: dict[str, Callable[[], Iterator[np.ndarray]]] = {
            "Lift": self._lift,
            "PickPlaceCan": self._can,
            "NutAssemblySquare": self._square,
        }
        return plans[type(self._simulator).__name__]()

    # What is where.

    @property
    def _hand(self) -> Vector:
        return np.array(self._simulator.sim.data.site_xpos[self._site])

    @property
    def _axes(self) -> Float64[np.ndarray, "3 3"]:
        """The hand's axes as columns: fingers move along the first and point along the third."""
        return np.array(self._simulator.sim.data.site_xmat[self._site]).reshape(3, 3)

    def _body(self, number: int) -> tuple[Vector, Float64[np.ndarray, "3 3"]]:
        data = self._simulator.sim.data
        return np.array(data.body_xpos[number]), np.array(data.body_xmat[number]).reshape(3, 3)

    # The plans.

    def _lift(self) -> Iterator[np.ndarray]:
        simulator = self._simulator
        cube = lambda: self._body(simulator.cube_body_id)[0]  # noqa: E731
        axes = self._body(simulator.cube_body_id)[1]
        finger = _heading(axes[:, 0]) + self._rng.choice([0.0, np.pi / 2])
        yield from self._grasp(cube, lambda: finger, depth=0.0)
        above = self._hand + _up(0.15)
        yield from self._go(lambda: above, lambda: finger, _CLOSE, steps=60)

    def _can(self) -> Iterator[np.ndarray]:
        simulator = self._simulator
        number = simulator.obj_body_id["Can"]
        can = lambda: self._body(number)[0]  # noqa: E731
        finger = self._rng.choice([0.0, np.pi / 2, np.pi / 4, -np.pi / 4])
        yield from self._grasp(can, lambda: finger, depth=0.01)
        bin_ = np.array(simulator.target_bin_placements[simulator.object_id])
        spread = self._rng.uniform(-0.08, -0.02, 2)  # its near half: the arm reaches no further
        over = np.array([*(bin_[:2] + spread), bin_[2] + 0.24])
        up = self._hand + _up(0.22)
        yield from self._go(lambda: up, lambda: finger, _CLOSE, near=0.06)
        yield from self._way(over, lambda: finger, _CLOSE, near=0.06)
        low = over - [0.0, 0.0, 0.1]
        yield from self._go(lambda: low, lambda: finger, _CLOSE, near=0.03, steps=60)
        yield from self._release(lambda: finger)

    def _square(self) -> Iterator[np.ndarray]:
        simulator = self._simulator
        nut = simulator.nuts[simulator.nut_id]
        number = simulator.obj_body_id[nut.name]
        handle = simulator.sim.model.site_name2id(nut.important_sites["handle"])
        place = lambda: np.array(simulator.sim.data.site_xpos[handle])  # noqa: E731
        # Across the handle, which points along the nut's first axis.
        across = lambda: _heading(self._body(number)[1][:, 1])  # noqa: E731
        yield from self._grasp(place, across, depth=0.0)
        peg = np.array(simulator.sim.data.body_xpos[simulator.peg1_body_id])
        up = self._hand + _up(0.2)
        yield from self._go(lambda: up, None, _CLOSE, near=0.03)
        # The nut is square: any quarter turn fits that the wrist and the arm's reach allow.
        heading = _heading(self._body(number)[1][:, 0])
        turns = [_wrap(quarter * np.pi / 2 - heading, 2 * np.pi) for quarter in range(4)]
        turns = [turn for turn in turns if np.cos(heading + turn) < 0.5]
        turns = sorted(turns, key=abs)[:2]
        near = [turn for turn in turns if abs(turn) < 1.8] or turns[:1]
        turn = float(self._rng.choice(near))
        finger = _heading(self._axes[:, 0]) + turn
        facing = heading + turn

        def aligned() -> float:  # steer by the nut in the hand, which may have slipped
            error = _wrap(facing - _heading(self._body(number)[1][:, 0]), 2 * np.pi)
            return _heading(self._axes[:, 0]) + error

        def hand_for(height: float) -> Callable[[], Vector]:
            def target() -> Vector:
                held = self._body(number)[0]
                goal = np.array([peg[0], peg[1], peg[2] + height])
                return self._hand + (goal - held)

            return target

        start = hand_for(0.2)()
        yield from self._way(np.array([*start[:2], self._hand[2]]), lambda: finger, _CLOSE)
        yield from self._go(hand_for(0.2), aligned, _CLOSE, near=0.006, turned=0.05, steps=120)
        yield from self._go(hand_for(0.1), aligned, _CLOSE, near=0.006, turned=0.05, steps=60)
        yield from self._go(hand_for(0.03), aligned, _CLOSE, near=0.02, steps=40)
        yield from self._release(None)

    # The moves.

    def _grasp(
        self, place: Callable[[], Vector], finger: Callable[[], float], depth: float
    ) -> Iterator[np.ndarray]:
        """Go over the object, down, and close; first beside it where the operator misses."""
        skill, rng = self._skill, self._rng
        high = place() + _up(0.1)
        yield from self._way(high, finger, _OPEN)
        if rng.uniform() < skill.miss:
            angle = rng.uniform(-np.pi, np.pi)
            beside = 0.045 * np.array([np.cos(angle), np.sin(angle), 0.0])
            lifted = np.array([0.0, 0.0, max(depth, 0.0) + 0.03])
            missed = place() + beside + lifted
            yield from self._go(lambda: missed, finger, _OPEN, steps=50)
            yield from self._hold(_CLOSE, 6)
            yield from self._hold(_OPEN, 4)
            yield from self._go(lambda: high, finger, _OPEN, near=0.03)
        over = lambda: place() + _up(0.06)  # noqa: E731
        down = lambda: place() + _up(depth)  # noqa: E731
        yield from self._go(over, finger, _OPEN, near=0.012, turned=0.08)
        yield from self._go(down, finger, _OPEN, near=0.012, turned=0.1, steps=60)
        yield from self._hold(_CLOSE, 8)

    def _release(self, finger: Callable[[], float] | None) -> Iterator[np.ndarray]:
        yield from self._hold(_OPEN, 6)
        away = self._hand + _up(0.12)
        yield from self._go(lambda: away, finger, _OPEN, steps=40)
        yield from self._hold(_OPEN, 10)

    def _way(
        self,
        goal: Vector,
        finger: Callable[[], float] | None,
        grip: float,
        near: float = 0.02,
    ) -> Iterator[np.ndarray]:
        """Go to a place by a bend to one side, and past it where the operator overshoots."""
        skill, rng = self._skill, self._rng
        start = self._hand
        along = goal - start
        length = max(float(np.linalg.norm(along)), 1e-6)
        side = np.array([-along[1], along[0], 0.0]) / length
        bend = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.0) * skill.detour
        rise = rng.uniform(0.0, 0.5) * skill.detour
        middle = start + rng.uniform(0.4, 0.6) * along + bend * side + _up(rise)
        yield from self._go(lambda: middle, finger, grip, near=0.04)
        if skill.overshoot:
            past = goal + along / length * rng.uniform(0.5, 1.0) * skill.overshoot
            past[2] = max(past[2], goal[2])
            yield from self._go(lambda: past, finger, grip, near=near)
        yield from self._go(lambda: goal, finger, grip, near=near)

    def _go(
        self,
        target: Callable[[], Vector],
        finger: Callable[[], float] | None,
        grip: float,
        *,
        near: float = 0.01,
        turned: float = np.inf,
        steps: int = 100,
    ) -> Iterator[np.ndarray]:
        """Go towards a place until ``near`` (metres) and ``turned`` (radians), or out of patience.

        ``finger`` is the heading along which the fingers open; None keeps what it is.
        """
        kept = _heading(self._axes[:, 0])
        remaining = np.zeros(3)
        passed: list[np.ndarray] = []
        for _ in range(steps):
            if self._rng.uniform() < self._skill.hesitation:
                yield from self._hold(grip, int(self._rng.integers(1, self._skill.pause + 1)))
            error = target() - self._hand
            axes = self._axes
            wanted = kept if finger is None else finger()
            turn = _wrap(wanted - _heading(axes[:, 0]), np.pi)
            if np.linalg.norm(error) < near and abs(turn) < turned:
                return
            passed.append(np.append(self._hand, turn))
            if len(passed) > _STUCK and np.ptp(passed[-_STUCK:], axis=0).max() < 0.003:
                return  # at the end of its reach, or against something
            remaining = (remaining + _INTEGRAL * error).clip(-_REACH, _REACH)
            if np.linalg.norm(error) > _REACH:
                remaining = np.zeros(3)
            tilt = np.cross(axes[:, 2], [0.0, 0.0, -1.0])
            rotation = np.array([tilt[0], tilt[1], turn])
            yield self._action((_GAIN * error + remaining) / _REACH, rotation / _TURN, grip)

    def _hold(self, grip: float, steps: int) -> Iterator[np.ndarray]:
        for _ in range(steps):
            yield self._action(np.zeros(3), np.zeros(3), grip)

    def _action(self, move: Vector, turn: Vector, grip: float) -> Float64[np.ndarray, "7"]:
        """Return an action within the operator's speed, with noise where there is motion."""
        speed = self._skill.speed
        move = move * min(1.0, speed / max(float(np.linalg.norm(move)), 1e-9))
        turn = turn * min(1.0, speed / max(float(np.linalg.norm(turn)), 1e-9))
        fresh = self._rng.normal(size=6) * np.sqrt(1 - _SMOOTHING**2)
        self._noise = _SMOOTHING * self._noise + fresh
        size = min(1.0, 4 * float(np.linalg.norm(move)))
        scale = self._skill.noise * size * np.array([1, 1, 1, 0.3, 0.3, 0.3])
        arm = np.concatenate([move, turn]) + scale * self._noise
        return np.clip(np.append(arm, grip), -1.0, 1.0)


def _up(height: float) -> Vector:
    return np.array([0.0, 0.0, height])


def _heading(axis: Vector) -> float:
    """Return the angle of a direction seen from above."""
    return float(np.arctan2(axis[1], axis[0]))


def _wrap(angle: float, period: float) -> float:
    """Bring an angle into ``[-period / 2, period / 2)``."""
    return (angle + period / 2) % period - period / 2
