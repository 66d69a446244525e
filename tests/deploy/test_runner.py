"""The control loop, mostly under an artificial clock: no time passes but what the test says."""

import dataclasses
import os
import signal
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from driftpolicy.deploy import ChunkRunner
from driftpolicy.deploy.report import Times
from driftpolicy.deploy.timing import Decided, SystemClock
from driftpolicy.errors import UserError

from .common import Answered, Clock

RATE, LENGTH = 10.0, 5


class Robot(Clock):
    """Where time is a number. It observes the time; its policy's actions are the times meant.

    With an action ``[due time by the plan, number of the decision]`` a log shows what was sent
    when, from which plan.
    """

    def __init__(self, latency=0.01):
        super().__init__()
        self.latency = latency if callable(latency) else lambda: latency
        self.metadata = SimpleNamespace(control_rate=RATE, chunk_length=LENGTH)
        self.decided = 0
        self.observed: list[float] = []
        self.sent: list[tuple[float, np.ndarray]] = []
        self.stopped = 0
        self.closed = False
        self.missed: list[str] = []

    # The policy, and the thread it decides in.
    def act(self, observation, rng):
        assert isinstance(rng, np.random.Generator)
        self.decided += 1
        meant = observation[0] + np.arange(LENGTH) / RATE
        return np.stack([meant, np.full(LENGTH, float(self.decided))], axis=1)

    def ask(self, asked, observation):
        self.ready = self.time + self.latency()
        self.answer = Decided(self.act(observation, np.random.default_rng()), asked, self.ready)

    def poll(self):
        return self.answer if self.time >= self.ready else None

    def wait(self):
        self.sleep_until(self.ready)
        return self.answer

    def close(self):
        self.closed = True

    # The robot.
    def read(self):
        self.observed.append(self.time)
        return np.array([self.time])

    def send(self, action):
        self.sent.append((self.time, action))

    def halt(self):
        self.stopped += 1

    def runner(self, **settings):
        return ChunkRunner(
            self,
            self.read,
            self.send,
            self.halt,
            on_miss=self.missed.append,
            clock=self,
            decider=lambda decide, clock: self,
            **settings,
        )

    def run(self, steps, **settings):
        return self.runner(**settings).run(steps)

    @property
    def times(self):
        return np.array([time for time, _ in self.sent])

    @property
    def plans(self):
        """The number of the decision behind each action."""
        return [round(float(action[1])) - 19 for _, action in self.sent]


def test_whole_chunks_at_a_fixed_rate_from_observations_as_late_as_possible():
    robot = Robot(latency=0.03)
    report = robot.run(15, margin_s=0.005)
    np.testing.assert_allclose(np.diff(robot.times), 1 / RATE)
    assert robot.plans == [1] * 5 + [2] * 5 + [3] * 5
    # Read 35 ms before the take-over, and each action sent 35 ms after the time it was meant for.
    start = robot.times[0]
    np.testing.assert_allclose(robot.observed[20:], start + np.array([0.5, 1.0]) - 0.035)
    late = [time - action[0] for time, action in robot.sent[5:]]
    np.testing.assert_allclose(late, 0.035)
    assert (report.steps, report.decisions, report.missed, report.held_steps) == (15, 3, 0, 0)
    np.testing.assert_allclose(report.age, 0.035)
    np.testing.assert_allclose(report.latency, 0.03)
    np.testing.assert_allclose(report.jitter, 0.0, atol=1e-9)
    assert report.ended_by == "steps"
    assert robot.stopped == 1
    assert robot.closed


def test_a_decision_longer_than_a_period_leaves_out_the_actions_whose_time_has_passed():
    robot = Robot(latency=0.14)
    report = robot.run(14, margin_s=0.01)  # 1.5 periods before the take-over
    assert robot.plans == [1] * 5 + [2] * 4 + [3] * 4 + [4]
    late = [time - action[0] for time, action in robot.sent[5:]]
    np.testing.assert_allclose(late, 0.05)  # and yet within the period each was meant for
    assert report.missed == report.held_steps == 0
    np.testing.assert_allclose(report.age, 0.15)


def test_the_lookahead_follows_the_latency():
    latencies = iter([0.01] * 21 + [0.06] + [0.01] * 300)
    robot = Robot(latency=lambda: next(latencies))
    report = robot.run(30, margin_s=0.005)
    # The slow decision is late, by one step; those after it begin early enough for another.
    assert report.late_chunks == report.held_steps == 1
    assert robot.missed == ["a chunk was not there when it should have taken over"]
    ages = robot.times[0] + np.arange(30) / RATE
    ages = [min(a - o for a in ages if a >= o - 1e-9) for o in robot.observed[22:]]
    np.testing.assert_allclose(ages, 0.065, atol=1e-6)


@pytest.mark.parametrize(
    ("latency", "lead"),
    [
        (0.03, 0.04),  # 10 ms more
        (0.085, 0.09),  # as much as leaves whole chunks: 0.9 of a period of 0.1 s
        (0.089, 0.091),  # at least 2 ms
        (0.14, 0.142),  # longer than a period in any case
    ],
)
def test_the_default_margin_keeps_whole_chunks_if_it_can(latency, lead):
    robot = Robot(latency=latency)
    report = robot.run(20)
    np.testing.assert_allclose(report.age, lead, atol=1e-6)
    assert report.missed == 0
    whole = [1] * 5 + [2] * 5 + [3] * 5 + [4] * 5
    assert (robot.plans == whole) == (lead < 1 / RATE)


def test_a_late_chunk_holds_the_last_action_and_is_then_followed_where_it_is():
    latencies = iter([0.01] * 20 + [0.23] + [0.01] * 300)
    robot = Robot(latency=lambda: next(latencies))
    report = robot.run(12, margin_s=0.0)
    assert report.late_chunks == 1
    assert report.held_steps == 3
    assert robot.plans == [1] * 8 + [2] * 2 + [3] * 2  # of plan 2, three steps had passed
    held = [action[0] for _, action in robot.sent[4:8]]
    np.testing.assert_allclose(held, held[0])
    assert robot.sent[8][0] - robot.sent[8][1][0] == pytest.approx(0.01)


def test_a_chunk_that_is_all_for_the_past_is_not_followed():
    latencies = iter([0.01] * 20 + [0.7] + [0.01] * 300)
    robot = Robot(latency=lambda: next(latencies))
    report = robot.run(20, margin_s=0.0)
    assert 2 not in robot.plans
    assert set(robot.plans) == {1, 3, 4}
    assert report.late_chunks == 1
    assert report.held_steps == sum(plan == 1 for plan in robot.plans) - 5


def test_a_late_chunk_stops_the_robot_if_so_chosen():
    latencies = iter([0.01] * 20 + [0.23])
    robot = Robot(latency=lambda: next(latencies))
    report = robot.run(100, late="stop", margin_s=0.0)
    assert report.steps == len(robot.sent) == 5
    assert report.ended_by == "late chunk"
    assert robot.stopped == 1


def test_cut_and_blend_over_the_overlap():
    robot = Robot()
    robot.run(7, overlap=2, handover="cut")
    assert robot.plans == [1] * 3 + [2] * 3 + [3]
    robot = Robot()
    robot.run(7, overlap=2, handover="blend")
    numbers = [float(action[1]) - 19 for _, action in robot.sent]
    expected = [1, 1, 1, 1 + 1 / 3, 1 + 2 / 3, 2, 2 + 1 / 3]
    np.testing.assert_allclose(numbers, expected)


def test_with_an_overlap_a_late_chunk_costs_nothing_but_a_line():
    latencies = iter([0.01] * 20 + [0.13] + [0.01] * 300)
    robot = Robot(latency=lambda: next(latencies))
    report = robot.run(6, overlap=2, handover="blend", margin_s=0.0)
    assert (report.late_chunks, report.held_steps) == (1, 0)
    numbers = [float(action[1]) - 19 for _, action in robot.sent]
    np.testing.assert_allclose(numbers, [1, 1, 1, 1, 1, 2])  # from its end on, nothing to blend


def test_chunks_of_one_step():
    robot = Robot(latency=0.02)
    robot.metadata.chunk_length = 1
    robot.act = lambda observation, rng: np.array([[observation[0], 0.0]])
    report = robot.run(10, margin_s=0.01)
    late = [time - action[0] for time, action in robot.sent[1:]]
    np.testing.assert_allclose(late, 0.03)
    assert report.missed == 0
    assert report.decisions == 10


def test_late_steps_are_told_and_those_that_passed_by_are_skipped():
    robot = Robot()
    send = robot.send

    def slow(action):
        send(action)
        robot.time += {2: 0.17, 7: 0.38}.get(len(robot.sent), 0.0)

    robot.send = slow
    report = robot.run(15)
    assert report.late_steps == 2
    assert report.skipped_steps == 2
    assert report.steps == 13
    assert report.missed == 4 + report.late_chunks
    ticks = (robot.times - robot.times[0]) * RATE
    np.testing.assert_allclose(ticks[[0, 1, 2, 3, 7]], [0, 1, 2.7, 3, 9.8])
    assert any("70.0 ms late" in line for line in robot.missed)
    assert any("2 steps passed by" in line for line in robot.missed)


@pytest.mark.parametrize(("late", "sent", "skipped"), [(4, 4, 1), (5, 5, 0)])
def test_steps_beyond_the_last_are_not_skipped(late, sent, skipped):
    robot = Robot()
    send = robot.send

    def slow(action):
        send(action)
        robot.time += 1.0 if len(robot.sent) == late else 0.0

    robot.send = slow
    report = robot.run(5)
    assert (report.steps, report.skipped_steps) == (sent, skipped)


def fail(*_):
    raise ZeroDivisionError("the arm is on fire")


@pytest.mark.parametrize("where", ["read", "send", "act"])
def test_an_error_stops_the_robot_and_is_raised(where):
    robot = Robot()
    runner = robot.runner()
    calls = []
    whole = getattr(robot, where)

    def breaking(*arguments):
        calls.append(arguments)
        return whole(*arguments) if len(calls) < 22 else fail()

    target = {"read": "_read", "send": "_send"}.get(where)
    setattr(*((runner, target) if target else (robot, "act")), breaking)
    with pytest.raises(ZeroDivisionError):
        runner.run(100)
    assert robot.stopped == 1
    assert robot.closed


def test_a_chunk_that_is_not_finite_is_never_sent():
    robot = Robot()
    act = robot.act
    robot.act = lambda *a: act(*a) if robot.decided < 20 else np.full((LENGTH, 2), np.nan)
    with pytest.raises(UserError, match="not finite"):
        robot.run(100)
    assert len(robot.sent) == 5
    assert robot.stopped == 1


def test_stop_ends_the_loop_with_the_stop_action():
    robot = Robot()
    runner = robot.runner()
    runner._stop = np.array([-1.0, -1.0])
    send = robot.send

    def stopping(action):
        send(action)
        if len(robot.sent) == 8:
            runner.stop()

    runner._send = stopping
    report = runner.run()
    assert report.ended_by == "stop"
    assert (report.steps, len(robot.sent)) == (8, 9)
    np.testing.assert_array_equal(robot.sent[-1][1], -1.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate_hz": 0.0}, "above 0"),
        ({"overlap": LENGTH}, "from 0 to 4, not 5"),
        ({"handover": "blend"}, "overlap of at least 1"),
        ({"handover": "jump"}, "cut, or blend"),
        ({"late": "panic"}, "hold or stop"),
        ({"lookahead_s": 0.31}, "does not fit"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        Robot().runner(**settings)


def test_decisions_too_long_for_the_rate_are_refused_before_anything_moves():
    robot = Robot(latency=0.5)
    with pytest.raises(UserError, match=r"takes 502\.0 ms, too long for chunks of 5 at 10 Hz"):
        robot.run(10)
    assert not robot.sent
    assert robot.stopped == 1


def test_quantiles_are_of_the_last_and_the_largest_is_of_all():
    times = Times(4)
    assert times.spread() == (0.0, 0.0, 0.0)
    for value in (9.0, 1.0, 2.0, 3.0, 4.0):
        times.add(value)
    assert times.spread() == (3.0, 4.0, 9.0)
    assert str(times.spread()).startswith("median 3000.00 ms, 99% 4000.00 ms, largest 9000")


# --- with a real thread ---------------------------------------------------------------------------


@dataclasses.dataclass
class Real:
    """A policy that takes two milliseconds, by its clock."""

    clock: Any = dataclasses.field(default_factory=SystemClock)
    sent: list = dataclasses.field(default_factory=list)
    stopped: int = 0
    metadata = SimpleNamespace(control_rate=10.0, chunk_length=LENGTH)

    def act(self, observation, rng):
        assert threading.current_thread() is not threading.main_thread()
        self.clock.sleep_until(self.clock.now() + 0.002)
        return np.arange(LENGTH)[:, None] + 10 * observation

    def halt(self):
        self.stopped += 1

    def runner(self, send=None, **settings):
        numbers = iter(range(10**6))
        return ChunkRunner(
            self,
            lambda: np.array([float(next(numbers))]),
            send or self.sent.append,
            self.halt,
            clock=self.clock,
            **settings,
        )


def deciders():
    return [t for t in threading.enumerate() if t.name == "driftpolicy-decider"]


def test_a_thread_decides_whole_chunks_in_order():
    real = Real(Clock())
    report = real.runner(decider=Answered).run(15)
    chunks, places = np.divmod(np.array([float(action[0]) for action in real.sent]), 10)
    np.testing.assert_array_equal(places, np.tile(np.arange(LENGTH), 3))
    np.testing.assert_array_equal(chunks - chunks[0], np.repeat(np.arange(3), LENGTH))
    assert (report.steps, report.missed) == (15, 0)
    np.testing.assert_allclose(report.latency, 0.002)
    assert real.stopped == 1
    assert not deciders()


# In real time the lookahead is given: as measured, it would refuse a machine that is too busy.
AHEAD_S = 0.05


def test_a_real_loop_sends_chunks_in_order_and_leaves_no_thread():
    real = Real()
    report = real.runner(lookahead_s=AHEAD_S).run(15)
    assert report.steps + report.skipped_steps == 15
    assert report.latency.median >= 0.002
    numbers = np.array([float(action[0]) for action in real.sent])
    chunks, places = np.divmod(numbers, 10)
    assert np.all(np.diff(chunks) >= 0)
    assert set(places) <= set(range(LENGTH))
    if report.missed == 0:  # else the machine was busy, and the log says so
        np.testing.assert_array_equal(places, np.tile(np.arange(LENGTH), 3))
    assert real.stopped == 1
    assert not deciders()
    assert "steps" in str(report)


def test_a_signal_ends_the_loop_safely():
    real = Real()

    def send(action):
        real.sent.append(action)
        if len(real.sent) == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    report = real.runner(send, lookahead_s=AHEAD_S).run()
    assert report.ended_by == "SIGTERM"
    assert report.steps == 7
    assert real.stopped == 1
    assert not deciders()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_in_the_thread_is_raised_in_the_loop():
    real = Real()
    real.act = fail
    with pytest.raises(ZeroDivisionError):
        real.runner().run(10)
    assert real.stopped == 1
    assert not deciders()
